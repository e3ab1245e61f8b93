"""Pruning: fewer synapses and neurons, and a bound of what leaving them out does.

Every function takes the weights of the real-number network, returns new ones and a `PruningReport`.
The report's bounds are worst cases over all inputs within +-1, without any probability. They go
into `model.bounds.propagate` in the place of `layer_errors`, together with the *pruned* weights:
``E_l = |W'_l| E_(l-1) + b_l`` bounds how far the pruned network's sums are from the unpruned ones.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Any, Literal, get_args, overload

import numpy as np
from numpy.typing import NDArray

from model.argument_checks import checked_integer, shown
from model.bounds import perturbation_bounds, rounded_up
from model.errors import InputError
from model.intervals import Interval, activation_intervals
from model.layer_checks import (
    checked_flag,
    checked_matrices,
    checked_matrix,
    checked_one_each,
    checked_values,
    checked_vector,
    checked_vectors,
    checked_within,
    in_the_shape_of,
    refusal,
)

PruningMethod = Literal["magnitude", "percentile"]
_Method = Literal["magnitude", "percentile", "stochastic", "neurons"]
Reason = Literal["constant", "inactive", "unused"]

MAX_EXPONENT = 16
MAX_BITSTREAM_LENGTH = 1 << 53


@dataclass(frozen=True)
class RemovedNeuron:
    """A neuron that `prune_neurons` removed.

    Attributes
    ----------
    layer, neuron : int
        Where it was in the network before.
    reason : {'constant', 'inactive', 'unused'}
        Its activation is the same for all inputs; its firing rate is below the threshold; no
        remaining neuron has a weight for it.
    constant : float
        The activation, 0 to 1, that took its place in the next layer's biases.
    error : float
        The most that its activation can differ from `constant`, over all inputs.
    """

    layer: int
    neuron: int
    reason: Reason
    constant: float
    error: float

    def __post_init__(self) -> None:
        checked_integer("layer", self.layer, 0, sys.maxsize)
        checked_integer("neuron", self.neuron, 0, sys.maxsize)
        if self.reason not in get_args(Reason):
            raise refusal("reason", f"is {shown(self.reason)}", f"one of {get_args(Reason)}")
        checked_within("constant", self.constant, 0, 1)
        checked_within("error", self.error, 0, 1)


@dataclass(frozen=True)
class PruningReport:
    """What was pruned, layer by layer, and what it can do to the sums.

    Attributes
    ----------
    method : {'magnitude', 'percentile', 'stochastic', 'neurons'}
        What pruned.
    shapes_before, shapes_after : tuple of (int, int)
        For each layer, (outputs, fan_in).
    synapses_before, synapses_after : tuple of int
        For each layer, the weights that are not 0: the synapses that have gates.
    constant_gates : tuple of int
        For each layer, the weights that were set to +1 or -1: a wire in the place of a comparator.
    cuts : tuple of float
        For each layer, the magnitude below which weights became 0; for neurons, the firing rate
        below which a neuron is inactive.
    output_bounds : tuple of tuple of float
        For each layer and remaining output, the most that the pruning of this layer's weights and
        inputs moves its weighted sum, over all inputs of the network.
    removed : tuple of RemovedNeuron
        The neurons that were removed.

    Raises
    ------
    InputError
        If the numbers contradict each other.
    """

    method: _Method
    shapes_before: tuple[tuple[int, int], ...]
    shapes_after: tuple[tuple[int, int], ...]
    synapses_before: tuple[int, ...]
    synapses_after: tuple[int, ...]
    constant_gates: tuple[int, ...]
    cuts: tuple[float, ...]
    output_bounds: tuple[tuple[float, ...], ...]
    removed: tuple[RemovedNeuron, ...] = ()

    def __post_init__(self) -> None:
        if self.method not in get_args(_Method):
            raise refusal("method", f"is {shown(self.method)}", f"one of {get_args(_Method)}")
        layers = len(self.shapes_before)
        if layers == 0:
            raise refusal("shapes_before", "is empty", "one shape for each layer")
        for name in (
            "shapes_after",
            "synapses_before",
            "synapses_after",
            "constant_gates",
            "cuts",
            "output_bounds",
        ):
            entries = len(getattr(self, name))
            if entries != layers:
                raise refusal(name, f"has {entries} entries", f"{layers}, one a layer")
        checked_values("cuts", self.cuts, 0)
        for index in range(layers):
            self._check_layer(index)
        for part in self.removed:
            if part.layer >= layers or part.neuron >= self.shapes_before[part.layer][0]:
                raise refusal(
                    "removed", f"names neuron {part.neuron} of layer {part.layer}", "neurons before"
                )
        gone = {(part.layer, part.neuron) for part in self.removed}
        if len(gone) != len(self.removed):
            raise refusal("removed", "names a neuron twice", "each neuron once")

    def _check_layer(self, index: int) -> None:
        """Hold the numbers of one layer against each other."""
        before, after = self.shapes_before[index], self.shapes_after[index]
        for name, shape, largest in (
            ("shapes_before", before, (sys.maxsize, sys.maxsize)),
            ("shapes_after", after, before),
        ):
            if len(shape) != 2:
                raise refusal(f"{name}[{index}]", f"is {shown(shape)}", "(outputs, fan_in)")
            for size, most in zip(shape, largest, strict=True):
                checked_integer(f"{name}[{index}]", size, 1, most)
        had = checked_integer(
            f"synapses_before[{index}]", self.synapses_before[index], 0, math.prod(before)
        )
        most = min(had, math.prod(after))
        has = checked_integer(f"synapses_after[{index}]", self.synapses_after[index], 0, most)
        checked_integer(f"constant_gates[{index}]", self.constant_gates[index], 0, has)
        gone = sum(part.layer == index for part in self.removed)
        if before[0] - after[0] != gone:
            raise refusal(
                f"shapes_after[{index}]", f"is {after}", f"{before[0] - gone} outputs, as removed"
            )
        bounds = self.output_bounds[index]
        if len(bounds) != after[0]:
            raise refusal(
                f"output_bounds[{index}]",
                f"has {len(bounds)} entries",
                f"{after[0]}, one an output",
            )
        checked_values(f"output_bounds[{index}]", bounds, 0, sys.float_info.max)

    @property
    def layer_bounds(self) -> tuple[float, ...]:
        """For each layer, the largest of its `output_bounds`."""
        return tuple(max(bounds) for bounds in self.output_bounds)

    @property
    def sparsity(self) -> float:
        """Share of the network's places for a weight, before, that have no synapse now."""
        places = sum(map(math.prod, self.shapes_before))
        return (places - sum(self.synapses_after)) / places

    def to_dict(self) -> dict[str, Any]:
        """Return the report as a JSON-ready dictionary."""
        return {
            "method": self.method,
            "shapes_before": [list(shape) for shape in self.shapes_before],
            "shapes_after": [list(shape) for shape in self.shapes_after],
            "synapses_before": list(self.synapses_before),
            "synapses_after": list(self.synapses_after),
            "constant_gates": list(self.constant_gates),
            "cuts": list(self.cuts),
            "output_bounds": [list(bounds) for bounds in self.output_bounds],
            "removed": [asdict(part) for part in self.removed],
        }


