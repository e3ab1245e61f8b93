"""What a layer's error bound is as a function of its bitstream length, theorem by theorem.

A statistical bound holds for sources that are independent from cycle to cycle. How the lanes share
sources decides its size (docs/theory.md, section 5): with an x and a w source for each lane the
lanes are independent, and their ranges (Hoeffding) or variances (Chebyshev) add up as squares; with
sources that lanes share, ranges and standard deviations add up as they are. A certificate is exact
for the counter pair and needs no independence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from model.bounds import hoeffding_half_width
from model.design_bounds import certificate_of
from model.limits import MAX_LENGTH
from model.manifest import LayerStructure
from model.source_choice import SourceKind, choose_sources
from model.xor_constants import scan_constants

COUNTERS: tuple[SourceKind, ...] = ("counter", "counter-lane")
LFSRS: tuple[SourceKind, ...] = ("lfsr-lane", "lfsr")
SOURCES = (*COUNTERS, *LFSRS)
# The widest register of `model.plan`.
_WIDEST = 32


class BoundCurve(Protocol):
    """Bound of a layer's outputs at any length, in units of its weighted sum."""

    @property
    def theorem(self) -> str:
        """What the bound rests on."""

    def errors(self, lengths: Sequence[int]) -> NDArray[np.float64]:
        """Return the bound of every output at every length, shape (lengths, outputs)."""

    def needed(self, target: float, above: int) -> int | None:
        """Return the shortest length above `above` whose bound is within the target, if any."""


def longest_with_own_stretches(fan_in: int) -> int:
    """Return the longest bitstream at which every lane has stretches of states of its own.

    Parameters
    ----------
    fan_in : int
        Number of lanes, each with two registers; see `model.plan` for the rule.
    """
    return ((1 << _WIDEST) - 1) // (2 * fan_in * _WIDEST) - 1


class _StatisticalCurve:
    """A bound of the form ``sqrt(q / L)`` with a constant q of each output.

    Parameters
    ----------
    own, shared : numpy.ndarray
        Shape (outputs,): q with sources of each lane's own, and with shared ones.
    fan_in : int
        Number of lanes.
    source : {'lfsr-lane', 'lfsr'}
        What the lanes share.
    theorem : str
        What the bound rests on.
    """

    def __init__(
        self,
        own: NDArray[np.float64],
        shared: NDArray[np.float64],
        fan_in: int,
        source: SourceKind,
        theorem: str,
    ) -> None:
        self._own, self._shared = own, shared
        # Beyond this length no register is long enough for independent lanes.
        self._limit = longest_with_own_stretches(fan_in) if source == "lfsr-lane" else 0
        lanes = "sources of each lane's own" if source == "lfsr-lane" else "shared sources"
        self.theorem = f"{theorem}; {lanes}, independent from cycle to cycle"

    def errors(self, lengths: Sequence[int]) -> NDArray[np.float64]:
        """Return the bound of every output at every length, shape (lengths, outputs)."""
        column = np.asarray(lengths, dtype=np.float64)[:, None]
        constants = np.where(column <= self._limit, self._own, self._shared)
        bounds: NDArray[np.float64] = np.sqrt(constants / column)
        return bounds

    def needed(self, target: float, above: int) -> int | None:
        """Return the shortest length above `above` whose bound is within the target, if any."""
        for constants, first, last in (
            (self._own, 1, self._limit),
            (self._shared, self._limit + 1, math.inf),
        ):
            length = max(math.ceil(float(constants.max()) / target**2), first, above + 1)
            # The quotient may be rounded down, and the bound up.
            while length <= last and float(self.errors([length]).max()) > target:
                length += 1
            if length <= last:
                return length
        return None


def hoeffding_curve(
    weights: NDArray[np.int32],
    operand_width: int,
    scale: float,
    source: SourceKind,
    failure: float,
    vectors: int,
) -> BoundCurve:
    """Return Hoeffding's bound of a layer.

    A lane whose weight is zero adds nothing; every other has a range of 1.

    Parameters
    ----------
    weights : numpy.ndarray
        Shape (outputs, fan_in), integers from ``-2**K`` to ``2**K``.
    operand_width : int
        Operand width K in bits; not needed, for ranges do not depend on values.
    scale : float
        What the weights were divided by.
    source : {'lfsr-lane', 'lfsr'}
        What the lanes share.
    failure : float
        Probability with which any output of any of the vectors may exceed its bound.
    vectors : int
        Number of vectors that the bound covers together.
    """
    lanes = (weights != 0).sum(axis=1).astype(np.float64)
    family = max(1, int((lanes > 0).sum())) * vectors
    unit = (scale * hoeffding_half_width(1, failure / family)) ** 2
    return _StatisticalCurve(
        lanes * unit,
        lanes**2 * unit,
        weights.shape[1],
        source,
        f"Hoeffding 1963, theorem 2, two-sided, union bound over {family} outputs x vectors",
    )


