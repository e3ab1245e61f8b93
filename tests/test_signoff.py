"""The sign-off on fabricated evidence: it passes what is right and sees each kind of wrong.

No simulator is needed: counts come from the words of the manifest, spoiled one at a time.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from model import AdaptivePrecisionManager
from model.manifest import Compression, Manifest, manifest_digest
from model.network import Network
from model.plan import Design, plan_design
from model.source_choice import SourceKind
from tb.bias_runs import BiasRecord, BiasRun, BiasTestRecord
from tb.checks import Check
from tb.protocol_checks import PROTOCOL_CHECKS
from tb.report import _GROUPS, _groups
from tb.runner import TestOutcome
from tb.signoff import Inside, Signoff, WitnessRun, save_signoff, sign_off, witness_errors
from tb.simulate import ProtocolRun, Simulation
from tb.simulators import Simulator
from tb.stream_probe import StreamComparison
from tb.summary import print_summary
from tests.builders import small_network
from tests.line import lane_count, lane_numbers, outside_counts

RERUN = "WAVES=1 certibit signoff --net here --build there"


def layer_counts(design: Design, index: int, inputs: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return a layer's counts by the words of the manifest."""
    counts = outside_counts(
        design.manifest.model_dump(mode="json"),
        index,
        design.parameters.weights[index].tolist(),
        design.parameters.biases[index].tolist(),
        inputs.tolist(),
    )
    return np.array(counts, dtype=np.int64)


def network_counts(design: Design, features: NDArray[np.integer]) -> list[NDArray[np.int64]]:
    """Return every layer's counts by the words of the manifest."""
    counts: list[NDArray[np.int64]] = []
    inputs: NDArray[Any] = features
    width = design.manifest.operand_width
    for index, layer in enumerate(design.manifest.layers):
        counts.append(layer_counts(design, index, inputs))
        scale = Fraction(2) ** (width + layer.scale_exponent) / layer.bitstream_length
        inputs = np.array(
            [
                [min(max((count * scale + Fraction(1, 2)).__floor__(), 0), 2**width - 1)
                 for count in row]
                for row in counts[-1].tolist()
            ]
        )  # fmt: skip
    return counts


@dataclass
class Evidence:
    """All that a sign-off is given; tests spoil a part and judge it."""

    network: Network
    design: Design
    main: Simulation
    witnesses: list[WitnessRun]
    second: Simulation | None
    inside: Inside
    why_no_second: str = ""
    folder: Path = field(default=Path("run"))

    def judge(self) -> Signoff:
        return sign_off(
            self.network,
            self.design,
            self.main,
            self.witnesses,
            self.second,
            self.why_no_second,
            RERUN,
            self.inside,
        )

    def spoil_counts(self, layer: int, vector: int, neuron: int, by: int) -> None:
        self.main = replace(self.main, counts=spoiled(self.main.counts, layer, vector, neuron, by))

    def edit_manifest(self, **changes: Any) -> None:
        manifest = self.design.manifest.model_copy(update=changes)
        self.design = replace(self.design, manifest=manifest)

    def edit_layer(self, index: int, part: str, new: dict[str, Any] | float) -> None:
        """Change entries of a part of a layer, or a part that is a number."""
        layers = list(self.design.manifest.layers)
        if isinstance(new, dict):
            new = getattr(layers[index], part).model_copy(update=new)
        layers[index] = layers[index].model_copy(update={part: new})
        self.edit_manifest(layers=layers)


def spoiled(
    counts: Sequence[NDArray[np.int64]], layer: int, vector: int, neuron: int, by: int
) -> tuple[NDArray[np.int64], ...]:
    copies = tuple(part.copy() for part in counts)
    copies[layer][vector, neuron] += by
    return copies


def fabricate(
    design: Design, name: str, inputs: NDArray[np.integer], counts: Sequence[NDArray[np.int64]]
) -> Simulation:
    simulator: Literal["icarus", "verilator"] = "icarus" if "icarus" in name else "verilator"
    return Simulation(
        simulator=Simulator(simulator, "99.0", Path("nowhere"), {}),
        seed=17,
        inputs=inputs,
        counts=tuple(counts),
        identity=manifest_digest(design.manifest),
        cycles=500,
        seconds_build=0.0,
        seconds_sim=0.25,
        results_xml=Path("run") / name / "results.xml",
        failure=None,
        tests=outcomes(["network_bench.test_outputs_are_never_unknown"]),
    )