@overload
def prune_weights(
    weights: NDArray[Any], threshold: float = ..., method: PruningMethod = ...
) -> tuple[NDArray[np.float64], PruningReport]: ...


@overload
def prune_weights(
    weights: Sequence[NDArray[Any]], threshold: float = ..., method: PruningMethod = ...
) -> tuple[list[NDArray[np.float64]], PruningReport]: ...


def prune_weights(
    weights: NDArray[Any] | Sequence[NDArray[Any]],
    threshold: float = 0.01,
    method: PruningMethod = "magnitude",
) -> tuple[NDArray[np.float64] | list[NDArray[np.float64]], PruningReport]:
    """Set small weights to 0: a synapse of weight 0 has no gates.

    - ``'magnitude'``: weights with ``|w| < threshold`` become 0.
    - ``'percentile'``: `threshold` is a share, from 0 to below 1 (0.01 is one percent, not 0.01
      percent). Of the n weights of a layer, zeros among them, k = floor(threshold n) is the most
      that may become 0, and the layer's cut is its magnitude of rank k, counted from 0 upwards.
      Weights with ``|w| < cut`` become 0. So those that tie with the cut all stay: never more than
      k are cut, and which ones does not depend on their order. The share is taken as the decimal
      number that it is written as: 0.29 of 100 weights are 29, though the float is a little less.

    Parameters
    ----------
    weights : sequence of numpy.ndarray
        For each layer, shape (outputs, fan_in), magnitudes up to 2**53. An array is one layer.
    threshold : float
        0 or more; a share below 1 for ``'percentile'``.
    method : {'magnitude', 'percentile'}
        See above.

    Returns
    -------
    pruned : list of numpy.ndarray
        New float64 arrays of the same shapes; an array where an array was given.
    report : PruningReport
        What it did, and its bound.

    Raises
    ------
    InputError
        If there is no layer, an array is not 2-d or holds anything but finite numbers, or an
        argument is out of range.
    """
    if not isinstance(method, str) or method not in get_args(PruningMethod):
        raise refusal("method", f"is {shown(method)}", f"one of {get_args(PruningMethod)}")
    layers = checked_matrices("weights", weights, single=True)
    if method == "magnitude":
        threshold = checked_within("threshold", threshold, 0)
        cuts = [threshold] * len(layers)
    else:
        threshold = checked_within("threshold", threshold, 0, 1, below=True)
        share = Fraction(repr(threshold))
        cuts = [
            float(np.sort(np.abs(layer), axis=None)[math.floor(share * layer.size)])
            for layer in layers
        ]
    pruned = [
        np.where(np.abs(layer) < cut, 0.0, layer) for layer, cut in zip(layers, cuts, strict=True)
    ]
    report = _synapse_report(method, layers, pruned, cuts)
    return in_the_shape_of(weights, pruned), report


