"""One object that plans the bitstream lengths of a network and feeds its manifest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.argument_checks import (
    checked_array,
    checked_choice,
    checked_confidence,
    checked_integer,
    checked_layers,
)
from model.bounds import float_above, fractions, propagate, rounded_up
from model.compression import compress_network
from model.errors import InputError
from model.length_choice import Chain
from model.length_planner import LengthProblem
from model.manifest import Compression
from model.network import Network
from model.plan import Design, plan_design
from model.precision import Method, PrecisionPlan, Scope
from model.source_choice import SourceKind

_PROPAGATED = "the layers' bounds, propagated; union bound over the layers"
_CERTAIN = "the layers' certificates, propagated: certain"
_SQUARES = (
    "Chebyshev, of root mean squares that add up (Minkowski); union bound over outputs x vectors"
)


class AdaptivePrecisionManager:
    """Plan how long each layer of a network counts.

    Each of `hoeffding`, `chebyshev`, `sensitivity` and `certificate` returns a `PrecisionPlan`: the
    precision map and what it guarantees for the output. `design` makes the manifest of it, from
    which RTL with a length of its own for each layer is generated.

    Statistical plans share their failure probability among the layers, so that with the stated
    confidence all layers, all outputs and all vectors stay within their bounds together.

    Parameters
    ----------
    layer_weights : sequence of array_like
        For each layer, shape (outputs, fan_in), or (fan_in,) for a single output; the shapes
        chain. All layers but the last clip to [0, 1].
    biases : sequence of array_like, optional
        For each layer, shape (outputs,), in units of its weighted sum. They add no error; lengths
        whose counts would not fit the accumulator are left out.
    scale_exponents : sequence of int, optional
        For each layer, the power of two in front of its clip, -16 to 16. Default: 0.
    layer_names : sequence of str, optional
        Default: ``layer_0``, ``layer_1``, ...
    cost_per_cycle : array_like, optional
        For each layer, what a cycle costs, above 0; for instance its LUTs. Default: 1.
    operand_bits : int
        Operand width K, 1 to 10.
    input_signed : bool
        Whether the network's inputs may be negative.
    confidence : float
        Probability with which all statistical bounds hold together.
    vectors : int
        Number of vectors that the bounds cover together.
    min_length, max_length : int
        Range of lengths, 2 to 2**20.
    sensitivities : array_like, optional
        For each layer, 0 or more. Default: measured.
    n_trials, seed : int
        Of that measurement; `seed` is also that of the LFSRs in `design`.

    Raises
    ------
    InputError
        If an argument is outside its range or shapes do not chain.
    """

    def __init__(
        self,
        layer_weights: Sequence[ArrayLike],
        biases: Sequence[ArrayLike] | None = None,
        scale_exponents: Sequence[int] | None = None,
        layer_names: Sequence[str] | None = None,
        cost_per_cycle: ArrayLike | None = None,
        *,
        operand_bits: int = 8,
        input_signed: bool = True,
        confidence: float = 0.95,
        vectors: int = 1,
        min_length: int = 32,
        max_length: int = 1024,
        sensitivities: ArrayLike | None = None,
        n_trials: int = 100,
        seed: int = 42,
    ) -> None:
        self._weights, self._names = checked_layers(layer_weights, layer_names)
        layers = len(self._weights)
        for index in range(1, layers):
            outputs, fan_in = self._weights[index - 1].shape[0], self._weights[index].shape[1]
            if outputs != fan_in:
                raise InputError(
                    f"layer {self._names[index]} takes {fan_in} inputs, but layer"
                    f" {self._names[index - 1]} has {outputs} outputs",
                    f"layer_weights[{index}]",
                    "make the shapes chain",
                )
        self._exponents = _checked_exponents(scale_exponents, layers)
        self._largest_biases = self._checked_biases(biases)
        self._confidence = checked_confidence(confidence)
        self._operand_bits = checked_integer("operand_bits", operand_bits, 1, 10)
        self._vectors, self._input_signed = vectors, input_signed
        self._costs, self._range = cost_per_cycle, (min_length, max_length)
        self._sensitivities, self._trials, self._seed = sensitivities, n_trials, seed
        self._accumulators: list[int | None] = [None] * layers
        self._network: Network | None = None
        self._compression: Compression | None = None
        self._widths: Sequence[NDArray[np.integer]] | None = None
        # Every argument is checked before anything is planned.
        self._problem("hoeffding", None)

    @classmethod
    def from_network(
        cls,
        network: Network,
        cost_per_cycle: ArrayLike | None = None,
        *,
        compression: Compression | None = None,
        widths: Sequence[NDArray[np.integer]] | None = None,
        vectors: int | None = None,
        min_length: int = 32,
        max_length: int = 1024,
        sensitivities: ArrayLike | None = None,
        n_trials: int = 100,
        seed: int = 42,
    ) -> AdaptivePrecisionManager:
        """Plan a network as its folder holds it.

        Operand width, signs, confidence, names, scales and accumulators are the network's.

        Parameters
        ----------
        network : Network
            The network.
        cost_per_cycle, min_length, max_length, sensitivities, n_trials, seed
            As for the class.
        compression, widths : optional
            What to leave out of the network first, as for `model.plan.plan_design`. The plan is one
            of the compressed network.
        vectors : int, optional
            Number of vectors that the bounds cover together. Default: the test set's.

        Raises
        ------
        InputError
            If a layer is of gates whose bounds no plan knows.
        """
        description = network.description
        for layer in description.layers:
            if (
                layer.encoding == "bipolar"
                or layer.adder == "mux"
                or layer.activation in ("step", "lif")
            ):
                raise InputError(
                    f"no plan for {layer.encoding} encoding, {layer.adder} adder and activation"
                    f" {layer.activation}: plans know parallel counters of AND gates, and clips",
                    f"layer {layer.name}",
                    "give bitstream lengths instead",
                )
        smaller = compress_network(network, compression or Compression(), widths).network
        manager = cls(
            smaller.weights,
            smaller.biases,
            [layer.scale_exponent for layer in description.layers],
            [layer.name for layer in description.layers],
            cost_per_cycle,
            operand_bits=description.operand_bits,
            input_signed=description.input_signed,
            confidence=description.confidence,
            vectors=len(network.features) if vectors is None else vectors,
            min_length=min_length,
            max_length=max_length,
            sensitivities=sensitivities,
            n_trials=n_trials,
            seed=seed,
        )
        manager._accumulators = [layer.accumulator_width for layer in description.layers]
        manager._network, manager._compression, manager._widths = network, compression, widths
        return manager

    def hoeffding(
        self,
        target_error: float | None = 0.01,
        *,
        target: Scope = "layer",
        total_budget: float | None = None,
        source: SourceKind | None = None,
        strict: bool = False,
    ) -> PrecisionPlan:
        """Plan with Hoeffding's bound; the arguments are those of `plan`."""
        return self.plan("hoeffding", target_error, target, total_budget, source, strict=strict)

    def chebyshev(
        self,
        target_error: float | None = 0.01,
        *,
        target: Scope = "layer",
        total_budget: float | None = None,
        source: SourceKind | None = None,
        strict: bool = False,
    ) -> PrecisionPlan:
        """Plan with Chebyshev's bound; the arguments are those of `plan`."""
        return self.plan("chebyshev", target_error, target, total_budget, source, strict=strict)

    def sensitivity(
        self,
        target_error: float | None = 0.01,
        *,
        target: Scope = "layer",
        total_budget: float | None = None,
        source: SourceKind | None = None,
        strict: bool = False,
    ) -> PrecisionPlan:
        """Plan by measured sensitivities, with Hoeffding's bound; arguments as for `plan`."""
        return self.plan("sensitivity", target_error, target, total_budget, source, strict=strict)

    def certificate(
        self,
        target_error: float | None = 0.01,
        *,
        target: Scope = "layer",
        total_budget: float | None = None,
        source: SourceKind | None = None,
        strict: bool = False,
    ) -> PrecisionPlan:
        """Plan with exact certificates; the arguments are those of `plan`."""
        return self.plan("certificate", target_error, target, total_budget, source, strict=strict)

    def plan(
        self,
        method: Method,
        target_error: float | None = 0.01,
        target: Scope = "layer",
        total_budget: float | None = None,
        source: SourceKind | None = None,
        *,
        strict: bool = False,
    ) -> PrecisionPlan:
        """Plan with a method by name.

        Parameters
        ----------
        method : {'hoeffding', 'chebyshev', 'sensitivity', 'certificate'}
            Which theorem gives the bounds, and who chooses the lengths.
        target_error : float or None
            Largest error, in units of the weighted sum of each layer, or of the last one. None
            leaves the choice to the budget.
        target : {'layer', 'output'}
            Whether the target is one of each layer or of the network's output.
        total_budget : float, optional
            Largest sum of length x cost of a cycle. With a budget the tightest bounds that it buys,
            without one the cheapest lengths that meet the target.
        source : {'lfsr-lane', 'lfsr', 'counter', 'counter-lane'}, optional
            As for `model.length_planner.assign_lengths`.
        strict : bool
            Whether a target that is not met is an error instead of a warning.

        Returns
        -------
        PrecisionPlan
            The plan.

        Raises
        ------
        InputError
            If an argument is outside its range, or `strict` is set and the target missed.

        Warns
        -----
        PrecisionWarning
            If the target is missed.
        """
        checked_choice("target", target, ("layer", "output"))
        problem = self._problem(method, source)
        chosen = (
            problem.for_layers(target_error, total_budget, strict=strict)
            if target == "layer"
            else problem.for_output(
                self._chains(problem, method), target_error, total_budget, strict=strict
            )
        )
        bound, theorem = self._end_to_end(
            problem, [record.bitstream_length for record in chosen.layers]
        )
        return PrecisionPlan(
            layers=tuple(chosen.layers),
            method=method,
            source=problem.source,
            target=target,
            target_error=None if target_error is None else float(target_error),
            total_budget=None if total_budget is None else float(total_budget),
            end_to_end_bound=bound,
            confidence=1.0 if method == "certificate" else self._confidence,
            vectors=problem.vectors,
            end_to_end_theorem=_CERTAIN if method == "certificate" else theorem,
            shortfalls=chosen.shortfalls,
        )

    def bounds(
        self, method: Method, lengths: Sequence[int], source: SourceKind | None = None
    ) -> tuple[list[float], float]:
        """Return what a method guarantees at given lengths.

        Parameters
        ----------
        method : {'hoeffding', 'chebyshev', 'sensitivity', 'certificate'}
            Which theorem.
        lengths : sequence of int
            The length of each layer.
        source : {'lfsr-lane', 'lfsr', 'counter', 'counter-lane'}, optional
            As for `plan`.

        Returns
        -------
        layers : list of float
            The bound of each layer.
        end_to_end : float
            The bound of the network's output.
        """
        problem = self._problem(method, source)
        return problem.bounds_at(lengths), self._end_to_end(problem, lengths)[0]

    def _chains(self, problem: LengthProblem, method: Method) -> list[Chain]:
        """Return how errors travel to the output, for each route."""
        levels = 1 << self._operand_bits
        chain = Chain(
            tuple(
                np.abs(weight) / levels * scale
                for weight, scale in zip(problem.quantised, problem.scales, strict=True)
            ),
            tuple(self._exponents),
            0.5 / levels,
        )
        if method != "chebyshev":
            return [chain]
        return [chain, replace(chain, tail=self._tail(problem.vectors))]

    def _tail(self, vectors: int) -> float:
        """Return what Chebyshev's inequality multiplies a root mean square by."""
        return math.sqrt(vectors / (1 - self._confidence))

    def _end_to_end(self, problem: LengthProblem, lengths: Sequence[int]) -> tuple[float, str]:
        """Return the end-to-end bound at given lengths, and what it rests on.

        Exact but for the layers' own bounds.
        """
        levels = 1 << self._operand_bits
        weights = [
            fractions(np.abs(weight), levels) * Fraction(scale)
            for weight, scale in zip(problem.quantised, problem.scales, strict=True)
        ]
        arrived = []
        for errors in problem.errors_at(lengths):
            own = [np.array([Fraction(part) for part in layer.tolist()]) for layer in errors]
            arrived.append(propagate(weights, own, self._exponents, Fraction(1, 2 * levels))[-1])
        found = float_above(arrived[0].max()), _PROPAGATED
        for squares in arrived[1:]:
            norm = math.sqrt(float_above(sum(part * part for part in squares)))
            found = min(found, (rounded_up(norm * self._tail(problem.vectors)), _SQUARES))
        return found

    def design(self, plan: PrecisionPlan) -> Design:
        """Return the design of a plan, with its manifest.

        Parameters
        ----------
        plan : PrecisionPlan
            A plan of this object.

        Raises
        ------
        InputError
            If this object was not made from a network, or the plan is another network's.
        """
        if self._network is None:
            raise InputError(
                "only weights are known, a manifest needs the whole network",
                "AdaptivePrecisionManager.design",
                "make the object with AdaptivePrecisionManager.from_network",
            )
        if [layer.name for layer in plan.layers] != self._names:
            raise InputError(
                f"plan is for layers {[layer.name for layer in plan.layers]}",
                "plan",
                f"use a plan for layers {self._names}",
            )
        source: SourceKind = plan.source  # type: ignore[assignment]
        return plan_design(
            self._network,
            plan.lengths,
            source,
            self._seed,
            compression=self._compression,
            widths=self._widths,
            precision=plan,
        )

    def _problem(self, method: Method, source: SourceKind | None) -> LengthProblem:
        layers = len(self._weights)
        return LengthProblem(
            self._weights,
            self._names,
            method=method,
            source=source,
            failures=[(1 - self._confidence) / layers] * layers,
            vectors=self._vectors,
            per="sum",
            operand_bits=self._operand_bits,
            # What a layer passes on is clipped, and so has no sign.
            input_signed=[self._input_signed] + [False] * (layers - 1),
            cost_per_cycle=self._costs,
            min_length=self._range[0],
            max_length=self._range[1],
            sensitivities=self._sensitivities,
            n_trials=self._trials,
            seed=self._seed,
            largest_biases=self._largest_biases,
            accumulator_widths=self._accumulators,
        )

    def _checked_biases(self, biases: Sequence[ArrayLike] | None) -> list[float]:
        """Return the largest bias of every layer."""
        if biases is None:
            return [0.0] * len(self._weights)
        if len(biases) != len(self._weights):
            raise InputError(
                f"biases has {len(biases)} arrays for {len(self._weights)} layers",
                "biases",
                "give one for each layer",
            )
        largest = []
        for index, (given, weight) in enumerate(zip(biases, self._weights, strict=True)):
            array = checked_array(f"biases[{index}]", given)
            if array.shape != (len(weight),):
                raise InputError(
                    f"biases[{index}] has shape {array.shape}",
                    f"biases[{index}]",
                    f"give one for each of {len(weight)} outputs",
                )
            largest.append(float(np.abs(array).max()))
        return largest


def _checked_exponents(exponents: Sequence[int] | None, layers: int) -> list[int]:
    """Return one scale exponent for each layer."""
    if exponents is None:
        return [0] * layers
    if len(exponents) != layers:
        raise InputError(
            f"scale_exponents has {len(exponents)} entries for {layers} layers",
            "scale_exponents",
            "give one for each layer",
        )
    return [
        checked_integer(f"scale_exponents[{index}]", exponent, -16, 16)
        for index, exponent in enumerate(exponents)
    ]
