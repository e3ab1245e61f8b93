"""From a trained network to a design: quantise, choose sources, certify, write a manifest."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from model.bounds import float_above, fractions, propagate, simultaneous_radius
from model.certificate import LayerCertificate, certify_layer
from model.compression import compress_network
from model.counting import lane_tables
from model.deviation import trained_deviations
from model.errors import InputError, ManifestError
from model.files import npz_bytes, read_npz, write_bytes_atomically
from model.forward import IntegerWeights
from model.lfsr import advance, maximal_taps
from model.limits import MAX_ACCUMULATOR_WIDTH, MAX_DIVISOR, MAX_LENGTH
from model.manifest import (
    Certificate,
    Compression,
    CompressionRecord,
    CounterSource,
    DataFile,
    HoeffdingBound,
    Layer,
    LayerStructure,
    LfsrSource,
    Manifest,
    PlannedLayer,
    PrecisionRecord,
    QuantisationTerms,
    Source,
    save_manifest,
)
from model.network import LayerDescription, Network
from model.precision import PrecisionPlan
from model.quantise import quantise_biases, quantise_weights
from model.sequences import check_counter_length
from model.xor_constants import CertificateScan

SourceKind = Literal["counter", "counter-lane", "lfsr", "lfsr-lane"]

WEIGHTS_FILE = "weights.npz"
TEST_DATA_FILE = "test.npz"
_LFSR_WIDTHS = (16, 20, 24, 28, 32)


@dataclass(frozen=True)
class Design:
    """A manifest with the arrays that its files hold.

    Attributes
    ----------
    manifest : Manifest
        The manifest.
    parameters : IntegerWeights
        What the weight file holds.
    features : numpy.ndarray
        Shape (vectors, fan_in of the first layer), int16: test features.
    labels : numpy.ndarray
        Shape (vectors,), int64: test labels.
    """

    manifest: Manifest
    parameters: IntegerWeights
    features: NDArray[np.int16]
    labels: NDArray[np.int64]

    def certificate(self, layer_index: int) -> LayerCertificate:
        """Compute the certificate of every neuron of a layer anew, with all witnesses."""
        return certificate_of(
            self.manifest.layers[layer_index],
            self.parameters.weights[layer_index],
            self.manifest.operand_width,
        )


def plan_design(
    network: Network,
    lengths: Sequence[int] | None = None,
    source: SourceKind = "counter",
    seed: int = 1,
    *,
    compression: Compression | None = None,
    widths: Sequence[NDArray[np.integer]] | None = None,
    precision: PrecisionPlan | None = None,
) -> Design:
    """Plan a design of a network.

    Parameters
    ----------
    network : Network
        The trained network.
    lengths : sequence of int, optional
        Bitstream length of each layer; a single one serves all. Default: what the network's
        description says.
    source : {'counter', 'counter-lane', 'lfsr', 'lfsr-lane'}
        Counter pair with one XOR constant a layer or a lane; leap-ahead LFSR pair shared by the
        layer, or one pair a lane.
    seed : int
        From which the seeds of LFSRs are drawn.
    compression : Compression, optional
        What to leave out of the network first. All bounds against the trained network include it.
    widths : sequence of numpy.ndarray, optional
        Bits of each weight, where the recipe says that they are given; see
        `model.compression.compress_network`.
    precision : PrecisionPlan, optional
        The plan that the lengths are from, for the manifest.

    Returns
    -------
    Design
        The design; the same arguments give the same manifest, byte for byte.

    Raises
    ------
    InputError
        If a length does not fit the source or the accumulator, a layer that feeds another does
        not clip, or the last one does.
    """
    trained = network
    description = trained.description
    if description.layers[-1].activation != "none":
        raise InputError(
            "the last layer clips, but the output stream carries counts",
            f"layer {description.layers[-1].name}",
            'set its activation to "none"',
        )
    for part in description.layers[:-1]:
        if part.activation != "clip":
            raise InputError(
                "the layer does not clip, but feeds another, which takes magnitudes",
                f"layer {part.name}",
                'set its activation to "clip"',
            )
    compressed = compress_network(trained, compression or Compression(), widths)
    network = compressed.network
    chosen = _lengths(network, lengths)
    operand_width = description.operand_bits
    weights = tuple(quantise_weights(weight, operand_width) for weight in network.weights)
    generator = np.random.default_rng(seed)
    biases = []
    structures: list[LayerStructure] = []
    for index, (part, weight, length) in enumerate(
        zip(description.layers, weights, chosen, strict=True)
    ):
        if length > MAX_LENGTH:
            raise InputError(
                f"bitstream length {length}", f"layer {part.name}", f"use at most {MAX_LENGTH}"
            )
        # A counter's length is checked before anything is computed with it.
        if source in ("counter", "counter-lane"):
            check_counter_length(length, f"layer {part.name}")
        elif length < 2:
            raise InputError(
                f"bitstream length {length}", f"layer {part.name}", "use a length of 2 or more"
            )
        _check_divisor(part, length, operand_width)
        _check_count_range(part.name, network.biases[index], length)
        bias = quantise_biases(network.biases[index], length)
        biases.append(bias)
        accumulator = _accumulator_width(part.name, part.accumulator_width, weight, bias, length)
        input_signed = index == 0 and description.input_signed
        x_source, w_source = choose_sources(
            source, weight, length, operand_width, input_signed=input_signed, generator=generator
        )
        structures.append(
            LayerStructure(
                name=part.name,
                fan_in=weight.shape[1],
                outputs=weight.shape[0],
                bitstream_length=length,
                input_signed=input_signed,
                activation=part.activation,
                scale_exponent=part.scale_exponent,
                accumulator_width=accumulator,
                x_source=x_source,
                w_source=w_source,
            )
        )
    deviations = trained_deviations(trained, weights, biases, chosen, compressed.kept)
    layers = bound_layers(
        structures,
        weights,
        deviations,
        operand_width,
        description.confidence,
        len(network.features),
    )
    parameters = IntegerWeights(weights, tuple(biases), compressed.widths)
    manifest = Manifest(
        network=description.name,
        operand_width=operand_width,
        confidence=description.confidence,
        vectors=len(network.features),
        features_per_beat=description.features_per_beat,
        weights=_data_file(WEIGHTS_FILE, _weight_arrays(parameters)),
        test_data=_data_file(
            TEST_DATA_FILE, {"features": network.features, "labels": network.labels}
        ),
        compression=None
        if compression is None
        else CompressionRecord(recipe=compression, kept=list(compressed.kept)),
        precision=None if precision is None else _precision_record(precision),
        layers=layers,
        end_to_end_bound=layers[-1].propagated_bound,
        trained_bound=layers[-1].trained_bound,
    )
    return Design(manifest, parameters, network.features, network.labels)


def bound_layers(
    structures: Sequence[LayerStructure],
    weights: Sequence[NDArray[np.int32]],
    deviations: Sequence[NDArray[np.float64]],
    operand_width: int,
    confidence: float,
    vectors: int,
) -> list[Layer]:
    """Compute every bound of a network's layers.

    Parameters
    ----------
    structures : sequence of LayerStructure
        The layers; bounds that they may already have are not looked at.
    weights : sequence of numpy.ndarray
        For each layer, shape (outputs, fan_in), integers from ``-2**K`` to ``2**K``.
    deviations : sequence of numpy.ndarray
        For each layer, shape (outputs,), 0 or more: as `model.deviation.trained_deviations` gives
        them.
    operand_width : int
        Operand width K in bits.
    confidence : float
        Of the Hoeffding radii, in (0, 1).
    vectors : int
        Number of vectors that the radii cover together.

    Returns
    -------
    list of Layer
        The layers with certificates, radii, quantisation terms and propagated bounds.
    """
    levels = 1 << operand_width
    certificates = [
        certificate_of(structure, weight, operand_width)
        for structure, weight in zip(structures, weights, strict=True)
    ]
    # Rational numbers: the same bytes on every machine, and a bound that is not rounded down.
    absolute = [fractions(np.abs(weight), levels) for weight in weights]
    own = [fractions(part.numerators.max(axis=0), part.denominator) for part in certificates]
    exponents = [structure.scale_exponent for structure in structures]
    propagated = propagate(absolute, own, exponents, Fraction(1, 2 * levels))
    moved = [np.array([Fraction(part) for part in layer.tolist()]) for layer in deviations]
    # Against activations up to 1: re-encoding clamps at 1 - 2**-K, a whole step below.
    against_trained = propagate(
        absolute,
        [certified + part for certified, part in zip(own, moved, strict=True)],
        exponents,
        Fraction(1, levels),
    )
    return [
        Layer(
            **{name: getattr(structure, name) for name in LayerStructure.model_fields},
            **_synapse_counts(weight, operand_width),
            certificate=_certificate_record(certificate),
            hoeffding=_hoeffding(structure, weight, confidence, vectors),
            quantisation=QuantisationTerms(
                weight=0.5 / levels,
                bias=0.5 / structure.bitstream_length,
                reencoding=0.5 / levels if structure.activation == "clip" else 0.0,
            ),
            deviation=float(deviation.max()),
            propagated_bound=float_above(bound.max()),
            trained_bound=float_above(trained.max()),
        )
        for structure, weight, certificate, deviation, bound, trained in zip(
            structures, weights, certificates, deviations, propagated, against_trained, strict=True
        )
    ]


def certificate_of(
    layer: LayerStructure, weights: NDArray[np.integer], operand_width: int
) -> LayerCertificate:
    """Compute a layer's certificate from its sources and weights.

    Parameters
    ----------
    layer : Layer
        The layer.
    weights : numpy.ndarray
        Shape (outputs, fan_in), integers from ``-2**K`` to ``2**K``.
    operand_width : int
        Operand width K in bits.
    """
    tables, lane_table = lane_tables(layer, operand_width)
    return certify_layer(
        tables,
        lane_table,
        weights,
        layer.bitstream_length,
        operand_width,
        input_signed=layer.input_signed,
    )


def save_design(design: Design, folder: Path) -> Path:
    """Write a design's files and, last, its manifest.

    Parameters
    ----------
    design : Design
        What to write.
    folder : pathlib.Path
        Created where it does not exist.

    Returns
    -------
    pathlib.Path
        The manifest's path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes_atomically(folder / WEIGHTS_FILE, npz_bytes(_weight_arrays(design.parameters)))
    write_bytes_atomically(
        folder / TEST_DATA_FILE,
        npz_bytes({"features": design.features, "labels": design.labels}),
    )
    return save_manifest(design.manifest, folder)


