"""The smallest and largest activation of every neuron over all inputs, by interval arithmetic."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Interval = tuple[NDArray[np.float64], NDArray[np.float64]]


def activation_intervals(
    weights: Sequence[NDArray[np.float64]],
    biases: Sequence[NDArray[np.float64]],
    scale_exponents: Sequence[int],
    inputs: Interval,
) -> list[Interval]:
    """Return an interval for each neuron's activation ``clip(2**e (w x + b), 0, 1)``.

    In float64 with an allowance for its rounding; where the allowance decides whether an activation
    is a constant, exactly. The same numbers give the same result on every machine.

    Parameters
    ----------
    weights : sequence of numpy.ndarray
        For each layer, shape (outputs, fan_in).
    biases : sequence of numpy.ndarray
        For each layer, shape (outputs,).
    scale_exponents : sequence of int
        For each layer its e.
    inputs : tuple of numpy.ndarray
        Two of shape (fan_in of the first layer,): the smallest and largest value of each input.

    Returns
    -------
    list of tuple of numpy.ndarray
        For each layer two of shape (outputs,): the smallest and largest activation, or beyond.
    """
    low, high = inputs
    intervals = []
    for layer, bias, exponent in zip(weights, biases, scale_exponents, strict=True):
        low, high = _activation_interval(layer, bias, low, high, 2.0**exponent)
        intervals.append((low, high))
    return intervals


def _activation_interval(
    weights: NDArray[np.float64],
    biases: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    scale: float,
) -> Interval:
    """Return the interval of each neuron of a layer."""
    positive, negative = np.maximum(weights, 0), np.minimum(weights, 0)
    top = _row_sums(positive * high + negative * low) + biases
    bottom = _row_sums(positive * low + negative * high) + biases
    # Twice the classic bound of a dot product's rounding error (N. J. Higham, "Accuracy and
    # Stability of Numerical Algorithms", SIAM 2002, section 3.1), so that this line's own rounding
    # and underflow are within it.
    terms = weights.shape[1] + 4
    size = _row_sums(np.abs(weights) * np.maximum(np.abs(low), np.abs(high))) + np.abs(biases)
    allowance = terms * (sys.float_info.epsilon * size + sys.float_info.min)
    largest = np.clip((top + allowance) * scale, 0, 1)
    smallest = np.clip((bottom - allowance) * scale, 0, 1)
    for row in np.flatnonzero((largest > 0) & (top - allowance <= 0)):
        if _exact_sum(positive[row], high, negative[row], low, biases[row]) <= 0:
            smallest[row] = largest[row] = 0.0
    for row in np.flatnonzero((smallest < 1) & ((bottom + allowance) * scale >= 1)):
        exact = _exact_sum(positive[row], low, negative[row], high, biases[row])
        if exact * Fraction(scale) >= 1:
            smallest[row] = largest[row] = 1.0
    return smallest, largest


def _row_sums(terms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add up rows; unlike a matrix product, in an order that no library chooses."""
    return np.array([math.fsum(row) for row in terms.tolist()])


def _exact_sum(
    positive: NDArray[np.float64],
    with_positive: NDArray[np.float64],
    negative: NDArray[np.float64],
    with_negative: NDArray[np.float64],
    bias: float,
) -> Fraction:
    """Return a bound of a weighted sum without rounding."""
    total = Fraction(bias)
    for weights, values in ((positive, with_positive), (negative, with_negative)):
        for lane in np.flatnonzero(weights):
            total += Fraction(weights[lane]) * Fraction(values[lane])
    return total
