"""Records of a precision plan: what each layer or synapse gets, and what is guaranteed for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby, pairwise
from typing import Literal

from model.argument_checks import (
    checked_choice,
    checked_confidence,
    checked_integer,
    checked_real,
)
from model.errors import InputError

Method = Literal["hoeffding", "chebyshev", "sensitivity", "certificate"]
Unit = Literal["sum", "mean"]
Scope = Literal["layer", "output"]

METHODS: tuple[Method, ...] = ("hoeffding", "chebyshev", "sensitivity", "certificate")
PLAN_SCHEMA = "certibit-precision-plan/1"


class PrecisionWarning(UserWarning):
    """A plan does not meet its target error."""


def _check_bound(name: str, value: object) -> None:
    """Refuse a bound or sensitivity that is negative, NaN or infinite."""
    legal = "use a finite number of 0 or more"
    checked_real(name, value, above=-math.ulp(0.0), legal=legal)


def _check_text(name: str, value: object) -> None:
    """Refuse a text that is none."""
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{name} is {value!r}", name, "use a string that is not empty")


def _check_flag(name: str, value: object) -> None:
    """Refuse a truth value that is none."""
    if not isinstance(value, bool):
        raise InputError(f"{name} is {value!r}", name, "use True or False")


@dataclass(frozen=True)
class LayerPrecision:
    """The bitstream length of one layer and what it guarantees.

    Attributes
    ----------
    layer_index : int
        Place of the layer, from 0.
    name : str
        Its name.
    bitstream_length : int
        Length L, cycles.
    error_bound : float
        Bound on ``|S / L - exact|`` of every output of the layer, against the real-number sum of
        its quantised operands on the inputs that it sees; in units of the weighted sum, or of its
        mean over the inputs if `per` is 'mean'.
    sensitivity : float
        As `model.sensitivity.analyze_sensitivity` measures it, or as the caller gave it.
    confidence : float
        Probability with which the bound holds for all outputs at once; 1.0 for a certificate, which
        involves no probability.
    method : {'hoeffding', 'chebyshev', 'sensitivity', 'certificate'}
        Who chose the length.
    meets_target : bool
        Whether the target was met: the layer's, or the output's if the target was the output's.
    theorem : str
        What the bound rests on.
    source : str
        Sources for which the bound holds, as `model.plan.plan_design` calls them.
    per : {'sum', 'mean'}
        Unit of the bound.
    cost_per_cycle : float
        What the layer pays for a cycle.
    """

    layer_index: int
    name: str
    bitstream_length: int
    error_bound: float
    sensitivity: float
    confidence: float
    method: Method
    meets_target: bool
    theorem: str = "not stated"
    source: str = "not stated"
    per: Unit = "sum"
    cost_per_cycle: float = 1.0

    def __post_init__(self) -> None:
        checked_integer("layer_index", self.layer_index, 0)
        checked_integer("bitstream_length", self.bitstream_length, 1)
        _check_bound("error_bound", self.error_bound)
        _check_bound("sensitivity", self.sensitivity)
        checked_choice("method", self.method, METHODS)
        checked_choice("per", self.per, ("sum", "mean"))
        checked_real("cost_per_cycle", self.cost_per_cycle, above=0, legal="use a number above 0")
        if self.method == "certificate":
            if self.confidence != 1.0:
                raise InputError(
                    f"confidence is {self.confidence!r}",
                    "confidence",
                    "use 1.0: a certificate is certain",
                )
        else:
            checked_confidence(self.confidence)
        for name in ("name", "theorem", "source"):
            _check_text(name, getattr(self, name))
        _check_flag("meets_target", self.meets_target)

    @property
    def cost(self) -> float:
        """Length x cost of a cycle."""
        return self.bitstream_length * self.cost_per_cycle

    def to_dict(self) -> dict[str, object]:
        """Return all fields, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class SynapsePrecision:
    """Bit width and bitstream length of one synapse, and what they guarantee.

    Attributes
    ----------
    layer_index, output_index, input_index : int
        Which synapse, from 0.
    layer_name : str
        Its layer.
    bit_width : int
        Bits b of the weight's magnitude.
    bitstream_length : int
        Length L, cycles.
    sensitivity : float
        What an error of this synapse counts, relative to the others.
    quantization_error_bound : float
        Bound on the error of the product ``x w`` from rounding w to b bits.
    stochastic_error_bound : float
        Bound on the error of the product's mean over L cycles, at the stated confidence.
    total_error_bound : float
        Their sum.
    confidence : float
        Probability with which the bound of this one synapse holds.
    target_error : float
        What the total was to be.
    meets_target : bool
        Whether it is.
    theorem : str
        What the stochastic bound rests on.
    """

    layer_index: int
    layer_name: str
    output_index: int
    input_index: int
    bit_width: int
    bitstream_length: int
    sensitivity: float
    quantization_error_bound: float
    stochastic_error_bound: float
    total_error_bound: float
    confidence: float = 0.95
    target_error: float = 1.0
    meets_target: bool = True
    theorem: str = "not stated"

    def __post_init__(self) -> None:
        for name in ("layer_index", "output_index", "input_index"):
            checked_integer(name, getattr(self, name), 0)
        for name in ("bit_width", "bitstream_length"):
            checked_integer(name, getattr(self, name), 1)
        for name in (
            "sensitivity",
            "quantization_error_bound",
            "stochastic_error_bound",
            "total_error_bound",
        ):
            _check_bound(name, getattr(self, name))
        parts = self.quantization_error_bound + self.stochastic_error_bound
        if not math.isclose(self.total_error_bound, parts, rel_tol=1e-9, abs_tol=1e-12):
            raise InputError(
                f"total_error_bound is {self.total_error_bound:g}",
                "total_error_bound",
                f"use the sum of its parts, {parts:g}",
            )
        checked_confidence(self.confidence)
        checked_real("target_error", self.target_error, above=0, legal="use a number above 0")
        _check_flag("meets_target", self.meets_target)
        for name in ("layer_name", "theorem"):
            _check_text(name, getattr(self, name))

    def to_dict(self) -> dict[str, object]:
        """Return all fields, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class PrecisionPlan:
    """The lengths of a whole network and what they guarantee.

    Attributes
    ----------
    layers : tuple of LayerPrecision
        One for each layer, in order.
    method : {'hoeffding', 'chebyshev', 'sensitivity', 'certificate'}
        Who chose the lengths.
    source : str
        Kind of sources, for `model.plan.plan_design`.
    target : {'layer', 'output'}
        What the target error is a target of.
    target_error : float or None
        The target; None where only a budget was given.
    total_budget : float or None
        The budget.
    end_to_end_bound : float
        Bound on every output of the network against the quantised network, in units of the last
        layer's weighted sum.
    confidence : float
        Probability with which all bounds of all layers hold together, and with them the end-to-end
        bound; 1.0 for certificates. For 'chebyshev', the end-to-end bound and the layers' bounds
        hold with this confidence each.
    vectors : int
        Number of vectors that the bounds cover together.
    end_to_end_theorem : str
        What the end-to-end bound rests on.
    shortfalls : tuple of str
        For each target that is missed: the layer, the length that it would need, and the best
        reachable error.
    """

    layers: tuple[LayerPrecision, ...]
    method: Method
    source: str
    target: Scope
    target_error: float | None
    total_budget: float | None
    end_to_end_bound: float
    confidence: float
    vectors: int
    end_to_end_theorem: str
    shortfalls: tuple[str, ...] = ()

    @property
    def lengths(self) -> list[int]:
        """The length of each layer, as `model.plan.plan_design` takes them."""
        return [layer.bitstream_length for layer in self.layers]

    @property
    def precision_map(self) -> dict[str, LayerPrecision]:
        """The layers by name."""
        return {layer.name: layer for layer in self.layers}

    @property
    def total_cost(self) -> float:
        """Sum over the layers of length x cost of a cycle."""
        return sum(layer.cost for layer in self.layers)

    @property
    def meets_target(self) -> bool:
        """Whether every layer meets the target, or the output does."""
        return all(layer.meets_target for layer in self.layers)


def precision_plan_manifest(
    plan: PrecisionPlan | Sequence[LayerPrecision] | Sequence[SynapsePrecision],
) -> dict[str, object]:
    """Return a plan as plain dictionaries, lists, strings and numbers, ready for JSON.

    The same plan gives the same manifest: entries are in the order of layer, output and input.

    Parameters
    ----------
    plan : PrecisionPlan, or sequence of LayerPrecision or of SynapsePrecision
        The plan.

    Raises
    ------
    InputError
        If the plan is empty, mixes layers with synapses, or has an entry twice.
    """
    if isinstance(plan, PrecisionPlan):
        head: dict[str, object] = {
            "schema": PLAN_SCHEMA,
            "granularity": "layer",
            "method": plan.method,
            "source": plan.source,
            "target": plan.target,
            "target_error": plan.target_error,
            "total_budget": plan.total_budget,
            "end_to_end_bound": plan.end_to_end_bound,
            "end_to_end_theorem": plan.end_to_end_theorem,
            "confidence": plan.confidence,
            "vectors": plan.vectors,
            "shortfalls": list(plan.shortfalls),
        }
        return head | _layer_part(plan.layers)
    layers = [entry for entry in plan if isinstance(entry, LayerPrecision)]
    synapses = [entry for entry in plan if isinstance(entry, SynapsePrecision)]
    if not plan or len(plan) not in (len(layers), len(synapses)):
        raise InputError(
            f"plan has {len(plan)} entries: {len(layers)} layers, {len(synapses)} synapses",
            "plan",
            "give at least one, all of one kind",
        )
    if layers:
        return {"schema": PLAN_SCHEMA, "granularity": "layer"} | _layer_part(layers)
    return {"schema": PLAN_SCHEMA, "granularity": "synapse"} | _synapse_part(synapses)


def _layer_part(layers: Sequence[LayerPrecision]) -> dict[str, object]:
    """Return the entries of layers, in order, with their sums."""
    ordered = sorted(layers, key=lambda entry: entry.layer_index)
    _check_different([(entry.layer_index,) for entry in ordered])
    return {
        "meets_target": all(entry.meets_target for entry in ordered),
        "total_length": sum(entry.bitstream_length for entry in ordered),
        "total_cost": sum(entry.cost for entry in ordered),
        "layers": [entry.to_dict() for entry in ordered],
    }


def _synapse_part(synapses: Sequence[SynapsePrecision]) -> dict[str, object]:
    """Return the entries of synapses, in order, with a summary of each layer."""
    ordered = sorted(synapses, key=_place)
    _check_different([_place(entry) for entry in ordered])
    layers: list[dict[str, object]] = []
    for index, group in groupby(ordered, key=lambda entry: entry.layer_index):
        members = list(group)
        layers.append(
            {
                "layer_index": index,
                "layer_name": members[0].layer_name,
                "synapses": len(members),
                "total_bits": sum(entry.bit_width for entry in members),
                "longest_bitstream": max(entry.bitstream_length for entry in members),
                "largest_error_bound": max(entry.total_error_bound for entry in members),
                "meets_target": all(entry.meets_target for entry in members),
            }
        )
    return {
        "meets_target": all(entry.meets_target for entry in ordered),
        "layers": layers,
        "synapses": [entry.to_dict() for entry in ordered],
    }


def _place(entry: SynapsePrecision) -> tuple[int, ...]:
    """Return what orders synapses."""
    return (entry.layer_index, entry.output_index, entry.input_index)


def _check_different(places: Sequence[tuple[int, ...]]) -> None:
    """Refuse a plan that speaks twice of the same thing; the places are sorted."""
    for before, after in pairwise(places):
        if before == after:
            raise InputError(f"plan has two entries for {after}", "plan", "give each of them once")
