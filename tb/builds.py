"""Compile a simulation once per content.

A build is content-hashed: the same sources, parameters, defines, options and simulator are compiled
once, whoever asks, and the compiled simulation is shared by every seed. It is compiled in a
temporary folder and renamed when it is whole, under a file lock, so that a killed build never looks
whole and pytest-xdist workers do not build twice.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cocotb
from rich.console import Console

from model.errors import InputError, ToolError
from tb.paths import is_plain, links_folder, plain_path
from tb.simulators import Simulator
from tb.tasks import (
    TASKS,
    first_complaint,
    how_ended,
    log_text,
    shown,
    tail,
    terminable,
    write_whole,
)

TIMESCALE = "1ns/1ps"
# Changes of this file that make older builds wrong raise the number.
_BUILD_FORMAT = 1
_INT32 = range(-(2**31), 2**31)

_VERILATOR_ARGS = (
    "--timing",
    "-O3",
    "--x-assign",
    "fast",
    "--unroll-count",
    "10000",
    "--unroll-stmts",
    "10000000",
)
# cocotb-test passes --public-flat-rw, which blocks optimisation. Later on the line this leaves only
# the top module's signals visible.
_VERILATOR_TOP_ONLY = ("--no-public-flat-rw", "--public-depth", "1")
_VERILATOR_COVERAGE = ("--coverage-line", "--coverage-toggle")
_ICARUS_ARGS = ("-g2005",)


@dataclass(frozen=True)
class Build:
    """A compiled simulation.

    Attributes
    ----------
    directory : Path
        Holds the executable, ``build.log`` and ``build.json``.
    built : bool
        Whether this call compiled it (False: it was there).
    seconds : float
        Of this call's compilation; 0 when it was there.
    """

    directory: Path
    built: bool
    seconds: float


def build_bench(
    *,
    toplevel: str,
    sources: Sequence[Path],
    simulator: Simulator,
    build_root: Path,
    parameters: Mapping[str, int | str] | None = None,
    defines: Mapping[str, int | str | None] | None = None,
    waves: bool = False,
    probe: bool = False,
    coverage: bool = False,
) -> Build:
    """Compile a simulation where it is not compiled yet. For the parameters see `run_bench`.

    Returns
    -------
    Build
        Where it stands.

    Raises
    ------
    ToolError
        The design does not compile; the first complaint is in the message, the log's last lines are
        its note.
    InputError
        A source is missing or a parameter is not one.
    """
    files = [Path(s).absolute() for s in sources]
    if simulator.name == "icarus":
        files = [f for f in files if f.suffix != ".vlt"]
    recipe = _Recipe(
        simulator=simulator,
        toplevel=toplevel,
        files=files,
        parameters={k: _parameter(k, v) for k, v in sorted((parameters or {}).items())},
        defines=[k if v is None else f"{k}={v}" for k, v in sorted((defines or {}).items())],
        args=_compile_args(simulator, waves=waves, probe=probe, coverage=coverage),
        waves=waves,
    )
    final = build_root.absolute() / f"{simulator.name}-{toplevel}-{recipe.sha256()[:12]}"
    if _whole(final):
        return Build(final, built=False, seconds=0.0)
    final.parent.mkdir(parents=True, exist_ok=True)
    with open(final.with_name(f".{final.name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _whole(final):  # another process built it while this one waited
            return Build(final, built=False, seconds=0.0)
        begun = time.monotonic()
        with _progress(f"building {final.name}"), terminable(), _staging(final) as staging:
            product = _compile(recipe, staging, final)
            seconds = time.monotonic() - begun
            _publish(product, staging, final, seconds)
    return Build(final, built=True, seconds=seconds)


@dataclass(frozen=True)
class _Recipe:
    """All that a compiled simulation depends on."""

    simulator: Simulator
    toplevel: str
    files: list[Path]
    parameters: dict[str, str]
    defines: list[str]
    args: list[str]
    waves: bool

    @property
    def product(self) -> str:
        """The executable's name."""
        return f"{self.toplevel}.vvp" if self.simulator.name == "icarus" else self.toplevel

    def sha256(self) -> str:
        """Return the hash of the sources' bytes and of everything else."""
        told = [
            _BUILD_FORMAT,
            [self.simulator.name, self.simulator.version, self.simulator.env.get("MAKEFLAGS")],
            [cocotb.__version__, TIMESCALE],
            [self.toplevel, self.parameters, self.defines, self.args, self.waves],
        ]
        content = hashlib.sha256(json.dumps(told).encode())
        for file in self.files:
            try:
                source = file.read_bytes()
            except OSError as error:
                raise InputError(
                    f"a Verilog source cannot be read: {error.strerror}",
                    str(file),
                    "check the file list",
                ) from None
            content.update(f"\0{file.name} {len(source)}\0".encode() + source)
        return content.hexdigest()


