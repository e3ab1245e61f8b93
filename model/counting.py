"""The fast golden model: counting tables that give the hardware's counts exactly, at any length.

A lane's count is ``T[x, w] = #{t : u(t) < x and v(t) < w}``, a two-dimensional cumulative histogram
of the points (u(t), v(t)). Sources restart for every vector and a parallel counter loses nothing,
so the layer's signed count is a sum of look-ups. So it is with a MUX adder: each lane is counted in
the cycles in which it is selected. `model.streams` evaluates the same thing bit by bit; the two
agree bit for bit (tests/test_golden.py).
"""

from __future__ import annotations

from collections.abc import Iterator

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
    return full_counting_table(x_sequence, w_sequence, operand_width)[:-1]


def full_counting_table(
    x_sequence: NDArray[np.int32], w_sequence: NDArray[np.int32], word_width: int
) -> NDArray[np.int32]:
    """Return a counting table with a last row too, of an input that is always 1.

    Parameters
    ----------
    x_sequence, w_sequence : numpy.ndarray
        Shape (L,), values 0 to ``2**word_width - 1``.
    word_width : int
        Bits of the words.

    Returns
    -------
    numpy.ndarray
        Shape (``2**word_width + 1``, ``2**word_width + 1``), dtype int32.
    """
    levels = 1 << word_width
    points = np.bincount(x_sequence * levels + w_sequence, minlength=levels * levels)
    table = np.zeros((levels + 1, levels + 1), dtype=np.int32)
    table[1:, 1:] = points.reshape(levels, levels).cumsum(axis=0).cumsum(axis=1)
    return table


def layer_inputs(layer: LayerStructure, operand_width: int) -> NDArray[np.int64]:
    """Return the inputs that a lane's counts are tabled for, in rising order.

    All signed operands in bipolar encoding. Magnitudes in the others: there a negative input counts
    as its magnitude does, with the other sign.

    Parameters
    ----------
    layer : LayerStructure
        The layer.
    operand_width : int
        Operand width K in bits.
    """
    top = (1 << operand_width) - 1
    signed = layer.encoding == "bipolar" and layer.input_signed
    return np.arange(-top if signed else 0, top + 1)


def lane_counts(
    layer: LayerStructure, weights: NDArray[np.integer], operand_width: int
) -> Iterator[NDArray[np.int32]]:
    """Yield, lane by lane, the signed count that each input gives in each neuron.

    A neuron's count is the sum of these over its lanes, and its bias.

    Parameters
    ----------
    layer : LayerStructure
        The layer; its inputs are operands, not streams.
    weights : numpy.ndarray
        Shape (outputs, fan_in), integers from ``-2**K`` to ``2**K``.
    operand_width : int
        Operand width K in bits.

    Yields
    ------
    numpy.ndarray
        Shape (inputs, outputs), dtype int32, with the inputs of `layer_inputs`.
    """
    length, width = layer.bitstream_length, layer.word_width(operand_width)
    x_words = source_sequence(layer.x_source, length, width)
    w_words = source_sequence(layer.w_source, length, width)
    select = None
    if layer.select_source is not None:
        select = select_sequence(layer)
    inputs = layer_inputs(layer, operand_width)
    gain = 1 if select is None else 1 << select_width(layer.fan_in)
    of_synapses = len(w_words) > layer.fan_in
    known: dict[bytes, NDArray[np.int32]] = {}

    def table(lane: int, x_word: NDArray[np.int32], w_word: NDArray[np.int32]) -> NDArray[np.int32]:
        if select is not None:
            selected = select == lane
            return full_counting_table(x_word[selected], w_word[selected], width)
        # Lanes that share both words share the table.
        key = x_word.tobytes() + w_word.tobytes()
        if key not in known:
            if of_synapses:
                known.clear()
            known[key] = full_counting_table(x_word, w_word, width)
        return known[key]

    for lane in range(layer.fan_in):
        x_word = x_words[lane if len(x_words) > 1 else 0]
        if of_synapses:
            own = w_words[lane * layer.outputs : (lane + 1) * layer.outputs]
            parts = [(table(lane, x_word, word), [j]) for j, word in enumerate(own)]
        else:
            w_word = w_words[lane if len(w_words) > 1 else 0]
            parts = [(table(lane, x_word, w_word), list(range(len(weights))))]
        counts = [
            _signed_counts(layer, counted, inputs, weights[outputs, lane], operand_width)
            for counted, outputs in parts
        ]
        yield np.concatenate(counts, axis=1) * np.int32(gain)


def _signed_counts(
    layer: LayerStructure,
    table: NDArray[np.int32],
    inputs: NDArray[np.int64],
    weights: NDArray[np.integer],
    operand_width: int,
) -> NDArray[np.int32]:
    """Return the signed counts of one lane, shape (inputs, outputs), from its counting table."""
    if layer.encoding != "bipolar":
        signs = np.sign(weights).astype(np.int32)
        counts: NDArray[np.int32] = table[inputs][:, np.abs(weights)] * signs
        return counts
    # XNOR is 1 where both streams are, or neither; each 1 counts up, each 0 down.
    levels = 1 << operand_width
    x_level, w_level = inputs + levels, weights + levels
    cycles = table[-1, -1]
    both = table[x_level][:, w_level]
    ones = cycles - table[x_level, -1][:, None] - table[-1, w_level] + 2 * both
    agreements: NDArray[np.int32] = 2 * ones - cycles
    return agreements


def select_width(fan_in: int) -> int:
    """Return the bits of the word that selects one of `fan_in` lanes of a MUX adder."""
    return max(1, (fan_in - 1).bit_length())


def select_sequence(layer: LayerStructure) -> NDArray[np.int32]:
    """Return the lane that a MUX adder selects in each cycle; beyond the fan-in: none.

    Parameters
    ----------
    layer : LayerStructure
        A layer with a select source.
    """
    assert layer.select_source is not None
    width = select_width(layer.fan_in)
    lanes: NDArray[np.int32] = source_sequence(layer.select_source, layer.bitstream_length, width)[
        0
    ]
    return lanes


class LayerCounter:
    """Exact signed counts of one layer with fixed weights, where neurons have no state.

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
        # rows[i, x] is what the x-th input of lane i adds to every output.
        self._rows = np.stack(list(lane_counts(layer, weights, operand_width)))
        self._lowest = int(layer_inputs(layer, operand_width)[0])
        self._mirrored = layer.encoding != "bipolar"
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
                if self._mirrored:
                    magnitude = np.abs(part[:, lane])
                    total += row[magnitude] * np.sign(part[:, lane], dtype=np.int32)[:, None]
                else:
                    total += row[part[:, lane] - self._lowest]
            counts[start : start + self._batch] = total + self._biases
        return counts
