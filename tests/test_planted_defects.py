"""The list of planted defects fits the sources, and the machinery tells killed from survived."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from model.errors import InputError, ToolError
from model.forward import GoldenNetwork
from model.network import load_network, save_network
from model.plan import Design, plan_design
from rtl_gen.generator import HDL_FOLDER, TEMPLATES_FOLDER, render_design
from tb import mutation, planted_runs
from tb.campaigns import MUTANTS_FILE, MutationRecord, NetlistMutant, PlantedDefect
from tb.defect_networks import DEFECT_NETWORKS, VECTORS
from tb.mutation import MUTANTS_FOLDER, mutate
from tb.mutation_tables import all_killed, kinds_of_checks, planted_markdown, print_mutation
from tb.planted_defects import DEFECTS, Defect, Edit, plant, planted_text
from tb.planted_runs import (
    NO_VERDICT,
    REPOSITORY,
    failed_checks,
    run_planted_defects,
    statistical_checks,
)
from tests.builders import check_message

# The classes that a list of planted defects must not be without, and who stands for them.
CLASSES = {
    "<= for < in the x comparator": "comparator-x-le",
    "<= for < in the w comparator": "comparator-w-le",
    "<= for < in the weight bank": "comparator-w-le-bank",
    "x and w share a source": "source-shared",
    "w is x late by 1": "source-w-delayed-1",
    "w is x late by 4": "source-w-delayed-4",
    "swapped taps": "lfsr-taps-swapped",
    "stuck weight bit, low": "weight-stuck-at-0-low",
    "stuck weight bit, high": "weight-stuck-at-0-high",
    "inputs permuted": "inputs-permuted",
    "dead input": "input-dead",
    "wrong weight bit": "weight-highest-bit-wrong",
    "one cycle too few": "cycle-too-few",
    "one cycle too many": "cycle-too-many",
    "narrow accumulator": "accumulator-narrow",
    "no bias": "bias-dropped",
    "truncation": "clip-truncates",
    "no restart": "lfsr-no-restart",
    "back-pressure loses a beat": "beat-lost",
    "reset clears too little": "reset-misses-beat",
    "clear clears too little": "clear-misses-packet",
    "wrong address": "registers-status-address",
    "counter that does not count": "registers-vectors-in",
    "missing error flag": "sink-error-not-told",
}
DEFECT = next(defect for defect in DEFECTS if defect.id == "comparator-x-le")
HARMLESS = replace(
    DEFECT,
    id="harmless",
    title="a comment",
    edits=(Edit("// Latency: operands are", "// Latency, as ever: operands are"),),
)


@cache
def planned(network: str) -> Design:
    sample = DEFECT_NETWORKS[network]
    return plan_design(sample.network(network), list(sample.lengths), sample.source, 1)


@cache
def generated(network: str) -> dict[str, str]:
    return render_design(planned(network))


def source(defect: Defect) -> str:
    if defect.generated:
        return generated(defect.network)[Path(defect.file).name]
    return (REPOSITORY / defect.file).read_text()


# --- the list -------------------------------------------------------------------------------------


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.id)
def test_defect_can_be_planted(defect: Defect) -> None:
    before = source(defect)
    assert planted_text(defect, before) != before


@pytest.mark.parametrize("text", ["nothing of it", 2 * (DEFECT.edits[0].old + "\n")])
def test_text_that_is_not_there_once_is_an_error(text: str, tmp_path: Path) -> None:
    path = tmp_path / DEFECT.file
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(InputError) as refused:
        plant(DEFECT, tmp_path)
    check_message(refused.value, DEFECT.id, "not once", DEFECT.file)
    assert path.read_text() == text


def test_replacement_by_itself_is_an_error() -> None:
    same = replace(DEFECT, edits=(Edit(DEFECT.edits[0].old, DEFECT.edits[0].old),))
    with pytest.raises(InputError):
        planted_text(same, source(DEFECT))


def test_every_class_of_defects_is_there() -> None:
    ids = [defect.id for defect in DEFECTS]
    assert len(ids) == len(set(ids))
    assert set(CLASSES.values()) <= set(ids)
    titles = [(defect.title, defect.file) for defect in DEFECTS]
    assert len(titles) == len(set(titles))


def test_every_module_of_a_design_has_a_defect() -> None:
    modules = {path.stem: path.read_text() for path in HDL_FOLDER.glob("*.v")}
    texts = [path.read_text() for path in TEMPLATES_FOLDER.glob("*.j2")]
    texts += [text for name in DEFECT_NETWORKS for text in generated(name).values()]
    used: set[str] = set()
    while True:
        named = {
            name for name in modules if any(re.search(rf"^ +{name} #", t, re.M) for t in texts)
        }
        if named <= used:
            break
        used |= named
        texts += [modules[name] for name in named]
    assert used >= {"axil_registers", "sc_result_step", "sc_stochastic_counter"}
    assert used == {Path(defect.file).stem for defect in DEFECTS if defect.file.startswith("hdl/")}


def test_networks_are_used_and_have_biases() -> None:
    assert {defect.network for defect in DEFECTS} == set(DEFECT_NETWORKS)
    for name, sample in DEFECT_NETWORKS.items():
        network = sample.network(name)
        assert all((bias != 0).all() for bias in network.biases)
        assert len(network.features) == VECTORS


@pytest.mark.parametrize("name", ["counter_pair", "bipolar_counter", "lfsr_lanes"])
def test_counts_reach_what_clamps_and_widths_are_seen_by(name: str) -> None:
    design = planned(name)
    layer = design.manifest.layers[0]
    counts = GoldenNetwork(design.manifest, design.parameters).counts(design.features)[0]
    largest = 2**design.manifest.operand_width - 1
    scale = 2.0 ** (design.manifest.operand_width + layer.scale_exponent) / layer.bitstream_length
    levels = np.floor(counts * scale + 0.5)
    assert (levels > largest).any()
    assert (levels < 0).any()
    assert ((levels > 0) & (levels < largest)).mean() > 0.1
    # Halves, which truncation would lose.
    assert (levels != np.floor(counts * scale)).any()
    if name != "lfsr_lanes":
        assert (np.abs(counts + 0.5) > 2.0 ** (layer.accumulator_width - 2)).any()


# --- the judge ------------------------------------------------------------------------------------


def ended(
    folder: Path, checks: dict[str, str] | None, output: str, verdict: str = "FAIL"
) -> tuple[Path, Path]:
    """Fabricate what a sign-off leaves behind."""
    folder.mkdir()
    if checks is not None:
        content = [{"id": name, "verdict": said, "detail": ""} for name, said in checks.items()]
        (folder / "signoff.json").write_text(json.dumps({"verdict": verdict, "checks": content}))
    log = folder / "output.txt"
    log.write_text(output)
    return folder, log


def test_failed_checks_are_read_from_the_report(tmp_path: Path) -> None:
    checks = {"S1-counts-a": "FAIL", "S2-hoeffding-a": "PASS", "witness-a": "SKIPPED"}
    assert failed_checks(1, *ended(tmp_path / "fail", checks, "FAIL")) == ["S1-counts-a"]
    passed = ended(tmp_path / "pass", {"S1-counts-a": "PASS"}, "PASS", "PASS")
    assert failed_checks(0, *passed) == []


def test_a_recording_that_is_spoilt_is_no_verdict(tmp_path: Path) -> None:
    folder = tmp_path / "spoilt"
    told = f"certibit: the simulation recorded unknown values (X) ({folder}/run/x.hex): look"
    assert failed_checks(2, *ended(folder, None, f"simulate ...\n{told}\n")) == [NO_VERDICT]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (2, "certibit: icarus 11.0 could not build network_harness: syntax error (log x): mend"),
        (2, "certibit: No space left on device ({run}): make room or permit writing there, then"),
        (2, "certibit: there is no simulator of that name (--sim): use icarus or verilator"),
        (1, "KeyError: 'checks'"),
        (-9, ""),
        (0, "PASS"),
    ],
)
def test_what_was_not_judged_is_not_killed(code: int, told: str, tmp_path: Path) -> None:
    folder = tmp_path / "ended"
    evidence = ended(folder, None, told.replace("{run}", f"{folder}/run/network"))
    with pytest.raises(ToolError) as refused:
        failed_checks(code, *evidence)
    check_message(refused.value, f"exit code {code}")


def test_a_verdict_that_its_checks_contradict_is_none(tmp_path: Path) -> None:
    evidence = ended(tmp_path / "x", {"S1-counts-a": "FAIL"}, "PASS", "PASS")
    with pytest.raises(ToolError):
        failed_checks(0, *evidence)


# --- the campaign ---------------------------------------------------------------------------------


class Judge:
    """Stands in for the command: says what it is told to, and keeps who was judged."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.judged: list[str] = []
        self.interrupted_at = ""
        workshop: Any = planted_runs._Workshop
        monkeypatch.setattr(workshop, "prepare", lambda _self, name: "PASS")
        monkeypatch.setattr(workshop, "prepared", lambda _self, name: True)
        monkeypatch.setattr(workshop, "check", lambda _self, defect: None)
        monkeypatch.setattr(workshop, "judge", lambda _self, defect: self.judge(defect))

    def judge(self, defect: Defect) -> list[str]:
        if defect.id == self.interrupted_at:
            raise KeyboardInterrupt
        self.judged.append(defect.id)
        return ["S1-counts-layer0", "S2-hoeffding-layer0", "bench-network-icarus"]


