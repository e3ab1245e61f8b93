"""The runner, with a counter as the design. Most run in Icarus, which builds in no time."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from model.errors import BenchFailure, InputError, ToolError
from tb.runner import BenchResult, build_bench, run_bench
from tb.simulators import find_simulator

# Many processes or many searches: as a whole more than the quick subset has time for.
pytestmark = pytest.mark.slow

COUNTER = Path(__file__).parent / "benches" / "counter.v"
MODULE = "tests.benches.counter"
SIMULATORS = ["icarus", "verilator"]
REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _quiet_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables that steer a rerun must not reach these tests from outside."""
    for name in ("COCOTB_RANDOM_SEED", "COCOTB_TEST_FILTER", "WAVES"):
        monkeypatch.delenv(name, raising=False)


def run_counter(simulator: str, build_root: Path, tests: str, **options: Any) -> BenchResult:
    settings: dict[str, Any] = {
        "name": "counter",
        "toplevel": "counter",
        "sources": [COUNTER],
        "module": MODULE,
        "simulator": find_simulator(simulator),
        "build_root": build_root,
        "parameters": {"Width": 4},
        "env": {"COUNTER_WIDTH": "4"},
        "test_filter": rf"\.{tests}(/|$)",
        "timeout": 300.0,
    }
    return run_bench(**(settings | options))


def build_counter(simulator: str, build_root: Path, **options: Any) -> Path:
    settings: dict[str, Any] = {
        "toplevel": "counter",
        "sources": [COUNTER],
        "simulator": find_simulator(simulator),
        "build_root": build_root,
    }
    return build_bench(**(settings | options)).directory


def builds(build_root: Path) -> list[str]:
    """Everything that looks like a build, whole or not."""
    return sorted(
        p.name for p in build_root.iterdir() if p.name != "runs" and p.suffix not in (".lock",)
    )


# --- both simulators ------------------------------------------------------------------------------


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_a_bench_is_built_once_and_run_often(simulator: str, tmp_path: Path) -> None:
    first = run_counter(simulator, tmp_path, "counts", seed=7)
    assert [(t.name, t.passed) for t in first.tests] == [
        ("counts/cycles=3", True),
        ("counts/cycles=20", True),
    ]
    assert first.built
    assert first.seconds_build > 0
    assert first.build_dir.parent == tmp_path
    assert len(list(ElementTree.parse(first.results_xml).iter("testcase"))) >= 2
    assert json.loads((first.run_dir / "run.json").read_text())["seed"] == 7

    again = run_counter(simulator, tmp_path, "counts", seed=8)
    assert (again.built, again.seconds_build) == (False, 0.0)
    assert again.build_dir == first.build_dir

    with pytest.raises(BenchFailure) as failure:
        run_counter(simulator, tmp_path, "(fails|ends_in_an_error|counts)", seed=9)
    message = str(failure.value)
    assert "test fails failed: AssertionError: three is not four" in message
    assert "ends_in_an_error" in message
    assert "seed 9" in message
    assert "COCOTB_RANDOM_SEED=9 WAVES=1" in message
    assert "test_a_bench_is_built_once_and_run_often" in message
    assert "assert 3 == 4" in "".join(failure.value.__notes__)

    if simulator == "verilator":  # only the top's signals, for speed; Icarus shows everything
        with pytest.raises(BenchFailure, match="test sees_inside failed"):
            run_counter(simulator, tmp_path, "sees_inside")

    width = run_counter(
        simulator, tmp_path, "counts", parameters={"Width": 3}, env={"COUNTER_WIDTH": "3"}
    )
    assert width.built
    assert len(builds(tmp_path)) == 2


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_a_probe_sees_inside(simulator: str, tmp_path: Path) -> None:
    assert run_counter(simulator, tmp_path, "sees_inside", probe=True).tests[0].passed


