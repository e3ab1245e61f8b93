"""Every bound that a design's manifest states, computed from its sources and weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from model.activations import activation_error, slope
from model.bounds import float_above, fractions, simultaneous_radius
from model.certificate import LayerCertificate, certify_layer
from model.counting import lane_counts, layer_inputs, select_width
from model.manifest import (
    Certificate,
    CertificateTheorem,
    HoeffdingBound,
    Layer,
    LayerStructure,
    LfsrSource,
    QuantisationTerms,
)
from model.network import Style
from model.sequences import source_sequence
from model.source_certificate import certify_sources, cycles_apart
from model.spiking import partial_deviations

EXACT: CertificateTheorem = "separable exact maximum over all inputs"
DEVIATION: CertificateTheorem = "integrate and fire: largest partial deviation over all inputs"
FRECHET: CertificateTheorem = "Frechet bounds of streams of any correlation"
RANGE: CertificateTheorem = "range of the result"


def bound_layers(
    structures: Sequence[LayerStructure],
    weights: Sequence[NDArray[np.int32]],
    all_biases: Sequence[NDArray[np.int64]],
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
    all_biases : sequence of numpy.ndarray
        For each layer, shape (outputs,), integers: counts, or currents of neurons that spike.
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
    streamed = [False, *(structure.streams for structure in structures[:-1])]
    certificates = [
        certificate_of(structure, weight, operand_width, biases, streamed=stream)
        for structure, weight, biases, stream in zip(
            structures, weights, all_biases, streamed, strict=True
        )
    ]
    # Rational numbers: the same bytes on every machine, and a bound that is not rounded down.
    absolute = [fractions(np.abs(weight), levels) for weight in weights]
    own = [fractions(part.numerators.max(axis=0), part.denominator) for part in certificates]
    propagated = _propagate(structures, absolute, own, Fraction(1, 2 * levels))
    moved = [
        np.array([Fraction(part) for part in layer.tolist()]) * _own_units(structure)
        for structure, layer in zip(structures, deviations, strict=True)
    ]
    # Against activations up to 1: re-encoding clamps at 1 - 2**-K, a whole step below.
    against_trained = _propagate(
        structures,
        absolute,
        [certified + part for certified, part in zip(own, moved, strict=True)],
        Fraction(1, levels),
    )
    layers = []
    for index, (structure, weight, biases) in enumerate(
        zip(structures, weights, all_biases, strict=True)
    ):
        certificate, stream = certificates[index], streamed[index]
        theorem = certificate_theorem(structure, weight, biases, streamed=stream)
        hoeffding = _hoeffding(
            structure, weight, operand_width, certificate, theorem, confidence, vectors
        )
        reencodes = structure.activation != "none" and not structure.streams
        layers.append(
            Layer(
                **{name: getattr(structure, name) for name in LayerStructure.model_fields},
                **_synapse_counts(weight, operand_width),
                certificate=_certificate_record(certificate, theorem),
                hoeffding=hoeffding,
                source_certificate=certify_sources(
                    structure,
                    operand_width,
                    streamed=stream,
                    lanes_apart=hoeffding.norm == "norm2",
                ),
                quantisation=QuantisationTerms(
                    weight=0.5 / levels,
                    bias=0.5 / structure.bias_unit,
                    reencoding=0.5 / levels if reencodes else 0.0,
                ),
                deviation=float(deviations[index].max()),
                propagated_bound=float_above(propagated[index].max()),
                trained_bound=float_above(against_trained[index].max()),
            )
        )
    return layers


def certificate_theorem(
    layer: LayerStructure,
    weights: NDArray[np.integer],
    biases: NDArray[np.integer] | None,
    *,
    streamed: bool,
) -> CertificateTheorem:
    """Return which theorem bounds a layer's error for certain.

    Parameters
    ----------
    layer : LayerStructure
        The layer.
    weights : numpy.ndarray
        Shape (outputs, fan_in), integers from ``-2**K`` to ``2**K``.
    biases : numpy.ndarray or None
        Shape (outputs,), integers: counts, or currents; None: zeros.
    streamed : bool
        Whether its inputs are the spikes of the layer before.
    """
    if layer.lif is None:
        if not streamed:
            return EXACT
        return FRECHET if layer.adder == "parallel-counter" else RANGE
    neuron = layer.lif
    integrates = (
        neuron.reset == "subtract"
        and neuron.leak_shift == 0
        and neuron.refractory == 0
        and neuron.noise_bits == 0
    )
    # The theorem holds as long as the membrane reaches neither its floor nor an end of its range.
    current = neuron.leak + (0 if biases is None else int(np.abs(biases).max()))
    reach = layer.bitstream_length * (neuron.gain * largest_increment(layer, weights) + current)
    free = neuron.floor <= -reach and reach < 1 << (neuron.width - 1)
    return DEVIATION if integrates and free and not streamed else RANGE


def largest_increment(layer: Style, weights: NDArray[np.integer]) -> int:
    """Return the largest magnitude of what a layer's adder gives in a cycle.

    Parameters
    ----------
    layer : Style
        The layer.
    weights : numpy.ndarray
        Shape (outputs, fan_in); a weight of zero is no synapse.
    """
    if layer.adder == "mux":
        return 1 << select_width(weights.shape[1])
    if layer.encoding == "bipolar":
        return int(weights.shape[1])
    return max(1, int(np.count_nonzero(weights, axis=1).max()))


def certificate_of(
    layer: LayerStructure,
    weights: NDArray[np.integer],
    operand_width: int,
    biases: NDArray[np.integer] | None = None,
    *,
    streamed: bool = False,
) -> LayerCertificate:
    """Compute a layer's certificate from its sources and weights.

    Of the weighted sum; where neurons spike, of their rate.

    Parameters
    ----------
    layer : LayerStructure
        The layer.
    weights : numpy.ndarray
        Shape (outputs, fan_in), integers from ``-2**K`` to ``2**K``.
    operand_width : int
        Operand width K in bits.
    biases : numpy.ndarray, optional
        Shape (outputs,), integers: currents, where neurons spike. Counts do not matter.
    streamed : bool
        Whether its inputs are the spikes of the layer before.
    """
    theorem = certificate_theorem(layer, weights, biases, streamed=streamed)
    nowhere = np.zeros((2, layer.outputs, layer.fan_in), dtype=np.int16)
    if theorem == EXACT:
        return certify_layer(
            lane_counts(layer, weights, operand_width),
            layer_inputs(layer, operand_width),
            weights,
            layer.bitstream_length,
            operand_width,
            mirrored=layer.encoding != "bipolar" and layer.input_signed,
        )
    if theorem == DEVIATION:
        assert layer.lif is not None
        numerators, witnesses = partial_deviations(layer, weights, operand_width)
        # A rate is too high by (deviation / threshold) / L at most, too low by one spike more.
        unit = layer.lif.threshold << (2 * operand_width)
        numerators = numerators * layer.lif.gain + np.array([[0], [unit]])
        denominator = unit * layer.bitstream_length
        return LayerCertificate(np.minimum(numerators, denominator), denominator, witnesses)
    if theorem == FRECHET:
        return LayerCertificate(*_frechet(layer, weights, operand_width), nowhere)
    if layer.lif is not None:
        return LayerCertificate(np.ones((2, layer.outputs), dtype=np.int64), 1, nowhere)
    levels = 1 << operand_width
    furthest = largest_increment(layer, weights) * levels + np.abs(weights).sum(axis=1)
    return LayerCertificate(np.stack([furthest] * 2).astype(np.int64), levels, nowhere)


def _frechet(
    layer: LayerStructure, weights: NDArray[np.integer], operand_width: int
) -> tuple[NDArray[np.int64], int]:
    """Bound the products of streams that may be correlated in any way with the weights' streams.

    Of two streams with n and m ones, between ``max(0, n + m - L)`` and ``min(n, m)`` are common
    (Frechet 1951): at most ``m (L - m) / L`` from ``n m / L``, whatever n.
    """
    length, levels = layer.bitstream_length, 1 << operand_width
    words = source_sequence(layer.w_source, length, layer.word_width(operand_width))
    magnitudes = np.abs(weights.astype(np.int64))
    # ones[w] of each lane: how many words are below w.
    below = np.stack([np.searchsorted(np.sort(row), np.arange(levels + 1)) for row in words])
    if len(words) > layer.fan_in:
        lanes = np.arange(layer.fan_in)[None, :] * layer.outputs + np.arange(layer.outputs)[:, None]
    else:
        lanes = np.broadcast_to(np.arange(layer.fan_in) % len(words), weights.shape)
    ones = below[lanes, magnitudes]
    spread = ones * (length - ones) * levels + np.abs(ones * levels - magnitudes * length) * length
    total = spread.sum(axis=1)
    return np.stack([total, total]), length * length * levels


def _own_units(layer: LayerStructure) -> Fraction:
    """Return what a unit of the weighted sum is in the layer's own unit: a sum, or a rate."""
    return Fraction(1) if layer.lif is None else slope(layer)


