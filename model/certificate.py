"""Exact worst-case certificates: a layer's largest error over all inputs, and its witness.

With fixed sources the error of one lane is a table e(x, w) = T[x, w] / L - x w / 4**K, and a
neuron's error is a sum over lanes of terms that depend on one input each. The maximum over all
inputs therefore separates into one maximum a lane. No probability is involved, and the bound is
attained: the arg-max is the witness. (Star discrepancy of the point set for one lane: Niederreiter,
"Random Number Generation and Quasi-Monte Carlo Methods", SIAM 1992, chapter 2.)
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class LayerCertificate:
    """Exact worst-case error of every neuron of a layer, in both directions.

    Attributes
    ----------
    numerators : numpy.ndarray
        Shape (2, outputs), int64: the largest error upwards (row 0) and downwards (row 1), times
        `denominator`.
    denominator : int
        L * 4**K.
    witnesses : numpy.ndarray
        Shape (2, outputs, fan_in), int16: signed input magnitudes that attain each of them.
    """

    numerators: NDArray[np.int64]
    denominator: int
    witnesses: NDArray[np.int16]

    @property
    def worst(self) -> tuple[int, int]:
        """Direction (0 upwards, 1 downwards) and neuron of the bound; the first of equals."""
        direction, output = np.unravel_index(int(self.numerators.argmax()), self.numerators.shape)
        return int(direction), int(output)

    @property
    def bound(self) -> Fraction:
        """The layer's exact bound, in units of the weighted sum."""
        return Fraction(int(self.numerators.max()), self.denominator)


def error_table(table: NDArray[np.int32], length: int, operand_width: int) -> NDArray[np.int64]:
    """Return the error of a lane for all operand pairs, in units of ``1 / (L * 4**K)``.

    Parameters
    ----------
    table : numpy.ndarray
        Shape (``2**K``, ``2**K + 1``): a counting table.
    length : int
        Bitstream length L.
    operand_width : int
        Operand width K in bits.

    Returns
    -------
    numpy.ndarray
        The same shape, dtype int64: ``T * 4**K - x * w * L``.
    """
    levels = 1 << operand_width
    products = np.arange(levels, dtype=np.int64)[:, None] * np.arange(levels + 1, dtype=np.int64)
    return table.astype(np.int64) * (levels * levels) - products * length


def certify_layer(
    tables: NDArray[np.int32],
    lane_table: NDArray[np.intp],
    weights: NDArray[np.integer],
    length: int,
    operand_width: int,
    *,
    input_signed: bool,
) -> LayerCertificate:
    """Compute the exact worst-case error of a layer over all inputs.

    Parameters
    ----------
    tables : numpy.ndarray
        Shape (different, ``2**K``, ``2**K + 1``): the layer's counting tables.
    lane_table : numpy.ndarray
        Shape (fan_in,): which table each lane uses.
    weights : numpy.ndarray
        Shape (outputs, fan_in), integers from ``-2**K`` to ``2**K``.
    length : int
        Bitstream length L.
    operand_width : int
        Operand width K in bits.
    input_signed : bool
        Whether inputs may be negative.

    Returns
    -------
    LayerCertificate
        Bounds and witnesses.
    """
    outputs, fan_in = weights.shape
    denominator = length << (2 * operand_width)
    numerators = np.zeros((2, outputs), dtype=np.int64)
    witnesses = np.zeros((2, outputs, fan_in), dtype=np.int16)
    # Of one table: the largest error upwards and downwards for each weight magnitude, and the input
    # that gives it.
    summaries = []
    for table in tables:
        errors = error_table(table, length, operand_width)
        summaries.append((errors.max(0), errors.argmax(0), (-errors).max(0), errors.argmin(0)))
    for lane in range(fan_in):
        up, up_at, down, down_at = summaries[lane_table[lane]]
        magnitude = np.abs(weights[:, lane])
        positive = weights[:, lane] >= 0
        for direction in (0, 1):
            # A positive weight carries an upward error of its lane upwards, a negative one
            # downwards.
            straight = positive if direction == 0 else ~positive
            gain = np.where(straight, up[magnitude], down[magnitude])
            at = np.where(straight, up_at[magnitude], down_at[magnitude])
            if input_signed:
                mirrored = np.where(straight, down[magnitude], up[magnitude])
                mirrored_at = -np.where(straight, down_at[magnitude], up_at[magnitude])
                at = np.where(mirrored > gain, mirrored_at, at)
                gain = np.maximum(gain, mirrored)
            numerators[direction] += gain
            witnesses[direction, :, lane] = at
    return LayerCertificate(numerators, denominator, witnesses)
