"""cocotb-test's simulator classes, contained, and the processes that they start.

cocotb-test knows the command lines of the simulators. Its surroundings are replaced: there the
caller's environment overrides what is asked for, signal handlers stay installed for good, and a
child process outlives an interrupted parent.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import cocotb
import cocotb_test.simulator
import cocotb_tools.config

from tb.paths import plain_path
from tb.simulators import Simulator, libpython

REPOSITORY = Path(__file__).resolve().parents[1]
# One for all build roots: the run-time library of Verilator is the same for each of them.
OBJECT_CACHE = REPOSITORY / "build" / "objects"

_LIBRARIES = Path(cocotb.__file__).parent / "libs"
_UNWOUND = (signal.SIGINT, signal.SIGTERM)

# Of the caller's environment, what would steer a simulation or a build behind the runner's back. An
# outer make's MAKEFLAGS would hand its command-line variables to Verilator's makefiles.
_NOT_INHERITED = (
    "COCOTB_RANDOM_SEED",
    "COCOTB_RESULTS_FILE",
    "COCOTB_TESTCASE",
    "COCOTB_TEST_FILTER",
    "COCOTB_TEST_MODULES",
    "COCOTB_TOPLEVEL",
    "COCOTB_TRUST_INERTIAL_WRITES",
    "GPI_EXTRA",
    "GPI_USERS",
    "MAKEFILES",
    "MAKEFLAGS",
    "MAKELEVEL",
    "MAKEOVERRIDES",
    "MFLAGS",
    "MODULE",
    "PYGPI_USERS",
    "PYTHONHOME",
    "RANDOM_SEED",
    "TESTCASE",
    "TOPLEVEL",
    "VERILATOR_BIN",
    "VERILATOR_ROOT",
    "WAVES",
)


class SimulationTask(cocotb_test.simulator.Simulator):  # type: ignore[misc]  # cocotb-test is untyped
    """One compilation or one run of a simulation.

    Parameters
    ----------
    simulator : Simulator
        Which one, and its environment.
    log : Path
        Gets everything that the commands print.
    **options
        Of cocotb-test's class.
    """

    def __init__(self, *, simulator: Simulator, log: Path, **options: Any) -> None:
        with _contained():
            super().__init__(**options)
        self._simulator = simulator
        self._log = log
        self._asked = dict(self.env)

    def set_env(self) -> None:
        """Fill `env`: the caller's, then the simulator's, then what was asked for."""
        inherited = {k: v for k, v in os.environ.items() if k not in _NOT_INHERITED}
        self.env = inherited | dict(self._simulator.env)
        library = libpython()
        entry = cocotb_tools.config.pygpi_entry_point()
        search = [str(REPOSITORY), *(os.path.abspath(p) for p in sys.path)]
        self.env |= {
            "COCOTB_ANSI_OUTPUT": "0",
            "COCOTB_TEST_MODULES": self.module,
            "COCOTB_TOPLEVEL": self.toplevel_module,
            "GPI_USERS": f"{library};{entry}",
            "LD_LIBRARY_PATH": os.pathsep.join(
                [str(_LIBRARIES), *filter(None, [inherited.get("LD_LIBRARY_PATH")])]
            ),
            "LIBPYTHON_LOC": str(library),
            "PYGPI_PYTHON_BIN": sys.executable,
            "PYTHONHOME": sys.base_prefix,
            "PYTHONPATH": os.pathsep.join(dict.fromkeys(search)),
        }
        self.env |= self._asked

    def compile(self) -> None:
        """Run the commands that compile; raise CalledProcessError when one fails."""
        self._log.write_bytes(b"")
        self.set_env()
        for command in self._commands():
            _execute(command, self.env, Path(self.work_dir), self._log, None)

    def run_simulation(self, timeout: float) -> None:
        """Run the compiled simulation; raise CalledProcessError or TimeoutExpired."""
        self._log.write_bytes(b"")
        self.set_env()
        _execute(self._run_command(), self.env, Path(self.work_dir), self._log, timeout)

    def _commands(self) -> list[list[str]]:
        # cocotb-test looks for the simulator on this process's PATH, which is not the one that was
        # asked for.
        path = os.environ.get("PATH")
        os.environ["PATH"] = self.env["PATH"]
        try:
            commands: list[list[str]] = self.build_command()
            return commands
        finally:
            if path is None:
                del os.environ["PATH"]
            else:
                os.environ["PATH"] = path

    def _run_command(self) -> list[str]:
        raise NotImplementedError


class _IcarusTask(SimulationTask, cocotb_test.simulator.Icarus):  # type: ignore[misc]
    def _run_command(self) -> list[str]:
        if self.waves:
            self.plus_args.append("-fst")
        command: list[str] = self.run_command()
        return command


class _VerilatorTask(SimulationTask, cocotb_test.simulator.Verilator):  # type: ignore[misc]
    def __init__(self, **options: Any) -> None:
        waves = options.pop("waves")
        # cocotb-test would ask for FST; `_compile_args` asks for VCD.
        super().__init__(**options, waves=False)
        self._record = waves

    def compile(self) -> None:
        settings, environment = make_settings()
        self.make_args = ["-j2", *settings]
        self._asked.update(environment)
        self.lib_dir = str(plain_path(_LIBRARIES))
        super().compile()

    def build_command(self) -> list[list[str]]:
        """Return cocotb-test's commands, with names that Verilator's makefiles can hold."""
        return [
            [str(plain_path(Path(word))) if os.path.isfile(word) else word for word in command]
            for command in super().build_command()
        ]

    def _run_command(self) -> list[str]:
        command = [str(Path(self.sim_dir) / self.toplevel_module)]
        if self._record:
            file = Path(self.work_dir) / f"{self.toplevel_module}.vcd"
            command += ["--trace", "--trace-file", str(file)]
        return command + list(self.plus_args)


TASKS: dict[str, type[SimulationTask]] = {"icarus": _IcarusTask, "verilator": _VerilatorTask}


def make_settings() -> tuple[list[str], dict[str, str]]:
    """Return what Verilator's makefiles are to be told: variables, and the environment."""
    launcher = [sys.executable, "-I", "-S", str(Path(__file__).with_name("objcache.py"))]
    settings = [
        # The package's verilated.mk names a `python` that need not be on PATH.
        f"PYTHON3={_for_make([sys.executable])}",
        f"OBJCACHE={os.environ.get('OBJCACHE') or _for_make(launcher)}",
    ]
    return settings, {"CERTIBIT_OBJECT_CACHE": str(OBJECT_CACHE)}


