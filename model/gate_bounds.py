"""Radii of single blocks: how far a stream's mean is from its expectation, with what probability.

All of them are for cycles that are independent of each other, and for them only: an LFSR that
shifts one bit a cycle breaks them. Hoeffding's radius knows nothing of the mean; Bernstein's and
Chebyshev's use its variance; the Kullback-Leibler radius is Chernoff's method taken to its end for
a Bernoulli variable, and is never above Hoeffding's or Bernstein's.

References
----------
W. Hoeffding, "Probability inequalities for sums of bounded random variables", JASA 58 (1963),
theorems 1 and 2. S. Boucheron, G. Lugosi and P. Massart, "Concentration inequalities", Oxford 2013,
sections 2.2 (Chernoff), 2.8 (Bernstein).
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.argument_checks import checked_array, checked_integer
from model.bounds import hoeffding_half_width
from model.errors import InputError
from model.gates import and_expected, checked_probabilities, mux_expected, or_expected

# Halvings of the range of a radius: what is left of it is below the spacing of floats at 1.
_HALVINGS = 60


@dataclass(frozen=True)
class Radii:
    """Two-sided radii that a mean leaves with a probability of at most d.

    Attributes
    ----------
    hoeffding, bernstein, chebyshev : numpy.ndarray
        Symmetric radii, one for each expectation.
    kl_below, kl_above : numpy.ndarray
        The Kullback-Leibler radii below and above the expectation, d / 2 each.
    """

    hoeffding: NDArray[np.float64]
    bernstein: NDArray[np.float64]
    chebyshev: NDArray[np.float64]
    kl_below: NDArray[np.float64]
    kl_above: NDArray[np.float64]

    def times(self, factor: float) -> Radii:
        """Return the radii of a multiple of the mean.

        Parameters
        ----------
        factor : float
            Above 0.
        """
        return Radii(
            self.hoeffding * factor,
            self.bernstein * factor,
            self.chebyshev * factor,
            self.kl_below * factor,
            self.kl_above * factor,
        )


def bernstein_radius(
    variance: ArrayLike, length: int, failure_probability: float
) -> NDArray[np.float64]:
    """Return Bernstein's radius: ``a/3 + sqrt(a**2/9 + 2 a var)``, ``a = ln(2/d) / L``.

    It is below Hoeffding's iff ``var + radius/3 < 1/4``.

    Parameters
    ----------
    variance : array_like
        Of one cycle, whose values are within 1 of their mean.
    length : int
        Bitstream length L, cycles.
    failure_probability : float
        d, in (0, 1).
    """
    variance = _checked_variance(variance)
    share = _log_share(length, failure_probability)
    return np.asarray(share / 3 + np.sqrt(share * share / 9 + 2 * share * variance))


def chebyshev_radius(
    variance: ArrayLike, length: int, failure_probability: float
) -> NDArray[np.float64]:
    """Return Chebyshev's radius: ``sqrt(var / (L d))``.

    It is below Hoeffding's iff ``var < d ln(2/d) / 2``, and needs uncorrelated cycles only.

    Parameters
    ----------
    variance : array_like
        Of one cycle.
    length : int
        Bitstream length L, cycles.
    failure_probability : float
        d, in (0, 1).
    """
    _log_share(length, failure_probability)
    return np.asarray(np.sqrt(_checked_variance(variance) / (length * failure_probability)))


def kl_chernoff_radius(
    p: ArrayLike, length: int, failure_probability: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the Kullback-Leibler radii below and above a mean of bits.

    Each side has ``kl(p -+ radius || p) = ln(2/d) / L``, or ends at 0 or 1 where no mean is that
    unlikely. Found by bisection and rounded outwards.

    Parameters
    ----------
    p : array_like
        Probability of a one.
    length : int
        Bitstream length L, cycles.
    failure_probability : float
        d, in (0, 1).

    Returns
    -------
    below, above : numpy.ndarray
        Same shape.
    """
    p = checked_probabilities("p", p)
    share = _log_share(length, failure_probability)
    return _one_sided_kl(1 - p, p, share), _one_sided_kl(p, 1 - p, share)


