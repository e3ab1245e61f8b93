"""Bitstream lengths for the layers of a network: shortest that meet a target, or best of a budget.

`assign_lengths` plans layers one by one. `LengthProblem` is what it shares with
`model.adaptive_precision.AdaptivePrecisionManager`, which also plans for the network's output.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.argument_checks import (
    checked_choice,
    checked_confidence,
    checked_integer,
    checked_layers,
    checked_list,
    checked_range,
    checked_real,
)
from model.errors import InputError
from model.layer_bounds import (
    COUNTERS,
    LFSRS,
    BoundCurve,
    CertificateCurve,
    chebyshev_curve,
    hoeffding_curve,
    root_mean_square_curve,
)
from model.length_choice import Candidates, Chain, least_cost, least_error, least_sum
from model.limits import MAX_ACCUMULATOR_WIDTH, MAX_LENGTH
from model.precision import METHODS, LayerPrecision, Method, PrecisionWarning, Unit
from model.quantise import quantise_weights
from model.sensitivity import analyze_sensitivity, power_of_two_scale
from model.source_choice import SourceKind

# Neighbouring lengths differ by less than this share, or by one cycle.
_STEP = 0.005


def assign_lengths(
    layer_weights: Sequence[ArrayLike],
    layer_names: Sequence[str] | None = None,
    total_budget: float | None = None,
    min_length: int = 32,
    max_length: int = 1024,
    target_error: float = 0.01,
    method: Method = "hoeffding",
    *,
    source: SourceKind | None = None,
    confidence: float = 0.95,
    vectors: int = 1,
    per: Unit = "sum",
    operand_bits: int = 8,
    input_signed: bool = True,
    cost_per_cycle: ArrayLike | None = None,
    sensitivities: ArrayLike | None = None,
    n_trials: int = 100,
    seed: int = 42,
    strict: bool = False,
) -> list[LayerPrecision]:
    """Choose a bitstream length for each layer, with a target error for each of them.

    Without a budget, every layer gets the shortest length whose bound is within the target. With a
    budget, all of it may be spent: of the plans within the budget the one with the least sum of
    bounds is taken (for 'sensitivity', weighted by the sensitivities), among those that meet the
    target in all layers where such plans exist.

    Parameters
    ----------
    layer_weights : sequence of array_like
        For each layer, shape (outputs, fan_in), or (fan_in,) for a single output. Magnitudes beyond
        1 are held divided by a power of two, and the layer's errors multiplied by it.
    layer_names : sequence of str, optional
        Default: ``layer_0``, ``layer_1``, ...
    total_budget : float, optional
        Largest sum over the layers of length x cost of a cycle.
    min_length, max_length : int
        Range of lengths, 2 to 2**20. Counters take the powers of two in it.
    target_error : float
        Largest error of any output of a layer, in units of its weighted sum (see `per`).
    method : {'hoeffding', 'chebyshev', 'sensitivity', 'certificate'}
        Which theorem gives the bound. 'sensitivity' uses Hoeffding's, and measured sensitivities
        for what a layer's bound counts under a budget.
    source : {'lfsr-lane', 'lfsr', 'counter', 'counter-lane'}, optional
        Sources as `model.plan.plan_design` calls them: 'lfsr-lane' (default) or 'lfsr' for the
        statistical methods, 'counter' (default) or 'counter-lane' for certificates.
    confidence : float
        Probability with which a layer's bound holds for all its outputs and all `vectors` at once.
    vectors : int
        Number of vectors that a bound covers together.
    per : {'sum', 'mean'}
        Unit of target and bounds: the weighted sum, or the sum divided by the layer's fan-in.
    operand_bits : int
        Operand width K, 1 to 10. Errors are those of the weights rounded to K bits.
    input_signed : bool
        Whether inputs may be negative; certificates depend on it.
    cost_per_cycle : array_like, optional
        For each layer, above 0. Default: 1.
    sensitivities : array_like, optional
        For each layer, 0 or more. Default: measured (`analyze_sensitivity`).
    n_trials, seed : int
        Of that measurement.
    strict : bool
        Whether a target that is not met is an error instead of a warning.

    Returns
    -------
    list of LayerPrecision
        One for each layer.

    Raises
    ------
    InputError
        If an argument is outside its range, no length fits the source, the budget does not even
        pay for the shortest lengths, or `strict` is set and a layer misses its target.

    Warns
    -----
    PrecisionWarning
        For every layer that misses its target.
    """
    matrices, names = checked_layers(layer_weights, layer_names)
    problem = LengthProblem(
        matrices,
        names,
        method=method,
        source=source,
        failures=[1 - checked_confidence(confidence)] * len(matrices),
        vectors=vectors,
        per=per,
        operand_bits=operand_bits,
        input_signed=[input_signed] * len(matrices),
        cost_per_cycle=cost_per_cycle,
        min_length=min_length,
        max_length=max_length,
        sensitivities=sensitivities,
        n_trials=n_trials,
        seed=seed,
    )
    return problem.for_layers(target_error, total_budget, strict=strict).layers


@dataclass(frozen=True)
class ChosenLengths:
    """A plan of lengths.

    Attributes
    ----------
    layers : list of LayerPrecision
        One for each layer.
    shortfalls : tuple of str
        For each target that is missed, what a `PrecisionWarning` says of it.
    """

    layers: list[LayerPrecision]
    shortfalls: tuple[str, ...]


@dataclass(frozen=True)
class _Need:
    """What a missed target would take."""

    name: str
    target: float
    best: float
    needed: str


class LengthProblem:
    """Layers, their bounds at every possible length, and the choices between them.

    Parameters
    ----------
    weights : sequence of numpy.ndarray
        For each layer, shape (outputs, fan_in), float64, checked.
    names : sequence of str
        For each layer.
    method, source, vectors, per, operand_bits, cost_per_cycle, min_length, max_length,\
    sensitivities, n_trials, seed
        As for `assign_lengths`.
    failures : sequence of float
        For each layer, the probability with which a statistical bound may fail.
    input_signed : sequence of bool
        For each layer.
    largest_biases : sequence of float, optional
        For each layer, largest magnitude of a bias; restricts the lengths to those whose counts
        fit the accumulator.
    accumulator_widths : sequence of int or None, optional
        For each layer, bits; None for the most that there are.
    """

    def __init__(
        self,
        weights: Sequence[NDArray[np.float64]],
        names: Sequence[str],
        *,
        method: Method,
        source: SourceKind | None,
        failures: Sequence[float],
        vectors: int,
        per: Unit,
        operand_bits: int,
        input_signed: Sequence[bool],
        cost_per_cycle: ArrayLike | None,
        min_length: int,
        max_length: int,
        sensitivities: ArrayLike | None,
        n_trials: int,
        seed: int,
        largest_biases: Sequence[float] | None = None,
        accumulator_widths: Sequence[int | None] | None = None,
    ) -> None:
        layers = len(weights)
        checked_choice("method", method, METHODS)
        self._method = method
        self.source = _checked_source(source, method)
        self._failures = failures
        checked_choice("per", per, ("sum", "mean"))
        self._per = per
        self.vectors = checked_integer("vectors", vectors, 1)
        checked_integer("operand_bits", operand_bits, 1, 10)
        checked_integer("n_trials", n_trials, 1)
        checked_integer("seed", seed, 0)
        self._range = checked_range(
            "min_length", min_length, "max_length", max_length, 2, MAX_LENGTH
        )
        self._costs = (
            np.ones(layers)
            if cost_per_cycle is None
            else checked_list("cost_per_cycle", cost_per_cycle, layers, positive=True)
        )
        self._given = (
            None
            if sensitivities is None
            else checked_list("sensitivities", sensitivities, layers, positive=False)
        )
        self._measured = (n_trials, seed)
        self._weights, self._names = weights, names
        self.scales = [power_of_two_scale(weight) for weight in weights]
        self.quantised = [
            quantise_weights(weight / scale, operand_bits)
            for weight, scale in zip(weights, self.scales, strict=True)
        ]
        self._units = [1 / weight.shape[1] if per == "mean" else 1.0 for weight in weights]
        self._curves = [
            self._curve(index, vectors, operand_bits, signed=input_signed[index])
            for index in range(layers)
        ]
        # What travels to the network's output: bounds; under Chebyshev root mean squares, too.
        self._routes: list[list[BoundCurve]] = [self._curves]
        if method == "chebyshev":
            self._routes.append(
                [
                    root_mean_square_curve(weights, operand_bits, scale, self.source)
                    for weights, scale in zip(self.quantised, self.scales, strict=True)
                ]
            )
        self._allowed = [
            self._lengths(
                index,
                0.0 if largest_biases is None else largest_biases[index],
                None if accumulator_widths is None else accumulator_widths[index],
            )
            for index in range(layers)
        ]

    @cached_property
    def candidates(self) -> list[Candidates]:
        """Return every layer's lengths with what they cost and guarantee."""
        return self._candidates(self._curves)

    @cached_property
    def _travelling(self) -> list[list[Candidates]]:
        """Return, for each route, every layer's lengths with what travels to the output."""
        return [self.candidates, *map(self._candidates, self._routes[1:])]

    def _candidates(self, curves: Sequence[BoundCurve]) -> list[Candidates]:
        return [
            Candidates(
                lengths, lengths * cost, curve.errors([int(length) for length in lengths]) * unit
            )
            for lengths, cost, curve, unit in zip(
                self._allowed, self._costs, curves, self._units, strict=True
            )
        ]

    @cached_property
    def sensitivities(self) -> list[float]:
        """Return the sensitivity of every layer, given or measured."""
        if self._given is not None:
            return [float(value) for value in self._given]
        trials, seed = self._measured
        return analyze_sensitivity(self._weights, None, trials, seed)

    def for_layers(
        self, target_error: float | None, total_budget: float | None, *, strict: bool
    ) -> ChosenLengths:
        """Plan with a target for each layer; see `assign_lengths`.

        Parameters
        ----------
        target_error : float or None
            Largest error of any output of a layer; None leaves the choice to the budget.
        total_budget : float or None
            Largest total cost.
        strict : bool
            Whether a missed target is an error.
        """
        budget = self._checked_budget(total_budget)
        target = _checked_target(target_error, budget)
        if budget is None and self.source in LFSRS:
            self._allow_shortest(target)
        picks = (
            [_shortest(layer, target) for layer in self.candidates]
            if budget is None
            else self._of_budget(target, budget)
        )
        missed = []
        for index, (layer, pick) in enumerate(zip(self.candidates, picks, strict=True)):
            if layer.worst[pick] > target:
                missed.append(self._need_of_layer(index, target, int(layer.lengths[pick])))
        shortfalls = self._report(missed, budget, strict=strict)
        met = [
            bool(layer.worst[pick] <= target)
            for layer, pick in zip(self.candidates, picks, strict=True)
        ]
        return ChosenLengths(self._records(picks, met), shortfalls)

    def for_output(
        self,
        chains: Sequence[Chain],
        target_error: float | None,
        total_budget: float | None,
        *,
        strict: bool,
    ) -> ChosenLengths:
        """Plan with a target for the network's output.

        Without a budget, the cheapest plan within the target; with one, the plan with the least
        end-to-end bound within the budget. Under 'sensitivity' and without a budget, the lengths
        are in the proportions (sensitivity / cost)**(2/3), which are optimal where errors fall with
        the square root of the length and add up.

        Parameters
        ----------
        chains : sequence of Chain
            How errors travel, one for each route: bounds, and under Chebyshev root mean squares.
            Either end-to-end bound holds by itself, so the smaller does.
        target_error : float or None
            Largest end-to-end error of any output; None leaves the choice to the budget.
        total_budget : float or None
            Largest total cost.
        strict : bool
            Whether a missed target is an error.
        """
        budget = self._checked_budget(total_budget)
        target = _checked_target(target_error, budget)
        if budget is not None:
            chosen = (
                least_sum(self.candidates, self._factors(), budget)
                if self._method == "sensitivity"
                else self._tightest(chains, budget)
            )
        elif self._method == "sensitivity":
            chosen = self._in_proportion(chains, target)
        else:
            found = [
                picks
                for layers, chain in zip(self._travelling, chains, strict=True)
                if (picks := least_cost(layers, chain, target)) is not None
            ]
            chosen = min(found, key=self._cost_of, default=None)
        if chosen is None:
            chosen = self._tightest(chains, math.inf)
        assert chosen is not None  # the shortest lengths fit the budget: _checked_budget
        met = self._bound_of(chains, chosen) <= target
        missed = [] if met else [self._need_of_output(chains, target, chosen)]
        shortfalls = self._report(missed, budget, strict=strict)
        return ChosenLengths(self._records(chosen, [met] * len(chosen)), shortfalls)

    def _tightest(self, chains: Sequence[Chain], budget: float) -> list[int] | None:
        """Return the plan with the least end-to-end bound within a budget, on any route."""
        found = [
            picks
            for layers, chain in zip(self._travelling, chains, strict=True)
            if (picks := least_error(layers, chain, budget)) is not None
        ]
        return min(found, key=lambda picks: self._bound_of(chains, picks), default=None)

    def _cost_of(self, picks: Sequence[int]) -> float:
        """Return what a plan costs."""
        return sum(
            float(layer.costs[pick]) for layer, pick in zip(self.candidates, picks, strict=True)
        )

    def _bound_of(
        self, chains: Sequence[Chain], picks: Sequence[int], without: int | None = None
    ) -> float:
        """Return the end-to-end bound of a plan, with one layer's own errors left out if wanted."""
        bounds = []
        for layers, chain in zip(self._travelling, chains, strict=True):
            errors = [layer.errors[pick] for layer, pick in zip(layers, picks, strict=True)]
            if without is not None:
                errors[without] = np.zeros_like(errors[without])
            bounds.append(chain.bound(errors))
        return min(bounds)

    def errors_at(self, lengths: Sequence[int]) -> list[list[NDArray[np.float64]]]:
        """Return, for each route, what travels from every output at given lengths."""
        return [
            [
                curve.errors([length])[0] * unit
                for curve, length, unit in zip(curves, lengths, self._units, strict=True)
            ]
            for curves in self._routes
        ]

    def bounds_at(self, lengths: Sequence[int]) -> list[float]:
        """Return the bound of the worst output of every layer at given lengths."""
        return [
            float(curve.errors([length])[0].max() * unit)
            for curve, length, unit in zip(self._curves, lengths, self._units, strict=True)
        ]

    def _curve(self, index: int, vectors: int, operand_bits: int, *, signed: bool) -> BoundCurve:
        weights, scale = self.quantised[index], self.scales[index]
        if self._method == "certificate":
            return CertificateCurve(weights, operand_bits, scale, self.source, input_signed=signed)
        make = chebyshev_curve if self._method == "chebyshev" else hoeffding_curve
        return make(weights, operand_bits, scale, self.source, self._failures[index], vectors)

    def _lengths(self, index: int, bias: float, width: int | None) -> NDArray[np.int64]:
        """Return the lengths that source, range and accumulator allow."""
        low, high = self._range
        synapses = max(1, int(np.count_nonzero(self.quantised[index], axis=1).max()))
        # As in `model.plan`: bias +- synapses x L, the bias rounded to half a count, and a sign.
        largest = (1 << ((MAX_ACCUMULATOR_WIDTH if width is None else width) - 1)) - 1
        fits = math.floor((largest - 0.5) / (bias + synapses))
        if self.source in COUNTERS:
            lengths = [1 << bit for bit in range(1, 21) if low <= 1 << bit <= min(high, fits)]
            kind = "power of two"
        else:
            lengths, length = [], low
            while length < min(high, fits):
                lengths.append(length)
                length = max(length + 1, math.floor(length * (1 + _STEP)))
            lengths += [min(high, fits)] if low <= min(high, fits) else []
            kind = "length"
        if not lengths:
            raise InputError(
                f"no {kind} lies between min_length, which is {low}, and max_length, which is"
                f" {high}, that the {'counter pair' if kind != 'length' else 'accumulator'} can"
                f" run in layer {self._names[index]} (accumulators end at {fits})",
                "min_length, max_length",
                "widen the range"
                if kind == "length"
                else "let the range hold 2, 4, 8, ... or 1048576, or choose another method",
            )
        return np.array(lengths, dtype=np.int64)

    def _allow_shortest(self, target: float) -> None:
        """Let every layer choose the very length that its target needs, between the steps."""
        for index, (curve, unit) in enumerate(zip(self._curves, self._units, strict=True)):
            lengths = self._allowed[index]
            needed = curve.needed(target / unit, int(lengths[0]) - 1)
            if needed is not None and needed < lengths[-1]:
                self._allowed[index] = np.union1d(lengths, [needed]).astype(np.int64)

    def _checked_budget(self, total_budget: float | None) -> float | None:
        """Return the budget, or refuse one that does not pay for the shortest lengths."""
        if total_budget is None:
            return None
        least = sum(float(layer.costs[0]) for layer in self.candidates)
        legal = f"use {least:g}, the cost of the shortest lengths, or more"
        budget = checked_real("total_budget", total_budget, above=0, legal=legal)
        if budget < least:
            raise InputError(f"total_budget is {budget:g}", "total_budget", legal)
        return budget

    def _factors(self) -> NDArray[np.float64]:
        """Return what each layer's bound counts under a budget."""
        factors = np.ones(len(self._weights))
        if self._method == "sensitivity":
            given = np.array(self.sensitivities)
            if given.max() > 0:
                factors = given / given.max()
        return factors

    def _of_budget(self, target: float, budget: float) -> list[int]:
        """Spend a budget, with all layers within the target if it suffices for that."""
        enough = [layer.worst <= target for layer in self.candidates]
        if all(keep.any() for keep in enough):
            good = [layer.only(keep) for layer, keep in zip(self.candidates, enough, strict=True)]
            chosen = least_sum(good, self._factors(), budget)
            if chosen is not None:
                return [
                    int(np.flatnonzero(keep)[pick])
                    for keep, pick in zip(enough, chosen, strict=True)
                ]
        chosen = least_sum(self.candidates, self._factors(), budget)
        assert chosen is not None  # the shortest lengths fit: _checked_budget
        return chosen

    def _in_proportion(self, chains: Sequence[Chain], target: float) -> list[int] | None:
        """Return the shortest lengths in the proportions of sensitivity that meet the target."""
        share = (np.maximum(self._factors(), 1e-6) / self._costs) ** (2 / 3)
        grids = [layer.lengths / part for layer, part in zip(self.candidates, share, strict=True)]
        # Lengths change only where the common factor passes a candidate.
        factors = np.unique(np.concatenate(grids))
        picks = np.stack(
            [np.minimum(np.searchsorted(grid, factors), len(grid) - 1) for grid in grids],
            axis=1,
        )
        low, high = 0, len(factors)
        while low < high:
            middle = (low + high) // 2
            if self._bound_of(chains, picks[middle]) <= target:
                high = middle
            else:
                low = middle + 1
        return None if low == len(factors) else [int(pick) for pick in picks[low]]

    def _need_of_layer(self, index: int, target: float, length: int) -> _Need:
        """Return what a layer would need for the target."""
        layer = self.candidates[index]
        within = np.flatnonzero(layer.worst <= target)
        needed: int | None
        if len(within):
            needed = int(layer.lengths[within[0]])
        else:
            needed = self._curves[index].needed(
                target / self._units[index], max(length, int(layer.lengths[-1]))
            )
        return _Need(
            self._names[index],
            target,
            float(layer.worst.min()),
            "no length is long enough" if needed is None else f"it would need length {needed}",
        )

    def _need_of_output(self, chains: Sequence[Chain], target: float, picks: list[int]) -> _Need:
        """Return what the layer that contributes most would need for the target at the output."""
        best = self._tightest(chains, math.inf)
        assert best is not None
        without = [self._bound_of(chains, picks, index) for index in range(len(picks))]
        worst = int(np.argmin(without))
        name = self._names[worst]
        reached = self._bound_of(chains, best)
        if reached <= target:
            lengths = [int(c.lengths[p]) for c, p in zip(self.candidates, best, strict=True)]
            return _Need(
                name,
                target,
                reached,
                f"it would need length {lengths[worst]} (all layers: {lengths})",
            )
        # Beyond the range: all layers together, doubled until it is enough.
        length = 1 << (max(int(layer.lengths[-1]) for layer in self.candidates)).bit_length()
        while length <= MAX_LENGTH:
            errors = self.errors_at([length] * len(picks))
            if min(map(Chain.bound, chains, errors)) <= target:
                return _Need(
                    name,
                    target,
                    reached,
                    f"it would need length {length}, as would the other layers",
                )
            length *= 2
        return _Need(name, target, reached, f"no length up to {MAX_LENGTH} is long enough")

    def _report(
        self, missed: Sequence[_Need], budget: float | None, *, strict: bool
    ) -> tuple[str, ...]:
        """Warn of every missed target, or refuse the first; return what was said."""
        said = []
        for need in missed:
            what = (
                f"target_error {need.target:g} is not met: {need.needed}; the best reachable"
                f" error is {need.best:.6g}"
            )
            mend = "raise max_length or target_error" + ("" if budget is None else ", or budget")
            error = InputError(what, f"layer {need.name}, method {self._method}", mend)
            if strict:
                raise error
            warnings.warn(str(error), PrecisionWarning, stacklevel=4)
            said.append(str(error))
        return tuple(said)

    def _records(self, picks: Sequence[int], met: Sequence[bool]) -> list[LayerPrecision]:
        """Return the plan."""
        certain = self._method == "certificate"
        return [
            LayerPrecision(
                layer_index=index,
                name=self._names[index],
                bitstream_length=int(layer.lengths[pick]),
                error_bound=float(layer.worst[pick]),
                sensitivity=self.sensitivities[index],
                confidence=1.0 if certain else 1 - self._failures[index],
                method=self._method,
                meets_target=met[index],
                theorem=self._curves[index].theorem,
                source=self.source,
                per=self._per,
                cost_per_cycle=float(self._costs[index]),
            )
            for index, (layer, pick) in enumerate(zip(self.candidates, picks, strict=True))
        ]


def _checked_source(source: SourceKind | None, method: Method) -> SourceKind:
    """Return the sources, or refuse those for which the method says nothing."""
    legal = COUNTERS if method == "certificate" else LFSRS
    if source is None:
        return legal[0]
    if source not in legal:
        raise InputError(
            f"source is {source!r}, for which method {method!r} gives no bound",
            "source",
            f"use {legal[0]!r} or {legal[1]!r}, or another method",
        )
    return source


def _checked_target(target_error: float | None, budget: float | None) -> float:
    """Return the target, above 0; infinity where a budget alone decides."""
    if target_error is None and budget is not None:
        return math.inf
    return checked_real("target_error", target_error, above=0, legal="use a number above 0")


def _shortest(layer: Candidates, target: float) -> int:
    """Return the place of the shortest length within the target, or of the best bound."""
    within = np.flatnonzero(layer.worst <= target)
    return int(within[0]) if len(within) else int(layer.worst.argmin())
