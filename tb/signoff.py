"""The sign-off: hold measured counts against the golden model, the certificates and the bounds.

Everything here works on evidence that a simulation left behind; nothing is simulated. The result is
`signoff.json` (schema `certibit-signoff/1`) and JUnit XML.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from model.activations import activate
from model.adaptive_precision import AdaptivePrecisionManager
from model.certificate import certify_layer
from model.counting import layer_inputs
from model.design_bounds import DEVIATION, EXACT, bound_layers
from model.deviation import trained_deviations
from model.files import write_bytes_atomically
from model.forward import (
    GoldenNetwork,
    accuracy,
    float_forward,
    layer_errors,
    quantised_forward,
)
from model.limits import MAX_LENGTH
from model.manifest import (
    Compression,
    CounterSource,
    Layer,
    LfsrSource,
    Manifest,
    PrecisionRecord,
    manifest_digest,
)
from model.network import Network
from model.plan import Design
from model.source_choice import SourceKind
from model.streams import evaluate_layer, next_magnitudes, written_out_lane_counts
from tb.attribution_checks import AttributionRecord, attribution
from tb.bias_runs import BiasRecord, BiasRun, bias_check
from tb.checks import Check, Record, Verdict, verdict_of
from tb.junit import cocotb_suites, suite
from tb.protocol_checks import protocol_checks, unknown_check
from tb.simulate import ProtocolRun, Simulation
from tb.stage import CampaignStates, Criterion
from tb.stream_probe import StreamComparison

_BIT_BY_BIT = 2
SIGNOFF_FILE = "signoff.json"
JUNIT_FILE = "junit.xml"


class SimulatorRecord(Record):
    """Which simulator."""

    name: str
    version: str


class LayerRecord(Record):
    """What was measured on one layer, in units of its weighted sum."""

    name: str
    bitstream_length: int
    bit_width: int
    fan_in: int
    outputs: int
    synapses: int
    constant_gates: int
    comparator_bits: int
    vectors: int
    mismatches: int
    max_abs_error: float
    certified_bound: float
    witness_error: float | None
    deviation: float
    hoeffding_radius: float
    confidence: float
    family_size: int


class EndToEnd(Record):
    """The network's output against real arithmetic: with quantised operands, and as trained."""

    max_abs_error: float
    bound: float
    max_abs_trained_error: float
    trained_bound: float


class Accuracy(Record):
    """Share of right classes among the simulated vectors."""

    float_: float = Field(serialization_alias="float")
    quantised: float
    golden: float
    rtl: float
    vectors: int


class CompressionSummary(Record):
    """What compression left of the trained network; null in the report where there was none."""

    recipe: Compression
    outputs_before: list[int]
    synapses_before: list[int]
    removed_neurons: int


class Throughput(Record):
    """Speed of the simulation that the counts come from."""

    cycles: int
    seconds_build: float
    seconds_sim: float
    cycles_per_second: float


class SecondSimulator(Record):
    """What the other simulator did with the first vectors."""

    name: str
    version: str
    vectors: int
    differing_counts: int
    cycles_per_second: float


class Judgement(Record):
    """What every report says, also that of a design which gave no counts.

    Attributes
    ----------
    stage : {'none', 'V1', 'V2', 'V3'}
        The last stage whose criteria, and those before it, all hold.
    criteria : list of Criterion
        Of every stage.
    campaigns : CampaignStates or None
        Whether the campaigns speak of this design.
    versions : dict of str to str
        Of everything that had a part in it.
    rerun : str
        Command that simulates the same RTL again; a simulator and a number of vectors are appended.
    """

    schema_: Literal["certibit-signoff/1"] = Field(
        "certibit-signoff/1", serialization_alias="schema"
    )
    network: str
    manifest_sha256: str
    simulator: SimulatorRecord
    seed: int
    verdict: Literal["PASS", "FAIL"]
    stage: Literal["none", "V1", "V2", "V3"] = "none"
    criteria: list[Criterion] = Field(default_factory=list)
    campaigns: CampaignStates | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    rerun: str = ""
    checks: list[Check]