def chebyshev_curve(
    weights: NDArray[np.int32],
    operand_width: int,
    scale: float,
    source: SourceKind,
    failure: float,
    vectors: int,
) -> BoundCurve:
    """Return Chebyshev's bound of a layer, with the largest variance that any input can cause.

    A product that is 1 with probability p <= w has the variance p (1 - p): at most w (1 - w) below
    one half, 1/4 above. Failures of all outputs add up to the sum of their variances over
    ``L r**2``, so one radius serves all.

    Parameters
    ----------
    weights : numpy.ndarray
        Shape (outputs, fan_in), integers from ``-2**K`` to ``2**K``.
    operand_width : int
        Operand width K in bits.
    scale : float
        What the weights were divided by.
    source : {'lfsr-lane', 'lfsr'}
        What the lanes share.
    failure : float
        Probability with which any output of any of the vectors may exceed its bound.
    vectors : int
        Number of vectors that the bound covers together.
    """
    family = max(1, int((weights != 0).any(axis=1).sum())) * vectors
    own, shared = _largest_variances(weights, operand_width)
    factor = scale**2 * vectors / failure
    return _StatisticalCurve(
        np.where(own > 0, own.sum(), 0.0) * factor,
        np.where(shared > 0, shared.sum(), 0.0) * factor,
        weights.shape[1],
        source,
        f"Chebyshev, largest variance of any input, union bound over {family} outputs x vectors",
    )


def root_mean_square_curve(
    weights: NDArray[np.int32], operand_width: int, scale: float, source: SourceKind
) -> BoundCurve:
    """Return the largest root mean square error of a layer's outputs that any input can cause.

    No bound by itself: root mean squares add up like bounds do on their way to the network's
    output (Minkowski's inequality, which needs no independence), and Chebyshev's inequality makes
    a bound of them there.

    Parameters
    ----------
    weights, operand_width, scale, source
        As for `chebyshev_curve`.
    """
    own, shared = _largest_variances(weights, operand_width)
    return _StatisticalCurve(
        own * scale**2, shared * scale**2, weights.shape[1], source, "largest variance of any input"
    )


def _largest_variances(
    weights: NDArray[np.int32], operand_width: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the largest variance of an output in one cycle, with own and with shared sources."""
    chances = np.minimum(np.abs(weights) / (1 << operand_width), 0.5)
    variances = chances * (1 - chances)
    return variances.sum(axis=1), np.sqrt(variances).sum(axis=1) ** 2


class CertificateCurve:
    """The exact certificate of a layer on the counter pair, for the constants that are planned.

    Parameters
    ----------
    weights : numpy.ndarray
        Shape (outputs, fan_in), integers from ``-2**K`` to ``2**K``.
    operand_width : int
        Operand width K in bits.
    scale : float
        What the weights were divided by.
    source : {'counter', 'counter-lane'}
        One XOR constant for the layer, or one a lane.
    input_signed : bool
        Whether inputs may be negative.
    """

    theorem = "separable exact maximum over all inputs, counter pair: certain"

    def __init__(
        self,
        weights: NDArray[np.int32],
        operand_width: int,
        scale: float,
        source: SourceKind,
        *,
        input_signed: bool,
    ) -> None:
        self._weights, self._operand_width, self._scale = weights, operand_width, scale
        self._source, self._input_signed = source, input_signed
        self._known: dict[int, NDArray[np.float64]] = {}

    def errors(self, lengths: Sequence[int]) -> NDArray[np.float64]:
        """Return the certificate of every output at every length, shape (lengths, outputs)."""
        return np.stack([self._errors(length) for length in lengths])

    def needed(self, target: float, above: int) -> int | None:
        """Return the shortest length above `above` whose bound is within the target, if any.

        ``4**K`` cycles count every pair of operands exactly, so nothing beyond needs a look.
        """
        length = 2
        while length <= min(MAX_LENGTH, 4**self._operand_width):
            if length > above and float(self._errors(length).max()) <= target:
                return length
            length *= 2
        return None

    def _errors(self, length: int) -> NDArray[np.float64]:
        if length not in self._known:
            exact = (
                self._shared_constant(length)
                if self._source == "counter"
                else self._constant_a_lane(length)
            )
            self._known[length] = exact * self._scale
        return self._known[length]

    def _shared_constant(self, length: int) -> NDArray[np.float64]:
        """Return what `CertificateScan.best_shared` leads to, in little memory."""
        up, down = _scan(length, self._operand_width)
        magnitude, positive = np.abs(self._weights), self._weights >= 0
        best: NDArray[np.int64] | None = None
        for upwards, downwards in zip(up, down, strict=True):
            if self._input_signed:
                worst = np.maximum(upwards, downwards)[magnitude].sum(axis=1)
            else:
                high, low = upwards[magnitude], downwards[magnitude]
                worst = np.maximum(
                    np.where(positive, high, low).sum(axis=1),
                    np.where(positive, low, high).sum(axis=1),
                )
            if best is None or worst.max() < best.max():
                best = worst
        assert best is not None
        return best / (length << (2 * self._operand_width))

    def _constant_a_lane(self, length: int) -> NDArray[np.float64]:
        sources = choose_sources(
            self._source,
            self._weights,
            length,
            self._operand_width,
            input_signed=self._input_signed,
            generator=np.random.default_rng(0),  # counters draw nothing
        )
        structure = LayerStructure(
            name="layer",
            fan_in=self._weights.shape[1],
            outputs=self._weights.shape[0],
            bitstream_length=length,
            input_signed=self._input_signed,
            activation="none",
            scale_exponent=0,
            accumulator_width=32,
            x_source=sources.x,
            w_source=sources.w,
        )
        certificate = certificate_of(structure, self._weights, self._operand_width)
        worst: NDArray[np.float64] = certificate.numerators.max(axis=0) / certificate.denominator
        return worst


@lru_cache(maxsize=64)
def _scan(length: int, operand_width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Scan the constants once for all layers; nobody may write to the result."""
    tables = scan_constants(length, operand_width)
    for table in tables:
        table.setflags(write=False)
    return tables