def load_design(manifest: Manifest, folder: Path) -> Design:
    """Read the arrays of a manifest that `model.manifest.load_manifest` has checked.

    Parameters
    ----------
    manifest : Manifest
        The manifest.
    folder : pathlib.Path
        Its folder.

    Raises
    ------
    ManifestError
        If an array is missing or does not have the shape that the manifest says.
    """
    again = "run the plan step again (make)"
    names = {}
    for index, layer in enumerate(manifest.layers):
        names[f"layer_{index}_weights"] = f"weights of layer {layer.name}"
        names[f"layer_{index}_biases"] = f"biases of layer {layer.name}"
        names[f"layer_{index}_widths"] = f"widths of layer {layer.name}"
    path = folder / manifest.weights.file
    arrays = read_npz(path, names, ManifestError, again)
    weights, biases, widths = [], [], []
    for index, layer in enumerate(manifest.layers):
        weight, bias = arrays[f"layer_{index}_weights"], arrays[f"layer_{index}_biases"]
        width = arrays[f"layer_{index}_widths"]
        shape = (layer.outputs, layer.fan_in)
        if weight.shape != shape or width.shape != shape or bias.shape != (layer.outputs,):
            raise ManifestError(
                f"weights of layer {layer.name} have shape {weight.shape}", str(path), again
            )
        steps = 1 << np.clip(manifest.operand_width - width.astype(np.int64), 0, None)
        if (width < 1).any() or (weight % steps != 0).any():
            raise ManifestError(
                f"a weight of layer {layer.name} needs more bits than its width", str(path), again
            )
        weights.append(weight)
        biases.append(bias)
        widths.append(width)
    test = read_npz(
        folder / manifest.test_data.file,
        {"features": "test features", "labels": "test labels"},
        ManifestError,
        again,
    )
    return Design(
        manifest,
        IntegerWeights(tuple(weights), tuple(biases), tuple(widths)),
        test["features"],
        test["labels"],
    )


