"""The slow golden model: explicit bitstreams, cycle by cycle, obviously right.

Nothing here uses `model.sequences` or `model.counting`: sources are state machines that step like
the hardware, bits are compared one by one, and every internal bit of every cycle can be read. It is
the reference that the fast model is held against, and what a probe of the RTL's inside is compared
with.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.manifest import CounterSource, LayerStructure, LfsrSource


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
        Shape (L, outputs), int64: what the parallel counter adds in each cycle.
    counts : numpy.ndarray
        Shape (outputs,), int64: the signed count after the last cycle, bias included.
    """

    x_bits: NDArray[np.bool_]
    w_bits: NDArray[np.bool_]
    products: NDArray[np.int8]
    increments: NDArray[np.int64]
    counts: NDArray[np.int64]


def source_words(
    source: CounterSource | LfsrSource, length: int, operand_width: int, lanes: int
) -> Iterator[list[int]]:
    """Yield, cycle by cycle, the word that each lane's comparator sees.

    Parameters
    ----------
    source : CounterSource or LfsrSource
        The source.
    length : int
        Number of cycles.
    operand_width : int
        Word width K in bits.
    lanes : int
        Number of lanes.
    """
    constants = source.xor_constants * (lanes if len(source.xor_constants) == 1 else 1)
    if isinstance(source, CounterSource):
        for cycle in range(length):
            digits = format(cycle, f"0{source.width}b")
            if source.reversed:
                digits = digits[::-1]
            word = int(digits.ljust(operand_width, "0")[:operand_width], 2)
            yield [word ^ constant for constant in constants]
        return
    # All lanes at once; one shift is that of `model.lfsr.shift`.
    states = np.array(list(source.seeds) * (lanes if len(source.seeds) == 1 else 1), dtype=np.int64)
    masks = np.array(constants, dtype=np.int64)
    mask = (1 << source.width) - 1
    for _ in range(length):
        yield (states >> (source.width - operand_width) ^ masks).tolist()
        for _ in range(source.step):
            entering = states >> (source.taps[0] - 1)
            for tap in source.taps[1:]:
                entering = entering ^ states >> (tap - 1)
            states = (states << 1 | entering & 1) & mask


def evaluate_layer(
    layer: LayerStructure,
    weights: NDArray[np.integer],
    biases: NDArray[np.integer],
    inputs: NDArray[np.integer],
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
        Shape (outputs,), integers in counts.
    inputs : numpy.ndarray
        Shape (fan_in,), signed magnitudes.
    operand_width : int
        Operand width K in bits.

    Returns
    -------
    LayerStreams
        Everything that happened.
    """
    length = layer.bitstream_length
    x_bits = np.zeros((length, layer.fan_in), dtype=np.bool_)
    w_bits = np.zeros((length, layer.outputs, layer.fan_in), dtype=np.bool_)
    cycles = zip(
        source_words(layer.x_source, length, operand_width, layer.fan_in),
        source_words(layer.w_source, length, operand_width, layer.fan_in),
        strict=True,
    )
    for cycle, (x_words, w_words) in enumerate(cycles):
        x_bits[cycle] = np.asarray(x_words) < np.abs(inputs)
        w_bits[cycle] = np.asarray(w_words)[None, :] < np.abs(weights)
    negative = (inputs < 0)[None, :] ^ (weights < 0)
    products = (x_bits[:, None, :] & w_bits).astype(np.int8)
    products[:, negative] *= -1
    increments = products.sum(axis=2, dtype=np.int64)
    return LayerStreams(
        x_bits, w_bits, products, increments, biases.astype(np.int64) + increments.sum(axis=0)
    )


def lane_counting_tables(
    layer: LayerStructure, operand_width: int
) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Count, for every lane and operand pair, the cycles in which both streams are 1.

    The same as `model.counting.lane_tables`, by another way: every operand's bitstream is written
    out and the ones in common are counted. It is what certificates are checked with.

    Parameters
    ----------
    layer : LayerStructure
        The layer.
    operand_width : int
        Operand width K in bits.

    Returns
    -------
    tables : numpy.ndarray
        Shape (different, ``2**K``, ``2**K + 1``), dtype int32.
    lane_table : numpy.ndarray
        Shape (fan_in,): the index into `tables` of each lane.
    """
    length, levels = layer.bitstream_length, 1 << operand_width
    x_words = np.array(list(source_words(layer.x_source, length, operand_width, layer.fan_in)))
    w_words = np.array(list(source_words(layer.w_source, length, operand_width, layer.fan_in)))
    tables: list[NDArray[np.int32]] = []
    known: dict[bytes, int] = {}
    lane_table = np.empty(layer.fan_in, dtype=np.intp)
    for lane in range(layer.fan_in):
        key = x_words[:, lane].tobytes() + w_words[:, lane].tobytes()
        if key not in known:
            known[key] = len(tables)
            # Sums of ones stay below 2**24, up to which float32, the fast way, is exact.
            x_bits = (x_words[:, lane, None] < np.arange(levels)).astype(np.float32)
            w_bits = (w_words[:, lane, None] < np.arange(levels + 1)).astype(np.float32)
            tables.append((x_bits.T @ w_bits).astype(np.int32))
        lane_table[lane] = known[key]
    return np.stack(tables), lane_table


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