@overload
def prune_stochastic(
    weights: NDArray[Any], bitstream_length: int = ..., min_popcount_bits: float = ...
) -> tuple[NDArray[np.float64], PruningReport]: ...


@overload
def prune_stochastic(
    weights: Sequence[NDArray[Any]], bitstream_length: int = ..., min_popcount_bits: float = ...
) -> tuple[list[NDArray[np.float64]], PruningReport]: ...


def prune_stochastic(
    weights: NDArray[Any] | Sequence[NDArray[Any]],
    bitstream_length: int = 256,
    min_popcount_bits: float = 1.0,
) -> tuple[NDArray[np.float64] | list[NDArray[np.float64]], PruningReport]:
    """Make constant gates of weights whose stream is expected to be nearly constant.

    A weight w is a stream of L bits, of which p L are expected to be 1, p = |w|.

    - ``p L < min_popcount_bits``: too few ones; the weight becomes 0, and its gate disappears.
    - ``(1 - p) L < min_popcount_bits``: too few zeros; the weight becomes +1 or -1, as its sign
      is, and its gate is a wire.

    All others stay as they are. Each change moves its product by less than
    ``min_popcount_bits / L``. It is a bias, the same in every cycle, and the report bounds it.

    Parameters
    ----------
    weights : sequence of numpy.ndarray
        For each layer, shape (outputs, fan_in), magnitudes up to 1. An array is one layer.
    bitstream_length : int
        Length L in cycles, 1 or more.
    min_popcount_bits : float
        From 0, which changes nothing, to L / 2, beyond which both rules would hold for a weight.

    Returns
    -------
    pruned : list of numpy.ndarray
        New float64 arrays of the same shapes; an array where an array was given.
    report : PruningReport
        What it did, and the bound of the bias.

    Raises
    ------
    InputError
        If there is no layer, an array is not 2-d or holds anything but numbers within +-1, or an
        argument is out of range.
    """
    layers = checked_matrices("weights", weights, 1.0, single=True)
    length = checked_integer("bitstream_length", bitstream_length, 1, MAX_BITSTREAM_LENGTH)
    least = checked_within("min_popcount_bits", min_popcount_bits, 0, length / 2)
    pruned = []
    for layer in layers:
        # Rounding is monotone, so it may keep a weight on the edge, but never changes one beyond.
        p = np.abs(layer)
        nearly_one = np.where((1 - p) * length < least, np.sign(layer), layer)
        pruned.append(np.where(p * length < least, 0.0, nearly_one))
    report = _synapse_report("stochastic", layers, pruned, [least / length] * len(layers))
    return in_the_shape_of(weights, pruned), report


@overload
def prune_neurons(
    weights: Sequence[NDArray[Any]],
    firing_rates: Sequence[NDArray[Any] | None] | None = ...,
    activity_threshold: float = ...,
    *,
    biases: None = ...,
    scale_exponents: Sequence[int] | None = ...,
    input_signed: bool = ...,
    keep_outputs: bool = ...,
) -> tuple[list[NDArray[np.float64]], PruningReport]: ...