def outcomes(names: Sequence[str], failing: str = "", message: str = "") -> tuple[TestOutcome, ...]:
    return tuple(
        TestOutcome(f"tb.{name}", name != failing, message if name == failing else "", 0.1)
        for name in names
    )


PROTOCOL_TESTS = [
    f"protocol_bench.{test}" for group in PROTOCOL_CHECKS.values() for test in group
] + ["protocol_bench.test_outputs_are_never_unknown"]


def fabricate_inside(design: Design) -> Inside:
    """What a design without faults shows of its inside."""
    runs = [
        ProtocolRun(
            Simulator(name, "99.0", Path("nowhere"), {}),
            5,
            outcomes(PROTOCOL_TESTS),
            Path("run") / f"protocol-{name}" / "results.xml",
            None,
        )
        for name in ("verilator", "icarus")
    ]
    streams = [
        StreamComparison(100, 3, layer.bitstream_length, ("x bit",), 0, "")
        for layer in design.manifest.layers
    ]
    bias = [
        BiasRun(
            BiasRecord(
                layer=layer.name,
                vectors=10,
                vectors_asked=20,
                bias_asked=0.1,
                power=0.9,
                level=1e-3,
                fresh_seeds=False,
                paired=False,
                tests=[
                    BiasTestRecord(
                        name="vector means",
                        p_value=0.5,
                        level=1e-3,
                        found=0.0,
                        detectable=0.1,
                        where="",
                    )
                ],
            ),
        )
        for layer in design.manifest.layers
    ]
    return Inside(runs[0], runs[1], streams, bias)


def fabricate_all(
    network: Network, source: SourceKind = "counter", design: Design | None = None
) -> Evidence:
    design = design or plan_design(network, None, source)
    counts = network_counts(design, design.features)
    witnesses = []
    for index, layer in enumerate(design.manifest.layers):
        inputs = design.certificate(index).witnesses.reshape(-1, layer.fan_in)
        measured = layer_counts(design, index, inputs)
        witnesses.append(
            WitnessRun(
                fabricate(design, f"witness_{index}-verilator", inputs, [measured]), measured
            )
        )
    return Evidence(
        network,
        design,
        fabricate(design, "network-verilator", design.features, counts),
        witnesses,
        fabricate(design, "network-icarus", design.features[:4], [part[:4] for part in counts]),
        fabricate_inside(design),
    )


@pytest.fixture
def evidence() -> Evidence:
    """Right evidence of a design of 6 -> 5 -> 3."""
    return fabricate_all(small_network(np.random.default_rng(5), (6, 5, 3), vectors=8))


def check(report: Signoff, identity: str) -> Check:
    found = [check for check in report.checks if check.id == identity]
    assert len(found) == 1
    return found[0]


def failed(report: Signoff) -> set[str]:
    return {check.id for check in report.checks if check.verdict == "FAIL"}


def compressed_evidence() -> Evidence:
    """Right evidence of a compressed design whose lengths a certificate plan chose."""
    network = small_network(np.random.default_rng(5), (6, 5, 3), vectors=8)
    manager = AdaptivePrecisionManager.from_network(
        network,
        compression=Compression(prune_threshold=0.3, weight_bits=[3]),
        min_length=2,
        vectors=8,
    )
    plan = manager.certificate(0.8, target="output", total_budget=160, strict=True)
    return fabricate_all(network, design=manager.design(plan))


# --- what is right --------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["counter", "counter-lane", "lfsr", "lfsr-lane"])
def test_right_evidence_passes(source: SourceKind) -> None:
    network = small_network(np.random.default_rng(6), (5, 4, 3), vectors=8)
    report = fabricate_all(network, source).judge()
    assert failed(report) == set()
    assert report.verdict == "PASS"
    within = {f"S2-certificate-within-hoeffding-layer_{index}" for index in (0, 1)}
    # Only fixed sources promise that the certificate is not above the radius.
    assert {check.id for check in report.checks} & within == (
        within if source.startswith("counter") else set()
    )


