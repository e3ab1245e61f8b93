"""Layers that are evaluated cycle by cycle: neurons that spike, and inputs that are streams.

Whole batches at once: the increment of every cycle is a product of bit matrices. `model.streams`
does the same bit by bit; the two agree (tests/test_styles.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.counting import layer_inputs, select_sequence, select_width
from model.lif import simulate_lif
from model.manifest import LayerStructure
from model.sequences import source_sequence

# Elements of the arrays that one batch works on.
_BATCH = 16_000_000


class CycleLayer:
    """One layer with fixed weights, cycle by cycle.

    Parameters
    ----------
    layer : LayerStructure
        The layer's part of the manifest.
    weights : numpy.ndarray
        Shape (outputs, fan_in), integers from ``-2**K`` to ``2**K``.
    biases : numpy.ndarray
        Shape (outputs,), integers: counts; where neurons spike, the current of a cycle.
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
        self._layer, self._biases, self._operand_width = (
            layer,
            biases.astype(np.int64),
            operand_width,
        )
        self._weight_streams = weight_streams(layer, weights, operand_width)
        self._select = None if layer.select_source is None else select_sequence(layer)

    def counts(self, inputs: NDArray[Any]) -> NDArray[np.int64]:
        """Return the counts of a batch of vectors.

        Parameters
        ----------
        inputs : numpy.ndarray
            Shape (vectors, fan_in), signed magnitudes; or shape (vectors, L, fan_in), bool:
            streams.

        Returns
        -------
        numpy.ndarray
            Shape (vectors, outputs), int64.
        """
        counts: NDArray[np.int64]
        if self._layer.lif is not None:
            counts = self.spikes(inputs).sum(axis=1, dtype=np.int64)
        else:
            counts = self.sums(inputs) + self._biases
        return counts

    def sums(self, inputs: NDArray[Any]) -> NDArray[np.int64]:
        """Return what the adders gave in all cycles together, shape (vectors, outputs)."""
        return np.concatenate([part.sum(axis=1) for part in self._increments(inputs)])

    def spikes(self, inputs: NDArray[Any]) -> NDArray[np.bool_]:
        """Return the spikes of a batch of vectors, shape (vectors, L, outputs)."""
        neuron = self._layer.lif
        assert neuron is not None
        return np.concatenate(
            [simulate_lif(part, neuron, self._biases).spikes for part in self._increments(inputs)]
        )

    def increments(self, x: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return what the adder gives in each cycle.

        Parameters
        ----------
        x : numpy.ndarray
            Shape (vectors, L, fan_in), float32: input streams, of -1, 0 and 1.

        Returns
        -------
        numpy.ndarray
            Shape (vectors, L, outputs), int64.
        """
        weights = self._weight_streams
        if self._select is None:
            # (L, vectors, fan_in) x (L, fan_in, outputs); sums below 2**24 are exact in float32.
            sums = np.matmul(x.transpose(1, 0, 2), weights.transpose(0, 2, 1))
            increments: NDArray[np.int64] = sums.transpose(1, 0, 2).astype(np.int64)
            return increments
        used = self._select < self._layer.fan_in
        lane = np.where(used, self._select, 0)
        cycles = np.arange(len(lane))
        chosen = x[:, cycles, lane][:, :, None] * weights[cycles, :, lane] * used[:, None]
        gained: NDArray[np.int64] = chosen.astype(np.int64) << select_width(self._layer.fan_in)
        return gained

    def _increments(self, inputs: NDArray[Any]) -> Iterator[NDArray[np.int64]]:
        """Yield the increments of some vectors at a time."""
        cost = self._layer.bitstream_length * (self._layer.fan_in + self._layer.outputs)
        batch = max(1, _BATCH // cost)
        # An empty batch has one part, too: it is empty.
        for start in range(0, max(1, len(inputs)), batch):
            part = inputs[start : start + batch]
            if part.ndim == 3:
                yield self.increments(part.astype(np.float32))
            else:
                yield self.increments(input_streams(self._layer, part, self._operand_width))


def input_streams(
    layer: LayerStructure, inputs: NDArray[np.integer], operand_width: int
) -> NDArray[np.float32]:
    """Return the input streams of operands, in signed form.

    Parameters
    ----------
    layer : LayerStructure
        The layer.
    inputs : numpy.ndarray
        Shape (vectors, fan_in), signed magnitudes.
    operand_width : int
        Operand width K in bits.

    Returns
    -------
    numpy.ndarray
        Shape (vectors, L, fan_in), float32: -1 or 1 in bipolar encoding, else 0 or the sign.
    """
    words = source_sequence(
        layer.x_source, layer.bitstream_length, layer.word_width(operand_width)
    ).T[None]
    if layer.encoding == "bipolar":
        bits = words < inputs[:, None, :].astype(np.int64) + (1 << operand_width)
        return np.where(bits, np.float32(1), np.float32(-1))
    bits = words < np.abs(inputs.astype(np.int64))[:, None, :]
    streams: NDArray[np.float32] = bits * np.sign(inputs).astype(np.float32)[:, None, :]
    return streams


def weight_streams(
    layer: LayerStructure, weights: NDArray[np.integer], operand_width: int
) -> NDArray[np.float32]:
    """Return the weights' streams in signed form: shape (L, outputs, fan_in), float32."""
    length = layer.bitstream_length
    words = source_sequence(layer.w_source, length, layer.word_width(operand_width)).T
    if words.shape[1] > layer.fan_in:
        words = words.reshape(length, layer.fan_in, layer.outputs).transpose(0, 2, 1)
    else:
        words = words[:, None, :]
    if layer.encoding == "bipolar":
        bits = words < weights.astype(np.int64) + (1 << operand_width)
        return np.where(bits, np.float32(1), np.float32(-1))
    signs = np.sign(weights).astype(np.float32)
    streams: NDArray[np.float32] = (words < np.abs(weights.astype(np.int64))) * signs
    return streams


def partial_deviations(
    layer: LayerStructure, weights: NDArray[np.integer], operand_width: int
) -> tuple[NDArray[np.int64], NDArray[np.int16]]:
    """Bound how far a neuron's sum of increments is from its straight line, at any cycle.

    For each cycle t, the largest distance of ``sum over the first t cycles of I`` from ``t sum_i
    x_i w_i`` over all inputs separates into the lanes, as a certificate does; what is returned is
    the largest over all t. It is exact and attained.

    Parameters
    ----------
    layer : LayerStructure
        The layer; its inputs are operands.
    weights : numpy.ndarray
        Shape (outputs, fan_in), integers from ``-2**K`` to ``2**K``.
    operand_width : int
        Operand width K in bits.

    Returns
    -------
    numerators : numpy.ndarray
        Shape (2, outputs), int64, upwards and downwards, in units of ``4**-K``.
    witnesses : numpy.ndarray
        Shape (2, outputs, fan_in), int16: signed magnitudes that attain them.
    """
    inputs = layer_inputs(layer, operand_width)
    mirrored = layer.encoding != "bipolar" and layer.input_signed
    outputs = layer.outputs
    per_output = layer.bitstream_length * len(inputs)
    chunk = max(1, _BATCH // per_output)
    numerators = np.zeros((2, outputs), dtype=np.int64)
    witnesses = np.zeros((2, outputs, layer.fan_in), dtype=np.int16)
    x = _lane_streams(layer, inputs, operand_width)
    w = weight_streams(layer, weights, operand_width)
    integers = weights.astype(np.int64)
    cycles = np.arange(1, layer.bitstream_length + 1)
    for first in range(0, outputs, chunk):
        part = slice(first, min(first + chunk, outputs))
        totals = np.zeros((2, layer.bitstream_length, part.stop - first), dtype=np.int64)
        for lane in range(layer.fan_in):
            # Shape (L, inputs, outputs of the part).
            steps = x[lane][:, :, None] * w[:, None, part, lane]
            counts = steps.astype(np.int64).cumsum(axis=0) << (2 * operand_width)
            errors = counts - cycles[:, None, None] * (inputs[:, None] * integers[part, lane])
            up, down = errors.max(axis=1), -errors.min(axis=1)
            if mirrored:
                up = down = np.maximum(up, down)
            totals += np.stack([up, down])
        at = totals.argmax(axis=1)
        numerators[:, part] = np.take_along_axis(totals, at[:, None], axis=1)[:, 0]
        for direction, sign in ((0, 1), (1, -1)):
            until = cycles[at[direction]]
            for lane in range(layer.fan_in):
                # The errors of the worst cycle alone; sums of ones stay exact in float32.
                counted = x[lane].T @ (w[:, part, lane] * (cycles[:, None] <= until))
                errors = counted.astype(np.int64) << (2 * operand_width)
                errors = sign * (errors - until * (inputs[:, None] * integers[part, lane]))
                best = inputs[errors.argmax(axis=0)]
                if mirrored:
                    crossed = errors.max(axis=0) < -errors.min(axis=0)
                    best = np.where(crossed, -inputs[errors.argmin(axis=0)], best)
                witnesses[direction, part, lane] = best
    return np.maximum(numerators, 0), witnesses


def _lane_streams(
    layer: LayerStructure, inputs: NDArray[np.int64], operand_width: int
) -> list[NDArray[np.float32]]:
    """Return for each lane the stream of every input, as the adder sees it: shape (L, inputs)."""
    words = source_sequence(layer.x_source, layer.bitstream_length, layer.word_width(operand_width))
    levels = inputs + (1 << operand_width) if layer.encoding == "bipolar" else inputs
    streams = []
    select = None if layer.select_source is None else select_sequence(layer)
    for lane in range(layer.fan_in):
        bits = (words[lane if len(words) > 1 else 0][:, None] < levels).astype(np.float32)
        stream = 2 * bits - 1 if layer.encoding == "bipolar" else bits
        if select is not None:
            stream = stream * (select == lane)[:, None] * (1 << select_width(layer.fan_in))
        streams.append(stream.astype(np.float32))
    return streams