def test_an_interrupted_campaign_is_taken_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = Judge(monkeypatch)
    defects = DEFECTS[:5]
    judge.interrupted_at = defects[3].id
    with pytest.raises(KeyboardInterrupt):
        run_planted_defects(defects, tmp_path, "icarus", 1)
    assert set(judge.judged) >= {defect.id for defect in defects[:3]}
    assert not (tmp_path / "trees").exists()
    before, judge.judged, judge.interrupted_at = judge.judged, [], ""
    records = run_planted_defects(defects, tmp_path, "icarus", 1)
    # What was finished is kept, though the interrupt may have come before it was looked at.
    assert set(judge.judged) == {defect.id for defect in defects} - set(before)
    assert [record.id for record in records] == [defect.id for defect in defects]
    assert records[0].statistical == ["S2-hoeffding-layer0"]
    judge.judged = []
    run_planted_defects(defects, tmp_path, "icarus", 1)
    assert judge.judged == []
    # Another text is another defect; another simulator is another campaign.
    changed = replace(defects[1], edits=(Edit("a", "b"),))
    run_planted_defects([defects[0], changed], tmp_path, "icarus", 1)
    assert judge.judged == [changed.id]
    judge.judged = []
    run_planted_defects([defects[0]], tmp_path, "verilator", 1)
    assert judge.judged == [defects[0].id]