@overload
def prune_neurons(
    weights: Sequence[NDArray[Any]],
    firing_rates: Sequence[NDArray[Any] | None] | None = ...,
    activity_threshold: float = ...,
    *,
    biases: Sequence[NDArray[Any]],
    scale_exponents: Sequence[int] | None = ...,
    input_signed: bool = ...,
    keep_outputs: bool = ...,
) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]], PruningReport]: ...


def prune_neurons(
    weights: Sequence[NDArray[Any]],
    firing_rates: Sequence[NDArray[Any] | None] | None = None,
    activity_threshold: float = 0.001,
    *,
    biases: Sequence[NDArray[Any]] | None = None,
    scale_exponents: Sequence[int] | None = None,
    input_signed: bool = True,
    keep_outputs: bool = True,
) -> (
    tuple[list[NDArray[np.float64]], PruningReport]
    | tuple[list[NDArray[np.float64]], list[NDArray[np.float64]], PruningReport]
):
    """Remove neurons whose activation is, or nearly is, a constant, and fold the constant.

    A neuron's activation is ``clip(2**e (w x + b), 0, 1)``. It is removed if it is

    - constant: interval arithmetic over *all* inputs shows the weighted sum never above 0 or never
      below ``2**-e``. Nothing is lost, the bound is 0. (Without `biases` the constant is always 0,
      as inputs of 0 give it.)
    - inactive: its firing rate is below `activity_threshold`. The constant is its firing rate,
      moved into the interval of its activations; without `biases` it is 0. The bound is the worst
      case, however rare: the neuron may be fully active on an input that was not measured.
    - unused: no remaining neuron of the next layer has a weight for it. The bound is 0.

    The next layer's bias grows by weight times constant. All of this is about the real-number
    network; folded biases are rounded to float64 once.

    Parameters
    ----------
    weights : sequence of numpy.ndarray
        For each layer, shape (outputs, fan_in), magnitudes up to 2**53, in a chain.
    firing_rates : sequence of numpy.ndarray, optional
        For each layer, shape (outputs,), 0 to 1: mean activations over data; or None for a layer
        that was not measured. The last layer may be left out while its outputs are kept. Default:
        no neuron is inactive.
    activity_threshold : float
        0 to 1.
    biases : sequence of numpy.ndarray, optional
        For each layer, shape (outputs,). Default: the network has none.
    scale_exponents : sequence of int, optional
        For each layer its e, -16 to 16. Default: all 0.
    input_signed : bool
        Whether the network's inputs are within +-1, or from 0 to 1.
    keep_outputs : bool
        Whether all neurons of the last layer stay. Otherwise they are treated as the others, for
        weights that are the first part of a larger network; their constants are in the report.

    Returns
    -------
    pruned : list of numpy.ndarray
        New float64 arrays, smaller in both directions.
    new_biases : list of numpy.ndarray
        New float64 arrays; only where `biases` were given.
    report : PruningReport
        What was removed, and the bound.

    Raises
    ------
    InputError
        If every neuron of a layer would be removed; if shapes do not chain or match; if an array
        holds anything but finite numbers, or an argument is out of range.
    """
    layers = checked_matrices("weights", weights)
    for index in range(1, len(layers)):
        if layers[index].shape[1] != layers[index - 1].shape[0]:
            raise refusal(
                f"weights[{index}]",
                f"has shape {layers[index].shape}",
                f"{layers[index - 1].shape[0]} inputs, as layer {index - 1} has outputs",
            )
    threshold = checked_within("activity_threshold", activity_threshold, 0, 1)
    input_signed = checked_flag("input_signed", input_signed)
    keep_outputs = checked_flag("keep_outputs", keep_outputs)
    rates = _checked_rates(firing_rates, layers, keep_outputs)
    offsets = _checked_biases(biases, layers)
    exponents = _checked_exponents(scale_exponents, len(layers))
    inputs = (
        np.full(layers[0].shape[1], -1.0 if input_signed else 0.0),
        np.ones(layers[0].shape[1]),
    )
    intervals = activation_intervals(layers, offsets, exponents, inputs)
    removed: list[dict[int, RemovedNeuron]] = [{} for _ in layers]
    # Backwards, because a neuron is unused once the last neuron that has a weight for it is gone.
    for index in reversed(range(len(layers))):
        last = index == len(layers) - 1
        if last and keep_outputs:
            continue
        followers = None if last else np.delete(layers[index + 1], list(removed[index + 1]), axis=0)
        removed[index] = _removable(
            index, intervals[index], rates[index], followers, threshold, fold=biases is not None
        )
        if len(removed[index]) == len(layers[index]):
            reasons = {part.reason for part in removed[index].values()}
            raise InputError(
                f"all {len(layers[index])} neurons of layer {index} would be removed, as"
                f" {' or '.join(sorted(reasons))}, with an activity_threshold of {threshold:g}",
                "firing_rates" if reasons == {"inactive"} else "weights",
                "use weights and firing rates that leave at least one neuron in each layer",
            )
    pruned, folded, bounds = [], [], []
    before: dict[int, RemovedNeuron] = {}
    for index, (layer, bias) in enumerate(zip(layers, offsets, strict=True)):
        rows = np.delete(layer, list(removed[index]), axis=0)
        lost = rows[:, list(before)]
        constants = np.array([part.constant for part in before.values()])
        errors = np.array([part.error for part in before.values()])
        pruned.append(np.delete(rows, list(before), axis=1))
        folded.append(
            np.array(
                [
                    math.fsum([value, *(row * constants)])
                    for value, row in zip(np.delete(bias, list(removed[index])), lost, strict=True)
                ]
            )
        )
        bounds.append(tuple(rounded_up(math.fsum(np.abs(row) * errors)) for row in lost))
        before = removed[index]
    report = PruningReport(
        method="neurons",
        shapes_before=_shapes(layers),
        shapes_after=_shapes(pruned),
        synapses_before=_synapses(layers),
        synapses_after=_synapses(pruned),
        constant_gates=(0,) * len(layers),
        cuts=(threshold,) * len(layers),
        output_bounds=tuple(bounds),
        removed=tuple(part for group in removed for part in group.values()),
    )
    if biases is None:
        return pruned, report
    return pruned, folded, report


