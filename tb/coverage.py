"""The coverage campaign: run the testplan's tests with coverage on, and hold it all to the plan.

Tests that were finished before with the same sources are not run again.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from model.errors import ToolError
from rtl_gen.generator import HDL_FOLDER
from tb.campaigns import (
    COVERAGE_FILE,
    CoverageRecord,
    FileCoverage,
    PlanBin,
    PlanGoal,
    rtl_digest,
)
from tb.code_coverage import ExclusionRule, Point, judge, load_exclusions, merge, read_points
from tb.coverage_recorder import IDENTITY_VARIABLE, JOURNAL_VARIABLE, test_identity
from tb.coverage_runs import CODE_FILE, FOLDER_VARIABLE, FUNCTIONAL_FILE, folder_of_test
from tb.functional_coverage import read_hits
from tb.harness import NETWORK_HARNESS
from tb.journal import Journal, shown_progress
from tb.simulators import find_simulator
from tb.tasks import REPOSITORY, terminable
from tb.testplan import Bin, Testplan, bin_name, testplan

_JOURNAL = "tests.jsonl"
_RUNS = "runs"
_LOG = "pytest.log"
_NETWORK_MARK = f"{NETWORK_HARNESS}.v".encode()
# Benches with random stimulus repeat their runs: what is covered is then a fact, not a draw.
_SEED = "1"
_SECONDS_TO_END = 30.0
# What only looks at what runs have left.
_JUDGES = [REPOSITORY / "tb" / f"{name}.py" for name in ("cli", "coverage", "code_coverage")]


@dataclass(frozen=True)
class Verdict:
    """A record, and what keeps it from being good.

    Attributes
    ----------
    record : CoverageRecord
        What was seen.
    faults : list of str
        One line for each thing that is missing or wrong; empty for a PASS.
    """

    record: CoverageRecord
    faults: list[str]


def run_campaign(folder: Path, jobs: int) -> Verdict:
    """Run what has not been run yet, and write the record.

    Parameters
    ----------
    folder : pathlib.Path
        Of the campaign.
    jobs : int
        Tests that run at the same time.

    Raises
    ------
    ToolError
        If a simulator or a package is missing, or pytest ends without having run the tests.
    """
    _require_tools()
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    plan, rules = testplan(), load_exclusions()
    nodes = collect_tests(plan.tests(), folder / _LOG)
    identity = campaign_identity()
    outcomes = known_outcomes(folder, identity)
    todo = sorted(
        (node for node in nodes if node not in outcomes),
        key=lambda node: "verilator" not in node,  # these take longest
    )
    if todo:
        before = {node: test_identity(node) for node in todo}
        for node in todo:
            shutil.rmtree(folder_of_test(folder / _RUNS, node), ignore_errors=True)
        try:
            _run_tests(todo, folder, identity, jobs, total=len(nodes))
        finally:
            _disown_edited(Journal(folder / _JOURNAL, identity), before)
        outcomes = known_outcomes(folder, identity)
    verdict = collect(plan, rules, {node: outcomes.get(node) for node in nodes}, folder / _RUNS)
    verdict.record.save(folder / COVERAGE_FILE)
    return verdict


def known_outcomes(folder: Path, identity: str) -> dict[str, str]:
    """Return how tests ended that need not be run again."""
    return {
        node: result["outcome"]
        for node, result in Journal(folder / _JOURNAL, identity).done.items()
        if result["identity"] == test_identity(node)
    }


def _disown_edited(journal: Journal, before: Mapping[str, str]) -> None:
    """Let what ran from a file that was edited meanwhile not pass for a run of the new one."""
    for node, identity in before.items():
        result = journal.done.get(node)
        if result is not None and result["identity"] != identity:
            journal.add(node, {**result, "identity": identity})


def campaign_identity() -> str:
    """Return the hash of what the outcomes of all tests depend on; see also `test_identity`."""
    content = hashlib.sha256(rtl_digest().encode())
    sources: list[Path] = []
    for package in ("model", "rtl_gen", "tb"):
        sources += sorted((REPOSITORY / package).rglob("*.py"))
        sources += sorted((REPOSITORY / package).rglob("*.j2"))
    for source in sources:
        if source.name.startswith("test_") or source in _JUDGES:
            continue
        data = source.read_bytes()
        content.update(f"{source.relative_to(REPOSITORY)} {len(data)}\0".encode() + data)
    for name in ("verilator", "icarus"):
        content.update(f"{name} {find_simulator(name).version}\0".encode())
    return content.hexdigest()


def _require_tools() -> None:
    """Tell before the work begins what would make it worthless."""
    for package in ("cocotb_coverage", "xdist"):
        if importlib.util.find_spec(package) is None:
            raise ToolError(
                f"the package {package} is not installed",
                "coverage",
                "install what the tests need: `pip install -e '.[test]'`, or use make",
            )
    for name in ("verilator", "icarus"):  # many cases of the plan are played in Icarus only
        find_simulator(name)


# --- running the tests ----------------------------------------------------------------------------


def collect_tests(entries: Sequence[str], log: Path) -> list[str]:
    """Return the node ids of all cases of some tests.

    Parameters
    ----------
    entries : sequence of str
        As the plan names them.
    log : pathlib.Path
        Gets pytest's output.

    Raises
    ------
    ToolError
        If one of them does not exist.
    """
    done = subprocess.run(
        [*_pytest(), "--collect-only", "-q", *entries],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    log.write_text(done.stdout)
    if done.returncode:
        raise _pytest_failed(log, done.returncode)
    return [line for line in done.stdout.splitlines() if "::" in line]


def _run_tests(nodes: Sequence[str], folder: Path, identity: str, jobs: int, total: int) -> None:
    """Run tests, showing how far they are."""
    env = {
        **os.environ,
        FOLDER_VARIABLE: str(folder / _RUNS),
        JOURNAL_VARIABLE: str(folder / _JOURNAL),
        IDENTITY_VARIABLE: identity,
        "COCOTB_RANDOM_SEED": _SEED,
    }
    for steering in ("COCOTB_TEST_FILTER", "COCOTB_TESTCASE", "PYTEST_ADDOPTS", "WAVES"):
        env.pop(steering, None)
    command = [*_pytest(), "-n", str(jobs), "-q", "-p", "tb.coverage_recorder", *nodes]
    with open(folder / _LOG, "wb") as log:
        process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # an interrupt reaches it once, from here
        )
    try:
        with terminable():
            lines = _new_lines(folder / _JOURNAL, process)
            for _ in shown_progress(lines, "tests", total, done=total - len(nodes)):
                pass
            code = process.wait()
    except BaseException:
        _end(process)
        raise
    if code not in (0, 1):
        raise _pytest_failed(folder / _LOG, code)


def _new_lines(path: Path, process: subprocess.Popen[bytes]) -> Iterator[str]:
    """Yield what is added to a file of lines until the process ends."""
    with open(path) as file:
        file.seek(0, os.SEEK_END)
        ended = False
        while True:
            line = file.readline()
            if line.endswith("\n"):
                yield line
            elif ended:
                return
            else:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.3)
                    ended = True


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let pytest, its workers and their simulators unwind; make them end if they do not."""
    ways = ((signal.SIGINT, _SECONDS_TO_END), (signal.SIGTERM, 5.0), (signal.SIGKILL, None))
    for number, seconds in ways:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)


