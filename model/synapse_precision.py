"""Bit width and bitstream length for every synapse."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.argument_checks import (
    checked_array,
    checked_confidence,
    checked_layers,
    checked_range,
    checked_real,
)
from model.errors import InputError
from model.limits import MAX_LENGTH
from model.precision import PrecisionWarning, SynapsePrecision

MAX_BITS = 24
_HOEFFDING = "Hoeffding 1963, theorem 2, two-sided, one synapse"
_BERNSTEIN = "Bernstein, largest variance of any input, two-sided, one synapse"
_CONSTANT = "constant-0 gate: exact"


def assign_synapse_precisions(
    layer_weights: Sequence[ArrayLike],
    layer_names: Sequence[str] | None = None,
    sensitivity_maps: Sequence[ArrayLike] | None = None,
    target_error: float = 0.01,
    min_bits: int = 4,
    max_bits: int = 16,
    min_length: int = 32,
    max_length: int = 4096,
    confidence: float = 0.95,
    *,
    strict: bool = False,
) -> list[SynapsePrecision]:
    """Choose the cheapest bit width and bitstream length of every synapse.

    The error of a synapse is that of its product ``x w``, estimated over L cycles with w rounded to
    b bits, for any input x of a magnitude up to 1. Of all pairs (b, L) whose bound is within the
    synapse's target, the one with the least ``b L`` is taken. The most sensitive synapse of all
    layers has the target `target_error`; one that is k times less sensitive may be k times less
    exact.

    Parameters
    ----------
    layer_weights : sequence of array_like
        For each layer, shape (outputs, fan_in), or (fan_in,) for a single output, within +-1.
    layer_names : sequence of str, optional
        Default: ``layer_0``, ``layer_1``, ...
    sensitivity_maps : sequence of array_like, optional
        For each layer, of its weights' shape: what an error of each product counts, 0 or more.
        Default: all alike.
    target_error : float
        Largest error of the most sensitive synapse, above 0.
    min_bits, max_bits : int
        Range of bit widths, 1 to 24.
    min_length, max_length : int
        Range of lengths, 1 to 2**20.
    confidence : float
        Probability, in (0, 1), with which the bound of one synapse holds.
    strict : bool
        Whether a target that is not met is an error instead of a warning.

    Returns
    -------
    list of SynapsePrecision
        In the order of layer, output and input.

    Raises
    ------
    InputError
        If an argument is outside its range, or `strict` is set and a synapse misses its target.

    Warns
    -----
    PrecisionWarning
        For every layer in which a synapse misses its target.
    """
    matrices, names = checked_layers(layer_weights, layer_names)
    for index, matrix in enumerate(matrices):
        beyond = np.argwhere(np.abs(matrix) > 1)
        if len(beyond):
            at = tuple(int(place) for place in beyond[0])
            raise InputError(
                f"layer_weights[{index}]{list(at)} is {matrix[at]:g}",
                f"layer_weights[{index}]",
                "use weights within +-1: divide the layer by a power of two",
            )
    maps = _checked_maps(sensitivity_maps, matrices)
    target = checked_real("target_error", target_error, above=0, legal="use a number above 0")
    widths = checked_range("min_bits", min_bits, "max_bits", max_bits, 1, MAX_BITS)
    lengths = checked_range("min_length", min_length, "max_length", max_length, 1, MAX_LENGTH)
    failure = 1 - checked_confidence(confidence)
    top = max(float(part.max()) for part in maps)
    plan: list[SynapsePrecision] = []
    for index, (matrix, sensitivity) in enumerate(zip(matrices, maps, strict=True)):
        # A synapse whose errors do not count has no target; the largest error of any product is 1.
        with np.errstate(divide="ignore"):
            targets = np.minimum(target * top / sensitivity, 1e6) if top else sensitivity + 1e6
        part = _plan_layer(matrix, targets, widths, lengths, failure)
        _report(names[index], matrix, targets, part, lengths, failure, strict=strict)
        plan += _records(index, names[index], sensitivity, targets, part, float(confidence))
    return plan


class _Part:
    """The plan of one layer: arrays of its weights' shape."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.bits = np.zeros(shape, dtype=np.int64)
        self.lengths = np.zeros(shape, dtype=np.int64)
        self.quantisation = np.zeros(shape)
        self.stochastic = np.zeros(shape)
        self.cost = np.full(shape, np.inf)
        self.total = np.full(shape, np.inf)

    def take(
        self,
        where: NDArray[np.bool_],
        bits: int,
        lengths: NDArray[np.int64],
        quantisation: NDArray[np.float64],
        stochastic: NDArray[np.float64],
    ) -> None:
        """Let some synapses have another choice."""
        self.bits[where] = bits
        self.lengths[where] = lengths[where]
        self.quantisation[where] = quantisation[where]
        self.stochastic[where] = stochastic[where]
        self.cost[where] = (bits * lengths)[where]
        self.total[where] = (quantisation + stochastic)[where]


