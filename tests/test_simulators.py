"""Which simulator is taken, and what is said when there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from model.errors import InputError, ToolError
from tb import simulators
from tb.simulators import find_simulator

Fake = Callable[..., Path]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Empty PATH but for the build tools; the fixture's function puts a fake simulator on it."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("g++", "make", "perl", "sh"):
        found = shutil.which(tool)
        assert found is not None
        (tools / tool).symlink_to(found)
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.delenv("VERILATOR_ROOT", raising=False)

    def put(folder: str, tool: str, prints: str, *, last: bool = False) -> Path:
        path = tmp_path / folder / tool
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{prints}\n")
        path.chmod(0o755)
        parts = [os.environ["PATH"], str(path.parent)]
        monkeypatch.setenv("PATH", os.pathsep.join(parts if last else reversed(parts)))
        return path

    return put


def without_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulators, "_verilator_package", lambda: None)


def package() -> Path:
    found = simulators._verilator_package()
    assert found is not None
    return found[0].resolve()


def test_the_package_is_found_with_what_its_builds_need(fake: Fake) -> None:
    found = find_simulator("verilator")
    assert found.executable.resolve() == package() / "bin" / "verilator"
    assert tuple(map(int, found.version.split("."))) >= (5, 36)
    assert Path(found.env["VERILATOR_ROOT"]).resolve() == package()
    assert "CFG_CXXFLAGS_COROUTINES=-fcoroutines" in found.env["MAKEFLAGS"]
    assert "OPT_FAST=-O2" in found.env["MAKEFLAGS"]


def test_an_older_verilator_on_path_loses_to_the_package(fake: Fake) -> None:
    fake("debian", "verilator", "echo Verilator 5.006 2023-01-22 rev UNKNOWN.REV")
    found = find_simulator("verilator")
    assert found.executable.resolve() == package() / "bin" / "verilator"
    assert shutil.which("verilator", path=found.env["PATH"]) == str(found.executable)


def test_a_system_verilator_wins_and_never_gets_the_root_of_the_package(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VERILATOR_ROOT", str(package()))
    root = tmp_path / "share"
    (root / "include").mkdir(parents=True)
    (root / "include" / "verilated.mk").touch()
    path = fake(
        "new",
        "verilator",
        f'case "$1" in\n'
        f'--getenv) echo "${{VERILATOR_ROOT:-{root}}}" ;;\n'
        "*) echo Verilator 5.036 2025-04-27 ;;\nesac",
    )
    found = find_simulator("verilator")
    assert (found.executable, found.version) == (path, "5.036")
    assert found.env["VERILATOR_ROOT"] == str(root)
    assert found.env["MAKEFLAGS"] == "OPT_FAST=-O2 OPT_GLOBAL=-O2"


def test_a_new_verilator_behind_an_old_one_is_found(fake: Fake) -> None:
    fake("old", "verilator", "echo Verilator 5.006 2023-01-22")
    path = fake("new", "verilator", "echo Verilator 5.040 2025-08-30", last=True)
    found = find_simulator("verilator")
    assert found.executable == path
    assert shutil.which("verilator", path=found.env["PATH"]) == str(path)


def test_a_verilator_package_on_path_by_hand_is_still_the_package(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{package() / 'bin'}{os.pathsep}{os.environ['PATH']}")
    assert "CFG_LDLIBS_THREADS=-pthread" in find_simulator("verilator").env["MAKEFLAGS"]


def test_only_an_old_verilator(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    without_package(monkeypatch)
    path = fake("debian", "verilator", "echo Verilator 5.006 2023-01-22 rev UNKNOWN.REV")
    with pytest.raises(ToolError) as error:
        find_simulator("verilator")
    assert f"5.036 or later is needed, found only 5.006 at {path}" in str(error.value)
    assert "make setup" in str(error.value)


def test_an_old_package(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulators, "_verilator_package", lambda: (Path("/nowhere"), "5.20.0"))
    with pytest.raises(ToolError, match=r"found only 5\.20\.0 of the Python package"):
        find_simulator("verilator")


def test_no_verilator(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    without_package(monkeypatch)
    with pytest.raises(ToolError, match=r"Verilator was not found .*: run `make setup`"):
        find_simulator("verilator")


@pytest.mark.parametrize("tool", ["g++", "make", "perl"])
def test_no_build_tool(fake: Fake, tmp_path: Path, tool: str) -> None:
    (tmp_path / "tools" / tool).unlink()
    with pytest.raises(ToolError, match="not found, which Verilator needs") as error:
        find_simulator("verilator")
    assert error.value.what.startswith(f"{tool} ")
    assert f"apt-get install {tool}" in error.value.what_to_do


def test_icarus(fake: Fake) -> None:
    fake("new", "vvp", "exit 0")
    path = fake("new", "iverilog", "echo 'Icarus Verilog version 12.0 (stable) ()'")
    found = find_simulator("icarus")
    assert (found.executable, found.version) == (path, "12.0")
    assert found.env["PATH"].split(os.pathsep)[0] == str(path.parent)


def test_an_old_icarus(fake: Fake) -> None:
    fake("old", "vvp", "exit 0")
    path = fake("old", "iverilog", "echo 'Icarus Verilog version 10.3 (stable) ()'")
    with pytest.raises(ToolError) as error:
        find_simulator("icarus")
    assert f"11.0 or later is needed, found only 10.3 at {path}" in str(error.value)


def test_an_icarus_without_vvp(fake: Fake) -> None:
    fake("half", "iverilog", "echo 'Icarus Verilog version 12.0 (stable) ()'")
    with pytest.raises(ToolError, match="without its vvp"):
        find_simulator("icarus")


def test_no_icarus(fake: Fake) -> None:
    with pytest.raises(ToolError, match=r"Icarus Verilog was not found .*apt-get install iverilog"):
        find_simulator("icarus")


def test_no_shared_library_of_python(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulators, "libpython", lambda: None)
    with pytest.raises(ToolError, match=r"shared library of Python 3\.\d+ was not found"):
        find_simulator("verilator")


def test_no_such_simulator() -> None:
    with pytest.raises(InputError, match="'modelsim' is not a simulator"):
        find_simulator("modelsim")


def test_the_command_line_says_it_in_one_line_and_exits_with_2(fake: Fake) -> None:
    fake("old", "iverilog", "echo 'Icarus Verilog version 10.3 (stable) ()'")
    done = subprocess.run(
        [sys.executable, "-m", "tb", "run", "--sim", "icarus"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=Path(__file__).parents[1],
    )
    assert done.returncode == 2
    assert "11.0 or later is needed, found only 10.3" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stdout + done.stderr