def _pytest() -> list[str]:
    return [sys.executable, "-m", "pytest", "--no-header", "-p", "no:cacheprovider"]


def _pytest_failed(log: Path, code: int) -> ToolError:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    told = next((line for line in lines if line.startswith("ERROR")), lines[-1] if lines else "")
    return ToolError(f"pytest ended with exit code {code}: {told}", str(log), "mend what it says")


# --- collecting -----------------------------------------------------------------------------------


def collect(
    plan: Testplan,
    rules: Sequence[ExclusionRule],
    outcomes: Mapping[str, str | None],
    runs: Path,
    top: Path = HDL_FOLDER,
) -> Verdict:
    """Put together what the tests that passed have covered, and judge it.

    Parameters
    ----------
    plan : Testplan
        What is asked for.
    rules : sequence of ExclusionRule
        Code that need not be reached.
    outcomes : mapping of str to str or None
        How each test ended; None if it did not run.
    runs : pathlib.Path
        Folder of the tests' coverage.
    top : pathlib.Path
        Folder of the Verilog sources.
    """
    passed = [node for node, outcome in outcomes.items() if outcome == "passed"]
    folders = [folder_of_test(runs, node) for node in passed]
    points = _reached([path for folder in folders for path in folder.glob(f"*/{CODE_FILE}")], top)
    hits: dict[str, dict[Bin, int]] = {goal.id: {} for goal in plan.goals}
    for folder in folders:
        for path in sorted(folder.glob(f"*/{FUNCTIONAL_FILE}")):
            for goal, seen in read_hits(path, plan.goals).items():
                for bin_, number in seen.items():
                    hits[goal][bin_] = hits[goal].get(bin_, 0) + number
    lines, line_exclusions = judge(points, rules, top, "line")
    toggles, toggle_exclusions = judge(points, rules, top, "toggle")
    goals = [
        PlanGoal(
            id=goal.id,
            goal=goal.goal,
            stimulus=goal.stimulus,
            check=goal.check,
            stage=goal.stage,
            tests=goal.tests,
            passed=all(_all_passed(entry, outcomes) for entry in goal.tests),
            bins=[
                PlanBin(name=bin_name(bin_), hits=hits[goal.id].get(bin_, 0))
                for bin_ in goal.bins()
            ],
        )
        for goal in plan.goals
    ]
    record = CoverageRecord(
        rtl_sha256=rtl_digest(),
        lines=lines,
        toggles=toggles,
        exclusions=[*line_exclusions, *toggle_exclusions],
        plan=goals,
    )
    unmeasured = sorted({path.name for path in top.glob("*.v")} - {file.file for file in toggles})
    faults = [f"{file}: no simulation has it" for file in unmeasured]
    faults += [
        f"testplan: {goal.id}: {bin_name(bin_)} was seen, although {goal.why_impossible(bin_)}"
        for goal in plan.goals
        for bin_, number in hits[goal.id].items()
        if number and goal.why_impossible(bin_) is not None
    ]
    faults += [
        f"{node} {'did not run' if outcome is None else outcome}"
        for node, outcome in outcomes.items()
        if outcome != "passed"
    ]
    return Verdict(record, faults + faults_of(record))