def test_record_keeps_the_other_half_of_the_same_rtl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = [
        PlantedDefect(
            id="d", title="t", file="f", network="n", killed_by=["S1-counts-x"], statistical=[]
        )
    ]
    mutant = NetlistMutant(
        id="n-1", network="n", module="m", mode="inv", place="p", source="", outcome="killed"
    )
    calls: list[str] = []

    def campaign(name: str, results: list[Any]) -> mutation.Campaign:
        def run(*_arguments: Any) -> list[Any]:
            calls.append(name)
            return results

        return run

    monkeypatch.setattr(
        mutation,
        "CAMPAIGNS",
        {"planted": campaign("planted", planted), "netlist": campaign("netlist", [mutant])},
    )
    path = tmp_path / MUTANTS_FOLDER / MUTANTS_FILE
    assert mutate(tmp_path, "planted", "icarus", 1, 7).netlist == []
    assert mutate(tmp_path, "netlist", "icarus", 1, 7).planted == planted
    assert calls == ["planted", "netlist"]
    assert MutationRecord.load(path).planted == planted
    # Of other mutants, or of another RTL, nothing is kept.
    assert mutate(tmp_path, "netlist", "icarus", 1, 8).planted == []
    mutate(tmp_path, "planted", "icarus", 1, 8)
    monkeypatch.setattr(mutation, "rtl_digest", lambda: "another")
    assert mutate(tmp_path, "planted", "icarus", 1, 8).netlist == []
    assert len(mutate(tmp_path, None, "icarus", 1, 8).netlist) == 1
    with pytest.raises(InputError):
        mutate(tmp_path, "others", "icarus", 1, 1)
    with pytest.raises(InputError):
        mutate(tmp_path, None, "icarus", 0, 1)