def _for_make(command: Sequence[str]) -> str:
    """Quote a command for a make variable that ends in a recipe's shell."""
    return shlex.join(command).replace("$", "$$")


@contextlib.contextmanager
def _contained() -> Iterator[None]:
    """Undo what cocotb-test's constructors do to this process: signals, logging, warnings."""
    handlers = {number: signal.getsignal(number) for number in _UNWOUND} if _in_main() else {}
    root, logger = logging.getLogger(), logging.getLogger("cocotb")
    log_handlers, level = list(root.handlers), logger.level
    try:
        with warnings.catch_warnings():
            yield
    finally:
        root.handlers[:] = log_handlers
        logger.setLevel(level)
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM unwind the stack as SIGINT does: processes are ended, staging folders removed."""
    if not _in_main():
        yield
        return

    def unwind(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, unwind) for number in _UNWOUND}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _in_main() -> bool:
    return threading.current_thread() is threading.main_thread()


def _execute(
    command: Sequence[str], env: Mapping[str, str], cwd: Path, log: Path, timeout: float | None
) -> None:
    """Run one command with its output in the log.

    Whatever ends this call, an interrupt included, ends the command's whole process group.
    """
    with open(log, "ab") as out:
        process = subprocess.Popen(
            command,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(timeout)
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if code:
        raise subprocess.CalledProcessError(code, list(command))


def first_complaint(log: Path) -> str:
    """Return the line of a compiler's log that says what is wrong: its first error."""
    lines = [line.strip() for line in log_text(log).splitlines() if line.strip()]
    for pattern in (r"^%(Error|Warning)", r"(?i)\berror\b|no space left"):
        for line in lines:
            if re.search(pattern, line):
                return line
    return lines[-1] if lines else "it printed nothing"


def last_complaint(log: Path) -> str:
    """Return the line of a simulation's log that says why it ended: its last error."""
    lines = [line.strip() for line in log_text(log).splitlines() if line.strip()]
    for line in reversed(lines):
        if re.search(r"^%Error|\bFATAL\b|(Error|Exception)\b: |[Nn]o space left", line):
            return line
    return lines[-1] if lines else "it printed nothing"


def tail(log: Path, lines: int = 30) -> str:
    """Return the last lines of a log under its name."""
    return "\n".join([f"last lines of {shown(log)}:", *log_text(log).splitlines()[-lines:]])


def log_text(log: Path) -> str:
    """Return a log, or why it cannot be read."""
    try:
        return log.read_text(errors="replace")
    except OSError as error:
        return f"(log not readable: {error})"


def how_ended(error: subprocess.CalledProcessError) -> str:
    """Say in two or three words how a process ended."""
    if error.returncode > 0:
        return f"exit code {error.returncode}"
    return f"signal {signal.Signals(-error.returncode).name}"


def shown(path: Path) -> str:
    """Return a path as the user would type it."""
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def digest(text: str) -> str:
    """Return the SHA-256 of a text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def write_whole(path: Path, text: str) -> None:
    """Write a file under a temporary name and rename it."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text)
    os.replace(temporary, path)
