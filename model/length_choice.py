"""Choice of one length for each layer: a multiple-choice knapsack, solved exactly.

Partial plans are states (cost so far, bound so far). The bound of a longer plan never falls when
that of a shorter one rises, so a state that is neither cheaper nor tighter than another can be
dropped: what is left, the Pareto front, holds an optimal plan. Bounds are never rounded, and every
state is a plan that exists, so no answer is better on paper than in hardware.

Cost: states x candidates for each layer. Where the front has more than `FRONT` states, it is
thinned: of states within a small factor of each other one stays, so the optimum is missed by 1 % at
most, and a front has as many states as there are such factors in the range of costs or bounds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.bounds import propagate

FRONT = 4000
# Whole plans are compared one by one, neuron by neuron, up to these many plans and numbers.
PLANS = 400_000
NUMBERS = 20_000_000
_LOSS = 0.01
# More than the rounding errors of a propagation in float64.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Candidates:
    """What one layer can choose from.

    Attributes
    ----------
    lengths : numpy.ndarray
        Shape (candidates,), rising.
    costs : numpy.ndarray
        Shape (candidates,), above 0.
    errors : numpy.ndarray
        Shape (candidates, outputs): the layer's own bound for each output.
    """

    lengths: NDArray[np.int64]
    costs: NDArray[np.float64]
    errors: NDArray[np.float64]

    @property
    def worst(self) -> NDArray[np.float64]:
        """Shape (candidates,): the bound of the worst output."""
        worst: NDArray[np.float64] = self.errors.max(axis=1)
        return worst

    def only(self, keep: NDArray[np.bool_]) -> Candidates:
        """Return some of them."""
        return Candidates(self.lengths[keep], self.costs[keep], self.errors[keep])


@dataclass(frozen=True)
class Chain:
    """How a layer's error travels to the output.

    Attributes
    ----------
    absolute_weights : tuple of numpy.ndarray
        For each layer, shape (outputs, fan_in).
    scale_exponents : tuple of int
        For each layer, its power-of-two scale.
    reencoding_error : float
        Largest rounding error of a re-encoded activation.
    tail : float, optional
        Where root mean squares travel instead of bounds: what Chebyshev's inequality multiplies
        their norm over the outputs by, ``sqrt(vectors / failure probability)``.
    """

    absolute_weights: tuple[NDArray[np.float64], ...]
    scale_exponents: tuple[int, ...]
    reencoding_error: float
    tail: float | None = None

    def bound(self, errors: Sequence[NDArray[np.float64]]) -> float:
        """Return the end-to-end bound of the layers' own bounds, neuron by neuron."""
        bounds = propagate(
            self.absolute_weights, errors, self.scale_exponents, self.reencoding_error
        )
        return float(self.at_output(bounds[-1]))

    def at_output(self, arrived: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the end-to-end bound of what arrived at the outputs.

        Parameters
        ----------
        arrived : numpy.ndarray
            Shape (..., outputs).

        Returns
        -------
        numpy.ndarray
            Shape (...); a trifle above what exact arithmetic gives, never below.
        """
        bound: NDArray[np.float64] = (
            arrived.max(axis=-1)
            if self.tail is None
            else np.sqrt((arrived**2).sum(axis=-1)) * self.tail
        )
        return bound * (1 + _ROUNDING)

    def at_worst_output(self, arrived: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the end-to-end bound where one number bounds every output, shape (plans,)."""
        outputs = len(self.absolute_weights[-1])
        bound = arrived if self.tail is None else arrived * math.sqrt(outputs) * self.tail
        return bound * (1 + _ROUNDING)

    def arriving(self, layer: int, bounds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the error of what a layer passes on, from the bound of its weighted sum."""
        scaled = bounds * 2.0 ** self.scale_exponents[layer] + self.reencoding_error
        clipped: NDArray[np.float64] = np.minimum(scaled, 1.0)
        return clipped

    def gain(self, layer: int) -> float:
        """Return the largest row norm1 of a layer's weights."""
        return float(self.absolute_weights[layer].sum(axis=1).max())


@dataclass(frozen=True)
class _Front:
    """States after some layers; `picks` says which candidate each layer has."""

    costs: NDArray[np.float64]
    bounds: NDArray[np.float64]
    picks: NDArray[np.int16]


def least_sum(
    layers: Sequence[Candidates], factors: NDArray[np.float64], budget: float
) -> list[int] | None:
    """Choose the plan with the least weighted sum of bounds within a budget.

    Parameters
    ----------
    layers : sequence of Candidates
        What each layer can choose from.
    factors : numpy.ndarray
        Shape (layers,): what each layer's bound counts.
    budget : float
        Largest sum of costs.

    Returns
    -------
    list of int or None
        For each layer, the place of its candidate; None if nothing fits the budget. The cheaper of
        plans with equal sums.
    """
    fronts = _start()
    for index, layer in enumerate(layers):
        steps = layer.worst * factors[index]
        reserve = _reserve(layers, index)
        fronts = _extend(fronts, fronts.bounds, steps, layer.costs, budget - reserve)
        fronts = _thin(fronts, by_bound=True, factor=1 + _LOSS / len(layers))
    return _tightest(_within(fronts, budget))


def least_error(layers: Sequence[Candidates], chain: Chain, budget: float) -> list[int] | None:
    """Choose the plan with the least end-to-end bound within a budget.

    Parameters
    ----------
    layers : sequence of Candidates
        What each layer can choose from.
    chain : Chain
        How errors travel.
    budget : float
        Largest sum of costs; infinity for none.

    Returns
    -------
    list of int or None
        For each layer, the place of its candidate; None if nothing fits the budget.
    """
    if _enumerable(layers):
        return _tightest(_within(_every_plan(layers, chain), budget))
    return _tightest(_within(_chained(layers, chain, budget, by_bound=True), budget))


def least_cost(layers: Sequence[Candidates], chain: Chain, target: float) -> list[int] | None:
    """Choose the cheapest plan whose end-to-end bound is within a target.

    Up to `PLANS` plans the bound is the manifest's, neuron by neuron. Beyond, a layer's worst
    neuron stands for all of it: ``E_l = gain_l min(2**e E_(l-1) + q, 1) + r_l``, never below the
    former.

    Parameters
    ----------
    layers : sequence of Candidates
        What each layer can choose from.
    chain : Chain
        How errors travel.
    target : float
        Largest bound.

    Returns
    -------
    list of int or None
        For each layer, the place of its candidate; None if no plan is within the target. The
        tighter of plans with equal costs.
    """
    every = _enumerable(layers)
    front = (
        _every_plan(layers, chain) if every else _chained(layers, chain, math.inf, by_bound=False)
    )
    keep = front.bounds <= target
    if not keep.any():
        return None
    order = np.lexsort((front.bounds[keep], front.costs[keep]))
    picks = [int(pick) for pick in front.picks[keep][order[0]]]
    return picks if every else _shortened(layers, chain, target, picks)


def _shortened(
    layers: Sequence[Candidates], chain: Chain, target: float, picks: list[int]
) -> list[int]:
    """Shorten layers, the dearest first, as far as the bound of all neurons allows."""
    chosen = list(picks)

    def within(index: int, pick: int) -> bool:
        tried = [pick if place == index else other for place, other in enumerate(chosen)]
        errors = [layer.errors[one] for layer, one in zip(layers, tried, strict=True)]
        return chain.bound(errors) <= target

    for index in np.argsort(
        [-layer.costs[pick] for layer, pick in zip(layers, picks, strict=True)]
    ):
        low, high = 0, chosen[index]
        while low < high:
            middle = (low + high) // 2
            if within(int(index), middle):
                high = middle
            else:
                low = middle + 1
        chosen[index] = high
    return chosen


def _start() -> _Front:
    """Return the state before any layer."""
    return _Front(np.zeros(1), np.zeros(1), np.zeros((1, 0), dtype=np.int16))


def _reserve(layers: Sequence[Candidates], index: int) -> float:
    """Return what the layers after one cost at least, a trifle less against rounding."""
    return sum(float(layer.costs.min()) for layer in layers[index + 1 :]) * (1 - 1e-9)


def _enumerable(layers: Sequence[Candidates]) -> bool:
    plans = math.prod(len(layer.lengths) for layer in layers)
    widest = max(layer.errors.shape[1] for layer in layers)
    return plans <= PLANS and plans * widest <= NUMBERS


def _every_plan(layers: Sequence[Candidates], chain: Chain) -> _Front:
    """Return every plan with its end-to-end bound."""
    costs, bounds = layers[0].costs, layers[0].errors
    picks = np.arange(len(costs), dtype=np.int16)[:, None]
    for index, layer in enumerate(layers[1:], start=1):
        arrived = chain.arriving(index - 1, bounds) @ chain.absolute_weights[index].T
        before, count = len(costs), len(layer.costs)
        bounds = (arrived[:, None, :] + layer.errors[None, :, :]).reshape(before * count, -1)
        costs = (costs[:, None] + layer.costs[None, :]).reshape(-1)
        choice = np.tile(np.arange(count, dtype=np.int16), before)[:, None]
        picks = np.concatenate([np.repeat(picks, count, axis=0), choice], axis=1)
    return _Front(costs, chain.at_output(bounds), picks)


def _chained(
    layers: Sequence[Candidates], chain: Chain, budget: float, *, by_bound: bool
) -> _Front:
    """Return the Pareto front of plans, the worst neuron standing for its layer."""
    front = _start()
    for index, layer in enumerate(layers):
        arrived = front.bounds
        if index:
            arrived = chain.gain(index) * chain.arriving(index - 1, front.bounds)
        reserve = _reserve(layers, index)
        front = _extend(front, arrived, layer.worst, layer.costs, budget - reserve)
        front = _thin(front, by_bound=by_bound, factor=1 + _LOSS / len(layers))
    return _Front(front.costs, chain.at_worst_output(front.bounds), front.picks)


def _extend(
    front: _Front,
    arrived: NDArray[np.float64],
    steps: NDArray[np.float64],
    costs: NDArray[np.float64],
    budget: float,
) -> _Front:
    """Give every state every candidate of the next layer, and keep what nothing dominates."""
    total = (front.costs[:, None] + costs[None, :]).reshape(-1)
    bound = (arrived[:, None] + steps[None, :]).reshape(-1)
    places = np.flatnonzero(total <= budget)
    places = places[np.lexsort((bound[places], total[places]))]
    if len(places) == 0:
        return _Front(np.zeros(0), np.zeros(0), np.zeros((0, 0), dtype=np.int16))
    tightest = np.minimum.accumulate(bound[places])
    better = np.concatenate([[True], tightest[1:] < tightest[:-1]])
    places = places[better]
    parent, choice = np.divmod(places, len(costs))
    picks = np.concatenate(
        [front.picks[parent], choice[:, None].astype(np.int16)], axis=1, dtype=np.int16
    )
    return _Front(total[places], bound[places], picks)


def _thin(front: _Front, *, by_bound: bool, factor: float) -> _Front:
    """Keep one of states within a factor: the cheapest by bound, or the tightest by cost.

    States are in order of rising cost and falling bound.
    """
    if len(front.costs) <= FRONT:
        return front
    values = front.bounds if by_bound else front.costs
    with np.errstate(divide="ignore"):
        bucket = np.floor(np.log(values) / math.log(factor))
    changes = bucket[1:] != bucket[:-1]
    ends = np.concatenate([[True], changes] if by_bound else [changes, [True]])
    return _Front(front.costs[ends], front.bounds[ends], front.picks[ends])


def _within(front: _Front, budget: float) -> _Front:
    """Drop the plans beyond the budget; rounding may have let some pass."""
    keep = front.costs <= budget
    return _Front(front.costs[keep], front.bounds[keep], front.picks[keep])


def _tightest(front: _Front) -> list[int] | None:
    """Return the plan with the least bound, the cheaper of equals."""
    if len(front.costs) == 0:
        return None
    order = np.lexsort((front.costs, front.bounds))
    return [int(pick) for pick in front.picks[order[0]]]