def bernoulli_radii(p: ArrayLike, length: int, failure_probability: float) -> Radii:
    """Return all radii of a stream's mean.

    Parameters
    ----------
    p : array_like
        Probability of a one.
    length : int
        Bitstream length L, cycles.
    failure_probability : float
        d, in (0, 1).
    """
    p = checked_probabilities("p", p)
    variance = p * (1 - p)
    below, above = kl_chernoff_radius(p, length, failure_probability)
    return Radii(
        np.full(p.shape, hoeffding_half_width(length, failure_probability)),
        bernstein_radius(variance, length, failure_probability),
        chebyshev_radius(variance, length, failure_probability),
        below,
        above,
    )


def and_radii(x: ArrayLike, w: ArrayLike, length: int, failure_probability: float) -> Radii:
    """Return the radii of an AND multiplier's mean about ``x w``.

    Parameters
    ----------
    x, w : array_like
        Probabilities of a one, of streams independent of each other.
    length : int
        Bitstream length L, cycles.
    failure_probability : float
        d, in (0, 1).
    """
    return bernoulli_radii(and_expected(x, w), length, failure_probability)


def xnor_radii(x: ArrayLike, w: ArrayLike, length: int, failure_probability: float) -> Radii:
    """Return the radii of an XNOR multiplier's value about ``x w``.

    The value is twice the mean less one, so that every radius doubles.

    Parameters
    ----------
    x, w : array_like
        Bipolar values, -1 to 1, of streams independent of each other.
    length : int
        Bitstream length L, cycles.
    failure_probability : float
        d, in (0, 1).
    """
    product = _bipolar("x", x) * _bipolar("w", w)
    return bernoulli_radii((1 + product) / 2, length, failure_probability).times(2)


def mux_radii(
    p: ArrayLike, length: int, failure_probability: float, choices: int | None = None
) -> Radii:
    """Return the radii of a multiplexer's mean about `model.gates.mux_expected`.

    The select is uniform and new in each cycle; the inputs may depend on each other.

    Parameters
    ----------
    p : array_like
        Shape (..., inputs): probabilities of a one.
    length : int
        Bitstream length L, cycles.
    failure_probability : float
        d, in (0, 1).
    choices : int, optional
        Values that the select takes. Unset: `inputs`.
    """
    return bernoulli_radii(mux_expected(p, choices), length, failure_probability)


def or_radii(p: ArrayLike, length: int, failure_probability: float) -> Radii:
    """Return the radii of an OR gate's mean about ``1 - prod(1 - p)``.

    Parameters
    ----------
    p : array_like
        Shape (..., inputs): probabilities of a one, of streams independent of each other.
    length : int
        Bitstream length L, cycles.
    failure_probability : float
        d, in (0, 1).
    """
    return bernoulli_radii(or_expected(p), length, failure_probability)


def parallel_counter_radii(
    p: ArrayLike, length: int, failure_probability: float, *, independent: bool
) -> Radii:
    """Return the radii of a parallel counter's sum of means about ``sum p``.

    Inputs that depend on each other (one source for all of them) still give independent cycles of a
    sum between 0 and n, and the radii of n times a mean. Independent inputs are n L independent
    bits, of which Hoeffding's first theorem allows each its own p.

    Parameters
    ----------
    p : array_like
        Shape (..., inputs): probabilities of a one.
    length : int
        Bitstream length L, cycles.
    failure_probability : float
        d, in (0, 1).
    independent : bool
        Whether the inputs are independent of each other in each cycle.
    """
    p = checked_probabilities("p", p)
    inputs = p.shape[-1]
    mean = mux_expected(p)
    if not independent:
        return bernoulli_radii(mean, length, failure_probability).times(inputs)
    variance = (p * (1 - p)).sum(axis=-1)
    pooled = bernoulli_radii(mean, inputs * length, failure_probability).times(inputs)
    return Radii(
        pooled.hoeffding,
        # Of the mean over n L bits, n times a mean of variance var/n.
        inputs * bernstein_radius(variance / inputs, inputs * length, failure_probability),
        chebyshev_radius(variance, length, failure_probability),
        pooled.kl_below,
        pooled.kl_above,
    )


