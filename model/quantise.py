"""Quantisation of weights and biases to what the hardware holds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def quantise_weights(weights: NDArray[np.float64], operand_width: int) -> NDArray[np.int32]:
    """Round weights to sign and magnitude, halves away from zero.

    Parameters
    ----------
    weights : numpy.ndarray
        Any shape, within +-1.
    operand_width : int
        Magnitude width K in bits.

    Returns
    -------
    numpy.ndarray
        The same shape, int32, from ``-2**K`` to ``2**K``; off by at most half a step. Zero stays
        exactly zero.
    """
    magnitude = np.floor(np.abs(weights) * (1 << operand_width) + 0.5).astype(np.int32)
    return np.where(weights < 0, -magnitude, magnitude).astype(np.int32)


def quantise_biases(biases: NDArray[np.float64], length: int) -> NDArray[np.int64]:
    """Round biases to counts: ``floor(b L + 1/2)``.

    Parameters
    ----------
    biases : numpy.ndarray
        Any shape, in units of the layer's weighted sum.
    length : int
        Bitstream length L.

    Returns
    -------
    numpy.ndarray
        The same shape, int64; off by at most half a count.
    """
    counts: NDArray[np.int64] = np.floor(biases * length + 0.5).astype(np.int64)
    return counts