def _check_divisor(layer: LayerDescription, length: int, operand_width: int) -> None:
    """Refuse a scale whose re-encoding divides by more than the hardware can."""
    divisor = length << max(-(operand_width + layer.scale_exponent), 0)
    if layer.activation == "clip" and divisor >= MAX_DIVISOR:
        raise InputError(
            f"scale exponent {layer.scale_exponent} with bitstream length {length}",
            f"layer {layer.name}",
            "use a larger exponent or a shorter bitstream: nothing but zeros would come out",
        )


def _lengths(network: Network, lengths: Sequence[int] | None) -> list[int]:
    """Return one length for each layer."""
    layers = network.description.layers
    if lengths is None:
        return [layer.bitstream_length for layer in layers]
    if len(lengths) == 1:
        return list(lengths) * len(layers)
    if len(lengths) != len(layers):
        raise InputError(
            f"{len(lengths)} bitstream lengths for {len(layers)} layers",
            "LENGTH",
            "give one length, or one for each layer, separated by commas",
        )
    return list(lengths)


def _check_count_range(name: str, biases: NDArray[np.float64], length: int) -> None:
    """Refuse counts beyond any accumulator before numpy's integers wrap or its memory ends."""
    bias = float(np.abs(biases).max())
    largest = Fraction(bias) * length + length
    if largest >= 1 << (MAX_ACCUMULATOR_WIDTH - 1):
        raise InputError(
            f"bitstream length {length} with a bias of {bias:.6g} needs an accumulator of"
            f" {int(largest).bit_length() + 1} bits, there are {MAX_ACCUMULATOR_WIDTH}",
            f"layer {name}",
            "use a shorter bitstream or smaller biases",
        )