def binomial_failure(p: float, length: int, below: float, above: float) -> float:
    """Return the exact probability that a mean of independent bits is outside an interval.

    Parameters
    ----------
    p : float
        Probability of a one.
    length : int
        Bitstream length L, cycles.
    below, above : float
        The interval is ``p - below`` to ``p + above``, ends included.

    Returns
    -------
    float
        Exact but for rounding, relative to itself, however small it is.
    """
    checked_probabilities("p", p)
    checked_integer("length", length, 1)
    if p in (0.0, 1.0):
        return 0.0 if min(below, above) >= 0 else 1.0
    # Integers, so that no rounding moves a count over an end.
    first = math.ceil((Fraction(p) - Fraction(below)) * length)
    last = math.floor((Fraction(p) + Fraction(above)) * length)
    ones = np.arange(length + 1)
    outside = ones[(ones < first) | (ones > last)]
    factorials = _log_factorials(length)
    logs = (
        factorials[length]
        - factorials[outside]
        - factorials[length - outside]
        + outside * math.log(p)
        + (length - outside) * math.log1p(-p)
    )
    return math.fsum(np.exp(logs))


def binomial_coverage(p: float, length: int, below: float, above: float) -> float:
    """Return the exact probability that a mean of independent bits is inside an interval.

    Parameters
    ----------
    p : float
        Probability of a one.
    length : int
        Bitstream length L, cycles.
    below, above : float
        The interval is ``p - below`` to ``p + above``, ends included.
    """
    return 1 - binomial_failure(p, length, below, above)


def _log_share(length: int, failure_probability: float) -> float:
    """Return ``ln(2/d) / L``, after a check of both."""
    hoeffding_half_width(length, failure_probability)
    return math.log(2 / failure_probability) / length


def _one_sided_kl(
    p: NDArray[np.float64], q: NDArray[np.float64], share: float
) -> NDArray[np.float64]:
    """Return the radius above p, where q is 1 - p, whose divergence is not below `share`."""
    too_small = np.zeros(p.shape)
    # The whole range holds every mean, whatever its divergence; q itself may be rounded.
    enough = np.where(q > 0, np.nextafter(q, 2), 0)
    for _ in range(_HALVINGS):
        middle = (too_small + enough) / 2
        suffices = _divergence_below(p, q, middle) >= share
        enough = np.where(suffices, middle, enough)
        too_small = np.where(suffices, too_small, middle)
    return enough


def _divergence_below(
    p: NDArray[np.float64], q: NDArray[np.float64], radius: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return kl(p + radius || p) less what rounding may have added; where p is 0, infinity."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        up = (p + radius) * np.log1p(np.minimum(radius / p, 1e300))
        rest = q - radius
        down = np.where(rest > 0, rest * np.log1p(-radius / q), 0.0)
    # Each product is off by some roundings of itself; the two nearly cancel.
    divergence = up + down - 2.0**-47 * (np.abs(up) + np.abs(down))
    return np.where(p > 0, divergence, np.inf)


def _checked_variance(variance: ArrayLike) -> NDArray[np.float64]:
    """Return variances as an array, or refuse them."""
    array = checked_array("variance", variance)
    if (array < 0).any():
        raise InputError(f"variance is {array.min():g}", "variance", "use numbers, 0 or more")
    return array


def _bipolar(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return bipolar values as an array, or refuse them."""
    array = checked_array(name, values)
    if (np.abs(array) > 1).any():
        raise InputError(
            f"{name} is {array.flat[np.argmax(np.abs(array))]:g}", name, "use numbers from -1 to 1"
        )
    return array


@functools.lru_cache(maxsize=8)
def _log_factorials(largest: int) -> NDArray[np.float64]:
    """Return the logarithms of 0! to `largest`!."""
    return np.array([math.lgamma(number + 1) for number in range(largest + 1)])