@dataclass(frozen=True, eq=False)
class Projection:
    """A layer's connection: its weights, with the synapses below a threshold left out.

    What it holds are read-only copies, so that neither a later change of the caller's arrays nor of
    its own can undo the threshold. Compared by identity, as arrays have no single truth value.

    Parameters
    ----------
    weights : numpy.ndarray
        Shape (outputs, fan_in), within +-1 (docs/networks.md has the scaling rule).
    biases : numpy.ndarray, optional
        Shape (outputs,), in units of the weighted sum. The threshold is not for them: a bias is
        preloaded and costs no gates.
    scale_exponent : int
        The layer's power-of-two scale e, -16 to 16. The threshold is for the weights as given,
        before this scale, as they are what the hardware holds.
    weight_threshold : float
        0 or more: synapses with ``|w| < weight_threshold`` become 0 and have no gates. The default,
        0, leaves out none.

    Attributes
    ----------
    weights : numpy.ndarray
        What is left, float64.
    biases : numpy.ndarray or None
        Shape (outputs,), float64.
    report : PruningReport
        What was left out, and its bound.

    Raises
    ------
    InputError
        If an array has the wrong shape or holds anything but finite numbers, a weight is beyond
        +-1, or an argument is out of range.
    """

    weights: NDArray[np.float64]
    biases: NDArray[np.float64] | None = None
    scale_exponent: int = 0
    weight_threshold: float = 0.0
    report: PruningReport = field(init=False)

    def __post_init__(self) -> None:
        weights = checked_matrix("weights", self.weights, 1.0)
        biases = self.biases
        if biases is not None:
            biases = checked_vector("biases", biases, len(weights))
            biases.setflags(write=False)
        exponent = checked_integer(
            "scale_exponent", self.scale_exponent, -MAX_EXPONENT, MAX_EXPONENT
        )
        threshold = checked_within("weight_threshold", self.weight_threshold, 0)
        pruned, report = prune_weights(weights, threshold)
        pruned.setflags(write=False)
        for name, value in (
            ("weights", pruned),
            ("biases", biases),
            ("scale_exponent", exponent),
            ("weight_threshold", threshold),
            ("report", report),
        ):
            object.__setattr__(self, name, value)

    @property
    def outputs(self) -> int:
        """Number of neurons."""
        return int(self.weights.shape[0])

    @property
    def fan_in(self) -> int:
        """Number of inputs of a neuron."""
        return int(self.weights.shape[1])

    @property
    def synapses(self) -> int:
        """Number of synapses that are left."""
        return int(np.count_nonzero(self.weights))

    def weighted_sums(self, inputs: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the weighted sums of a batch of vectors, in real arithmetic.

        Parameters
        ----------
        inputs : numpy.ndarray
            Shape (vectors, fan_in).

        Raises
        ------
        InputError
            If the shape is another, or a value is no finite number.
        """
        batch = checked_values("inputs", inputs)
        if batch.ndim != 2 or batch.shape[1] != self.fan_in:
            raise refusal("inputs", f"has shape {batch.shape}", f"shape (vectors, {self.fan_in})")
        sums: NDArray[np.float64] = batch @ self.weights.T
        return sums if self.biases is None else sums + self.biases


def _shapes(layers: Sequence[NDArray[np.float64]]) -> tuple[tuple[int, int], ...]:
    return tuple((int(layer.shape[0]), int(layer.shape[1])) for layer in layers)


def _synapses(layers: Sequence[NDArray[np.float64]]) -> tuple[int, ...]:
    return tuple(int(np.count_nonzero(layer)) for layer in layers)


def _synapse_report(
    method: _Method,
    layers: Sequence[NDArray[np.float64]],
    pruned: Sequence[NDArray[np.float64]],
    cuts: Sequence[float],
) -> PruningReport:
    """Report a change of weights that leaves the shapes."""
    return PruningReport(
        method=method,
        shapes_before=_shapes(layers),
        shapes_after=_shapes(pruned),
        synapses_before=_synapses(layers),
        synapses_after=_synapses(pruned),
        constant_gates=tuple(
            int(np.count_nonzero((new != old) & (new != 0)))
            for old, new in zip(layers, pruned, strict=True)
        ),
        cuts=tuple(cuts),
        output_bounds=tuple(map(perturbation_bounds, layers, pruned)),
    )


def _checked_rates(
    firing_rates: object, layers: Sequence[NDArray[np.float64]], keep_outputs: bool
) -> list[NDArray[np.float64] | None]:
    """Return the firing rates of each layer, None where there are none."""
    if firing_rates is None:
        return [None] * len(layers)
    given = firing_rates
    if keep_outputs and isinstance(given, list | tuple) and 0 < len(given) == len(layers) - 1:
        given = [*given, None]
    return checked_vectors("firing_rates", given, layers, 0, 1)


def _checked_biases(
    biases: object, layers: Sequence[NDArray[np.float64]]
) -> list[NDArray[np.float64]]:
    """Return copies of the biases of each layer, zeros where there are none."""
    vectors = [None] * len(layers) if biases is None else checked_vectors("biases", biases, layers)
    return [
        np.zeros(len(layer)) if vector is None else vector
        for layer, vector in zip(layers, vectors, strict=True)
    ]


def _checked_exponents(scale_exponents: object, count: int) -> list[int]:
    """Return the scale exponent of each layer."""
    if scale_exponents is None:
        return [0] * count
    return [
        checked_integer(f"scale_exponents[{index}]", part, -MAX_EXPONENT, MAX_EXPONENT)
        for index, part in enumerate(checked_one_each("scale_exponents", scale_exponents, count))
    ]


def _removable(
    layer: int,
    interval: Interval,
    rates: NDArray[np.float64] | None,
    followers: NDArray[np.float64] | None,
    threshold: float,
    *,
    fold: bool,
) -> dict[int, RemovedNeuron]:
    """Return the neurons of a layer that can go, by number.

    `followers` are the next layer's weights without the rows of its removed neurons; None for the
    last layer.
    """
    found = {}
    for neuron, (low, high) in enumerate(
        zip(interval[0].tolist(), interval[1].tolist(), strict=True)
    ):
        if low == high:
            found[neuron] = RemovedNeuron(layer, neuron, "constant", low, 0.0)
        elif rates is not None and rates[neuron] < threshold:
            constant = min(max(float(rates[neuron]), low), high) if fold else 0.0
            error = rounded_up(max(constant - low, high - constant))
            found[neuron] = RemovedNeuron(layer, neuron, "inactive", constant, min(error, 1.0))
        elif followers is not None and not followers[:, neuron].any():
            found[neuron] = RemovedNeuron(layer, neuron, "unused", 0.0, 0.0)
    return found
