"""Leaky integrate-and-fire neurons: bit-true simulation, closed forms of the rate, and a bound.

`simulate_lif` steps as `model.manifest.LifNeuron` says, and so does ``hdl/sc_lif_neuron.v``.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.argument_checks import checked_integer, checked_real
from model.errors import InputError
from model.manifest import LifNeuron

_EXACT = 1 << 62  # sums below it stay exact in 64-bit integers


@dataclasses.dataclass(frozen=True)
class LifTrace:
    """What a bank of neurons did in each cycle.

    Attributes
    ----------
    spikes : ndarray of bool
        Whether a neuron spiked; shape (vectors, cycles, neurons).
    voltages : ndarray of int64
        The membrane after the cycle, in units of ``2**-fraction_bits``; same shape.
    """

    spikes: NDArray[np.bool_]
    voltages: NDArray[np.int64]

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of spikes of each neuron; shape (vectors, neurons)."""
        return np.asarray(self.spikes.sum(axis=1, dtype=np.int64))


def simulate_lif(
    increments: ArrayLike,
    neuron: LifNeuron,
    currents: ArrayLike = 0,
    noise: ArrayLike | None = None,
) -> LifTrace:
    """Step neurons through increments, bit by bit as the hardware does.

    Parameters
    ----------
    increments : array_like of int
        What the adder gives each neuron in each cycle; shape (vectors, cycles, neurons).
    neuron : LifNeuron
        The arithmetic that all neurons share.
    currents : array_like of int
        Bias of each neuron for each cycle, in units of ``2**-fraction_bits``; one, or one a neuron.
    noise : array_like of int, optional
        The noise word of each cycle, which all neurons see, 0 to ``2**noise_bits - 1``: shape
        (cycles,), or (vectors, cycles). Given if, and only if, the neuron has noise.

    Returns
    -------
    LifTrace
        Spikes and voltages; every vector starts at 0.

    Raises
    ------
    InputError
        If shapes do not fit, numbers are no integers or so large that 64 bits do not hold the sums,
        noise words are out of range, or the neuron's threshold, floor or reset value are outside
        its membrane.
    """
    check_neuron(neuron)
    steps = _integers("increments", increments)
    if steps.ndim != 3:
        raise InputError(
            f"increments have shape {steps.shape}",
            "increments",
            "give an array of shape (vectors, cycles, neurons)",
        )
    vectors, cycles, neurons = steps.shape
    bias = _integers("currents", currents)
    if bias.shape not in ((), (neurons,)):
        raise InputError(f"currents have shape {bias.shape}", "currents", f"give one, or {neurons}")
    offsets = _offsets(neuron, noise, vectors, cycles)
    largest = _largest(steps) * neuron.gain + _largest(bias) + neuron.leak + (1 << neuron.width)
    if largest >= _EXACT:
        raise InputError(
            f"a sum may reach {largest}", "increments", f"keep gain * increment below {_EXACT}"
        )
    top = (1 << (neuron.width - 1)) - 1
    voltage = np.zeros((vectors, neurons), dtype=np.int64)
    resting = np.zeros((vectors, neurons), dtype=np.int64)
    spikes = np.empty(steps.shape, dtype=np.bool_)
    voltages = np.empty(steps.shape, dtype=np.int64)
    for cycle in range(cycles):
        total = voltage + neuron.gain * steps[:, cycle] + bias + offsets[:, cycle, np.newaxis]
        if neuron.leak_shift:
            total -= voltage >> neuron.leak_shift
        # The floor is in range, so that nothing is left to saturate at the lower end.
        total = np.clip(total, neuron.floor, top)
        active = resting == 0
        spike = active & (total >= neuron.threshold)
        after = total - neuron.threshold if neuron.reset == "subtract" else neuron.reset_value
        voltage = np.where(active, np.where(spike, after, total), voltage)
        resting = np.where(spike, neuron.refractory, np.maximum(resting - 1, 0))
        spikes[:, cycle] = spike
        voltages[:, cycle] = voltage
    return LifTrace(spikes, voltages)


