"""The slow golden model: explicit bitstreams, cycle by cycle, obviously right.

Nothing here uses `model.sequences` or `model.counting`: sources are state machines that step like
the hardware, bits are compared one by one, and every internal bit of every cycle can be read. It is
the reference that the fast model is held against, and what a probe of the RTL's inside is compared
with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.manifest import (
    CounterSource,
    HaltonSource,
    LayerStructure,
    LfsrSource,
    LifNeuron,
    SobolSource,
    Source,
)


@dataclass(frozen=True)
class LayerStreams:
    """Every internal bit of one layer while it works on one vector.

    Attributes
    ----------
    x_bits : numpy.ndarray
        Shape (L, fan_in), bool: the input streams.
    w_bits : numpy.ndarray
        Shape (L, outputs, fan_in), bool: the weight streams.
    products : numpy.ndarray
        Shape (L, outputs, fan_in), int8: -1, 0 or +1.
    increments : numpy.ndarray
        Shape (L, outputs), int64: what the adder gives in each cycle.
    spikes : numpy.ndarray or None
        Shape (L, outputs), bool; None where neurons do not spike.
    voltages : numpy.ndarray or None
        Shape (L, outputs), int64: the membranes after each cycle; None likewise.
    counts : numpy.ndarray
        Shape (outputs,), int64: the signed count after the last cycle, bias included; where neurons
        spike, the number of spikes.
    """

    x_bits: NDArray[np.bool_]
    w_bits: NDArray[np.bool_]
    products: NDArray[np.int8]
    increments: NDArray[np.int64]
    spikes: NDArray[np.bool_] | None
    voltages: NDArray[np.int64] | None
    counts: NDArray[np.int64]


def source_words(
    source: Source, length: int, operand_width: int, lanes: int
) -> Iterator[list[int]]:
    """Yield, cycle by cycle, the word that each lane's comparator sees.

    Parameters
    ----------
    source : Source
        The source.
    length : int
        Number of cycles.
    operand_width : int
        Word width K in bits.
    lanes : int
        Number of lanes.
    """

    def one_a_lane(entries: list[int]) -> list[int]:
        return entries * lanes if len(entries) == 1 else entries

    constants, rotations = one_a_lane(source.xor_constants), one_a_lane(source.rotations)
    for base_words in _base_words(source, length, operand_width):
        rotated: dict[tuple[str, int], int] = {}
        words = []
        for base, rotation, constant in zip(
            base_words * (lanes if len(base_words) == 1 else 1), rotations, constants, strict=True
        ):
            if (base, rotation) not in rotated:
                ring = base[rotation % len(base) :] + base[: rotation % len(base)]
                rotated[base, rotation] = int(ring[:operand_width], 2)
            words.append(rotated[base, rotation] ^ constant)
        yield words


def _base_words(source: Source, length: int, operand_width: int) -> Iterator[list[str]]:
    """Yield, cycle by cycle, the base word or those of all registers, in binary."""
    if isinstance(source, CounterSource):
        for cycle in range(length):
            # A counter of no bits has no digits; Python would write its 0 all the same.
            digits = format(cycle, f"0{source.width}b") if source.width else ""
            if source.reversed:
                digits = digits[::-1]
            yield [digits.ljust(operand_width, "0")[:operand_width]]
    elif isinstance(source, SobolSource):
        for cycle in range(length):
            word = 0
            for bit, direction in enumerate(source.directions):
                if cycle >> bit & 1:
                    word ^= direction
            yield [format(word, f"0{operand_width}b")]
    elif isinstance(source, HaltonSource):
        yield from _halton_words(source, length, operand_width)
    else:
        yield from _lfsr_words(source, length)


def _halton_words(source: HaltonSource, length: int, operand_width: int) -> Iterator[list[str]]:
    """Count in the base, digit by digit, and read the digits backwards behind the point."""
    count = [0] * source.digits
    for _ in range(length):
        numerator = 0
        for digit in count:
            numerator = source.base * numerator + digit
        word = (numerator << operand_width) // source.base**source.digits
        yield [format(word, f"0{operand_width}b")]
        for place in range(source.digits):
            count[place] += 1
            if count[place] < source.base:
                break
            count[place] = 0


def _lfsr_words(source: LfsrSource, length: int) -> Iterator[list[str]]:
    """Shift all registers at once, `step` times a cycle."""
    states = np.array(source.seeds, dtype=np.int64)
    mask = (1 << source.width) - 1
    for _ in range(length):
        yield [format(state, f"0{source.width}b") for state in states.tolist()]
        for _ in range(source.step):
            if source.form == "fibonacci":
                entering = np.zeros_like(states)
                for tap in source.taps:
                    entering = entering ^ states >> (tap - 1) & 1
                states = (states << 1 | entering) & mask
            else:
                leaving = states >> (source.width - 1) & 1
                states = states << 1 & mask
                for tap in source.taps:
                    states = states ^ leaving << (source.width - tap)


def evaluate_layer(
    layer: LayerStructure,
    weights: NDArray[np.integer],
    biases: NDArray[np.integer],
    inputs: NDArray[np.integer] | NDArray[np.bool_],
    operand_width: int,
) -> LayerStreams:
    """Run one vector through one layer, bit by bit.

    Parameters
    ----------
    layer : LayerStructure
        The layer's part of the manifest.
    weights : numpy.ndarray
        Shape (outputs, fan_in), integers from ``-2**K`` to ``2**K``.
    biases : numpy.ndarray
        Shape (outputs,), integers: counts, or of neurons that spike the current.
    inputs : numpy.ndarray
        Shape (fan_in,), signed magnitudes; or shape (L, fan_in), bool: streams.
    operand_width : int
        Operand width K in bits.

    Returns
    -------
    LayerStreams
        Everything that happened.
    """
    length = layer.bitstream_length
    w_bits = np.zeros((length, layer.outputs, layer.fan_in), dtype=np.bool_)
    for cycle, w_words in enumerate(_weight_words(layer, operand_width)):
        w_bits[cycle] = w_words < _levels(layer, weights, operand_width)
    if inputs.ndim == 2:
        x_bits, signs = inputs.astype(np.bool_), np.ones(layer.fan_in, dtype=np.int64)
    else:
        x_bits = np.zeros((length, layer.fan_in), dtype=np.bool_)
        levels = _levels(layer, inputs.astype(np.int64), operand_width)
        width = layer.word_width(operand_width)
        for cycle, words in enumerate(source_words(layer.x_source, length, width, layer.fan_in)):
            x_bits[cycle] = np.asarray(words) < levels
        signs = np.sign(inputs)
    if layer.encoding == "bipolar":
        products = np.where(x_bits[:, None, :] == w_bits, 1, -1).astype(np.int8)
    else:
        products = (x_bits[:, None, :] & w_bits).astype(np.int8)
        products[:, (signs < 0)[None, :] ^ (weights < 0)] *= -1
    increments = np.zeros((length, layer.outputs), dtype=np.int64)
    if layer.select_source is None:
        increments = products.sum(axis=2, dtype=np.int64)
    else:
        bits = max(1, (layer.fan_in - 1).bit_length())
        for cycle, (lane,) in enumerate(source_words(layer.select_source, length, bits, 1)):
            if lane < layer.fan_in:
                increments[cycle] = products[cycle, :, lane].astype(np.int64) << bits
    spikes = voltages = None
    if layer.lif is None:
        counts = biases.astype(np.int64) + increments.sum(axis=0)
    else:
        neurons = [
            fire(layer.lif, column, current)
            for column, current in zip(increments.T.tolist(), biases.tolist(), strict=True)
        ]
        spikes = np.array([fired for fired, _ in neurons], dtype=np.bool_).T
        voltages = np.array([after for _, after in neurons], dtype=np.int64).T
        counts = spikes.sum(axis=0, dtype=np.int64)
    return LayerStreams(x_bits, w_bits, products, increments, spikes, voltages, counts)


def evaluate_network(
    layers: Sequence[LayerStructure],
    weights: Sequence[NDArray[np.integer]],
    biases: Sequence[NDArray[np.integer]],
    inputs: NDArray[np.integer],
    operand_width: int,
) -> list[LayerStreams]:
    """Run one vector through all layers, bit by bit.

    Parameters
    ----------
    layers : sequence of LayerStructure
        The layers' parts of the manifest.
    weights, biases : sequence of numpy.ndarray
        Of each layer; see `evaluate_layer`.
    inputs : numpy.ndarray
        Shape (fan_in of the first layer,), signed magnitudes.
    operand_width : int
        Operand width K in bits.

    Returns
    -------
    list of LayerStreams
        Everything that happened, one a layer.
    """
    found: list[LayerStreams] = []
    operands: NDArray[np.integer] | NDArray[np.bool_] = inputs
    for layer, weight, bias in zip(layers, weights, biases, strict=True):
        found.append(evaluate_layer(layer, weight, bias, operands, operand_width))
        spikes = found[-1].spikes
        if layer.streams and spikes is not None:
            operands = spikes
        else:
            operands = np.array(next_magnitudes(layer, found[-1].counts, operand_width))
    return found


def fire(
    neuron: LifNeuron, increments: Sequence[int], current: int
) -> tuple[list[bool], list[int]]:
    """Return in which cycles a neuron without noise spikes, and its membrane after each.

    With integers of any size.

    Parameters
    ----------
    neuron : LifNeuron
        Its parameters.
    increments : sequence of int
        What the adder gives in each cycle.
    current : int
        The neuron's bias, a cycle.
    """
    largest = (1 << (neuron.width - 1)) - 1
    voltage, rest = 0, 0
    spikes: list[bool] = []
    voltages: list[int] = []
    for increment in increments:
        if rest > 0:
            rest -= 1
            spikes.append(False)
            voltages.append(voltage)
            continue
        drive = neuron.gain * increment + current - neuron.leak
        if neuron.leak_shift > 0:
            drive -= voltage // (1 << neuron.leak_shift)
        voltage = min(max(voltage + drive, neuron.floor, -largest - 1), largest)
        spikes.append(voltage >= neuron.threshold)
        if spikes[-1]:
            rest = neuron.refractory
            voltage = (
                voltage - neuron.threshold if neuron.reset == "subtract" else neuron.reset_value
            )
        voltages.append(voltage)
    return spikes, voltages


def written_out_lane_counts(
    layer: LayerStructure,
    inputs: NDArray[np.integer],
    weights: NDArray[np.integer],
    operand_width: int,
) -> Iterator[NDArray[np.int64]]:
    """Yield, lane by lane, the signed count that each input gives in each neuron.

    The same as `model.counting.lane_counts`, by another way: every operand's bitstream is written
    out, and products are added up cycle by cycle. It is what certificates are checked with.

    Parameters
    ----------
    layer : LayerStructure
        The layer.
    inputs : numpy.ndarray
        Shape (inputs,), signed magnitudes that are not negative except in bipolar encoding.
    weights : numpy.ndarray
        Shape (outputs, fan_in), integers from ``-2**K`` to ``2**K``.
    operand_width : int
        Operand width K in bits.

    Yields
    ------
    numpy.ndarray
        Shape (inputs, outputs), dtype int64.
    """
    length, width = layer.bitstream_length, layer.word_width(operand_width)
    x_words = np.array(list(source_words(layer.x_source, length, width, layer.fan_in)))
    w_words = np.array(list(_weight_words(layer, operand_width)))
    gain, selected = 1, None
    if layer.select_source is not None:
        bits = max(1, (layer.fan_in - 1).bit_length())
        gain = 1 << bits
        selected = np.array(
            [lane for (lane,) in source_words(layer.select_source, length, bits, 1)]
        )
    x_levels = _levels(layer, inputs, operand_width)
    w_levels = _levels(layer, weights, operand_width)
    for lane in range(layer.fan_in):
        # Sums of ones stay below 2**24, up to which float32, the fast way, is exact.
        x_bits = (x_words[:, lane, None] < x_levels).astype(np.float32)
        w_bits = (w_words[:, :, lane] < w_levels[:, lane]).astype(np.float32)
        if layer.encoding == "bipolar":
            x_bits, w_bits = 2 * x_bits - 1, 2 * w_bits - 1
        else:
            w_bits *= np.where(weights[:, lane] < 0, np.float32(-1), np.float32(1))
        if selected is not None:
            x_bits, w_bits = x_bits[selected == lane], w_bits[selected == lane]
        yield (x_bits.T @ w_bits).astype(np.int64) * gain


def _levels(
    layer: LayerStructure, operands: NDArray[np.integer], operand_width: int
) -> NDArray[np.int64]:
    """Return what the comparators hold the words against for these operands."""
    if layer.encoding == "bipolar":
        return operands.astype(np.int64) + (1 << operand_width)
    return np.abs(operands.astype(np.int64))


def _weight_words(layer: LayerStructure, operand_width: int) -> Iterator[NDArray[np.int64]]:
    """Yield, cycle by cycle, the words of the weights' comparators.

    Shape (outputs, fan_in); (1, fan_in) where neurons share them.
    """
    lanes = layer.fan_in
    if layer.w_source.sharing == "sng":
        lanes *= layer.outputs
    width = layer.word_width(operand_width)
    for words in source_words(layer.w_source, layer.bitstream_length, width, lanes):
        # Synapse (i, j) stands at i * outputs + j.
        yield np.array(words, dtype=np.int64).reshape(layer.fan_in, -1).T


def reencode(
    counts: NDArray[np.int64], length: int, operand_width: int, scale_exponent: int
) -> list[int]:
    """Re-encode signed counts as the next layer's magnitudes, one exact integer division each.

    Parameters
    ----------
    counts : numpy.ndarray
        Shape (outputs,).
    length : int
        Bitstream length of the layer that counted.
    operand_width : int
        Operand width K in bits.
    scale_exponent : int
        The layer's power-of-two scale.
    """
    numerator = 1 << max(operand_width + scale_exponent, 0)
    denominator = length << max(-(operand_width + scale_exponent), 0)
    top = (1 << operand_width) - 1
    magnitudes = []
    for count in counts.tolist():
        nearest = (2 * count * numerator + denominator) // (2 * denominator)
        magnitudes.append(min(max(nearest, 0), top))
    return magnitudes


def next_magnitudes(
    layer: LayerStructure, counts: NDArray[np.int64], operand_width: int
) -> list[int]:
    """Return the magnitudes that the next layer takes for a layer's counts.

    Parameters
    ----------
    layer : LayerStructure
        The layer that counted.
    counts : numpy.ndarray
        Shape (outputs,).
    operand_width : int
        Operand width K in bits.
    """
    if layer.activation == "step":
        return [0 if count < 0 else (1 << operand_width) - 1 for count in counts.tolist()]
    return reencode(counts, layer.bitstream_length, operand_width, layer.scale_exponent)