class Signoff(Judgement):
    """The sign-off report."""

    layers: list[LayerRecord]
    bias: list[BiasRecord]
    attribution: list[AttributionRecord]
    compression: CompressionSummary | None
    precision: PrecisionRecord | None
    end_to_end: EndToEnd
    accuracy: Accuracy
    throughput: Throughput
    second_simulator: SecondSimulator | None


class FailedRun(Judgement):
    """The report of a design that hung, or gave unknown values: there is nothing to measure."""

    layers: list[LayerRecord] = Field(default_factory=list)
    compression: None = None
    precision: PrecisionRecord | None = None
    end_to_end: None = None
    accuracy: None = None
    throughput: None = None
    second_simulator: None = None


@dataclass(frozen=True)
class WitnessRun:
    """The witnesses of one layer's certificate, driven through the RTL.

    Attributes
    ----------
    simulation : Simulation
        The run; its inputs are the witnesses of every neuron upwards, then downwards.
    counts : numpy.ndarray
        Shape (2 * outputs, outputs): the layer's measured counts.
    """

    simulation: Simulation
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class Inside:
    """What is known of a design beyond the counts of the test vectors.

    Attributes
    ----------
    protocol : ProtocolRun or str
        The protocol bench in the main simulator; or why it was not run.
    protocol_with_x : ProtocolRun or None
        A part of it in a simulator that knows X, where the main one does not.
    streams : sequence of StreamComparison, or str
        Internal streams, one a layer; or why there are none.
    bias : sequence of BiasRun
        S3, one a layer.
    streams_failed : bool
        Whether missing streams are the design's fault.
    probed : Simulation or None
        The run that the streams are of.
    """

    protocol: ProtocolRun | str
    protocol_with_x: ProtocolRun | None
    streams: Sequence[StreamComparison] | str
    bias: Sequence[BiasRun]
    streams_failed: bool = False
    probed: Simulation | None = None

    @property
    def simulations(self) -> list[Simulation]:
        """The runs whose counts were looked at, too."""
        runs = [run.simulation for run in self.bias] + [self.probed]
        return [run for run in runs if run is not None]


def nothing_inside(design: Design, why: str) -> Inside:
    """Return what is known beyond counts if nobody looked.

    Parameters
    ----------
    design : Design
        The design.
    why : str
        Why not.
    """
    return Inside(why, None, why, [BiasRun(None, why_none=why) for _ in design.manifest.layers])