def transfer(p: ArrayLike, neuron: LifNeuron, current: int = 0) -> NDArray[np.float64]:
    """Return the rate, in spikes a cycle, at which a neuron fires on a constant increment.

    With ``a = gain p + current - leak``, the drift of the membrane in a cycle, R the refractory
    cycles, and lambda = ``2**-leak_shift``:

    - reset by subtraction, no `leak_shift`: ``f / (1 + R f)``, ``f = clip(a / threshold, 0, 1)``;
    - reset to a value r: ``1 / (R + k)``, with k the cycles from r to the threshold. Without
      `leak_shift`, ``k = ceil((threshold - r) / a)``; with it
      ``k = ceil(ln((a - lambda threshold) / (a - lambda r)) / ln(1 - lambda))``, and the rate is 0
      where ``a <= lambda threshold``.

    The last of them is of real arithmetic. The shift rounds down, so that the hardware leaks less:
    it fires as early or earlier, and at ``a = lambda threshold``, where the formula says never.

    Parameters
    ----------
    p : array_like of float
        Mean increment of a cycle.
    neuron : LifNeuron
        The neuron.
    current : int
        Its bias.

    Raises
    ------
    InputError
        If there is no closed form: noise, subtraction with `leak_shift` or from a membrane that
        saturates, or a reset value below the floor or not below the threshold.
    """
    check_neuron(neuron)
    if neuron.noise_bits:
        raise InputError("the neuron has noise", "noise_bits", "use 0: there is no closed form")
    drift = neuron.gain * np.asarray(p, dtype=np.float64) + current - neuron.leak
    rest = neuron.refractory
    if neuron.reset == "subtract":
        if neuron.leak_shift:
            raise InputError(
                f"reset by subtraction with leak_shift {neuron.leak_shift}",
                "leak_shift",
                "use 0: there is no closed form",
            )
        top = (1 << (neuron.width - 1)) - 1
        lossy = (drift < neuron.threshold) & (drift + neuron.threshold - 1 > top)
        if lossy.any():
            raise InputError(
                f"the membrane saturates at {top}", "width", "use more: there is no closed form"
            )
        rate = np.clip(drift / neuron.threshold, 0, 1)
        return np.asarray(rate / (1 + rest * rate))
    start, threshold = neuron.reset_value, neuron.threshold
    if not neuron.floor <= start < threshold:
        raise InputError(
            f"reset_value is {start}",
            "reset_value",
            f"use {neuron.floor} to {threshold - 1}: there is no closed form beyond",
        )
    share = 2.0**-neuron.leak_shift if neuron.leak_shift else 0.0
    fires = drift > share * threshold
    safe = np.where(fires, drift, share * threshold + 1)
    if share:
        left = (safe - share * threshold) / (safe - share * start)
        cycles = np.ceil(np.log(left) / math.log1p(-share))
    else:
        cycles = np.ceil((threshold - start) / safe)
    return np.asarray(np.where(fires, 1 / (rest + cycles), 0.0))


def spike_count_error(max_partial_deviation: float, threshold: float, length: int) -> float:
    """Bound how far a count of spikes is from the ideal rate, for every path of increments.

    For a neuron with reset by subtraction, without `leak_shift`, refractory cycles and noise, in a
    run in which neither the floor nor an end of the range cuts the membrane: let A(t) be the sum of
    ``gain I + current - leak`` over the first t cycles, and mu a real number with
    ``|A(t) - mu t| <= max_partial_deviation`` for t = 0 .. L. Then the number N of spikes obeys
    ``|N - L clip(mu / threshold, 0, 1)| <= max_partial_deviation / threshold + 1``. The proof is in
    ``docs/neurons.md``.

    Parameters
    ----------
    max_partial_deviation, threshold : float
        In units of the membrane.
    length : int
        L, the number of cycles, which bounds the error too.
    """
    theta = checked_real("threshold", threshold, above=0, legal="use a positive number")
    if max_partial_deviation != 0:
        checked_real(
            "max_partial_deviation",
            max_partial_deviation,
            above=0,
            legal="use a number that is not negative",
        )
    cycles = checked_integer("length", length, 0)
    return min(max_partial_deviation / theta + 1, cycles)


