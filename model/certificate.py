"""Exact worst-case certificates: a layer's largest error over all inputs, and its witness.

With fixed sources the error of one lane is a table e(x, w) = T[x, w] / L - x w / 4**K, and a
neuron's error is a sum over lanes of terms that depend on one input each. The maximum over all
inputs therefore separates into one maximum a lane. No probability is involved, and the bound is
attained: the arg-max is the witness. (Star discrepancy of the point set for one lane: Niederreiter,
"Random Number Generation and Quasi-Monte Carlo Methods", SIAM 1992, chapter 2.)
"""

from __future__ import annotations

from collections.abc import Iterable
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
    lane_counts: Iterable[NDArray[np.integer]],
    inputs: NDArray[np.int64],
    weights: NDArray[np.integer],
    length: int,
    operand_width: int,
    *,
    mirrored: bool,
) -> LayerCertificate:
    """Compute the exact worst-case error of a layer over all inputs.

    Parameters
    ----------
    lane_counts : iterable of numpy.ndarray
        For each lane, shape (inputs, outputs): the signed count that each input gives.
    inputs : numpy.ndarray
        Shape (inputs,): which inputs, in steps of ``2**-K``.
    weights : numpy.ndarray
        Shape (outputs, fan_in), integers from ``-2**K`` to ``2**K``.
    length : int
        Bitstream length L.
    operand_width : int
        Operand width K in bits.
    mirrored : bool
        Whether the negatives of `inputs` occur too, with negative counts.

    Returns
    -------
    LayerCertificate
        Bounds and witnesses.
    """
    outputs, fan_in = weights.shape
    denominator = length << (2 * operand_width)
    numerators = np.zeros((2, outputs), dtype=np.int64)
    witnesses = np.zeros((2, outputs, fan_in), dtype=np.int16)
    for lane, counts in enumerate(lane_counts):
        products = inputs[:, None] * weights[:, lane].astype(np.int64)
        errors = (counts.astype(np.int64) << (2 * operand_width)) - products * length
        up, up_at = errors.max(axis=0), inputs[errors.argmax(axis=0)]
        down, down_at = -errors.min(axis=0), inputs[errors.argmin(axis=0)]
        if mirrored:
            up, up_at, down, down_at = (
                np.maximum(up, down),
                np.where(down > up, -down_at, up_at),
                np.maximum(up, down),
                np.where(up > down, -up_at, down_at),
            )
        numerators += np.stack([up, down])
        witnesses[:, :, lane] = np.stack([up_at, down_at])
    return LayerCertificate(numerators, denominator, witnesses)
