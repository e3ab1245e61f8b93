"""Progress of a simulation, told by how far its recording has grown."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

_SECONDS_BETWEEN_LOOKS = 0.5
# A log gets a line this often.
_SECONDS_BETWEEN_LINES = 30.0


@contextmanager
def shown_growth(path: Path, size: int, what: str) -> Iterator[None]:
    """Show how much of a file is there, and how long the rest will take, while a block runs.

    On a terminal a bar, elsewhere a line now and then.

    Parameters
    ----------
    path : pathlib.Path
        The recording; it need not exist yet.
    size : int
        Bytes that it will have.
    what : str
        Name of the work.
    """
    console = Console(stderr=True)
    ended = threading.Event()
    if console.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(what, total=size)

            def draw() -> None:
                while not ended.wait(_SECONDS_BETWEEN_LOOKS):
                    bar.update(task, completed=_size(path))

            with _running(draw, ended):
                yield
        return

    def tell() -> None:
        begun = 0.0
        first = 0
        while not ended.wait(_SECONDS_BETWEEN_LINES):
            now, there = time.monotonic(), _size(path)
            if begun and there > first:
                left = (now - begun) / (there - first) * (size - there)
                print(
                    f"{what}: {100 * there / size:.0f} %, some {max(left, 0):.0f} s left",
                    file=sys.stderr,
                    flush=True,
                )
            elif there:
                begun, first = now, there

    with _running(tell, ended):
        yield


@contextmanager
def _running(watch: Callable[[], None], ended: threading.Event) -> Iterator[None]:
    """Let a watcher run beside a block, and end with it."""
    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _size(path: Path) -> int:
    """Return the bytes of a file that may not be there yet."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