def _reached(paths: Iterable[Path], top: Path) -> dict[Point, int]:
    """Return the hits of all points.

    Bits of signals are asked for in the benches of blocks: how wide a block is in some network is
    that network's matter. What a network reaches counts, but it adds no bits.
    """
    networks: list[dict[Point, int]] = []
    blocks: list[dict[Point, int]] = []
    for path in sorted(paths):
        of_network = _NETWORK_MARK in path.read_bytes()
        (networks if of_network else blocks).append(read_points(path, top))
    points = merge(blocks)
    for part in networks:
        asked = {point: hits for point, hits in part.items() if point.kind == "line"}
        asked |= {point: hits for point, hits in part.items() if point in points}
        points = merge([points, asked])
    return points


def faults_of(record: CoverageRecord) -> list[str]:
    """Say what a record lacks, line by line.

    Parameters
    ----------
    record : CoverageRecord
        What was seen.
    """
    faults = []
    for kind, files in (("lines", record.lines), ("toggles", record.toggles)):
        faults += [f"{kind}: {file.file} {place}" for file in files for place in file.missing]
    faults += [
        f"exclusion of {rule.kind}s in {rule.file}, {rule.match!r}, excludes nothing"
        for rule in record.exclusions
        if not rule.used
    ]
    for goal in record.plan:
        if not goal.passed:
            faults.append(f"testplan: {goal.id}: not all of its tests ran and passed")
        faults += [
            f"testplan: {goal.id}: {bin_.name} was not seen" for bin_ in goal.bins if not bin_.hits
        ]
    return faults


def _all_passed(entry: str, outcomes: Mapping[str, str | None]) -> bool:
    """Say whether a test of the plan ran, and passed in all its cases."""
    cases = [
        outcome
        for node, outcome in outcomes.items()
        if node == entry or node.startswith(f"{entry}[")
    ]
    return bool(cases) and all(outcome == "passed" for outcome in cases)


# --- showing --------------------------------------------------------------------------------------


def print_verdict(verdict: Verdict, console: Console) -> None:
    """Show a verdict: a table of files, one of the plan, and what is missing.

    Parameters
    ----------
    verdict : Verdict
        What to show.
    console : rich.console.Console
        Where.
    """
    record = verdict.record
    files = Table(title="Code coverage", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for name in ("file", "lines", "excluded", "toggles", "excluded"):
        files.add_column(name, justify="left" if name == "file" else "right", no_wrap=True)
    lines = {file.file: file for file in record.lines}
    for toggles in record.toggles:
        files.add_row(toggles.file, *_share(lines.get(toggles.file)), *_share(toggles))
    files.add_row("all", *_share(_sum(record.lines)), *_share(_sum(record.toggles)))
    plan = Table(title="Testplan", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for name in ("goal", "stage", "bins", "tests", "what"):
        plan.add_column(name, justify="right" if name == "bins" else "left", no_wrap=name != "what")
    for goal in record.plan:
        plan.add_row(
            goal.id,
            goal.stage,
            f"{sum(bin_.hits > 0 for bin_ in goal.bins)}/{len(goal.bins)}",
            "passed" if goal.passed else "FAILED",
            goal.goal,
        )
    console.print(files)
    console.print(plan)
    for fault in verdict.faults:
        console.print(fault, soft_wrap=True, markup=False)
    faults = len(verdict.faults)
    console.print(f"FAIL: {faults} missing or wrong" if faults else "PASS")


def _share(file: FileCoverage | None) -> tuple[str, str]:
    """Return the share of points that were reached of those that have to be, and the others."""
    if file is None:
        return "-", ""
    asked = file.points - file.excluded
    share = 100 * file.covered / asked if asked else 100.0
    # Rounded down: 100 % is nothing less.
    return f"{file.covered}/{asked} {int(10 * share) / 10:g} %", str(file.excluded or "")


def _sum(files: Sequence[FileCoverage]) -> FileCoverage:
    return FileCoverage(
        file="all",
        points=sum(file.points for file in files),
        covered=sum(file.covered for file in files),
        excluded=sum(file.excluded for file in files),
        missing=[],
    )