def test_a_survivor_or_a_gap_fails_and_is_shown() -> None:
    killed = PlantedDefect(
        id="seen", title="t", file="hdl/a.v", network="n",
        killed_by=["S1-counts-layer0", "S1-counts-layer1", "S2-hoeffding-layer0", "bench-a-icarus"],
        statistical=["S2-hoeffding-layer0"],
    )  # fmt: skip
    survivor = killed.model_copy(update={"id": "unseen", "killed_by": [], "statistical": []})
    gap = NetlistMutant(
        id="n-7", network="n", module="m", mode="inv", place="p", source="a.v:3", outcome="gap"
    )
    good = MutationRecord(rtl_sha256="0", seed=1, planted=[killed], netlist=[])
    assert all_killed(good)
    assert not all_killed(good.model_copy(update={"planted": [killed, survivor]}))
    assert not all_killed(good.model_copy(update={"netlist": [gap]}))
    console = Console(record=True, width=100, file=io.StringIO())
    print_mutation(
        good.model_copy(update={"planted": [killed, survivor], "netlist": [gap]}), console
    )
    text = console.export_text()
    assert "1 of 2 killed (50.0%); by statistics (S2, S3) alone 1 (50.0%)" in text
    assert "S1-counts, S2-hoeffding, bench" in text
    assert "survived unseen" in text
    assert "gap n-7" in text
    assert text.strip().endswith("FAIL")


def test_page_has_every_defect_and_the_scores_of_its_table() -> None:
    page = (REPOSITORY / "docs" / "mutation.md").read_text()
    rows = re.findall(r"^\| `([a-z0-9-]+)` \|", page, re.M)
    assert rows == [defect.id for defect in DEFECTS]
    assert f"| **all** | {len(DEFECTS)} | {len(DEFECTS)} |" in page
    assert "**nothing**" not in page


def test_what_holds_counts_to_the_model_is_no_statistics() -> None:
    checks = ["S1-counts-layer0", "S2-certificate-layer0", "S3-bias-layer0", "S3-bias-layer1"]
    assert statistical_checks(checks, "counter_pair") == checks[1:]
    # Its first layer spikes.
    assert statistical_checks(checks, "spiking_counts") == [checks[1], checks[3]]


def test_markdown_counts_what_it_lists() -> None:
    seen = PlantedDefect(
        id="a", title="t", file="hdl/a.v", network="n",
        killed_by=["S1-counts-layer0", "S2-hoeffding-layer0"], statistical=["S2-hoeffding-layer0"],
    )  # fmt: skip
    unseen = seen.model_copy(update={"id": "b", "killed_by": [], "statistical": []})
    text = planted_markdown([seen, unseen, seen.model_copy(update={"file": "hdl/b.v"})])
    assert "| `hdl/a.v` | 2 | 1 | 1 |\n| `hdl/b.v` | 1 | 1 | 1 |\n| **all** | 3 | 2 | 2 |" in text
    assert (
        "| `a` | t | n | seen | S1-counts, S2-hoeffding |\n| `b` | t | n | - | **nothing** |"
        in text
    )


def test_kinds_of_checks_drop_layers_and_runs() -> None:
    ids = ["S1-counts-layer0", "S1-counts-layer12", "bench-witness_0-icarus", "identity"]
    assert kinds_of_checks(ids) == ["S1-counts", "bench", "identity"]
    assert kinds_of_checks(["protocol-clear"]) == ["protocol-clear"]


def test_written_network_is_the_network(tmp_path: Path) -> None:
    network = DEFECT_NETWORKS["spiking_stream"].network("spiking_stream")
    save_network(network, tmp_path / "net")
    again = load_network(tmp_path / "net")
    assert again.description == network.description
    assert (again.features == network.features).all()
    assert all((a == b).all() for a, b in zip(again.weights, network.weights, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("simulator", ["icarus"])
def test_a_comment_survives_and_a_defect_is_killed(simulator: str, tmp_path: Path) -> None:
    missing = replace(
        DEFECT,
        id="does-not-compile",
        edits=(Edit("assign bit_o  = less_than", "assign less_than"),),
    )
    harmless, killed = run_planted_defects([HARMLESS, DEFECT], tmp_path, simulator, 2)
    assert harmless.killed_by == []
    assert "S1-counts-layer0" in killed.killed_by
    assert "S1-counts-layer0" not in killed.statistical
    # What a reader finds of it.
    kept = tmp_path / "planted" / DEFECT.id
    assert "+      less_than = {Lanes{1'b1}};" in (kept / "defect.patch").read_text()
    assert json.loads((kept / "signoff.json").read_text())["verdict"] == "FAIL"
    assert "FAIL S1-counts-layer0" in (kept / "output.txt").read_text()
    assert not (tmp_path / "trees").exists()
    # What does not compile was not judged.
    with pytest.raises(ToolError, match="exit code 2 and without a verdict"):
        run_planted_defects([missing], tmp_path, simulator, 1)