def test_ids_of_the_checks(evidence: Evidence) -> None:
    layers = ("layer_0", "layer_1")
    assert [check.id for check in evidence.judge().checks] == [
        "manifest",
        *(f"S4-sources-{name}" for name in layers),
        "identity",
        *(f"S1-counts-{name}" for name in layers),
        *(f"S1-streams-{name}" for name in layers),
        *(
            f"S2-{bound}-{name}"
            for name in layers
            for bound in ("certificate", "hoeffding", "certificate-within-hoeffding")
        ),
        *(f"witness-{name}" for name in layers),
        "end-to-end",
        "trained-network",
        *(f"attribution-{name}" for name in layers),
        "simulators-agree",
        *(f"S3-bias-{name}" for name in layers),
        *(f"streams-{name}" for name in layers),
        *PROTOCOL_CHECKS,
        "X-propagation",
        "bench-network-verilator",
        "bench-witness_0-verilator",
        "bench-witness_1-verilator",
        "bench-network-icarus",
    ]


def test_the_page_has_a_heading_for_every_kind_of_check(evidence: Evidence) -> None:
    shown = _groups([check.model_dump() for check in evidence.judge().checks])
    assert {title for title, _ in shown} <= set(_GROUPS.values())


def test_the_numbers_of_the_report(evidence: Evidence) -> None:
    report, design = evidence.judge(), evidence.design
    width = design.manifest.operand_width
    inputs: NDArray[Any] = design.features
    for index, (record, layer) in enumerate(
        zip(report.layers, design.manifest.layers, strict=True)
    ):
        length = layer.bitstream_length
        worst = max(
            abs(
                Fraction(int(count) - int(bias), length)
                - Fraction(int(sum(x * w for x, w in zip(vector, row, strict=True))), 4**width)
            )
            for vector, counts in zip(
                inputs.tolist(), evidence.main.counts[index].tolist(), strict=True
            )
            for count, bias, row in zip(
                counts,
                design.parameters.biases[index].tolist(),
                design.parameters.weights[index].tolist(),
                strict=True,
            )
        )
        assert record.max_abs_error == float(worst)
        assert record.witness_error == record.certified_bound == layer.certificate.value
        assert (record.fan_in, record.outputs, record.bit_width) == (
            layer.fan_in,
            layer.outputs,
            width,
        )
        assert (record.vectors, record.mismatches) == (8, 0)
        assert record.family_size == 8 * layer.outputs
        scale = 2.0 ** (width + layer.scale_exponent) / length
        inputs = np.clip(np.floor(evidence.main.counts[index] * scale + 0.5), 0, 2**width - 1)
        inputs = inputs.astype(np.int64)
    right = sum(
        row.index(max(row)) == label
        for row, label in zip(
            evidence.main.counts[-1].tolist(), design.labels.tolist(), strict=True
        )
    )
    assert report.accuracy.rtl == report.accuracy.golden == right / 8
    assert report.throughput.cycles_per_second == 2000.0
    assert (report.seed, report.simulator.name, report.simulator.version) == (
        17,
        "verilator",
        "99.0",
    )


def test_only_the_first_vectors(evidence: Evidence) -> None:
    main = evidence.main
    evidence.main = replace(
        main, inputs=main.inputs[:3], counts=tuple(part[:3] for part in main.counts)
    )
    evidence.second, evidence.why_no_second = None, "skipped: there is none"
    report = evidence.judge()
    assert report.verdict == "PASS"
    assert report.accuracy.vectors == report.layers[0].vectors == 3
    assert report.second_simulator is None
    assert check(report, "simulators-agree").verdict == "SKIPPED"
    assert check(report, "simulators-agree").detail == "skipped: there is none"


# --- witness_errors -------------------------------------------------------------------------------


def brute_force(design: Design, index: int) -> list[list[int]]:
    """Return the largest error of every neuron upwards and downwards, over all inputs there are."""
    manifest = design.manifest.model_dump(mode="json")
    layer = manifest["layers"][index]
    width, length = manifest["operand_width"], layer["bitstream_length"]
    u, v = lane_numbers(manifest, index, "x_source"), lane_numbers(manifest, index, "w_source")
    top = 2**width - 1
    up, down = [], []
    for row in design.parameters.weights[index].tolist():
        errors = [
            [
                lane_count(x, w, u[lane], v[lane]) * 4**width - x * w * length
                for x in range(-top if layer["input_signed"] else 0, top + 1)
            ]
            for lane, w in enumerate(row)
        ]
        up.append(sum(max(lane) for lane in errors))
        down.append(sum(-min(lane) for lane in errors))
    return [up, down]


