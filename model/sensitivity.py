"""Sensitivity of layers to their bitstream length, measured on random streams."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.argument_checks import checked_integer, checked_layers
from model.errors import InputError
from model.limits import MAX_LENGTH

DEFAULT_LENGTHS = (32, 64, 128, 256, 512, 1024)
# Binomial draws at a time: 8 bytes each, a few such arrays.
_CHUNK = 2_000_000


def analyze_sensitivity(
    layer_weights: Sequence[ArrayLike],
    lengths: Sequence[int] | None = None,
    n_trials: int = 100,
    seed: int = 42,
) -> list[float]:
    """Measure what shorter bitstreams do to each layer's outputs.

    In each trial the inputs are drawn uniformly from [0, 1], every product becomes a random
    bitstream of the longest length, and the weighted sum is estimated from all of it and from its
    first part, of the shortest length. The sensitivity is the mean, over trials and outputs, of how
    far the two lie apart. It is a measurement, not a bound.

    Parameters
    ----------
    layer_weights : sequence of array_like
        For each layer, shape (outputs, fan_in), or (fan_in,) for a single output. Magnitudes beyond
        1 are held divided by a power of two, as the hardware would.
    lengths : sequence of int, optional
        At least two different lengths; the longest and the shortest matter. Default: 32 to 1024.
    n_trials : int
        Number of trials.
    seed : int
        Of the random streams. A layer's result does not depend on the other layers' weights.

    Returns
    -------
    list of float
        For each layer, in units of its weighted sum; 0 for a layer of zeros.

    Raises
    ------
    InputError
        If an argument is outside its range.
    """
    matrices, _ = checked_layers(layer_weights, None)
    shortest, longest = _ends(DEFAULT_LENGTHS if lengths is None else lengths)
    trials = checked_integer("n_trials", n_trials, 1)
    root = checked_integer("seed", seed, 0)
    return [
        _layer_sensitivity(matrix, shortest, longest, trials, np.random.default_rng([root, index]))
        for index, matrix in enumerate(matrices)
    ]


def power_of_two_scale(weights: NDArray[np.float64]) -> float:
    """Return the smallest power of two, 1 or more, that brings all weights within +-1."""
    mantissa, exponent = np.frexp(np.abs(weights).max())
    return float(2.0 ** max(0, int(exponent) - int(mantissa == 0.5)))


def _ends(lengths: Sequence[int]) -> tuple[int, int]:
    """Return the shortest and the longest length."""
    if isinstance(lengths, str | bytes) or not isinstance(lengths, Sequence | np.ndarray):
        raise InputError(f"lengths is {lengths!r}", "lengths", "give a list of integers")
    checked = [
        checked_integer(f"lengths[{index}]", length, 1, MAX_LENGTH)
        for index, length in enumerate(lengths)
    ]
    if len(set(checked)) < 2:
        raise InputError(f"lengths is {checked}", "lengths", "give at least two different lengths")
    return min(checked), max(checked)


def _layer_sensitivity(
    weights: NDArray[np.float64],
    shortest: int,
    longest: int,
    trials: int,
    generator: np.random.Generator,
) -> float:
    """Return the mean distance of the two estimates of one layer."""
    scale = power_of_two_scale(weights)
    magnitudes, signs = np.abs(weights) / scale, np.sign(weights)
    total = 0.0
    chunk = max(1, _CHUNK // weights.size)
    for start in range(0, trials, chunk):
        inputs = generator.random((min(chunk, trials - start), 1, weights.shape[1]))
        chances = inputs * magnitudes
        first = generator.binomial(shortest, chances)
        rest = generator.binomial(longest - shortest, chances)
        change = first / shortest - (first + rest) / longest
        total += float(np.abs((change * signs).sum(axis=2)).sum())
    return scale * total / (trials * len(weights))
