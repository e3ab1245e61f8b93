"""Build a bench once, run it under cocotb with a seed, and read what its tests said.

A build is content-hashed: the same sources, parameters, defines, options and simulator are compiled
once, whoever asks, and the compiled simulation is shared by every seed. It is compiled in a
temporary folder and renamed when it is whole, under a file lock, so that a killed build never looks
whole and pytest-xdist workers do not build twice.

A run that failed, and a run that executed no test at all, raise `BenchFailure`.

With CERTIBIT_COVERAGE set every run leaves its coverage there (`tb.coverage_runs`).

Three variables of the environment, cocotb's own, steer a rerun of a failing bench without editing
it; arguments of `run_bench` come first: COCOTB_RANDOM_SEED, COCOTB_TEST_FILTER and WAVES=1.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from model.errors import BenchFailure, InputError
from tb.builds import Build, build_bench
from tb.coverage_runs import FOLDER_VARIABLE, coverage_of_run
from tb.simulators import Simulator
from tb.tasks import TASKS, digest, how_ended, last_complaint, shown, tail, terminable, write_whole

__all__ = ["BenchResult", "Build", "TestOutcome", "build_bench", "read_outcomes", "run_bench"]


@dataclass(frozen=True)
class TestOutcome:
    """What one cocotb test said.

    Attributes
    ----------
    name : str
        As cocotb names it, with its parameters: ``test_counts/width=4``.
    passed : bool
        Whether it ran and passed.
    message : str
        Empty when it passed; else the error and, for an assertion, the values.
    seconds : float
        Wall-clock seconds of this test.
    """

    __test__ = False  # pytest: not a class of tests

    name: str
    passed: bool
    message: str
    seconds: float


@dataclass(frozen=True)
class BenchResult:
    """A run of a bench in which every executed test passed.

    Attributes
    ----------
    results_xml : Path
        JUnit XML, written by cocotb.
    run_dir : Path
        The simulation's working folder: results, ``simulation.log``, ``run.json``, waves.
    build_dir : Path
        The compiled simulation's folder.
    built : bool
        Whether this call compiled it.
    seconds_build, seconds_sim : float
        Wall-clock seconds of this call; no build costs 0.
    seed : int
        With which the run can be repeated.
    tests : list of TestOutcome
        The executed tests, in order.
    """

    results_xml: Path
    run_dir: Path
    build_dir: Path
    built: bool
    seconds_build: float
    seconds_sim: float
    seed: int
    tests: list[TestOutcome]


def run_bench(
    *,
    name: str,
    toplevel: str,
    sources: Sequence[Path],
    module: str,
    simulator: Simulator,
    build_root: Path,
    parameters: Mapping[str, int | str] | None = None,
    defines: Mapping[str, int | str | None] | None = None,
    seed: int | None = None,
    test_filter: str | None = None,
    env: Mapping[str, str] | None = None,
    plusargs: Sequence[str] = (),
    waves: bool = False,
    run_dir: Path | None = None,
    probe: bool = False,
    timeout: float = 3600.0,
) -> BenchResult:
    """Build a bench where it is not built yet, and run its cocotb tests.

    Parameters
    ----------
    name : str
        Of the bench, for messages and for the name of the run's folder.
    toplevel : str
        The top module.
    sources : sequence of Path
        Verilog files, and Verilator's waiver files (``.vlt``), which Icarus is not given.
    module : str
        The Python module with the cocotb tests, importable from the repository or from `sys.path`.
    simulator : Simulator
        From `tb.simulators.find_simulator`.
    build_root : Path
        The build stands in ``build_root/<simulator>-<toplevel>-<hash12>/``.
    parameters : mapping, optional
        Of the top module. An int has at most 32 bits; a str is a Verilog expression, for instance
        ``"256'hab"``.
    defines : mapping, optional
        Macros; None defines one without a value.
    seed : int, optional
        Of cocotb's random generator. Unset: COCOTB_RANDOM_SEED, else a fresh one.
    test_filter : str, optional
        Regular expression over ``module.test``. Unset: COCOTB_TEST_FILTER, else all tests.
    env : mapping, optional
        What the bench finds in `os.environ`.
    plusargs : sequence of str
        Handed to the simulation, with their ``+``.
    waves : bool
        Record every signal into the run's folder: FST from Icarus, VCD from Verilator. WAVES=1 does
        the same.
    run_dir : Path, optional
        Unset: ``build_root/runs/`` and a folder of this bench, configuration and given seed.
    probe : bool
        Verilator: every signal of the hierarchy is visible to the bench, for about half the speed.
        In Icarus all always are.
    timeout : float
        Seconds after which the simulation is stopped and counted as failed.

    Returns
    -------
    BenchResult
        When at least one test ran and all that ran passed.

    Raises
    ------
    BenchFailure
        A test failed, no test ran, or the simulation ended without a result.
    ToolError
        The build failed.
    InputError
        A source is missing or a parameter is not one.
    """
    waves = waves or os.environ.get("WAVES", "0") not in ("", "0")
    if test_filter is None:
        test_filter = os.environ.get("COCOTB_TEST_FILTER") or None
    asked_seed, seed = seed, _seed(seed)
    build = build_bench(
        toplevel=toplevel,
        sources=sources,
        simulator=simulator,
        build_root=build_root,
        parameters=parameters,
        defines=defines,
        waves=waves,
        probe=probe,
        coverage=bool(os.environ.get(FOLDER_VARIABLE)),
    )
    run = {
        "name": name,
        "toplevel": toplevel,
        "module": module,
        "simulator": {"name": simulator.name, "version": simulator.version},
        "parameters": dict(parameters or {}),
        "build": build.directory.name,
        "seed": seed,
        "test_filter": test_filter,
        "env": dict(env or {}),
        "plusargs": list(plusargs),
    }
    if run_dir is None:
        # Fresh seeds share a folder, or it would be another one in each run of the test-suite.
        told = digest(json.dumps(run | {"seed": asked_seed}, sort_keys=True))[:12]
        run_dir = build_root / "runs" / f"{name}-{simulator.name}-{told}"
    run_dir = run_dir.absolute()
    run_dir.mkdir(parents=True, exist_ok=True)
    results = run_dir / "results.xml"
    fresh = run_dir / "results.xml.tmp"
    results.unlink(missing_ok=True)
    fresh.unlink(missing_ok=True)
    write_whole(run_dir / "run.json", json.dumps(run, indent=2) + "\n")

    covered = coverage_of_run(json.dumps([run, str(run_dir)]), simulator.name)
    log = run_dir / "simulation.log"
    task = TASKS[simulator.name](
        simulator=simulator,
        log=log,
        toplevel=toplevel,
        module=module,
        sim_build=str(build.directory),
        work_dir=str(run_dir),
        seed=seed,
        testcase=test_filter,
        waves=waves,
        plus_args=[*plusargs, *(covered.plusargs if covered else [])],
        extra_env={
            **(env or {}),
            **(covered.env if covered else {}),
            "COCOTB_RESULTS_FILE": str(fresh),
        },
    )
    ended = None
    begun = time.monotonic()
    try:
        with terminable():
            task.run_simulation(timeout)
    except subprocess.TimeoutExpired:
        ended = f"was stopped after {timeout:g} s"
    except subprocess.CalledProcessError as error:
        ended = f"ended with {how_ended(error)}: {last_complaint(log)}"
    seconds_sim = time.monotonic() - begun

    tests = read_outcomes(fresh)
    if tests and not ended:
        os.replace(fresh, results)
    where = f"{name}, {simulator.name} {simulator.version}, seed {seed}, log {shown(log)}"
    if tests is None:
        ended = ended or f"ended without a result: {last_complaint(log)}"
    elif not tests and not ended:
        matching = f" that matches {test_filter!r}" if test_filter else ""
        raise BenchFailure(
            f"no test ran: {module} has no cocotb test{matching}, or all are skipped",
            where,
            "name a module with tests, and a filter that matches one",
        )
    _judge(tests or [], ended, log, where, _how_to_rerun(seed))
    return BenchResult(
        results_xml=results,
        run_dir=run_dir,
        build_dir=build.directory,
        built=build.built,
        seconds_build=build.seconds,
        seconds_sim=seconds_sim,
        seed=seed,
        tests=tests or [],
    )


def _judge(
    tests: Sequence[TestOutcome], ended: str | None, log: Path, where: str, rerun: str
) -> None:
    """Raise a BenchFailure when a test failed or the simulation did not end by itself.

    A simulation that stops on its own ($fatal, a crash, a module that cannot be imported) may well
    leave no results, or those of the tests before.
    """
    failed = [test for test in tests if not test.passed]
    if failed:
        what = f"test {failed[0].name} failed: {failed[0].message.partition(chr(10))[0]}"
        if len(failed) > 1:
            what += f" (and {len(failed) - 1} more: {', '.join(t.name for t in failed[1:])})"
        note = "\n\n".join(f"{test.name}:\n{test.message}" for test in failed)
    elif ended:
        what = f"the simulation {ended}"
        note = tail(log)
    else:
        return
    failure = BenchFailure(what, where, rerun)
    failure.add_note(note)
    raise failure


def _seed(seed: int | None) -> int:
    if seed is not None:
        return seed
    told = os.environ.get("COCOTB_RANDOM_SEED", "")
    if told:
        try:
            return int(told)
        except ValueError:
            raise InputError(
                f"{told!r} is not a seed", "COCOTB_RANDOM_SEED", "give an integer"
            ) from None
    return secrets.randbits(31)


def read_outcomes(results: Path) -> list[TestOutcome] | None:
    """Return the tests that were executed; None when there is no readable results file."""
    try:
        tree = ElementTree.parse(results)
    except (OSError, ElementTree.ParseError):
        return None
    outcomes = []
    for case in tree.iter("testcase"):
        if case.find("skipped") is not None:
            continue
        bad = case.find("failure")
        if bad is None:
            bad = case.find("error")
        message = ""
        if bad is not None:
            told = bad.get("message", "").strip() or "no message"
            message = f"{bad.get('type', 'error')}: {told}\n{(bad.text or '').strip()}"
        outcomes.append(
            TestOutcome(
                name=case.get("name", "?"),
                passed=bad is None,
                message=message,
                seconds=float(case.get("time", "0")),
            )
        )
    return outcomes


def _how_to_rerun(seed: int) -> str:
    command = f"COCOTB_RANDOM_SEED={seed} WAVES=1 "
    node = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]
    if node:
        return f"rerun with waves: {command}.venv/bin/python -m pytest {shlex.quote(node)}"
    return f"rerun with waves: put {command.strip()} before the command"