@pytest.mark.parametrize("source", ["counter", "counter-lane", "lfsr"])
def test_witness_errors_are_the_largest_there_are(source: SourceKind) -> None:
    evidence = fabricate_all(small_network(np.random.default_rng(8), (4, 3, 2)), source)
    for index, run in enumerate(evidence.witnesses):
        measured = witness_errors(evidence.design, index, run.counts)
        largest = np.array(brute_force(evidence.design, index))
        assert (measured == largest / evidence.design.certificate(index).denominator).all()


@pytest.mark.parametrize("direction", [0, 1])
@pytest.mark.parametrize("by", [-1, 1])
def test_witness_errors_see_a_single_count(evidence: Evidence, direction: int, by: int) -> None:
    design, run = evidence.design, evidence.witnesses[0]
    right = witness_errors(design, 0, run.counts)
    outputs = design.manifest.layers[0].outputs
    for neuron in range(outputs):
        counts = run.counts.copy()
        counts[direction * outputs + neuron, neuron] += by
        change = witness_errors(design, 0, counts) - right
        # A downward error grows when the count falls.
        expected = np.zeros_like(right)
        length = design.manifest.layers[0].bitstream_length
        expected[direction, neuron] = by / length * (-1) ** direction
        assert change == pytest.approx(expected, abs=1e-12)


# --- what is wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "part", "new"),
    [
        (0, "certificate", {"value": 0.9}),
        (0, "certificate", {"witness": [0] * 6}),
        (1, "certificate", {"numerator": 1}),
        (0, "hoeffding", {"radius": 100.0}),
        (1, "hoeffding", {"family_size": 1}),
        (1, "quantisation", {"weight": 0.0}),
        (0, "propagated_bound", 9.0),
    ],
)
def test_an_edited_bound(
    evidence: Evidence, layer: int, part: str, new: dict[str, Any] | float
) -> None:
    evidence.edit_layer(layer, part, new)
    report = evidence.judge()
    assert "manifest" in failed(report)
    assert check(report, "manifest").detail.endswith(f": layer_{layer}")
    assert report.verdict == "FAIL"


def test_an_edited_end_to_end_bound(evidence: Evidence) -> None:
    evidence.edit_manifest(end_to_end_bound=50.0)
    evidence.main = replace(evidence.main, identity=manifest_digest(evidence.design.manifest))
    report = evidence.judge()
    assert failed(report) == {"manifest"}
    assert check(report, "manifest").detail.endswith(": end to end")


def test_an_edited_confidence(evidence: Evidence) -> None:
    evidence.edit_manifest(confidence=0.5)
    assert "manifest" in failed(evidence.judge())


@pytest.mark.parametrize("identity", [None, "", "0" * 64])
def test_another_identity(evidence: Evidence, identity: str | None) -> None:
    evidence.main = replace(evidence.main, identity=identity)
    report = evidence.judge()
    assert failed(report) == {"identity"}
    assert report.verdict == "FAIL"
    if identity:
        digest = manifest_digest(evidence.design.manifest)
        assert f"its ID register is {identity}, not {digest}" in check(report, "identity").detail


@pytest.mark.parametrize(("layer", "vector", "neuron"), [(0, 0, 0), (0, 7, 4), (1, 3, 2)])
@pytest.mark.parametrize("by", [-1, 1])
def test_a_wrong_count(evidence: Evidence, layer: int, vector: int, neuron: int, by: int) -> None:
    golden = int(evidence.main.counts[layer][vector, neuron])
    evidence.spoil_counts(layer, vector, neuron, by)
    report = evidence.judge()
    name = f"layer_{layer}"
    assert f"S1-counts-{name}" in failed(report)
    # The bit-by-bit model sees the first two vectors.
    assert (f"S1-streams-{name}" in failed(report)) == (vector < 2)
    assert f"S1-counts-layer_{1 - layer}" not in failed(report)
    detail = check(report, f"S1-counts-{name}").detail
    assert f"1 of {evidence.main.counts[layer].size} counts differ" in detail
    assert f"vector {vector}, neuron {neuron}: RTL {golden + by}, golden {golden}" in detail
    assert "seed 17" in detail
    assert detail.endswith(f"{RERUN} --sim verilator --vectors {vector + 1})")
    assert report.layers[layer].mismatches == 1


