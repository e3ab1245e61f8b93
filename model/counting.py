"""The fast golden model: counting tables that give the hardware's counts exactly, at any length.

A lane's count is ``T[x, w] = #{t : u(t) < x and v(t) < w}``, a two-dimensional cumulative histogram
of the points (u(t), v(t)). Sources restart for every vector and a parallel counter loses nothing,
so the layer's signed count is a sum of look-ups. `model.streams` evaluates the same thing bit by
bit; the two agree bit for bit (tests/test_golden.py).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model.manifest import LayerStructure
from model.sequences import source_sequence


def counting_table(
    x_sequence: NDArray[np.int32], w_sequence: NDArray[np.int32], operand_width: int
) -> NDArray[np.int32]:
    """Return the counting table of one lane.

    Parameters
    ----------
    x_sequence, w_sequence : numpy.ndarray
        Shape (L,), values 0 to ``2**K - 1``: what the two comparators of the lane see.
    operand_width : int
        Operand width K in bits.

    Returns
    -------
    numpy.ndarray
        Shape (``2**K``, ``2**K + 1``), dtype int32: T[x, w] for every input magnitude x and weight
        magnitude w.
    """
    levels = 1 << operand_width
    points = np.bincount(x_sequence * levels + w_sequence, minlength=levels * levels)
    table = np.zeros((levels + 1, levels + 1), dtype=np.int32)
    table[1:, 1:] = points.reshape(levels, levels).cumsum(axis=0).cumsum(axis=1)
    return table[:levels]


def lane_tables(
    layer: LayerStructure, operand_width: int
) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Return the different counting tables of a layer and which lane uses which.

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
    x_sequences = source_sequence(layer.x_source, layer.bitstream_length, operand_width)
    w_sequences = source_sequence(layer.w_source, layer.bitstream_length, operand_width)
    lanes = max(len(x_sequences), len(w_sequences))
    tables: list[NDArray[np.int32]] = []
    seen: dict[bytes, int] = {}
    lane_table = []
    for x_sequence, w_sequence in zip(
        np.broadcast_to(x_sequences, (lanes, layer.bitstream_length)),
        np.broadcast_to(w_sequences, (lanes, layer.bitstream_length)),
        strict=True,
    ):
        pair = x_sequence.tobytes() + w_sequence.tobytes()
        if pair not in seen:
            seen[pair] = len(tables)
            tables.append(counting_table(x_sequence, w_sequence, operand_width))
        lane_table.append(seen[pair])
    return np.stack(tables), np.broadcast_to(np.array(lane_table, dtype=np.intp), (layer.fan_in,))


class LayerCounter:
    """Exact signed counts of one layer with fixed weights.

    One row gather and one add for each input.

    Parameters
    ----------
    layer : LayerStructure
        The layer's part of the manifest.
    weights : numpy.ndarray
        Shape (outputs, fan_in), integers from ``-2**K`` to ``2**K``.
    biases : numpy.ndarray
        Shape (outputs,), integers in counts.
    operand_width : int
        Operand width K in bits.
    """

    def __init__(
        self,
        layer: LayerStructure,
        weights: NDArray[np.integer],
        biases: NDArray[np.integer],
        operand_width: int,
    ) -> None:
        tables, lane_table = lane_tables(layer, operand_width)
        magnitudes = np.abs(weights).T
        signs = np.sign(weights).T
        # rows[i, x] is what input magnitude x on lane i adds to every output.
        self._rows = np.stack(
            [
                tables[lane_table[lane]][:, magnitudes[lane]] * signs[lane]
                for lane in range(layer.fan_in)
            ]
        ).astype(np.int32)
        self._biases = biases.astype(np.int64)
        self._batch = max(1, 4_000_000 // layer.outputs)

    def counts(self, inputs: NDArray[np.integer]) -> NDArray[np.int64]:
        """Return the signed counts of a batch of vectors.

        Parameters
        ----------
        inputs : numpy.ndarray
            Shape (vectors, fan_in), signed magnitudes from ``-(2**K - 1)`` to ``2**K - 1``.

        Returns
        -------
        numpy.ndarray
            Shape (vectors, outputs), dtype int64.
        """
        counts = np.empty((len(inputs), len(self._biases)), dtype=np.int64)
        for start in range(0, len(inputs), self._batch):
            part = inputs[start : start + self._batch]
            total = np.zeros((len(part), len(self._biases)), dtype=np.int32)
            for lane, row in enumerate(self._rows):
                magnitude = np.abs(part[:, lane])
                total += row[magnitude] * np.sign(part[:, lane], dtype=np.int32)[:, None]
            counts[start : start + self._batch] = total + self._biases
        return counts