def _compile(recipe: _Recipe, staging: Path, final: Path) -> Path:
    """Compile in the staging folder; return the executable's path."""
    simulator, log, product = recipe.simulator, staging / "build.log", staging / recipe.product
    with _workplace(simulator, staging) as work:
        files = recipe.files
        if simulator.name == "verilator":
            files = [plain_path(file) for file in files]
        task = TASKS[simulator.name](
            simulator=simulator,
            log=log,
            toplevel=recipe.toplevel,
            module="",
            verilog_sources=[str(file) for file in files],
            parameters=recipe.parameters,
            defines=recipe.defines,
            compile_args=recipe.args,
            timescale=TIMESCALE,
            sim_build=str(work),
            waves=recipe.waves,
            compile_only=True,
        )
        try:
            task.compile()
            complaint = _silent_complaint(log)
        except subprocess.CalledProcessError as error:
            complaint = first_complaint(log) if error.returncode > 0 else how_ended(error)
        if work != staging and (work / product.name).is_file():
            shutil.move(work / product.name, product)
    if complaint is None and product.is_file():
        return product
    # The staging folder goes away; its log stays for the reader.
    kept = final.with_name(f"{final.name}.failed.log")
    shutil.copyfile(log, kept)
    failure = ToolError(
        f"{simulator.name} {simulator.version} could not build {recipe.toplevel}: "
        f"{complaint or 'it left no executable'}",
        f"log {shown(kept)}",
        "mend the Verilog source or the parameter that is named there",
    )
    failure.add_note(tail(kept))
    raise failure


@contextlib.contextmanager
def _workplace(simulator: Simulator, staging: Path) -> Iterator[Path]:
    """Give the folder to compile in: the staging folder, unless make could not work there.

    Verilator's makefiles cannot work in a folder with a space in its path.
    """
    if simulator.name != "verilator" or is_plain(staging):
        yield staging
        return
    with tempfile.TemporaryDirectory(prefix="build-", dir=links_folder()) as work:
        yield Path(work)


def _publish(product: Path, staging: Path, final: Path, seconds: float) -> None:
    """Rename what is needed of a build to its final name: the executable, its log, its times."""
    whole = staging / "whole"
    whole.mkdir()
    for file in (product, staging / "build.log"):
        os.replace(file, whole / file.name)
    write_whole(
        whole / "build.json", json.dumps({"product": product.name, "seconds": seconds}) + "\n"
    )
    if final.exists():  # damaged from outside, or `_whole` would have said so
        shutil.rmtree(final)
    os.rename(whole, final)
    final.with_name(f"{final.name}.failed.log").unlink(missing_ok=True)


def _whole(final: Path) -> bool:
    try:
        product = json.loads((final / "build.json").read_text())["product"]
    except (OSError, ValueError, KeyError):
        return False
    return Path(final, str(product)).is_file()


@contextlib.contextmanager
def _staging(final: Path) -> Iterator[Path]:
    """Give a folder to build in, beside the final one, without what a killed build left."""
    prefix = f".{final.name}.staging"
    for stale in final.parent.glob(f"{prefix}*"):
        shutil.rmtree(stale, ignore_errors=True)
    staging = final.with_name(f"{prefix}{os.getpid()}")
    staging.mkdir()
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _compile_args(simulator: Simulator, *, waves: bool, probe: bool, coverage: bool) -> list[str]:
    if simulator.name == "icarus":
        return list(_ICARUS_ARGS)
    args = list(_VERILATOR_ARGS)
    if not probe:
        args += _VERILATOR_TOP_ONLY
    if coverage:
        args += _VERILATOR_COVERAGE
    if waves:
        args.append("--trace")  # VCD, since FST needs libraries that a fresh machine has not
    return args


def _parameter(name: str, value: int | str) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int):
        if value not in _INT32:
            raise InputError(
                f"parameter {name} = {value} does not fit 32 bits",
                "run_bench",
                'give it as a sized Verilog literal in a str, for instance "64\'hff"',
            )
        return str(value)
    return value


def _silent_complaint(log: Path) -> str | None:
    """Return what a compiler said that ought to have been an error.

    Icarus only warns when a parameter that is to be set does not exist, and would simulate another
    design.
    """
    for line in log_text(log).splitlines():
        if re.search(r"warning: parameter \S+ not found", line):
            return line.strip()
    return None


@contextlib.contextmanager
def _progress(what: str) -> Iterator[None]:
    """Show that something is going on: a spinner on a terminal, one line elsewhere."""
    console = Console(stderr=True)
    if console.is_terminal:
        with console.status(f"{what} ..."):
            yield
    else:
        print(f"{what} ...", file=sys.stderr, flush=True)
        yield