def test_a_compressed_and_planned_design_passes() -> None:
    evidence = compressed_evidence()
    report = evidence.judge()
    assert failed(report) == set()
    assert "target 0.8 of the output" in check(report, "precision-plan").detail
    assert report.compression is not None
    assert report.compression.synapses_before == [30, 15]
    assert report.compression.removed_neurons == 0
    for record, weights in zip(report.layers, evidence.design.parameters.weights, strict=True):
        assert record.synapses == np.count_nonzero(weights) < weights.size
    error = report.end_to_end.max_abs_trained_error
    assert report.end_to_end.max_abs_error < error <= report.end_to_end.trained_bound
    console = Console(file=io.StringIO(), width=200)
    print_summary(report, console)
    assert isinstance(console.file, io.StringIO)
    left = sum(record.synapses for record in report.layers)
    assert f"compressed: {left} of 45 synapses" in console.file.getvalue()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"target_error": 0.1}, "is above the target error of 0.1"),
        ({"total_budget": 10.0}, "is above the budget of 10"),
        ({"end_to_end_bound": 0.1}, "the plan says 0.1"),
        ({"source": "lfsr-lane", "method": "hoeffding"}, "has other sources than lfsr-lane"),
    ],
)
def test_a_plan_that_promises_what_does_not_hold(changes: dict[str, Any], words: str) -> None:
    evidence = compressed_evidence()
    plan = evidence.design.manifest.precision
    assert plan is not None
    evidence.edit_manifest(precision=plan.model_copy(update=changes))
    report = evidence.judge()
    assert "precision-plan" in failed(report)
    assert words in check(report, "precision-plan").detail


def test_a_layer_bound_that_the_plan_makes_smaller() -> None:
    evidence = compressed_evidence()
    plan = evidence.design.manifest.precision
    assert plan is not None
    layers = [plan.layers[0].model_copy(update={"error_bound": 0.001}), plan.layers[1]]
    evidence.edit_manifest(precision=plan.model_copy(update={"layers": layers}))
    assert "layer layer_0 has" in check(evidence.judge(), "precision-plan").detail


def test_an_output_beyond_the_bound_of_the_trained_network(evidence: Evidence) -> None:
    bound = evidence.design.manifest.trained_bound
    length = evidence.design.manifest.layers[-1].bitstream_length
    evidence.spoil_counts(1, 2, 1, int(np.ceil(2 * bound * length)))
    assert "trained-network" in failed(evidence.judge())


def test_an_edited_bound_of_the_trained_network(evidence: Evidence) -> None:
    evidence.edit_manifest(trained_bound=50.0)
    report = evidence.judge()
    assert check(report, "manifest").detail.endswith(": against the trained network")


def test_an_edited_deviation(evidence: Evidence) -> None:
    evidence.edit_layer(0, "deviation", 0.0)
    assert check(evidence.judge(), "manifest").detail.endswith(": layer_0")


def test_many_wrong_counts_are_counted(evidence: Evidence) -> None:
    for vector in (2, 3, 5):
        evidence.spoil_counts(0, vector, 1, 4)
    report = evidence.judge()
    assert "3 of 40 counts differ, first at vector 2" in check(report, "S1-counts-layer_0").detail
    assert report.layers[0].mismatches == 3


@pytest.mark.parametrize("layer", [0, 1])
def test_an_error_beyond_the_certificate(evidence: Evidence, layer: int) -> None:
    length = evidence.design.manifest.layers[layer].bitstream_length
    bound = evidence.design.manifest.layers[layer].certificate.value
    evidence.spoil_counts(layer, 6, 1, 2 * int(bound * length) + 2)
    report = evidence.judge()
    assert f"S2-certificate-layer_{layer}" in failed(report)
    assert f"S2-hoeffding-layer_{layer}" not in failed(report)
    detail = check(report, f"S2-certificate-layer_{layer}").detail
    assert "at vector 6, neuron 1" in detail
    assert detail.endswith(f"{RERUN} --sim verilator --vectors 7)")