@pytest.mark.parametrize(("simulator", "suffix"), [("icarus", ".fst"), ("verilator", ".vcd")])
def test_waves(simulator: str, suffix: str, tmp_path: Path) -> None:
    result = run_counter(simulator, tmp_path, "counts", waves=True)
    waves = (result.run_dir / "counter").with_suffix(suffix)
    assert waves.stat().st_size > 0
    if suffix == ".vcd":
        assert "count_q" in waves.read_text()


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_spaces_in_every_path(
    simulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / "a folder"
    folder.mkdir()
    source = folder / "the counter.v"
    shutil.copy(COUNTER, source)
    result = run_counter(simulator, folder / "build root", "counts", sources=[source])
    assert result.built
    assert all(t.passed for t in result.tests)


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_a_design_that_does_not_compile(simulator: str, tmp_path: Path) -> None:
    source = tmp_path / "counter.v"
    source.write_text(COUNTER.read_text().replace("assign count_d", "asign count_d"))
    with pytest.raises(ToolError, match=r"could not build counter: .*counter\.v:") as error:
        build_counter(simulator, tmp_path / "build", sources=[source])
    assert ".failed.log" in error.value.where
    assert "counter.v:" in error.value.__notes__[0]
    assert [n for n in builds(tmp_path / "build") if not n.endswith(".failed.log")] == []


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_a_parameter_that_does_not_exist(simulator: str, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"(?i)parameter.*not found.*Widht|Widht.*not found"):
        build_counter(simulator, tmp_path, parameters={"Widht": 3})


# --- what ends a run ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def build_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all tests that only run."""
    return tmp_path_factory.mktemp("build")


def test_an_error_counts_as_a_failure(build_root: Path) -> None:
    with pytest.raises(BenchFailure, match="test ends_in_an_error failed: KeyError"):
        run_counter("icarus", build_root, "ends_in_an_error")


def test_no_matching_test_is_a_failure(build_root: Path) -> None:
    with pytest.raises(BenchFailure, match=r"no test ran: .* matches"):
        run_counter("icarus", build_root, "no_such_test")


def test_only_skipped_tests_are_a_failure(
    build_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_skipped.py").write_text(
        "import cocotb\n@cocotb.test(skip=True)\nasync def skipped(dut):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BenchFailure, match=r"only_skipped has no cocotb test, or all"):
        run_counter("icarus", build_root, "", module="only_skipped", test_filter=None)


def test_a_module_without_tests_is_a_failure(build_root: Path) -> None:
    with pytest.raises(BenchFailure):
        run_counter("icarus", build_root, "", module="tb", test_filter=None)


def test_a_module_that_cannot_be_imported(build_root: Path) -> None:
    with pytest.raises(BenchFailure, match=r"No module named 'tests.no_such_bench'"):
        run_counter("icarus", build_root, "counts", module="tests.no_such_bench")


def test_a_design_that_finishes_early(build_root: Path) -> None:
    with pytest.raises(BenchFailure, match="test counts/cycles=20 failed"):
        run_counter("icarus", build_root, "counts/cycles=20", defines={"STOP_AT": 50})


def test_a_simulation_that_does_not_end_is_stopped(build_root: Path) -> None:
    begun = time.monotonic()
    with pytest.raises(BenchFailure, match="the simulation was stopped after 3 s"):
        run_counter("icarus", build_root, "never_ends", timeout=3.0)
    assert time.monotonic() - begun < 30


def test_a_failed_run_leaves_no_older_results(build_root: Path, tmp_path: Path) -> None:
    good = run_counter("icarus", build_root, "counts", run_dir=tmp_path)
    assert good.results_xml.is_file()
    with pytest.raises(BenchFailure):
        run_counter("icarus", build_root, "counts", run_dir=tmp_path, module="tests.no_such_bench")
    assert not good.results_xml.exists()


# --- seeds and the environment --------------------------------------------------------------------


def told(result: BenchResult) -> list[str]:
    return (result.run_dir / "told.txt").read_text().split("\n")


def test_what_a_bench_is_given(
    build_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All of these would lead the simulation astray if they were inherited.
    for name in ("COCOTB_TEST_MODULES", "COCOTB_TOPLEVEL", "GPI_USERS", "COCOTB_RESULTS_FILE"):
        monkeypatch.setenv(name, "nonsense")
    monkeypatch.setenv("TOLD", "from outside")
    run_dir = tmp_path / "here"
    result = run_counter(
        "icarus",
        build_root,
        "tells",
        env={"TOLD": "by the caller"},
        plusargs=["+fast"],
        run_dir=run_dir,
        seed=3,
    )
    assert told(result)[0] == "by the caller"
    assert told(result)[1].lstrip("+") == "fast"
    assert told(result)[3] == "here"
    assert result.results_xml == run_dir / "results.xml"


def test_a_seed_reproduces(build_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"env": {"TOLD": ""}}
    by_argument = told(run_counter("icarus", build_root, "tells", seed=11, **options))
    fresh = run_counter("icarus", build_root, "tells", **options)
    monkeypatch.setenv("COCOTB_RANDOM_SEED", "11")
    by_environment = run_counter("icarus", build_root, "tells", **options)
    argument_first = run_counter("icarus", build_root, "tells", seed=12, **options)
    assert by_environment.seed == 11
    assert told(by_environment)[2] == by_argument[2]
    assert argument_first.seed == 12
    assert told(argument_first)[2] != by_argument[2]
    monkeypatch.setenv("COCOTB_RANDOM_SEED", str(fresh.seed))
    assert told(run_counter("icarus", build_root, "tells", **options))[2] == told(fresh)[2]


def test_a_seed_that_is_none(build_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COCOTB_RANDOM_SEED", "soon")
    with pytest.raises(InputError, match="'soon' is not a seed"):
        run_counter("icarus", build_root, "counts")


def test_this_process_stays_as_it_was(build_root: Path) -> None:
    handlers = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    environment = dict(os.environ)
    run_counter("icarus", build_root, "counts")
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert dict(os.environ) == environment


# --- builds ---------------------------------------------------------------------------------------


def test_every_ingredient_makes_another_build(tmp_path: Path) -> None:
    source = tmp_path / "counter.v"
    shutil.copy(COUNTER, source)
    more = tmp_path / "more.v"
    more.write_text("module more;\nendmodule\n")
    root = tmp_path / "build"
    first = build_counter("icarus", root, sources=[source])
    different = {
        first,
        build_counter("icarus", root, sources=[source], parameters={"Width": 4}),
        build_counter("icarus", root, sources=[source], parameters={"Width": 5}),
        build_counter("icarus", root, sources=[source], parameters={"Width": "5'd5"}),
        build_counter("icarus", root, sources=[source], defines={"STOP_AT": 50}),
        build_counter("icarus", root, sources=[source], defines={"STOPPED": None}),
        build_counter("icarus", root, sources=[source], waves=True),
        build_counter("icarus", root, sources=[source, more]),
        build_counter("icarus", root, sources=[more, source]),
        build_counter("icarus", root, sources=[source], toplevel="counter_register"),
    }
    source.write_text(source.read_text().replace("1'b1}", "1'b0}"))
    different.add(build_counter("icarus", root, sources=[source]))
    assert len(different) == 11
    shutil.copy(COUNTER, source)
    os.utime(source)
    waiver = tmp_path / "lint.vlt"
    waiver.write_text("`verilator_config\n")
    assert build_counter("icarus", root, sources=[source, waiver]) == first
    assert len(builds(root)) == 11


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parameters": {"Width": 2**31}}, "parameter Width = 2147483648 does not fit 32 bits"),
        ({"sources": [Path("no/such.v")]}, "No such file or directory"),
    ],
)
def test_bad_input(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        build_counter("icarus", tmp_path, **options)


def test_a_damaged_build_is_built_again(tmp_path: Path) -> None:
    result = run_counter("icarus", tmp_path, "counts")
    (result.build_dir / "counter.vvp").unlink()
    assert run_counter("icarus", tmp_path, "counts").built


# A build in a process of its own, with a compiler that writes half of its output and then dawdles.

CHILD = """
import sys
from pathlib import Path
from tests.test_runner import build_counter
build_counter("icarus", Path(sys.argv[1]))
"""


@pytest.fixture
def slow_icarus(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment in which iverilog notes its process id, writes half a file, and waits."""
    real = find_simulator("icarus").executable
    folder = tmp_path / "slow"
    folder.mkdir()
    (folder / "iverilog").write_text(
        "#!/bin/sh\n"
        f'case "$1" in -V) exec {real} -V ;; esac\n'
        f'echo $$ >> "{folder}/started"\n'
        'echo half > "$2"\n'
        'sleep "$NAP"\n'
        f'exec {real} "$@"\n'
    )
    (folder / "iverilog").chmod(0o755)
    yield {
        **os.environ,
        "PATH": f"{folder}{os.pathsep}{real.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(REPOSITORY),
        "STARTED": str(folder / "started"),
    }
    started = folder / "started"
    for pid in started.read_text().split() if started.exists() else []:
        assert not alive(int(pid), within=60), f"compiler {pid} is still running"


def alive(pid: int, within: float) -> bool:
    """Whether a process is still there after some seconds."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return False
        if state == "Z":
            return False
        time.sleep(0.05)
    return True


def begin(build_root: Path, env: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", CHILD, str(build_root)], env=env)


def wait_for(path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists() or not path.read_text():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_build_never_looks_whole(
    number: signal.Signals, tmp_path: Path, slow_icarus: dict[str, str]
) -> None:
    root = tmp_path / "build"
    nap = "5" if number == signal.SIGKILL else "600"
    child = begin(root, slow_icarus | {"NAP": nap})
    wait_for(Path(slow_icarus["STARTED"]))
    child.send_signal(number)
    assert child.wait(60) != 0
    left = builds(root)
    assert not any((root / name / "build.json").exists() for name in left)
    assert all(name.startswith(".") for name in left)
    if number != signal.SIGKILL:  # nobody can clean up after that one; the next build does
        assert left == []
    result = run_counter("icarus", root, "counts", parameters=None)
    assert result.built
    assert builds(root) == [result.build_dir.name]


def test_a_killed_run_leaves_no_results(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path\n"
        "from tests.test_runner import run_counter\n"
        f"root = Path({str(tmp_path)!r})\n"
        "run_counter('icarus', root, '(counts|never_ends)', run_dir=root / 'run')\n"
    )
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    child = subprocess.Popen([sys.executable, "-c", script], env=env)
    log = tmp_path / "run" / "simulation.log"
    end = time.monotonic() + 60
    while not log.exists() or "never_ends" not in log.read_text():
        assert time.monotonic() < end
        time.sleep(0.05)
    child.terminate()
    assert child.wait(60) != 0
    assert not (tmp_path / "run" / "results.xml").exists()


def test_processes_wait_for_each_other_and_build_once(
    tmp_path: Path, slow_icarus: dict[str, str]
) -> None:
    root = tmp_path / "build"
    children = [begin(root, slow_icarus | {"NAP": "1"}) for _ in range(3)]
    assert [child.wait(60) for child in children] == [0, 0, 0]
    assert len(Path(slow_icarus["STARTED"]).read_text().split()) == 1
    assert len(builds(root)) == 1


def test_a_disk_that_takes_no_more(tmp_path: Path) -> None:
    """A limit of the file size stands for the full disk: the compiler's output is cut."""
    script = (
        "import resource\n"
        "from pathlib import Path\n"
        "from model.errors import CertibitError\n"
        "from tests.test_runner import build_counter\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))\n"
        "try:\n"
        f"    build_counter('icarus', Path({str(tmp_path)!r}))\n"
        "except (CertibitError, OSError) as error:\n"
        "    print('refused:', error)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=False
    )
    assert "refused: " in done.stdout, done.stderr
    assert all(name.endswith(".failed.log") for name in builds(tmp_path))
