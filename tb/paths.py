"""Names for paths that Verilator's scripts and makefiles can hold.

Neither quotes the names that it hands on, so a space anywhere in the path of the checkout, of the
Python environment or of a build would end every build. A path with such a character gets a second
name, through a link in a folder of this user's below the system's temporary folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import tempfile
from pathlib import Path

from model.errors import ToolError

_UNSAFE = re.compile(r"[^A-Za-z0-9_./+-]")


def is_plain(path: Path) -> bool:
    """Tell whether a path needs no second name."""
    return not _UNSAFE.search(str(path))


def plain_path(path: Path) -> Path:
    """Return a name for an existing file or folder without characters that need quotes.

    Raises
    ------
    ToolError
        There is no safe place for the link.
    """
    if is_plain(path):
        return path
    # A file whose own name is harmless keeps it: waivers and messages go by names.
    target = path.parent if path.is_file() and is_plain(Path(path.name)) else path
    name = hashlib.sha256(str(target).encode()).hexdigest()[:16] + target.suffix * target.is_file()
    link = links_folder() / name
    with contextlib.suppress(FileExistsError):
        link.symlink_to(target)
    return link if target == path else link / path.name


def links_folder() -> Path:
    """Return this user's own folder below the temporary folder, made where it is missing.

    Raises
    ------
    ToolError
        Its path would need quotes too, or it is somebody else's.
    """
    links = Path(tempfile.gettempdir()).absolute() / f"certibit-{os.getuid()}"
    if is_plain(links):
        links.mkdir(mode=0o700, exist_ok=True)
        told = links.lstat()
        if stat.S_ISDIR(told.st_mode) and told.st_uid == os.getuid() and not told.st_mode & 0o022:
            return links
    raise ToolError(
        "Verilator cannot build in a path with spaces, and no safe temporary folder is without",
        str(links),
        "set TMPDIR to a folder of your own, or move the checkout to a path without spaces",
    )