@pytest.mark.parametrize("layer", [0, 1])
def test_an_error_beyond_the_radius(evidence: Evidence, layer: int) -> None:
    part = evidence.design.manifest.layers[layer]
    evidence.spoil_counts(layer, 0, 0, 2 * int(part.hoeffding.radius * part.bitstream_length) + 2)
    report = evidence.judge()
    assert {f"S2-{bound}-layer_{layer}" for bound in ("certificate", "hoeffding")} <= failed(report)
    assert "at vector 0, neuron 0" in check(report, f"S2-hoeffding-layer_{layer}").detail


@pytest.mark.parametrize("layer", [0, 1])
def test_a_certificate_above_the_radius(evidence: Evidence, layer: int) -> None:
    bound = evidence.design.manifest.layers[layer].certificate.value
    evidence.edit_layer(layer, "hoeffding", {"radius": bound * 0.999})
    assert f"S2-certificate-within-hoeffding-layer_{layer}" in failed(evidence.judge())


@pytest.mark.parametrize(("layer", "direction"), [(0, "upwards"), (1, "downwards")])
@pytest.mark.parametrize("by", [-1, 1])
def test_a_witness_off_by_one_count(
    evidence: Evidence, layer: int, direction: str, by: int
) -> None:
    run = evidence.witnesses[layer]
    outputs = run.counts.shape[1]
    counts = run.counts.copy()
    counts[(direction == "downwards") * outputs + 2, 2] += by
    evidence.witnesses[layer] = replace(run, counts=counts)
    report = evidence.judge()
    assert failed(report) == {f"witness-layer_{layer}"}
    detail = check(report, f"witness-layer_{layer}").detail
    assert f"{2 * outputs - 1} of {2 * outputs} witnesses" in detail
    assert f"not the one of neuron 2 {direction}: RTL " in detail
    numbers = [float(n) for n in re.findall(r"(?:RTL|certified) (-?[\d.]+)", detail)]
    length = evidence.design.manifest.layers[layer].bitstream_length
    assert abs(numbers[0] - numbers[1]) == pytest.approx(1 / length)


def test_an_output_beyond_the_end_to_end_bound(evidence: Evidence) -> None:
    bound = evidence.design.manifest.end_to_end_bound
    evidence.spoil_counts(
        1, 4, 0, 2 * int(bound * evidence.design.manifest.layers[1].bitstream_length) + 2
    )
    assert "end-to-end" in failed(evidence.judge())


def test_a_smaller_end_to_end_bound(evidence: Evidence) -> None:
    evidence.edit_manifest(end_to_end_bound=0.0)
    assert "end-to-end" in failed(evidence.judge())


@pytest.mark.parametrize(("layer", "vector", "neuron"), [(0, 3, 4), (1, 0, 1)])
def test_simulators_that_disagree(evidence: Evidence, layer: int, vector: int, neuron: int) -> None:
    assert evidence.second is not None
    ours = int(evidence.main.counts[layer][vector, neuron])
    evidence.second = replace(
        evidence.second, counts=spoiled(evidence.second.counts, layer, vector, neuron, -1)
    )
    report = evidence.judge()
    assert failed(report) == {"simulators-agree"}
    detail = check(report, "simulators-agree").detail
    assert "4 vectors: 1 counts differ from verilator's" in detail
    assert (
        f"layer layer_{layer}, vector {vector}, neuron {neuron}: {ours - 1}, not {ours}" in detail
    )
    assert report.second_simulator is not None
    assert report.second_simulator.differing_counts == 1


@pytest.mark.parametrize("which", ["main", "witness", "second"])
def test_a_failed_bench(evidence: Evidence, which: str) -> None:
    why = "test test_counts_equal_golden failed: it did (network, icarus): rerun it"
    if which == "main":
        evidence.main = replace(evidence.main, failure=why)
        expected = "bench-network-verilator"
    elif which == "witness":
        run = evidence.witnesses[1]
        evidence.witnesses[1] = replace(run, simulation=replace(run.simulation, failure=why))
        expected = "bench-witness_1-verilator"
    else:
        assert evidence.second is not None
        evidence.second = replace(evidence.second, failure=why)
        expected = "bench-network-icarus"
    report = evidence.judge()
    assert failed(report) == {expected}
    assert check(report, expected).detail == why


Spoil = Callable[[Evidence], None]
# --- what is wrong inside -------------------------------------------------------------------------


