"""The coverage campaign: parsing, merging, exclusions, the testplan, and that holes are found."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from cocotb_coverage.coverage import coverage_db

from model.errors import InputError, SignoffError
from tb.code_coverage import (
    EXCLUSIONS_FILE,
    ExclusionRule,
    Kind,
    Point,
    judge,
    load_exclusions,
    merge,
    read_points,
)
from tb.coverage import Verdict, _disown_edited, collect, faults_of, known_outcomes
from tb.coverage_monitors import length_class, operand_class, packet_class, register_class
from tb.coverage_runs import CODE_FILE, FOLDER_VARIABLE, FUNCTIONAL_FILE, coverage_of_run
from tb.functional_coverage import export, make_sampler, read_hits
from tb.journal import Journal
from tb.tasks import REPOSITORY
from tb.testplan import Goal, Testplan, load_testplan, testplan

SOURCE = "module block;\n  always @* begin\n    if (a) b = c;\n  end\nendmodule\n"
NODE = "tb/test_block.py::test_block[verilator-odd]"


def row(file: object, place: str, kind: str, name: str, hits: int, instance: str = "top") -> str:
    """Return a line as Verilator writes it."""
    line, column = place.split(":")
    fields = {"f": file, "l": line, "n": column, "t": kind, "page": f"v_{kind}/block", "o": name}
    fields |= {"S": line, "h": instance}
    text = "".join(f"\x01{key}\x02{value}" for key, value in fields.items())
    return f"C '{text}' {hits}\n"


def write_dat(path: Path, *rows: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("# SystemC::Coverage-3\n" + "".join(rows))
    return path


@pytest.fixture
def top(tmp_path: Path) -> Path:
    folder = tmp_path / "hdl"
    folder.mkdir()
    (folder / "block.v").write_text(SOURCE)
    return folder


def point(place: str, kind: Kind, name: str) -> Point:
    line, column = place.split(":")
    return Point("block.v", int(line), int(column), kind, name)


# --- code coverage --------------------------------------------------------------------------------


def test_instances_and_arms_of_branches_are_told_apart_or_merged(top: Path, tmp_path: Path) -> None:
    file = top / "block.v"
    path = write_dat(
        tmp_path / "coverage.dat",
        row(file, "2:3", "line", "block", 5),
        row(file, "3:5", "branch", "if", 0, "top.a"),
        row(file, "3:5", "branch", "if", 2, "top.b"),
        row(file, "3:6", "branch", "else", 3),
        row(file, "1:8", "toggle", "b[2]:0->1", 1),
        row(tmp_path / "harness.v", "9:1", "line", "block", 7),
    )
    assert read_points(path, top) == {
        point("2:3", "line", "block"): 5,
        point("3:5", "line", "if"): 2,
        point("3:6", "line", "else"): 3,
        point("1:8", "toggle", "b[2]:0->1"): 1,
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "something else\n",
        "# SystemC::Coverage-3\nC 'nothing' 3\n",
        "# SystemC::Coverage-3\n" + row("a.v", "1:1", "user", "x", 1),
        "# SystemC::Coverage-3\n" + row("a.v", "1:1", "line", "x", 1)[:-3],
    ],
)
def test_a_damaged_file_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "coverage.dat"
    path.write_text(text)
    with pytest.raises(SignoffError):
        read_points(path, tmp_path)


def test_a_point_is_reached_if_any_run_reached_it() -> None:
    one, other = point("2:3", "line", "block"), point("3:5", "line", "if")
    assert merge([{one: 0, other: 0}, {one: 2}, {one: 3}]) == {one: 5, other: 0}


def test_holes_are_named_and_bits_of_a_signal_stand_together(top: Path) -> None:
    points = {
        point("2:3", "line", "block"): 1,
        point("3:5", "line", "if"): 0,
        point("1:8", "toggle", "b[10]:0->1"): 0,
        point("1:8", "toggle", "b[2]:0->1"): 0,
        point("1:8", "toggle", "b[2]:1->0"): 1,
        point("1:9", "toggle", "a:1->0"): 0,
    }
    (lines,), _ = judge(points, [], top, "line")
    assert (lines.points, lines.covered, lines.excluded) == (2, 1, 0)
    assert lines.missing == ["line 3: if: if (a) b = c;"]
    (toggles,), _ = judge(points, [], top, "toggle")
    assert (toggles.points, toggles.covered) == (4, 1)
    assert toggles.missing == ["line 1: b[2,10] never rises", "line 1: a never falls"]


def rule(match: str, kind: Kind = "toggle", file: str = "block.v") -> ExclusionRule:
    return ExclusionRule(file=file, kind=kind, match=match, reason="because")


def test_exclusions_are_counted_where_they_exclude_something(top: Path) -> None:
    points = {
        point("3:5", "line", "if"): 0,
        point("1:8", "toggle", "b[2]:0->1"): 0,
        point("1:8", "toggle", "b[3]:0->1"): 0,
        point("1:8", "toggle", "c:0->1"): 4,
    }
    rules = [
        rule(r"b\[.*"),
        rule("b"),  # the whole name, not a part
        rule("c:.*"),  # was reached: nothing to exclude
        rule(".*", file="other.v"),
        rule(r"if: if \(a\).*", "line"),
    ]
    (toggles,), used = judge(points, rules, top, "toggle")
    assert (toggles.points, toggles.covered, toggles.excluded) == (3, 1, 2)
    assert toggles.missing == []
    assert [entry.used for entry in used] == [2, 0, 0, 0]
    (lines,), used = judge(points, rules, top, "line")
    assert (lines.excluded, lines.missing, [entry.used for entry in used]) == (1, [], [1])


@pytest.mark.parametrize(
    "entry",
    [
        {"file": "block.v", "kind": "toggle", "match": "(", "reason": "x"},
        {"file": "block.v", "kind": "toggle", "match": "a", "reason": ""},
        {"file": "block.v", "kind": "branch", "match": "a", "reason": "x"},
        {"file": "block.v", "kind": "line", "match": "a"},
    ],
)
def test_exclusions_without_reason_or_sense_are_refused(
    entry: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "exclusions.json"
    path.write_text(json.dumps({"schema": "certibit-coverage-exclusions/1", "exclusions": [entry]}))
    with pytest.raises(InputError):
        load_exclusions(path)


def test_the_repositorys_exclusions_name_its_files() -> None:
    for entry in load_exclusions(EXCLUSIONS_FILE):
        assert (REPOSITORY / "hdl" / entry.file).is_file(), entry


# --- functional coverage and the plan -------------------------------------------------------------


def goal(**changes: object) -> Goal:
    base: dict[str, object] = {
        "id": "block_reset",
        "goal": "g",
        "stimulus": "s",
        "check": "c",
        "stage": "V1",
        "tests": ["tb/test_block.py::test_block"],
        "axes": {"phase": ["idle", "count"], "result": ["taken", "blocked"]},
        "impossible": [{"bins": [["idle", "blocked"]], "reason": "so"}],
    }
    return Goal.model_validate({**base, **changes})


def test_bins_are_the_product_of_the_axes_without_what_cannot_be() -> None:
    asked = [("idle", "taken"), ("count", "taken"), ("count", "blocked")]
    assert goal().bins() == asked
    assert goal(impossible=[{"bins": [["*", "blocked"]], "reason": "so"}]).bins() == asked[:2]


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "Block reset"},
        {"stage": "V4"},
        {"tests": []},
        {"axes": {}},
        {"axes": {"phase": ["idle", "idle"]}, "impossible": []},
        {"axes": {"phase": []}, "impossible": []},
        {"impossible": [{"bins": [["idle"]], "reason": "so"}]},
        {"impossible": [{"bins": [["nowhere", "*"]], "reason": "so"}]},
        {"impossible": [{"bins": [["idle", "*"]], "reason": ""}]},
        {"more": 1},
    ],
)
def test_a_goal_that_makes_no_sense_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"goal|Goal|validation"):
        goal(**changes)


def test_a_plan_with_a_goal_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    entry = goal().model_dump(mode="json")
    path.write_text(json.dumps({"schema": "certibit-testplan/1", "goals": [entry, entry]}))
    with pytest.raises(InputError, match="block_reset"):
        load_testplan(path)


def test_samples_are_read_back_as_hits_of_bins(tmp_path: Path) -> None:
    both = goal(id="read_back")
    single = goal(id="one_axis", axes={"phase": ["idle", "count"]}, impossible=[])
    try:
        for _ in range(3):
            make_sampler(both)("count", "blocked")
        make_sampler(both)("count", "no such value")
        make_sampler(single)("idle")
        export(tmp_path / FUNCTIONAL_FILE)
    finally:
        coverage_db.clear()
    hits = read_hits(tmp_path / FUNCTIONAL_FILE, [both, single, goal(id="not_sampled")])
    assert hits == {
        "read_back": {
            ("idle", "taken"): 0,
            ("idle", "blocked"): 0,
            ("count", "taken"): 0,
            ("count", "blocked"): 3,
        },
        "one_axis": {("idle",): 1, ("count",): 0},
    }


def test_a_damaged_functional_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / FUNCTIONAL_FILE
    path.write_text("<top>")
    with pytest.raises(SignoffError):
        read_hits(path, [goal()])


def test_the_plan_names_only_tests_that_exist() -> None:
    for entry in testplan().tests():
        file, _, name = entry.partition("::")
        tree = ast.parse((REPOSITORY / file).read_text())
        names = {part.name for part in tree.body if isinstance(part, ast.FunctionDef)}
        assert name.partition("[")[0] in names, entry


def test_benches_report_on_goals_that_the_plan_has_and_on_all_of_them() -> None:
    calls = "".join(path.read_text() for path in sorted((REPOSITORY / "tb").glob("*.py")))
    for entry in testplan().goals:
        block, _, what = entry.id.partition("_")
        watched = what in ("back_pressure", "clear", "reset")
        assert f'"{entry.id}"' in calls or (watched and f'"{block}"' in calls), entry.id


def test_every_module_has_a_goal_whose_test_is_its_bench() -> None:
    named = {entry.partition("::")[2].partition("[")[0] for entry in testplan().tests()}
    modules = {path.stem for path in (REPOSITORY / "hdl").glob("*.v")}
    assert {f"test_{module}" for module in modules} <= named


# --- the verdict ----------------------------------------------------------------------------------


def verdict(
    top: Path,
    runs: Path,
    *,
    rows: Mapping[str, int],
    bins: list[tuple[str, str]],
    outcome: str | None = "passed",
    rules: list[ExclusionRule] | None = None,
) -> Verdict:
    """Judge one run of one test that reached these points and bins."""
    plan = Testplan.model_validate(
        {"schema": "certibit-testplan/1", "goals": [goal().model_dump(mode="json")]}
    )
    folder = runs / "x"
    kinds = {"block": "line", "if": "branch", "b:0->1": "toggle"}
    write_dat(
        folder / CODE_FILE,
        *(row(top / "block.v", "2:3", kinds[name], name, hits) for name, hits in rows.items()),
    )
    try:
        sampler = make_sampler(goal())
        for bin_ in bins:
            sampler(*bin_)
        export(folder / FUNCTIONAL_FILE)
    finally:
        coverage_db.clear()
    return collect(plan, rules or [], {NODE: outcome}, runs, top)


ROWS = {"block": 1, "if": 1, "b:0->1": 1}
BINS = [("idle", "taken"), ("count", "taken"), ("count", "blocked")]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the runs of a test, which is made as a bench makes it."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "runs"))
    monkeypatch.setenv("PYTEST_CURRENT_TEST", f"{NODE} (call)")
    covered = coverage_of_run("seed 1", "verilator")
    assert covered is not None
    monkeypatch.setattr("tb.coverage.folder_of_test", lambda root, node: root)
    return tmp_path / "runs"


def test_everything_reached_and_seen_is_a_pass(top: Path, runs: Path) -> None:
    found = verdict(top, runs, rows=ROWS, bins=BINS)
    assert found.faults == []
    assert found.record.plan[0].passed
    assert [bin_.hits for bin_ in found.record.plan[0].bins] == [1, 1, 1]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"rows": ROWS | {"if": 0}}, "lines: block.v line 2: if: always @* begin"),
        ({"rows": ROWS | {"b:0->1": 0}}, "toggles: block.v line 2: b never rises"),
        ({"bins": BINS[:2]}, "testplan: block_reset: count x blocked was not seen"),
        (
            {"bins": [*BINS, ("idle", "blocked")]},
            "testplan: block_reset: idle x blocked was seen, although so",
        ),
        ({"outcome": "failed"}, f"{NODE} failed"),
        ({"outcome": None}, f"{NODE} did not run"),
        (
            {"rules": [rule("gone:.*")]},
            "exclusion of toggles in block.v, 'gone:.*', excludes nothing",
        ),
    ],
)
def test_a_hole_is_a_failure(changes: dict[str, object], fault: str, top: Path, runs: Path) -> None:
    given: dict[str, object] = {"rows": ROWS, "bins": BINS, **changes}
    found = verdict(top, runs, **given)  # type: ignore[arg-type]
    assert fault in found.faults


def test_networks_add_hits_but_no_bits(top: Path, runs: Path) -> None:
    rows = [
        row(top / "block.v", "2:3", "toggle", "b:0->1", 1),
        row(top / "block.v", "2:3", "toggle", "wide[99]:0->1", 0),
        row(top / "block.v", "3:5", "branch", "if", 1),
        row("build/network_harness.v", "1:1", "line", "block", 1),
    ]
    write_dat(runs / "network" / CODE_FILE, *rows)
    found = verdict(top, runs, rows={"block": 1, "if": 1, "b:0->1": 0}, bins=BINS)
    assert found.faults == []
    assert [file.points for file in (*found.record.lines, *found.record.toggles)] == [3, 1]


def test_what_a_failed_test_covered_does_not_count(top: Path, runs: Path) -> None:
    found = verdict(top, runs, rows=ROWS, bins=BINS, outcome="failed")
    assert found.record.lines == []
    assert not found.record.plan[0].passed
    assert "block.v: no simulation has it" in found.faults
    assert "testplan: block_reset: count x taken was not seen" in found.faults
    assert "testplan: block_reset: not all of its tests ran and passed" in faults_of(found.record)


def test_finished_tests_are_taken_up_again_unless_their_file_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = "as it is"
    monkeypatch.setattr("tb.coverage.test_identity", lambda node: now)
    journal = Journal(tmp_path / "tests.jsonl", "all")
    journal.add("same", {"outcome": "passed", "identity": now})
    journal.add("changed", {"outcome": "passed", "identity": "as it was"})
    journal.add("edited in between", {"outcome": "passed", "identity": now})
    _disown_edited(journal, {"same": now, "edited in between": "as it was"})
    assert known_outcomes(tmp_path, "all") == {"same": "passed"}
    assert known_outcomes(tmp_path, "other RTL") == {}


def test_without_the_variable_runs_are_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    assert coverage_of_run("seed 1", "verilator") is None


def test_classes_of_what_is_seen() -> None:
    assert [length_class(n) for n in (1, 2, 3, 4, 6, 256)] == [
        *("1", "2", "odd", "power of two", "even", "power of two"),
    ]
    assert [operand_class(n, 4) for n in (0, 1, 7, 15)] == ["0", "1", "between", "largest"]
    assert operand_class(1, 1) == "1"
    assert [packet_class(n, 4) for n in (1, 3, 4, 5, 9)] == [
        *("far too short", "one beat too short", "whole", "one beat too long", "far too long"),
    ]
    assert [register_class(a, 1) for a in (0, 0x1C, 0x20, 0x48, 0x10F, 0x110)] == [
        *("id", "id", "version", "nothing", "layer", "nothing"),
    ]
