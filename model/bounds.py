"""Hoeffding radii and the propagation of bounds through a network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.errors import InputError


def hoeffding_half_width(length: int, failure_probability: float) -> float:
    """Return Hoeffding's two-sided radius of one stream's mean.

    Parameters
    ----------
    length : int
        Bitstream length L, cycles.
    failure_probability : float
        d, in (0, 1): the radius is exceeded with probability at most d.

    Returns
    -------
    float
        ``sqrt(ln(2 / d) / (2 L))``.

    Raises
    ------
    InputError
        If an argument is outside its range.

    References
    ----------
    W. Hoeffding, "Probability inequalities for sums of bounded random variables", JASA 58 (1963),
    theorem 2.
    """
    if length < 1:
        raise InputError(f"bitstream length {length}", "length", "use 1 or more")
    if not 0 < failure_probability < 1:
        raise InputError(
            f"failure probability {failure_probability}", "failure_probability", "use (0, 1)"
        )
    return math.sqrt(math.log(2 / failure_probability) / (2 * length))


def simultaneous_radius(length: int, norm: float, confidence: float, family_size: int) -> float:
    """Return the radius that all outputs of all vectors keep together (union bound).

    Parameters
    ----------
    length : int
        Bitstream length L, cycles.
    norm : float
        norm1 or norm2 of the summands' ranges, as the sharing of sources demands.
    confidence : float
        Probability, in (0, 1), with which the whole family stays inside.
    family_size : int
        Outputs x vectors.

    Returns
    -------
    float
        ``norm * H(L, (1 - confidence) / family_size)``.
    """
    return norm * hoeffding_half_width(length, (1 - confidence) / family_size)


def propagate(
    absolute_weights: Sequence[NDArray[Any]],
    layer_errors: Sequence[NDArray[Any]],
    scale_exponents: Sequence[int],
    reencoding_error: float | Fraction,
) -> list[NDArray[Any]]:
    """Bound the distance of every neuron from the quantised network, layer by layer.

    ``E_l = |W_l| E_(l-1) + c_l`` on the weighted sum; clipping is 1-Lipschitz, so a layer's
    activation is off by at most ``2**e E_l`` plus the rounding at re-encoding. Sound for
    certificates without any independence, because each c_l holds for every input that layer l can
    see.

    Parameters
    ----------
    absolute_weights : sequence of numpy.ndarray
        For each layer, shape (outputs, fan_in): magnitudes of the weights, 0 to 1. Floats, or
        objects of type Fraction, with which the result is exact.
    layer_errors : sequence of numpy.ndarray
        For each layer, shape (outputs,): the layer's own bound on its weighted sum, likewise.
    scale_exponents : sequence of int
        For each layer, its power-of-two scale.
    reencoding_error : float or fractions.Fraction
        Largest rounding error of a re-encoded activation.

    Returns
    -------
    list of numpy.ndarray
        For each layer, shape (outputs,): the bound on its weighted sum.
    """
    bounds: list[NDArray[Any]] = []
    arriving: NDArray[Any] | None = None
    for weights, own, exponent in zip(absolute_weights, layer_errors, scale_exponents, strict=True):
        bound = own if arriving is None else weights @ arriving + own
        bounds.append(bound)
        # Fractions stay exact, floats stay floats.
        scale: Any = Fraction(2) ** exponent if bound.dtype == object else 2.0**exponent
        arriving = np.minimum(bound * scale + reencoding_error, 1)
    return bounds


def fractions(numerators: NDArray[np.integer], denominator: int) -> NDArray[Any]:
    """Return integers over a denominator as an array of objects of type Fraction.

    Parameters
    ----------
    numerators : numpy.ndarray
        Any shape.
    denominator : int
        Above 0.
    """
    parts = [Fraction(int(part), denominator) for part in numerators.ravel()]
    return np.array(parts, dtype=object).reshape(numerators.shape)


def float_above(bound: Fraction) -> float:
    """Return the smallest float that is not below a bound."""
    value = float(bound)
    return value if Fraction(value) >= bound else math.nextafter(value, math.inf)


def perturbation_bounds(
    before: NDArray[np.float64], after: NDArray[np.float64]
) -> tuple[float, ...]:
    """Bound what a change of weights does to each weighted sum.

    Inputs are within +-1, so a neuron's sum moves by at most the sum of the changes' magnitudes;
    an input of +-1 on every lane, with the signs of the changes, attains it.

    Parameters
    ----------
    before, after : numpy.ndarray
        Shape (outputs, fan_in).

    Returns
    -------
    tuple of float
        For each output; exact where nothing changed, otherwise rounded up by a part in 10**15.
    """
    bounds = []
    for old, new in zip(before, after, strict=True):
        changed = old != new
        sign = np.where(new > old, 1.0, -1.0)[changed]
        # fsum rounds once, so the differences themselves need not be representable.
        bounds.append(rounded_up(math.fsum([*(sign * new[changed]), *(-sign * old[changed])])))
    return tuple(bounds)


def rounded_up(value: float) -> float:
    """Return a bound that a few roundings of a value cannot have passed; zero stays zero.

    Parameters
    ----------
    value : float
        Not negative, and off by at most four units in the last place.
    """
    return value * (1 + 2.0**-50)