def _accumulator_width(
    name: str,
    wanted: int | None,
    weights: NDArray[np.int32],
    biases: NDArray[np.int64],
    length: int,
) -> int:
    """Return the accumulator width of a layer, or refuse a length that overflows it."""
    # The hardware counts product XOR sign and corrects by the number of negative lanes, so any
    # partial sum stays within bias +- synapses * L; a weight of zero is no synapse.
    synapses = int(np.count_nonzero(weights, axis=1).max())
    largest = int(np.abs(biases).max()) + max(synapses, 1) * length
    needed = largest.bit_length() + 1
    available = MAX_ACCUMULATOR_WIDTH if wanted is None else wanted
    if needed > available:
        raise InputError(
            f"bitstream length {length} needs an accumulator of {needed} bits,"
            f" there are {available}",
            f"layer {name}",
            "use a shorter bitstream" + ("" if wanted is None else " or a wider accumulator"),
        )
    return needed if wanted is None else wanted


def choose_sources(
    kind: SourceKind,
    weights: NDArray[np.int32],
    length: int,
    operand_width: int,
    *,
    input_signed: bool,
    generator: np.random.Generator,
) -> tuple[Source, Source]:
    """Choose the x and the w source of a layer.

    Parameters
    ----------
    kind : {'counter', 'counter-lane', 'lfsr', 'lfsr-lane'}
        Which sources, see `plan_design`.
    weights : numpy.ndarray
        Shape (outputs, fan_in), integers from ``-2**K`` to ``2**K``; a counter's XOR constants are
        chosen for them.
    length : int
        Bitstream length L.
    operand_width : int
        Operand width K in bits.
    input_signed : bool
        Whether inputs may be negative.
    generator : numpy.random.Generator
        From which the place of an LFSR's seed is drawn.

    Returns
    -------
    x_source, w_source : CounterSource or LfsrSource
        The sources.
    """
    fan_in = weights.shape[1]
    if kind in ("counter", "counter-lane"):
        scan = CertificateScan(weights, length, operand_width, input_signed=input_signed)
        lane = kind == "counter-lane"
        width = length.bit_length() - 1
        return (
            CounterSource(reversed=False, width=width, sharing="layer", xor_constants=[0]),
            CounterSource(
                reversed=True,
                width=width,
                sharing="lane" if lane else "layer",
                xor_constants=scan.best_per_lane() if lane else [scan.best_shared()],
            ),
        )
    lanes = fan_in if kind == "lfsr-lane" else 1
    # All registers run through one cycle of states. It is made so long that the stretches they run
    # through do not overlap: registers that follow each other closely are not independent.
    width = next(
        width
        for width in _LFSR_WIDTHS
        if (width >= operand_width and 2 * lanes * (length + 1) * width < 1 << width)
        or width == _LFSR_WIDTHS[-1]
    )
    taps = maximal_taps(width)
    period = (1 << width) - 1
    first = int(generator.integers(1, period + 1))
    seeds = [
        advance(first, place * period // (2 * lanes), width, taps) for place in range(2 * lanes)
    ]
    x_source, w_source = (
        LfsrSource(
            width=width,
            taps=list(taps),
            step=width,
            sharing="lane" if kind == "lfsr-lane" else "layer",
            seeds=part,
            xor_constants=[0],
        )
        for part in (seeds[0::2], seeds[1::2])
    )
    return x_source, w_source


def _synapse_counts(weights: NDArray[np.int32], operand_width: int) -> dict[str, int]:
    """Return how many weights cost a gate, which are wires, and how wide the comparators are."""
    magnitudes = np.abs(weights)
    compared = magnitudes[(magnitudes > 0) & (magnitudes < 1 << operand_width)]
    # The lowest bit that is set decides how many of the upper bits a comparator looks at.
    zeros_below = np.log2(compared & -compared).astype(np.int64)
    return {
        "synapses": int(np.count_nonzero(magnitudes)),
        "constant_gates": int(np.count_nonzero(magnitudes == 1 << operand_width)),
        "comparator_bits": int((operand_width - zeros_below).sum()),
    }


def _precision_record(plan: PrecisionPlan) -> PrecisionRecord:
    """Return the part of a precision plan that the manifest holds."""
    return PrecisionRecord(
        method=plan.method,
        source=plan.source,
        target=plan.target,
        target_error=plan.target_error,
        total_budget=plan.total_budget,
        vectors=plan.vectors,
        confidence=plan.confidence,
        end_to_end_bound=plan.end_to_end_bound,
        end_to_end_theorem=plan.end_to_end_theorem,
        shortfalls=list(plan.shortfalls),
        layers=[
            PlannedLayer(
                error_bound=layer.error_bound,
                theorem=layer.theorem,
                confidence=layer.confidence,
                meets_target=layer.meets_target,
                sensitivity=layer.sensitivity,
                cost_per_cycle=layer.cost_per_cycle,
            )
            for layer in plan.layers
        ],
    )


def _hoeffding(
    layer: LayerStructure, weights: NDArray[np.int32], confidence: float, vectors: int
) -> HoeffdingBound:
    """Return the simultaneous Hoeffding radius of a layer and what makes it sound."""
    sources = (layer.x_source, layer.w_source)
    random = "independent, and independent from cycle to cycle (random seeds, leap-ahead stepping)"
    norm2 = False
    if any(isinstance(source, CounterSource) for source in sources):
        assumption = "fixed sources: sound because the exact certificate is not above the radius"
    elif all(_own_stretches(source, layer) for source in sources):
        norm2 = True
        assumption = f"an x source and a w source for each lane, all {random}"
    else:
        assumption = f"x sources and w sources that lanes share, {random}"
    # One range of 1 a synapse: g_i = 1 in the unnormalised weighted sum. norm2 needs sources of its
    # own for every lane, a shared one makes the lanes' errors add up.
    synapses = int(np.count_nonzero(weights, axis=1).max())
    norm = math.sqrt(synapses) if norm2 else float(synapses)
    family = layer.outputs * vectors
    return HoeffdingBound(
        theorem="Hoeffding 1963, theorem 2, two-sided, union bound over the family",
        norm="norm2" if norm2 else "norm1",
        norm_value=norm,
        confidence=confidence,
        family_size=family,
        radius=simultaneous_radius(layer.bitstream_length, norm, confidence, family),
        assumption=assumption,
    )


def _own_stretches(source: Source, layer: LayerStructure) -> bool:
    """Return whether every lane has a register of its own with a stretch of states of its own.

    XOR constants on a shared register do not count, and neither do registers whose cycle of states
    is too short for the stretches that they run through: some would repeat others with a delay.
    """
    return (
        isinstance(source, LfsrSource)
        and source.sharing == "lane"
        and len(source.seeds) == layer.fan_in
        and 2 * layer.fan_in * (layer.bitstream_length + 1) * source.step < 1 << source.width
    )


def _certificate_record(certificate: LayerCertificate) -> Certificate:
    """Return the part of a certificate that the manifest holds."""
    direction, output = certificate.worst
    return Certificate(
        value=float(certificate.bound),
        numerator=certificate.bound.numerator,
        denominator=certificate.bound.denominator,
        output=output,
        sign=1 if direction == 0 else -1,
        witness=[int(x) for x in certificate.witnesses[direction, output]],
    )


def _weight_arrays(parameters: IntegerWeights) -> dict[str, NDArray[np.integer]]:
    """Return the arrays of the weight file."""
    arrays: dict[str, NDArray[np.integer]] = {}
    for index, (weight, bias) in enumerate(zip(parameters.weights, parameters.biases, strict=True)):
        arrays[f"layer_{index}_weights"] = weight
        arrays[f"layer_{index}_biases"] = bias
        arrays[f"layer_{index}_widths"] = parameters.widths[index]
    return arrays


def _data_file(name: str, arrays: dict[str, NDArray[np.integer]]) -> DataFile:
    """Return a data file's record for the manifest."""
    return DataFile(
        file=name,
        sha256=hashlib.sha256(npz_bytes(arrays)).hexdigest(),
        arrays={key: f"{array.dtype} {list(array.shape)}" for key, array in arrays.items()},
    )