def for_fan_in(neuron: LifNeuron, fan_in: int) -> LifNeuron:
    """Return the neuron that sees a sum of so many synapses as the given one sees their mean.

    Raises
    ------
    InputError
        If the gain is not a multiple of the fan-in.
    """
    synapses = checked_integer("fan_in", fan_in, 1)
    if neuron.gain % synapses:
        raise InputError(
            f"a gain of {neuron.gain} is not divisible by {synapses} synapses",
            "fan_in",
            "scale gain, leak, threshold, floor and reset value up first",
        )
    return neuron.model_copy(update={"gain": neuron.gain // synapses})


def integrate_and_fire(threshold: int, width: int, gain: int = 1) -> LifNeuron:
    """Return a neuron that forgets nothing: no leak, reset by subtraction, the lowest floor.

    Parameters
    ----------
    threshold, gain : int
        In integers: such a neuron needs no fraction.
    width : int
        Bits of the membrane.
    """
    return LifNeuron(
        width=width,
        fraction_bits=0,
        gain=gain,
        leak=0,
        leak_shift=0,
        threshold=threshold,
        reset="subtract",
        reset_value=0,
        refractory=0,
        floor=-(1 << (width - 1)),
    )


# `ramp` meets clip(2.5 (p - .1), 0, 1) exactly on a constant p; `for_fan_in` gives it more synapses
# than one.
PRESETS: Mapping[str, LifNeuron] = MappingProxyType(
    {
        "ramp": LifNeuron(
            width=16,
            fraction_bits=8,
            gain=640,
            leak=64,
            leak_shift=0,
            threshold=256,
            reset="subtract",
            reset_value=0,
            refractory=0,
            floor=0,
        )
    }
)


def check_neuron(neuron: LifNeuron) -> None:
    """Refuse what the hardware refuses: constants that the membrane does not hold.

    Parameters
    ----------
    neuron : LifNeuron
        The neuron.

    Raises
    ------
    InputError
        If its threshold, floor or reset value is beyond its width.
    """
    top = (1 << (neuron.width - 1)) - 1
    checked_integer("threshold", neuron.threshold, 1, top)
    checked_integer("floor", neuron.floor, -top - 1, 0)
    if neuron.reset == "value":
        checked_integer("reset_value", neuron.reset_value, -top - 1, top)


def _offsets(
    neuron: LifNeuron, noise: ArrayLike | None, vectors: int, cycles: int
) -> NDArray[np.int64]:
    """Return what noise and leak add in each cycle; shape (vectors, cycles)."""
    if (noise is not None) != (neuron.noise_bits > 0):
        raise InputError(
            f"noise_bits is {neuron.noise_bits}", "noise", "give words if it is not 0, else none"
        )
    if noise is None:
        return np.full((vectors, cycles), -neuron.leak, dtype=np.int64)
    words = _integers("noise", noise)
    if words.shape not in ((cycles,), (vectors, cycles)):
        raise InputError(
            f"noise has shape {words.shape}", "noise", f"give {cycles} words, or so many a vector"
        )
    if words.size and not 0 <= words.min() <= words.max() < 1 << neuron.noise_bits:
        raise InputError(
            f"noise reaches from {words.min()} to {words.max()}",
            "noise",
            f"use words of {neuron.noise_bits} bits",
        )
    half = 1 << (neuron.noise_bits - 1)
    return np.broadcast_to(words - half - neuron.leak, (vectors, cycles))


def _integers(name: str, value: ArrayLike) -> NDArray[np.int64]:
    """Return an array of integers, or refuse it."""
    array = np.asarray(value)
    # An empty list has no type of its own.
    if array.size and (array.dtype.kind not in "bui" or array.dtype == np.uint64):
        raise InputError(f"{name} have type {array.dtype}", name, "use signed integers")
    return array.astype(np.int64)


def _largest(values: NDArray[np.int64]) -> int:
    """Return the largest magnitude, exactly."""
    return max(abs(int(values.min())), abs(int(values.max()))) if values.size else 0