def _propagate(
    layers: Sequence[LayerStructure],
    absolute_weights: Sequence[NDArray[Any]],
    own: Sequence[NDArray[Any]],
    rounding: Fraction,
) -> list[NDArray[Any]]:
    """Bound the distance of every neuron from the reference network, layer by layer.

    As `model.bounds.propagate`, with all activations; in fractions.
    """
    bounds: list[NDArray[Any]] = []
    arriving: NDArray[Any] | None = None
    for layer, weights, certified in zip(layers, absolute_weights, own, strict=True):
        bound = certified
        if arriving is not None:
            bound = weights @ arriving * _own_units(layer) + certified
        if layer.lif is not None:
            bound = np.array([min(part, Fraction(1)) for part in bound], dtype=object)
        bounds.append(bound)
        arriving = activation_error(layer, bound, Fraction(0) if layer.streams else rounding)
    return bounds


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


def _hoeffding(
    layer: LayerStructure,
    weights: NDArray[np.int32],
    operand_width: int,
    certificate: LayerCertificate,
    certain: CertificateTheorem,
    confidence: float,
    vectors: int,
) -> HoeffdingBound:
    """Return the simultaneous Hoeffding radius of a layer and what makes it sound."""
    theorem = "Hoeffding 1963, theorem 2, two-sided, union bound over the family"
    family = layer.outputs * vectors
    # One range of 1 a synapse: g_i = 1 in the unnormalised weighted sum. norm2 needs sources of its
    # own for every lane, a shared one makes the lanes' errors add up. A bipolar product is -1 or 1.
    synapses = int(np.count_nonzero(weights, axis=1).max())
    norm: Literal["norm1", "norm2", "range"] = "norm1"
    independent = all(isinstance(source, LfsrSource) for source in layer.sources)
    lanes = "x sources and w sources that lanes share"
    if independent and _own_stretches(layer):
        norm, lanes = "norm2", "an x source and a w source for each lane"
    terms = layer.fan_in if layer.encoding == "bipolar" else synapses
    norm_value = math.sqrt(terms) if norm == "norm2" else float(terms)
    if layer.encoding == "bipolar":
        norm_value *= 2
    if layer.adder == "mux":
        # The increment of a cycle is one product times the number of inputs that select can name.
        span = 1 if layer.encoding == "unipolar" and (weights >= 0).all() else 2
        norm, norm_value = "range", float(span << select_width(layer.fan_in))
        lanes += ", and a select source"
    word_width = layer.word_width(operand_width)
    apart = max(
        cycles_apart(source, word_width if index < 2 else select_width(layer.fan_in))
        for index, source in enumerate(layer.sources)
    )
    independent_cycles = max(1, layer.bitstream_length // apart)
    radius = simultaneous_radius(independent_cycles, norm_value, confidence, family)
    stepping = "random seeds, leap-ahead stepping"
    if apart > 1:
        theorem += f"; cycles {apart} apart are independent (section 5d)"
        stepping = f"random seeds, words that overlap within {apart} cycles"
    assumption = f"{lanes}, all independent, and independent from cycle to cycle ({stepping})"
    if not independent:
        assumption = "fixed sources: sound because the exact certificate is not above the radius"
    fixed = None
    if layer.lif is not None:
        theorem += "; of all partial sums together (2.17)"
        radius = min(radius * float(slope(layer)) + 1 / layer.bitstream_length, 1.0)
        if certain != DEVIATION or apart > 1:
            fixed = "no theorem but the range of a rate"
        elif not independent:
            fixed = "fixed sources: the certificate"
    elif certain != EXACT:
        fixed = "input streams are not independent of the weights': the certificate"
    if fixed is not None:
        norm, norm_value, theorem, assumption = "range", 1.0, fixed, "none"
        radius = float_above(certificate.bound)
    return HoeffdingBound(
        theorem=theorem,
        norm=norm,
        norm_value=norm_value,
        confidence=confidence,
        family_size=family,
        radius=radius,
        assumption=assumption,
    )


def _own_stretches(layer: LayerStructure) -> bool:
    """Return whether every lane has registers of its own with stretches of states of their own.

    XOR constants or rotations on a shared register do not count, and neither do registers whose
    cycle of states is too short for the stretches that they run through: some would repeat others
    with a delay.
    """
    registers = 0
    for source in (layer.x_source, layer.w_source):
        assert isinstance(source, LfsrSource)
        if source.sharing == "layer" or len(source.seeds) < layer.fan_in:
            return False
        registers += len(source.seeds)
    return all(
        registers * (layer.bitstream_length + 1) * source.step < 1 << source.width
        for source in (layer.x_source, layer.w_source)
        if isinstance(source, LfsrSource)
    )


def _certificate_record(certificate: LayerCertificate, theorem: CertificateTheorem) -> Certificate:
    """Return the part of a certificate that the manifest holds."""
    direction, output = certificate.worst
    return Certificate(
        theorem=theorem,
        value=float(certificate.bound),
        numerator=certificate.bound.numerator,
        denominator=certificate.bound.denominator,
        output=output,
        sign=1 if direction == 0 else -1,
        witness=[int(x) for x in certificate.witnesses[direction, output]],
    )
