"""Stages: which criteria hold, and that each of them can fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tb.campaigns import CoverageRecord, FaultRecord, MutationRecord, PlanGoal
from tb.stage import Criterion, goal_met, judge_stage, reached, read_campaigns
from tests.sample_campaigns import (
    coverage_record,
    fault_record,
    mutation_record,
    place_campaigns,
)

DIGEST = "a" * 64
LAYERS = ["hidden", "output"]
_OF_LAYERS = (
    *("S1-counts", "S1-streams", "S2-certificate", "S2-hoeffding", "S3-bias"),
    *("S4-sources", "witness", "streams"),
)
PASSED = dict.fromkeys(
    [
        *("manifest", "identity", "end-to-end", "trained-network", "simulators-agree"),
        *("repeatability", "protocol-stream", "protocol-registers", "X-propagation"),
        "bench-network-verilator",
        *(f"{kind}-{layer}" for kind in _OF_LAYERS for layer in LAYERS),
    ],
    "PASS",
)


def judged(
    folder: Path,
    checks: dict[str, str] | None = None,
    vectors: tuple[int, int] = (100, 100),
    *,
    mutants: MutationRecord | None = None,
    coverage: CoverageRecord | None = None,
    faults: FaultRecord | None = None,
    witnessed: list[str] | None = None,
) -> dict[str, Criterion]:
    """Judge a sign-off whose campaigns are complete where nothing else is said."""
    build = folder / "build" / "small"
    build.mkdir(parents=True)
    place_campaigns(
        build,
        mutants=mutants or mutation_record(),
        coverage=coverage or coverage_record(),
        faults=faults or fault_record("small", DIGEST),
    )
    criteria = judge_stage(
        PASSED if checks is None else checks,
        LAYERS,
        LAYERS if witnessed is None else witnessed,
        vectors,
        read_campaigns(build, DIGEST),
    )
    assert len({criterion.id for criterion in criteria}) == len(criteria)
    return {criterion.id: criterion for criterion in criteria}


def open_ones(criteria: dict[str, Criterion]) -> set[str]:
    return {identity for identity, criterion in criteria.items() if not criterion.held}


def test_all_of_it(tmp_path: Path) -> None:
    criteria = judged(tmp_path)
    assert open_ones(criteria) == set()
    assert reached(list(criteria.values())) == "V3"
    assert all(criterion.id.startswith(criterion.stage) for criterion in criteria.values())


@pytest.mark.parametrize("verdict", ["FAIL", "SKIPPED", None])
@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        ("identity", "V1-identity"),
        ("manifest", "V1-manifest"),
        ("S1-counts-output", "V1-counts"),
        ("S1-streams-hidden", "V1-counts"),
        ("S2-certificate-output", "V1-bounds"),
        ("S2-hoeffding-hidden", "V1-bounds"),
        ("end-to-end", "V1-bounds"),
        ("trained-network", "V1-bounds"),
        ("witness-output", "V1-witnesses"),
        ("simulators-agree", "V1-simulators"),
        ("S3-bias-hidden", "V2-bias"),
        ("S4-sources-output", "V2-sources"),
        ("streams-hidden", "V2-streams"),
        ("repeatability", "V2-repeatability"),
        ("protocol-stream", "V2-protocol"),
        ("X-propagation", "V2-x-propagation"),
    ],
)
def test_a_check_that_did_not_pass(
    tmp_path: Path, identity: str, expected: str, verdict: str | None
) -> None:
    checks = dict(PASSED)
    if verdict is None:
        del checks[identity]
        if identity == "protocol-stream":
            del checks["protocol-registers"]
    else:
        checks[identity] = verdict
    criteria = judged(tmp_path, checks)
    assert open_ones(criteria) == {expected} | ({"V1-verdict"} if verdict == "FAIL" else set())
    told = criteria[expected].evidence
    assert (verdict or "not made") in told
    assert identity in told or "protocol-*" in told
    below = "none" if expected.startswith("V1") or verdict == "FAIL" else "V1"
    assert reached(list(criteria.values())) == below


def test_layers_without_witnesses(tmp_path: Path) -> None:
    checks = PASSED | {"witness-hidden": "SKIPPED"}
    assert open_ones(judged(tmp_path / "a", checks, witnessed=["output"])) == set()
    checks |= {"witness-output": "SKIPPED"}
    assert open_ones(judged(tmp_path / "b", checks, witnessed=["output"])) == {"V1-witnesses"}
    criteria = judged(tmp_path / "c", checks, witnessed=[])
    assert open_ones(criteria) == set()
    assert "no layer's certificate" in criteria["V1-witnesses"].evidence


def test_a_failed_check_that_no_criterion_knows(tmp_path: Path) -> None:
    criteria = judged(tmp_path, PASSED | {"novel-thing": "FAIL"})
    assert open_ones(criteria) == {"V1-verdict"}
    assert "novel-thing" in criteria["V1-verdict"].evidence


def test_no_check_at_all(tmp_path: Path) -> None:
    criteria = judged(tmp_path, {}, (0, 100))
    held = set(criteria) - open_ones(criteria)
    assert held == {
        *("V2-testplan", "V2-lines", "V3-planted", "V3-netlist", "V3-faults"),
        *("V3-testplan", "V3-toggles"),
    }
    assert reached(list(criteria.values())) == "none"


@pytest.mark.parametrize(
    ("vectors", "held"), [((99, 100), False), ((100, 100), True), ((0, 0), False)]
)
def test_the_vectors_of_the_test_set(tmp_path: Path, vectors: tuple[int, int], held: bool) -> None:
    assert judged(tmp_path, None, vectors)["V2-vectors"].held is held


def fewer(record: MutationRecord) -> MutationRecord:
    return record.model_copy(update={"netlist": record.netlist[:-1]})


@pytest.mark.parametrize(
    ("mutants", "expected"),
    [
        (lambda: mutation_record(gaps=1), {"V3-netlist"}),
        (lambda: mutation_record(survivors=1), {"V3-planted"}),
        (lambda: fewer(mutation_record()), {"V3-netlist"}),
        (lambda: mutation_record().model_copy(update={"planted": []}), {"V3-planted"}),
        (
            lambda: mutation_record().model_copy(update={"rtl_sha256": "0" * 64}),
            {"V3-netlist", "V3-planted"},
        ),
    ],
    ids=["gap", "survivor", "too few", "nothing planted", "another rtl"],
)
def test_mutants(tmp_path: Path, mutants: Callable[[], MutationRecord], expected: set[str]) -> None:
    criteria = judged(tmp_path, mutants=mutants())
    assert open_ones(criteria) == expected
    assert reached(list(criteria.values())) == "V2"


@pytest.mark.parametrize(
    ("coverage", "expected"),
    [
        (lambda: coverage_record(missing=True), {"V2-lines"}),
        (lambda: coverage_record(goal_missed=True), {"V2-testplan", "V3-testplan"}),
        (
            lambda: coverage_record().model_copy(update={"plan": []}),
            {"V2-testplan", "V3-testplan"},
        ),
        (lambda: coverage_record().model_copy(update={"lines": []}), {"V2-lines"}),
        (lambda: coverage_record().model_copy(update={"toggles": []}), {"V3-toggles"}),
        (
            lambda: coverage_record().model_copy(update={"rtl_sha256": "0" * 64}),
            {"V2-lines", "V2-testplan", "V3-testplan", "V3-toggles"},
        ),
    ],
    ids=["line", "goal", "no plan", "no lines", "no toggles", "another rtl"],
)
def test_coverage(
    tmp_path: Path, coverage: Callable[[], CoverageRecord], expected: set[str]
) -> None:
    assert open_ones(judged(tmp_path, coverage=coverage())) == expected


def uncaught(record: FaultRecord) -> FaultRecord:
    """Return a record in which one fault has no end."""
    first = record.outcomes[0].model_copy(update={"hung": record.outcomes[0].hung - 1})
    return record.model_copy(update={"outcomes": [first, *record.outcomes[1:]]})


def one_sided(record: FaultRecord) -> FaultRecord:
    """Return a record without the binary design at equal faults per inference."""
    kept = [c for c in record.curves if (c.design, c.normalisation) != ("binary", "per inference")]
    return record.model_copy(update={"curves": kept})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (uncaught, "199 with a known end"),
        (one_sided, "missing: binary per inference"),
        (lambda record: record.model_copy(update={"outcomes": []}), "0 single faults"),
        (
            lambda record: record.model_copy(update={"manifest_sha256": "b" * 64}),
            "stale: it ran on the design of another manifest; make faults",
        ),
        (
            lambda record: record.model_copy(update={"rtl_sha256": "b" * 64}),
            "stale: the Verilog sources have changed since it ran; make faults",
        ),
    ],
    ids=["a hang", "one-sided", "no outcomes", "another manifest", "another rtl"],
)
def test_faults(tmp_path: Path, change: Callable[[FaultRecord], FaultRecord], words: str) -> None:
    criteria = judged(tmp_path, faults=change(fault_record("small", DIGEST)))
    assert open_ones(criteria) == {"V3-faults"}
    assert words in criteria["V3-faults"].evidence


def test_campaigns_that_were_not_run(tmp_path: Path) -> None:
    build = tmp_path / "build" / "small"
    build.mkdir(parents=True)
    campaigns = read_campaigns(build, DIGEST, "networks/other")
    criteria = judge_stage(PASSED, LAYERS, LAYERS, (1, 1), campaigns)
    told = {criterion.id: criterion.evidence for criterion in criteria if not criterion.held}
    assert told == {
        "V2-testplan": "not run: make coverage",
        "V2-lines": "not run: make coverage",
        "V3-planted": "not run: make mutate",
        "V3-netlist": "not run: make mutate",
        "V3-faults": "not run: make faults NET=networks/other",
        "V3-testplan": "not run: make coverage",
        "V3-toggles": "not run: make coverage",
    }
    assert reached(criteria) == "V1"


def test_a_stage_needs_those_before_it(tmp_path: Path) -> None:
    criteria = list(judged(tmp_path, PASSED | {"simulators-agree": "SKIPPED"}).values())
    assert all(criterion.held for criterion in criteria if criterion.stage != "V1")
    assert reached(criteria) == "none"
    assert reached([]) == "none"


def test_a_goal_needs_its_tests_and_all_its_bins() -> None:
    goal: PlanGoal = coverage_record().plan[0]
    assert goal_met(goal)
    assert not goal_met(goal.model_copy(update={"passed": False}))
    assert not goal_met(coverage_record(goal_missed=True).plan[1])