def stochastic_bound(
    magnitudes: NDArray[np.float64], lengths: NDArray[np.int64], failure: float
) -> NDArray[np.float64]:
    """Bound the error of one product's mean: the smaller of Hoeffding's and Bernstein's radius.

    Parameters
    ----------
    magnitudes : numpy.ndarray
        Of the rounded weights, 0 to 1: the largest probability of a one.
    lengths : numpy.ndarray
        Bitstream lengths, of the same shape.
    failure : float
        Probability with which the bound may be exceeded.

    Returns
    -------
    numpy.ndarray
        The same shape; 0 for a weight of 0.
    """
    log = math.log(2 / failure)
    variances = _variances(magnitudes)
    hoeffding = np.sqrt(log / (2 * lengths))
    bernstein = log / (3 * lengths) + np.sqrt(
        (log / (3 * lengths)) ** 2 + 2 * variances * log / lengths
    )
    return np.where(magnitudes > 0, np.minimum(hoeffding, bernstein), 0.0)


def _variances(magnitudes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the largest variance of a bit that is 1 with a probability up to each magnitude."""
    chances = np.minimum(magnitudes, 0.5)
    variances: NDArray[np.float64] = chances * (1 - chances)
    return variances


def _needed(
    magnitudes: NDArray[np.float64], rooms: NDArray[np.float64], failure: float
) -> NDArray[np.float64]:
    """Return the shortest length whose stochastic bound fits the room; infinity without room."""
    log = math.log(2 / failure)
    with np.errstate(divide="ignore"):
        room = np.where(rooms > 0, rooms, np.nan)
        hoeffding = log / (2 * room**2)
        bernstein = 2 * log * (_variances(magnitudes) + room / 3) / room**2
    lengths = np.ceil(np.minimum(hoeffding, bernstein))
    lengths = np.where(np.isnan(lengths), np.inf, lengths)
    # A quotient may be rounded down, and the bound up: one cycle more then.
    finite = np.where(np.isfinite(lengths), np.clip(lengths, 1, 2.0**60), 1).astype(np.int64)
    short = np.isfinite(lengths) & (stochastic_bound(magnitudes, finite, failure) > rooms)
    return np.where(magnitudes > 0, lengths + short, np.where(rooms >= 0, 1.0, np.inf))


def _plan_layer(
    weights: NDArray[np.float64],
    targets: NDArray[np.float64],
    widths: tuple[int, int],
    lengths: tuple[int, int],
    failure: float,
) -> _Part:
    """Try every bit width for every synapse of a layer."""
    part = _Part(weights.shape)
    for bits in range(widths[0], widths[1] + 1):
        rounded, quantisation = _rounded(weights, bits)
        needed = np.maximum(_needed(rounded, targets - quantisation, failure), lengths[0])
        length = np.minimum(needed, lengths[1]).astype(np.int64)
        stochastic = stochastic_bound(rounded, length, failure)
        total = quantisation + stochastic
        met, had = total <= targets, part.total <= targets
        cheaper = met & (~had | (bits * length < part.cost))
        # Where nothing meets the target yet: the least error at the longest length.
        longest = np.full(weights.shape, lengths[1], dtype=np.int64)
        best = stochastic_bound(rounded, longest, failure)
        closer = ~met & ~had & (quantisation + best < part.total)
        part.take(closer, bits, longest, quantisation, best)
        part.take(cheaper, bits, length, quantisation, stochastic)
    return part


def _rounded(
    weights: NDArray[np.float64], bits: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the magnitudes on some bits, and how far each is off: half a step at most."""
    rounded = np.floor(np.abs(weights) * (1 << bits) + 0.5) / (1 << bits)
    return rounded, np.abs(np.abs(weights) - rounded)


def _checked_maps(
    maps: Sequence[ArrayLike] | None, weights: Sequence[NDArray[np.float64]]
) -> list[NDArray[np.float64]]:
    """Return one map for each layer, of the layer's shape."""
    if maps is None:
        return [np.ones(weight.shape) for weight in weights]
    if isinstance(maps, str | bytes) or not isinstance(maps, Sequence) or len(maps) != len(weights):
        count = len(maps) if isinstance(maps, Sequence) else type(maps).__name__
        raise InputError(
            f"sensitivity_maps has {count} maps for {len(weights)} layers",
            "sensitivity_maps",
            "give a list with one map for each layer",
        )
    checked = []
    for index, (given, weight) in enumerate(zip(maps, weights, strict=True)):
        name = f"sensitivity_maps[{index}]"
        array = checked_array(name, given)
        if array.ndim == 1 and len(weight) == 1:
            array = array.reshape(1, -1)
        if array.shape != weight.shape:
            raise InputError(
                f"{name} has shape {array.shape}", name, f"give the weights' shape, {weight.shape}"
            )
        if array.min() < 0:
            raise InputError(f"{name} holds {array.min():g}", name, "use numbers of 0 or more")
        checked.append(array)
    return checked


def _report(
    name: str,
    weights: NDArray[np.float64],
    targets: NDArray[np.float64],
    part: _Part,
    lengths: tuple[int, int],
    failure: float,
    *,
    strict: bool,
) -> None:
    """Warn of the synapses of a layer that miss their target, or refuse them."""
    missed = np.argwhere(part.total > targets)
    if len(missed) == 0:
        return
    excess = np.where(part.total > targets, part.total / targets, 0)
    at = tuple(int(place) for place in np.unravel_index(int(excess.argmax()), excess.shape))
    rounded = np.array([np.abs(weights[at])])
    if part.quantisation[at] > 0:
        rounded = np.floor(rounded * 2 ** part.bits[at] + 0.5) / 2 ** part.bits[at]
    room = np.array([targets[at] - part.quantisation[at]])
    needed = float(_needed(rounded, room, failure)[0])
    need = (
        "no length is long enough, it would need more than max_bits"
        if math.isinf(needed)
        else f"it would need length {needed:.0f}, max_length is {lengths[1]}"
    )
    error = InputError(
        f"target_error {targets[at]:g} of synapse {list(at)} is not met: {need}; the best reachable"
        f" error is {part.total[at]:.6g} ({len(missed)} of {weights.size} synapses miss theirs)",
        f"layer {name}",
        "raise max_length, max_bits or target_error",
    )
    if strict:
        raise error
    warnings.warn(str(error), PrecisionWarning, stacklevel=3)


def _records(
    index: int,
    name: str,
    sensitivity: NDArray[np.float64],
    targets: NDArray[np.float64],
    part: _Part,
    confidence: float,
) -> list[SynapsePrecision]:
    """Return the records of a layer."""
    log = math.log(2 / (1 - confidence))
    plan = []
    for output, row in enumerate(part.bits.tolist()):
        for place, bits in enumerate(row):
            at = (output, place)
            length, stochastic = int(part.lengths[at]), float(part.stochastic[at])
            if stochastic == 0:
                theorem = _CONSTANT
            else:
                hoeffding = stochastic >= math.sqrt(log / (2 * length)) * (1 - 1e-12)
                theorem = _HOEFFDING if hoeffding else _BERNSTEIN
            quantisation = float(part.quantisation[at])
            plan.append(
                SynapsePrecision(
                    layer_index=index,
                    layer_name=name,
                    output_index=output,
                    input_index=place,
                    bit_width=bits,
                    bitstream_length=length,
                    sensitivity=float(sensitivity[at]),
                    quantization_error_bound=quantisation,
                    stochastic_error_bound=stochastic,
                    total_error_bound=quantisation + stochastic,
                    confidence=confidence,
                    target_error=float(targets[at]),
                    meets_target=bool(part.total[at] <= targets[at]),
                    theorem=theorem,
                )
            )
    return plan