def failing_protocol(evidence: Evidence, test: str) -> ProtocolRun:
    run = evidence.inside.protocol
    assert isinstance(run, ProtocolRun)
    return replace(run, tests=outcomes(PROTOCOL_TESTS, f"protocol_bench.{test}", "it broke"))


@pytest.mark.parametrize(
    ("check_id", "test"),
    [(name, test) for name, tests in PROTOCOL_CHECKS.items() for test in tests],
)
def test_a_failed_protocol_test(evidence: Evidence, check_id: str, test: str) -> None:
    evidence.inside = replace(evidence.inside, protocol=failing_protocol(evidence, test))
    report = evidence.judge()
    assert failed(report) == {check_id}
    assert f"tb.protocol_bench.{test}: it broke" in check(report, check_id).detail


@pytest.mark.parametrize("check_id", PROTOCOL_CHECKS)
def test_a_protocol_test_that_did_not_run(evidence: Evidence, check_id: str) -> None:
    run = evidence.inside.protocol
    assert isinstance(run, ProtocolRun)
    gone = f"tb.protocol_bench.{PROTOCOL_CHECKS[check_id][0]}"
    kept = tuple(test for test in run.tests if test.name != gone)
    evidence.inside = replace(evidence.inside, protocol=replace(run, tests=kept))
    assert failed(evidence.judge()) == {check_id}


@pytest.mark.parametrize("missing", [True, False])
@pytest.mark.parametrize("where", ["network", "protocol"])
def test_unknown_values_at_an_output(evidence: Evidence, where: str, missing: bool) -> None:
    bench = f"{where}_bench.test_outputs_are_never_unknown"
    tests = () if missing else outcomes([bench], bench, "AssertionError: 3 cycles with X")
    if where == "network":
        assert evidence.second is not None
        evidence.second = replace(evidence.second, tests=tests)
    else:
        assert evidence.inside.protocol_with_x is not None
        with_x = replace(evidence.inside.protocol_with_x, tests=tests)
        evidence.inside = replace(evidence.inside, protocol_with_x=with_x)
    report = evidence.judge()
    assert failed(report) == {"X-propagation"}
    told = "did not run" if missing else "3 cycles with X"
    assert told in check(report, "X-propagation").detail


def test_without_icarus_nobody_can_see_unknown_values(evidence: Evidence) -> None:
    evidence.second, evidence.why_no_second = None, "it is not there"
    evidence.inside = replace(evidence.inside, protocol_with_x=None)
    assert check(evidence.judge(), "X-propagation").verdict == "SKIPPED"


def test_a_stream_that_differs(evidence: Evidence) -> None:
    assert not isinstance(evidence.inside.streams, str)
    first, second = evidence.inside.streams
    wrong = replace(second, differences=2, first="vector 1, cycle 3, product, neuron 0, lane 2")
    evidence.inside = replace(evidence.inside, streams=[first, wrong])
    report = evidence.judge()
    assert failed(report) == {"streams-layer_1"}
    assert "cycle 3, product, neuron 0, lane 2" in check(report, "streams-layer_1").detail


@pytest.mark.parametrize("design_failed", [True, False])
def test_streams_that_are_not_there(evidence: Evidence, design_failed: bool) -> None:
    evidence.inside = replace(evidence.inside, streams="cut short", streams_failed=design_failed)
    report = evidence.judge()
    assert failed(report) == ({"streams-layer_0", "streams-layer_1"} if design_failed else set())
    assert check(report, "streams-layer_0").detail == "cut short"


def test_a_bias_that_was_found(evidence: Evidence) -> None:
    first, second = evidence.inside.bias
    assert second.record is not None
    test = second.record.tests[0].model_copy(update={"p_value": 1e-6, "where": "neuron 2"})
    found = replace(second, record=second.record.model_copy(update={"tests": [test]}))
    evidence.inside = replace(evidence.inside, bias=[first, found])
    report = evidence.judge()
    assert failed(report) == {"S3-bias-layer_1"}
    assert "neuron 2" in check(report, "S3-bias-layer_1").detail