def witness_errors(design: Design, index: int, counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the error that each witness drove its own neuron to.

    Parameters
    ----------
    design : Design
        The design.
    index : int
        The layer's number.
    counts : numpy.ndarray
        Shape (2 * outputs, outputs): counts under the witnesses, upwards first.

    Returns
    -------
    numpy.ndarray
        Shape (2, outputs), float64: of the weighted sum, or of the rate; exact, and so comparable
        with the certificate, where the numerators of weighted sums are below 2**53.
    """
    layer = design.manifest.layers[index]
    weights = design.parameters.weights[index].astype(np.int64)
    biases = design.parameters.biases[index]
    witnesses = design.certificate(index).witnesses.astype(np.int64)
    own = np.arange(layer.outputs)
    products = np.einsum("doi,oi->do", witnesses, weights)
    measured = counts.reshape(2, layer.outputs, layer.outputs)[:, own, own]
    length, width = layer.bitstream_length, design.manifest.operand_width
    if layer.lif is None:
        numerators = (measured - biases) * 4**width - products * length
        errors: NDArray[np.float64] = numerators / (length * 4**width)
    else:
        sums = products / 4**width + biases / layer.lif.gain
        errors = measured / length - activate(layer, sums)
    errors[1] *= -1
    return errors


def has_witnesses(design: Design, index: int) -> bool:
    """Return whether a layer's certificate has witnesses that can be driven through the RTL.

    A layer whose spikes stream to the next has no results of its own to read, unless it is the
    first one, which is seen at work in the whole design.

    Parameters
    ----------
    design : Design
        The design.
    index : int
        The layer's number.
    """
    layer = design.manifest.layers[index]
    theorem = layer.certificate.theorem
    return theorem == EXACT or (theorem == DEVIATION and (index == 0 or not layer.streams))


def sign_off(
    network: Network,
    design: Design,
    main: Simulation,
    witnesses: Sequence[WitnessRun | None],
    second: Simulation | None,
    why_no_second: str,
    rerun: str,
    inside: Inside,
) -> Signoff:
    """Judge the evidence.

    Parameters
    ----------
    network : Network
        The real-number network.
    design : Design
        The design made of it.
    main : Simulation
        Test vectors played through the whole design.
    witnesses : sequence of WitnessRun or None
        One for each layer that `has_witnesses`.
    second : Simulation, optional
        The first vectors in another simulator.
    why_no_second : str
        Why there is none, where there is none.
    rerun : str
        Command that simulates the same RTL again with waves; a simulator and a number of vectors
        are appended to it.
    inside : Inside
        What is known beyond counts.

    Returns
    -------
    Signoff
        The report.
    """
    manifest, parameters = design.manifest, design.parameters
    # The trained network, with the neurons that the design has.
    network = replace(network, description=network.description.restyled(manifest.layers))
    features = design.features[: len(main.inputs)]
    labels = design.labels[: len(main.inputs)]
    golden = GoldenNetwork(manifest, parameters).counts(features)
    errors = layer_errors(manifest, parameters, features, main.counts)
    quantised = quantised_forward(manifest, parameters, features)
    estimate = main.counts[-1] / manifest.layers[-1].bitstream_length
    end_to_end = float(np.abs(estimate - quantised[-1]).max())
    trained = float_forward(network, features)[-1]
    trained_error = float(np.abs(estimate - trained).max())
    witness_error_tables = [
        None if run is None else witness_errors(design, index, run.counts)
        for index, run in enumerate(witnesses)
    ]
    driven = [run.simulation for run in witnesses if run is not None]
    layers = [
        LayerRecord(
            name=layer.name,
            bitstream_length=layer.bitstream_length,
            bit_width=manifest.operand_width,
            fan_in=layer.fan_in,
            outputs=layer.outputs,
            synapses=layer.synapses,
            constant_gates=layer.constant_gates,
            comparator_bits=layer.comparator_bits,
            vectors=len(features),
            mismatches=int((main.counts[index] != golden[index]).sum()),
            max_abs_error=float(np.abs(errors[index]).max()),
            certified_bound=layer.certificate.value,
            witness_error=None if errors_of is None else float(errors_of.max()),
            deviation=layer.deviation,
            hoeffding_radius=layer.hoeffding.radius,
            confidence=layer.hoeffding.confidence,
            family_size=layer.hoeffding.family_size,
        )
        for index, (layer, errors_of) in enumerate(
            zip(manifest.layers, witness_error_tables, strict=True)
        )
    ]
    fresh = _bounds_anew(network, design)
    split, split_checks = attribution(network, design, main.counts)
    checks = [
        _manifest_check(design, fresh),
        *_source_checks(fresh),
        *_precision_checks(network, design),
        _identity_check(manifest, main),
        *_count_checks(manifest, main, golden, rerun),
        *_stream_checks(design, main),
        *_bound_checks(manifest, layers, errors, main, rerun),
        *_witness_checks(design, witness_error_tables),
        Check(
            id="end-to-end",
            verdict=verdict_of(end_to_end <= manifest.end_to_end_bound),
            detail=f"largest output error {end_to_end:.6g}, bound {manifest.end_to_end_bound:.6g}",
        ),
        Check(
            id="trained-network",
            verdict=verdict_of(trained_error <= manifest.trained_bound),
            detail=f"largest output error against the trained network {trained_error:.6g}, bound"
            f" {manifest.trained_bound:.6g}",
        ),
        *split_checks,
        _simulator_check(manifest, main, second, why_no_second),
        *(bias_check(layer, run) for layer, run in zip(manifest.layers, inside.bias, strict=True)),
        *_inner_stream_checks(manifest, inside, rerun),
        *protocol_checks(inside.protocol, rerun),
        unknown_check(
            [run for run in (main, second) if run is not None and run.simulator.name == "icarus"],
            [
                run
                for run in (inside.protocol, inside.protocol_with_x)
                if isinstance(run, ProtocolRun) and run.simulator.name == "icarus"
            ],
            why_no_second,
        ),
        *_bench_checks([main, *driven, *inside.simulations], second),
    ]
    return Signoff(
        network=manifest.network,
        manifest_sha256=manifest_digest(manifest),
        simulator=SimulatorRecord(name=main.simulator.name, version=main.simulator.version),
        seed=main.seed,
        verdict="FAIL" if any(check.verdict == "FAIL" for check in checks) else "PASS",
        checks=checks,
        layers=layers,
        bias=[run.record for run in inside.bias if run.record is not None],
        attribution=split,
        compression=_compression_summary(network, manifest),
        precision=manifest.precision,
        end_to_end=EndToEnd(
            max_abs_error=end_to_end,
            bound=manifest.end_to_end_bound,
            max_abs_trained_error=trained_error,
            trained_bound=manifest.trained_bound,
        ),
        accuracy=Accuracy(
            float_=accuracy(trained, labels),
            quantised=accuracy(quantised[-1], labels),
            golden=accuracy(golden[-1], labels),
            rtl=accuracy(main.counts[-1], labels),
            vectors=len(features),
        ),
        throughput=Throughput(
            cycles=main.cycles,
            seconds_build=round(main.seconds_build, 3),
            seconds_sim=round(main.seconds_sim, 3),
            cycles_per_second=_rate(main),
        ),
        second_simulator=None
        if second is None
        else SecondSimulator(
            name=second.simulator.name,
            version=second.simulator.version,
            vectors=len(second.inputs),
            differing_counts=_differing(main, second),
            cycles_per_second=_rate(second),
        ),
        rerun=rerun,
    )


def save_signoff(
    report: Judgement,
    simulations: Iterable[Simulation | ProtocolRun],
    folder: Path,
    suites: Iterable[ElementTree.Element] = (),
) -> None:
    """Write ``signoff.json`` and ``junit.xml``.

    Parameters
    ----------
    report : Signoff
        The report.
    simulations : iterable of Simulation or ProtocolRun
        Whose cocotb results are put into the JUnit XML beside the checks.
    folder : pathlib.Path
        An existing folder.
    suites : iterable of xml.etree.ElementTree.Element
        More suites: of stages and campaigns.
    """
    content = report.model_dump(mode="json", by_alias=True)
    root = ElementTree.Element("testsuites", name=report.network)
    root.append(
        suite(
            "signoff",
            [
                (check.id, check.verdict, "" if check.verdict == "PASS" else check.detail)
                for check in report.checks
            ],
        )
    )
    for simulation in simulations:
        root.extend(cocotb_suites(simulation.results_xml))
    root.extend(suites)
    ElementTree.indent(root)
    write_bytes_atomically(
        folder / JUNIT_FILE, ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    )
    write_bytes_atomically(folder / SIGNOFF_FILE, (json.dumps(content, indent=2) + "\n").encode())


def _rate(simulation: Simulation) -> float:
    """Cycles per second of playing, 0 where it was not measured."""
    return round(simulation.cycles / simulation.seconds_sim, 1) if simulation.seconds_sim else 0.0


def _compression_summary(network: Network, manifest: Manifest) -> CompressionSummary | None:
    """Return what compression left."""
    if manifest.compression is None:
        return None
    before = [len(weight) for weight in network.weights]
    return CompressionSummary(
        recipe=manifest.compression.recipe,
        outputs_before=before,
        synapses_before=[int(np.count_nonzero(weight)) for weight in network.weights],
        removed_neurons=sum(before) - sum(layer.outputs for layer in manifest.layers),
    )


def _precision_checks(network: Network, design: Design) -> list[Check]:
    """Compute what the precision plan promises anew; it must be promised, and within the target."""
    plan, layers = design.manifest.precision, design.manifest.layers
    if plan is None:
        return []
    compression = design.manifest.compression
    recipe = None if compression is None else compression.recipe
    manager = AdaptivePrecisionManager.from_network(
        network,
        compression=recipe,
        widths=design.parameters.widths if recipe is not None and recipe.given_widths else None,
        vectors=plan.vectors,
        min_length=2,
        max_length=MAX_LENGTH,
    )
    source: SourceKind = plan.source  # type: ignore[assignment]
    own, output = manager.bounds(plan.method, [layer.bitstream_length for layer in layers], source)
    wrong = [
        f"layer {layer.name} has {bound:.6g}, the plan says {planned.error_bound:.6g}"
        for layer, planned, bound in zip(layers, plan.layers, own, strict=True)
        if not math.isclose(bound, planned.error_bound, rel_tol=1e-9)
    ]
    if not math.isclose(output, plan.end_to_end_bound, rel_tol=1e-9):
        wrong.append(
            f"the output guarantees {output:.6g}, the plan says {plan.end_to_end_bound:.6g}"
        )
    # Where each layer's sources are of another kind than the plan's, its bounds say nothing.
    kinds = {"counter": CounterSource, "lfsr": LfsrSource}
    kind = kinds[plan.source.removesuffix("-lane")]
    wrong += [
        f"layer {layer.name} has other sources than {plan.source}"
        for layer in layers
        if not all(isinstance(part, kind) for part in (layer.x_source, layer.w_source))
    ]
    bounds = [output] if plan.target == "output" else own
    if plan.target_error is not None and max(bounds) > plan.target_error * (1 + 1e-9):
        wrong.append(f"{max(bounds):.6g} is above the target error of {plan.target_error:g}")
    cost = sum(
        layer.bitstream_length * planned.cost_per_cycle
        for layer, planned in zip(layers, plan.layers, strict=True)
    )
    if plan.total_budget is not None and cost > plan.total_budget:
        wrong.append(f"cost {cost:g} is above the budget of {plan.total_budget:g}")
    asked = "no target" if plan.target_error is None else f"target {plan.target_error:g}"
    detail = (
        f"{plan.method} plan computed anew: {asked} of the {plan.target}, bounds"
        f" {', '.join(f'{bound:.6g}' for bound in bounds)}"
    )
    return [
        Check(
            id="precision-plan",
            verdict=verdict_of(not wrong),
            detail="; ".join(wrong) if wrong else detail,
        )
    ]


def _bounds_anew(network: Network, design: Design) -> list[Layer]:
    """Compute all bounds and source certificates from sources and weights."""
    manifest = design.manifest
    kept = (
        [list(range(layer.outputs)) for layer in manifest.layers]
        if manifest.compression is None
        else manifest.compression.kept
    )
    deviations = trained_deviations(
        network,
        design.parameters.weights,
        design.parameters.biases,
        [layer.bias_unit for layer in manifest.layers],
        kept,
    )
    return bound_layers(
        manifest.layers,
        design.parameters.weights,
        design.parameters.biases,
        deviations,
        manifest.operand_width,
        manifest.confidence,
        manifest.vectors,
    )


def _source_checks(fresh: Sequence[Layer]) -> list[Check]:
    """S4: sources have their periods, and no two that meet are correlated."""
    checks = []
    for layer in fresh:
        found = layer.source_certificate
        periods = [
            f"{role} {period:,}"
            for role, period in (
                ("x", found.x_period),
                ("w", found.w_period),
                ("select", found.select_period),
            )
            if period is not None
        ]
        detail = f"periods: {', '.join(periods)}"
        if found.worst is not None:
            worst = found.worst
            several = "pair" if worst.pairs == 1 else "pairs"
            detail += (
                f"; {worst.pairs} {several} of words, the worst is x lane {worst.x_lane} with w"
                f" lane {worst.w_lane}: discrepancy"
                f" {worst.numerator / worst.denominator:.6f}, mean SCC {worst.mean_scc:+.4f}"
            )
        checks.append(
            Check(
                id=f"S4-sources-{layer.name}",
                verdict=verdict_of(not found.faults),
                detail="; ".join(found.faults) or detail,
            )
        )
    return checks


def _manifest_check(design: Design, fresh: Sequence[Layer]) -> Check:
    """Hold the manifest's bounds to those that were computed anew, and certificates to more."""
    manifest = design.manifest
    wrong = [
        layer.name for layer, again in zip(manifest.layers, fresh, strict=True) if layer != again
    ]
    if manifest.end_to_end_bound != fresh[-1].propagated_bound:
        wrong.append("end to end")
    if manifest.trained_bound != fresh[-1].trained_bound:
        wrong.append("against the trained network")
    for layer, weights in zip(manifest.layers, design.parameters.weights, strict=True):
        if layer.certificate.theorem != EXACT:
            continue
        # By another way: from bitstreams that are written out, not from histograms.
        inputs = layer_inputs(layer, manifest.operand_width)
        bound = certify_layer(
            written_out_lane_counts(layer, inputs, weights, manifest.operand_width),
            inputs,
            weights,
            layer.bitstream_length,
            manifest.operand_width,
            mirrored=layer.encoding != "bipolar" and layer.input_signed,
        ).bound
        certified = Fraction(layer.certificate.numerator, layer.certificate.denominator)
        if bound != certified and layer.name not in wrong:
            wrong.append(f"{layer.name} (bit by bit)")
    detail = "certificates, radii and propagated bounds computed anew are the manifest's"
    if wrong:
        detail = f"bounds computed anew differ from the manifest's: {', '.join(wrong)}"
    return Check(id="manifest", verdict=verdict_of(not wrong), detail=detail)


def _stream_checks(design: Design, main: Simulation) -> list[Check]:
    """S1 once more, on the first vectors: counts of the bit-by-bit model, which has no tables."""
    manifest, parameters = design.manifest, design.parameters
    checks = []
    inputs: Sequence[NDArray[Any]] = list(design.features[:_BIT_BY_BIT])
    for index, layer in enumerate(manifest.layers):
        measured = main.counts[index][: len(inputs)]
        weights, biases = parameters.weights[index], parameters.biases[index]
        streams = [
            evaluate_layer(layer, weights, biases, operands, manifest.operand_width)
            for operands in inputs
        ]
        wrong = np.argwhere(measured != np.stack([part.counts for part in streams]))
        detail = f"{measured.size} counts of {len(inputs)} vectors equal the bit-by-bit model's"
        if len(wrong):
            vector, neuron = (int(position) for position in wrong[0])
            detail = (
                f"{len(wrong)} of {measured.size} counts differ from the bit-by-bit model's, first"
                f" at vector {vector}, neuron {neuron}: RTL {measured[vector, neuron]}, model"
                f" {streams[vector].counts[neuron]}"
            )
        checks.append(
            Check(id=f"S1-streams-{layer.name}", verdict=verdict_of(not len(wrong)), detail=detail)
        )
        inputs = [
            np.array(next_magnitudes(layer, counts, manifest.operand_width)) for counts in measured
        ]
        if layer.streams:
            inputs = [part.spikes for part in streams if part.spikes is not None]
    return checks


def _inner_stream_checks(manifest: Manifest, inside: Inside, rerun: str) -> list[Check]:
    """Every internal stream of some vectors is the slow model's, cycle by cycle."""
    found = inside.streams
    if isinstance(found, str):
        verdict: Verdict = "FAIL" if inside.streams_failed else "SKIPPED"
        return [
            Check(id=f"streams-{layer.name}", verdict=verdict, detail=found)
            for layer in manifest.layers
        ]
    checks = []
    for layer, part in zip(manifest.layers, found, strict=True):
        detail = (
            f"{part.bits:,} values of {', '.join(part.signals)}, {part.cycles} cycles of"
            f" {part.vectors} vectors, equal the bit-by-bit model's"
        )
        if part.differences:
            detail = (
                f"{part.differences:,} of {part.bits:,} values differ, first at {part.first}"
                f" ({rerun} --sim icarus --vectors {part.vectors})"
            )
        checks.append(
            Check(
                id=f"streams-{layer.name}",
                verdict=verdict_of(not part.differences),
                detail=detail,
            )
        )
    return checks


def _identity_check(manifest: Manifest, main: Simulation) -> Check:
    """Hold what the bench read from the ID register over AXI4-Lite to the manifest's digest."""
    digest = manifest_digest(manifest)
    detail = f"ID register {digest} read over AXI4-Lite"
    if main.identity is None:
        detail = "the ID register was not read"
    elif main.identity != digest:
        detail = f"RTL from another manifest: its ID register is {main.identity}, not {digest}"
    return Check(id="identity", verdict=verdict_of(main.identity == digest), detail=detail)


def _count_checks(
    manifest: Manifest, main: Simulation, golden: Sequence[NDArray[np.int64]], rerun: str
) -> list[Check]:
    """S1: every count equals the golden count."""
    checks = []
    for layer, measured, model in zip(manifest.layers, main.counts, golden, strict=True):
        wrong = np.argwhere(measured != model)
        detail = f"all {model.size} counts of {len(model)} vectors are equal"
        if len(wrong):
            vector, neuron = (int(position) for position in wrong[0])
            detail = (
                f"{len(wrong)} of {model.size} counts differ, first at vector {vector}, neuron"
                f" {neuron}: RTL {measured[vector, neuron]}, golden {model[vector, neuron]}"
                f" ({_how_to_rerun(main, vector, rerun)})"
            )
        checks.append(
            Check(id=f"S1-counts-{layer.name}", verdict=verdict_of(not len(wrong)), detail=detail)
        )
    return checks


def _how_to_rerun(main: Simulation, vector: int, rerun: str) -> str:
    """Say how to see a vector again."""
    return (
        f"simulator seed {main.seed}; with waves up to this vector:"
        f" {rerun} --sim {main.simulator.name} --vectors {vector + 1}"
    )


def _bound_checks(
    manifest: Manifest,
    layers: Sequence[LayerRecord],
    errors: Sequence[NDArray[np.float64]],
    main: Simulation,
    rerun: str,
) -> list[Check]:
    """S2: errors within certificate and radius; of fixed sources, certificate within radius."""
    checks = []
    for layer, record, error in zip(manifest.layers, layers, errors, strict=True):
        vector, neuron = (int(i) for i in np.unravel_index(np.abs(error).argmax(), error.shape))
        for name, bound in (
            ("certificate", record.certified_bound),
            ("hoeffding", record.hoeffding_radius),
        ):
            held = record.max_abs_error <= bound
            detail = f"largest error {record.max_abs_error:.6g}, {name} {bound:.6g}"
            if not held:
                detail += (
                    f", at vector {vector}, neuron {neuron} ({_how_to_rerun(main, vector, rerun)})"
                )
            checks.append(
                Check(id=f"S2-{name}-{layer.name}", verdict=verdict_of(held), detail=detail)
            )
        fixed = not all(isinstance(source, LfsrSource) for source in layer.sources)
        if fixed and layer.certificate.theorem == EXACT:
            checks.append(
                Check(
                    id=f"S2-certificate-within-hoeffding-{layer.name}",
                    verdict=verdict_of(record.certified_bound <= record.hoeffding_radius),
                    detail=f"certificate {record.certified_bound:.6g},"
                    f" radius {record.hoeffding_radius:.6g}",
                )
            )
    return checks


def _witness_checks(design: Design, tables: Sequence[NDArray[np.float64] | None]) -> list[Check]:
    """Every witness drives its neuron to exactly the certified error; a spiking one, within it."""
    checks = []
    for index, (layer, measured) in enumerate(zip(design.manifest.layers, tables, strict=True)):
        if measured is None:
            why = f"the certificate has no witness to drive ({layer.certificate.theorem})"
            checks.append(Check(id=f"witness-{layer.name}", verdict="SKIPPED", detail=why))
            continue
        certificate = design.certificate(index)
        certified = certificate.numerators / certificate.denominator
        exact = layer.certificate.theorem == EXACT
        missed = np.argwhere(measured != certified if exact else measured > certified)
        detail = (
            f"{certified.size - len(missed)} of {certified.size} witnesses (every neuron, both"
            " directions)"
            + (" reach exactly" if exact else " stay within")
            + " their certified error in RTL"
        )
        if len(missed):
            direction, neuron = (int(position) for position in missed[0])
            detail += (
                f"; not the one of neuron {neuron} {('upwards', 'downwards')[direction]}: RTL"
                f" {measured[direction, neuron]:.9g}, certified {certified[direction, neuron]:.9g}"
            )
        checks.append(
            Check(id=f"witness-{layer.name}", verdict=verdict_of(not len(missed)), detail=detail)
        )
    return checks


def _simulator_check(
    manifest: Manifest, main: Simulation, second: Simulation | None, why_no_second: str
) -> Check:
    """Two simulators agree on every count."""
    if second is None:
        return Check(id="simulators-agree", verdict="SKIPPED", detail=why_no_second)
    differing = _differing(main, second)
    detail = (
        f"{second.simulator.name} {second.simulator.version} on {len(second.inputs)} vectors:"
        f" {differing} counts differ from {main.simulator.name}'s"
    )
    if differing:
        common = min(len(main.inputs), len(second.inputs))
        index, wrong = next(
            (index, wrong)
            for index, (ours, theirs) in enumerate(zip(main.counts, second.counts, strict=True))
            if len(wrong := np.argwhere(ours[:common] != theirs[:common]))
        )
        vector, neuron = (int(position) for position in wrong[0])
        detail += (
            f", first in layer {manifest.layers[index].name}, vector {vector}, neuron {neuron}:"
            f" {second.counts[index][vector, neuron]}, not {main.counts[index][vector, neuron]}"
        )
    return Check(id="simulators-agree", verdict=verdict_of(differing == 0), detail=detail)


def _differing(main: Simulation, second: Simulation) -> int:
    """Return the number of counts in which two simulations differ on their common vectors."""
    common = min(len(main.inputs), len(second.inputs))
    return sum(
        int((ours[:common] != theirs[:common]).sum())
        for ours, theirs in zip(main.counts, second.counts, strict=True)
    )


def _bench_checks(runs: Sequence[Simulation], second: Simulation | None) -> list[Check]:
    """Every cocotb test of every run passed."""
    checks = []
    for run in [*runs, *([second] if second else [])]:
        name = run.results_xml.parent.name
        checks.append(
            Check(
                id=f"bench-{name}",
                verdict=verdict_of(run.failure is None),
                detail=run.failure or f"all cocotb tests passed on {len(run.inputs)} vectors",
            )
        )
    return checks
