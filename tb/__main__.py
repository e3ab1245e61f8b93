"""``python -m tb``: the command line."""

from tb.cli import main

if __name__ == "__main__":
    main()
