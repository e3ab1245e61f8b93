"""Reading and writing files so that nothing half-written ever looks whole."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.errors import CertibitError


def write_bytes_atomically(path: Path, data: bytes) -> None:
    """Write a file under a temporary name in the same folder, then rename it.

    Parameters
    ----------
    path : pathlib.Path
        Final name. An existing file of that name is replaced, or left untouched if anything fails.
    data : bytes
        Content.

    Raises
    ------
    OSError
        If the disk is full or the folder cannot be written; the temporary file is removed.
    """
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes files private; evidence is meant to be read by others.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def npz_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return arrays as an ``.npz``; the same arrays give the same bytes on every machine.

    Not compressed: what a compressor makes of the same input depends on its version.
    """
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **dict(arrays))
    return buffer.getvalue()


def read_bytes(path: Path, error: type[CertibitError], what_to_do: str) -> bytes:
    """Return a file's content, or raise `error` with the operating system's reason."""
    try:
        return path.read_bytes()
    except OSError as reason:
        raise error(f"cannot read: {reason.strerror}", str(path), what_to_do) from None


def read_npz(
    path: Path, names: Mapping[str, str], error: type[CertibitError], what_to_do: str
) -> dict[str, NDArray[Any]]:
    """Read named arrays from an ``.npz``.

    Parameters
    ----------
    path : pathlib.Path
        File to read.
    names : mapping of str to str
        Array name -> what it is, for the message when it is missing.
    error : type
        What to raise.
    what_to_do : str
        The mend to put into the message.

    Returns
    -------
    dict of str to numpy.ndarray
        The arrays asked for.
    """
    data = read_bytes(path, error, what_to_do)
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            present = set(archive.files)
            arrays = {name: archive[name] for name in names if name in present}
    except MemoryError:
        raise
    except Exception:
        # zipfile, zlib and numpy have a dozen ways to say that a file is damaged.
        raise error("not a whole .npz file", str(path), what_to_do) from None
    for name, meaning in names.items():
        if not isinstance(arrays.get(name), np.ndarray):
            raise error(f"array {name} ({meaning}) is missing", str(path), what_to_do)
    return arrays