@pytest.mark.parametrize("which", ["bias", "streams"])
def test_a_failed_bench_beside_the_counts(evidence: Evidence, which: str) -> None:
    """A run whose cocotb tests fail fails the sign-off, whatever else it is looked at for."""
    name = f"{which}_0-icarus"
    run = replace(evidence.main, results_xml=Path("run") / name / "results.xml", failure="it broke")
    if which == "bias":
        first, second = evidence.inside.bias
        bias = [replace(first, simulation=run), second]
        evidence.inside = replace(evidence.inside, bias=bias)
    else:
        evidence.inside = replace(evidence.inside, probed=run)
    assert failed(evidence.judge()) == {f"bench-{name}"}


# --- what is written ------------------------------------------------------------------------------


DEFECTS: dict[str, Spoil] = {
    "a count": lambda evidence: evidence.spoil_counts(0, 0, 0, 1),
    "the identity": lambda evidence: setattr(
        evidence, "main", replace(evidence.main, identity=None)
    ),
    "a bound": lambda evidence: evidence.edit_layer(0, "hoeffding", {"radius": 7.0}),
}


@pytest.mark.parametrize("defect", [None, *DEFECTS])
def test_the_written_reports_say_the_same(
    evidence: Evidence, defect: str | None, tmp_path: Path
) -> None:
    if defect:
        DEFECTS[defect](evidence)
    evidence.second = None
    evidence.why_no_second = "there is no other"
    runs = [evidence.main, *(run.simulation for run in evidence.witnesses)]
    placed = []
    for run in runs:
        path = tmp_path / run.results_xml
        path.parent.mkdir(parents=True)
        path.write_text(
            '<testsuites><testsuite name="all" tests="2" failures="1" skipped="0">'
            '<testcase name="a"/><testcase name="b"><failure message="no"/></testcase>'
            "</testsuite></testsuites>"
        )
        placed.append(replace(run, results_xml=path))
    report = evidence.judge()
    save_signoff(report, placed, tmp_path)
    assert report.verdict == ("FAIL" if defect else "PASS")
    content = json.loads((tmp_path / "signoff.json").read_text())
    assert content["verdict"] == report.verdict
    root = ElementTree.parse(tmp_path / "junit.xml").getroot()
    suites = {suite.get("name"): suite for suite in root.iter("testsuite")}
    assert list(suites) == ["signoff", *(run.results_xml.parent.name for run in placed)]
    for suite in suites.values():
        for counted, tag in (("tests", "testcase"), ("failures", "*/failure")):
            assert int(suite.get(counted, "-1")) == len(suite.findall(tag))
    mine = suites["signoff"]
    assert int(mine.get("skipped", "-1")) == len(mine.findall("*/skipped")) == 1
    told = {
        case.get("name"): "FAIL" if case.find("failure") is not None
        else "SKIPPED" if case.find("skipped") is not None else "PASS"
        for case in mine
    }  # fmt: skip
    assert told == {check["id"]: check["verdict"] for check in content["checks"]}
    assert bool(mine.findall("*/failure")) is bool(defect)


def test_details_reach_the_terminal_as_they_are(evidence: Evidence) -> None:
    why = "assert [1 2] == [/etc] in [red]layer[/red]"
    evidence.main = replace(evidence.main, failure=why)
    console = Console(record=True, width=200, file=io.StringIO())
    print_summary(evidence.judge(), console)
    text = console.export_text()
    assert f"FAIL bench-network-verilator: {why}" in text
    assert text.splitlines()[-1] == "FAIL"


def test_the_table_marks_the_layer_that_failed(evidence: Evidence) -> None:
    evidence.spoil_counts(1, 2, 2, 1)
    console = Console(record=True, width=100, file=io.StringIO())
    print_summary(evidence.judge(), console)
    rows = [line.split() for line in console.export_text().splitlines()]
    table = {row[0]: row for row in rows if row and row[0] in ("layer_0", "layer_1")}
    assert (table["layer_0"][-1], table["layer_1"][-1]) == ("PASS", "FAIL")
    assert (table["layer_0"][4], table["layer_1"][4]) == ("0", "1")


def test_manifests_of_other_networks_share_nothing(evidence: Evidence) -> None:
    other = plan_design(small_network(np.random.default_rng(77), (6, 5, 3), vectors=8))
    assert isinstance(other.manifest, Manifest)
    evidence.design = replace(evidence.design, manifest=other.manifest)
    assert {"manifest", "identity"} <= failed(evidence.judge())
