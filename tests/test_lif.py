"""The neuron's golden model against a scalar formulation, its closed forms, and the spike bound."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from model.errors import InputError
from model.lif import (
    PRESETS,
    for_fan_in,
    integrate_and_fire,
    simulate_lif,
    spike_count_error,
    transfer,
)
from model.manifest import LifNeuron
from tests.builders import check_message

RAMP = PRESETS["ramp"]


def neuron(**fields: object) -> LifNeuron:
    """Make a neuron of 8 bits that differs in some fields from integrate-and-fire."""
    base = integrate_and_fire(threshold=10, width=8).model_dump()
    return LifNeuron.model_validate({**base, **fields})


class ScalarNeuron:
    """One neuron in Python's integers, by cases; shares nothing with the vectorised model."""

    def __init__(self, described: LifNeuron, current: int) -> None:
        self.described = described
        self.current = current
        self.charge = 0
        self.wait = 0

    def step(self, increment: int, word: int = 0) -> bool:
        """Pass a cycle; return whether it spikes."""
        if self.wait:
            self.wait -= 1
            return False
        of = self.described
        change = increment * of.gain + self.current - of.leak
        if of.noise_bits:
            change += word - 2 ** (of.noise_bits - 1)
        if of.leak_shift:
            change -= math.floor(Fraction(self.charge, 2**of.leak_shift))
        self.charge += change
        if self.charge < of.floor:
            self.charge = of.floor
        if self.charge > 2 ** (of.width - 1) - 1:
            self.charge = 2 ** (of.width - 1) - 1
        if self.charge < of.threshold:
            return False
        self.wait = of.refractory
        self.charge = of.reset_value if of.reset == "value" else self.charge - of.threshold
        return True


@st.composite
def neurons(draw: st.DrawFn) -> LifNeuron:
    """Draw a legal neuron, often at the ends of its ranges."""
    width = draw(st.integers(2, 32))
    top = (1 << (width - 1)) - 1
    inside = st.integers(-top - 1, top) | st.sampled_from([-top - 1, 0, top])
    return LifNeuron(
        width=width,
        fraction_bits=0,
        gain=draw(st.integers(1, 4) | st.integers(1, 2 * top + 1)),
        leak=draw(st.just(0) | st.integers(0, top)),
        leak_shift=draw(st.just(0) | st.integers(1, 31)),
        threshold=draw(st.integers(1, top)),
        reset=draw(st.sampled_from(["subtract", "value"])),
        reset_value=draw(inside),
        refractory=draw(st.integers(0, 4)),
        floor=draw(st.sampled_from([0, -top - 1]) | st.integers(-top - 1, 0)),
        noise_bits=draw(st.just(0) | st.integers(1, 16)),
    )


@settings(max_examples=300, deadline=None)
@given(neurons(), st.data())
def test_vectors_step_as_scalars(described: LifNeuron, data: st.DataObject) -> None:
    vectors, cycles, count = 2, data.draw(st.integers(0, 24)), 3
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    reach = data.draw(st.sampled_from([1, 3, 1 + (1 << described.width) // described.gain]))
    steps = rng.integers(-reach, reach + 1, (vectors, cycles, count))
    currents = rng.integers(-described.threshold, described.threshold + 1, count)
    words = rng.integers(0, 1 << described.noise_bits, (vectors, cycles))
    noise = words if described.noise_bits else None
    trace = simulate_lif(steps, described, currents, noise)
    for vector, index in itertools.product(range(vectors), range(count)):
        scalar = ScalarNeuron(described, int(currents[index]))
        for cycle in range(cycles):
            spike = scalar.step(int(steps[vector, cycle, index]), int(words[vector, cycle]))
            assert trace.spikes[vector, cycle, index] == spike
            assert trace.voltages[vector, cycle, index] == scalar.charge
    assert (trace.counts == trace.spikes.sum(axis=1)).all()


def test_one_noise_word_a_cycle_serves_all_vectors() -> None:
    noisy = neuron(noise_bits=3)
    words = [7, 0, 5, 3]
    steps = np.full((2, 4, 1), 5)
    assert simulate_lif(np.empty((2, 0, 1), dtype=int), noisy, 0, []).counts.tolist() == [[0], [0]]
    once = simulate_lif(steps, noisy, 0, words)
    each = simulate_lif(steps, noisy, 0, [words, words])
    # The words stand for +3, -4, +1 and -1.
    assert once.voltages[0, :, 0].tolist() == [8, 9, 5, 9]
    assert once.spikes[0, :, 0].tolist() == [False, False, True, False]
    assert (once.voltages == each.voltages).all()


@pytest.mark.parametrize(
    ("fields", "steps", "spikes", "voltages"),
    [
        # The threshold itself is enough.
        ({}, [9, 1, 9], [0, 1, 0], [9, 0, 9]),
        # Saturation at both ends, not wrap-around, and a floor above the lower one.
        ({"threshold": 127}, [100, 100], [0, 1], [100, 0]),
        ({}, [-100, -100, 20], [0, 0, 0], [-100, -128, -108]),
        ({"floor": -3}, [-100, 12], [0, 0], [-3, 9]),
        # Two refractory cycles: their increments are lost, and v stays.
        ({"refractory": 2}, [13, 50, 50, 7], [1, 0, 0, 1], [3, 3, 3, 0]),
        # A reset value replaces what is left.
        ({"reset": "value", "reset_value": -4}, [25, 13], [1, 0], [-4, 9]),
        # The shift rounds down: -1 >> 2 is -1, which is added.
        ({"leak_shift": 2}, [-1, 0, 8, 0], [0, 0, 0, 0], [-1, 0, 8, 6]),
        ({"leak": 2, "gain": 3}, [2, 2], [0, 0], [4, 8]),
    ],
)
def test_by_hand(
    fields: dict[str, object], steps: list[int], spikes: list[int], voltages: list[int]
) -> None:
    trace = simulate_lif(np.reshape(steps, (1, -1, 1)), neuron(**fields))
    assert trace.spikes[0, :, 0].astype(int).tolist() == spikes
    assert trace.voltages[0, :, 0].tolist() == voltages


@pytest.mark.parametrize(
    ("fields", "steps", "currents", "noise", "complaint"),
    [
        ({"threshold": 128}, [[[1]]], 0, None, "threshold"),
        ({"floor": -129}, [[[1]]], 0, None, "floor"),
        ({"floor": 1}, [[[1]]], 0, None, "floor"),
        ({"reset": "value", "reset_value": 128}, [[[1]]], 0, None, "reset_value"),
        ({}, [[1]], 0, None, "increments"),
        ({}, [[[1.5]]], 0, None, "increments"),
        ({}, [[[1 << 62]]], 0, None, "increments"),
        ({}, [[[1]]], [1, 2], None, "currents"),
        ({}, [[[1]]], 0, [0], "noise"),
        ({"noise_bits": 2}, [[[1]]], 0, None, "noise"),
        ({"noise_bits": 2}, [[[1]]], 0, [4], "noise"),
        ({"noise_bits": 2}, [[[1]]], 0, [1, 2], "noise"),
    ],
)
def test_what_does_not_fit_is_refused(
    fields: dict[str, object],
    steps: list[list[list[int]]],
    currents: int | list[int],
    noise: list[int] | None,
    complaint: str,
) -> None:
    with pytest.raises(InputError) as caught:
        simulate_lif(steps, neuron(**fields), currents, noise)
    check_message(caught.value, complaint)


def simulated_count(described: LifNeuron, increment: int, cycles: int) -> int:
    """Count the spikes on a constant increment."""
    return int(simulate_lif(np.full((1, cycles, 1), increment), described).counts[0, 0])


@pytest.mark.parametrize("length", [16, 100, 256])
@pytest.mark.parametrize("fan_in", [1, 4, 16, 64])
def test_ramp_meets_its_formula_at_every_constant_rate(fan_in: int, length: int) -> None:
    """A count is what the ideal rate has reached by then, rounded down: nothing is lost."""
    described = for_fan_in(RAMP, fan_in)
    ones = np.arange(fan_in + 1)
    counts = simulate_lif(np.tile(ones, (1, length, 1)), described).counts[0]
    for number, count in zip(ones.tolist(), counts.tolist(), strict=True):
        line = Fraction(5, 2) * (Fraction(number, fan_in) - Fraction(1, 10))
        ideal = min(max(line, Fraction(0)), Fraction(1))
        # Gain and leak are exact, so that the formula's rate is the neuron's to the last bit.
        drift = described.gain * number - described.leak
        assert Fraction(drift, described.threshold) == line
        assert count == math.floor(length * ideal)
        assert transfer(number, described) == pytest.approx(float(ideal), abs=1e-12)


@pytest.mark.parametrize("refractory", [0, 1, 3])
@pytest.mark.parametrize("current", [0, 7, -5])
def test_transfer_of_subtraction_is_the_rate(refractory: int, current: int) -> None:
    described = neuron(width=16, gain=3, leak=4, threshold=50, refractory=refractory)
    cycles = 4000
    increments = np.arange(-3, 25)
    found = simulate_lif(np.tile(increments, (1, cycles, 1)), described, current).counts[0]
    assert found == pytest.approx(cycles * transfer(increments, described, current), abs=1)


@pytest.mark.parametrize("refractory", [0, 1, 5])
@pytest.mark.parametrize("leak_shift", [0, 3, 5])
@pytest.mark.parametrize("reset_value", [0, -70, 9])
def test_transfer_of_a_hard_reset_is_the_rate(
    refractory: int, leak_shift: int, reset_value: int
) -> None:
    """The period, not only the rate: exactly R + k cycles from spike to spike."""
    scale = 1 << 16
    described = neuron(
        width=32,
        gain=scale,
        leak=2 * scale,
        threshold=100 * scale,
        leak_shift=leak_shift,
        reset="value",
        reset_value=reset_value * scale,
        refractory=refractory,
        floor=-(1 << 31),
    )
    increments = np.arange(200)
    current = 5 * scale // 3
    spikes = simulate_lif(np.tile(increments, (1, 1200, 1)), described, current).spikes[0]
    periods = set()
    for rate, train in zip(transfer(increments, described, current), spikes.T, strict=True):
        found = set(np.diff(np.flatnonzero(train)).tolist())
        assert found == ({round(1 / rate)} if rate else set())
        periods |= found
    assert {refractory + 1, refractory + 2, refractory + 3} < periods


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 127), st.integers(-128, 126), st.integers(-10, 140))
def test_few_bits_leak_no_more_than_real_arithmetic(
    leak_shift: int, threshold: int, reset_value: int, increment: int
) -> None:
    assume(reset_value < threshold)
    described = neuron(
        leak_shift=leak_shift, threshold=threshold, reset="value", reset_value=reset_value
    )
    # A period has at most 64 ln(256) cycles: there are two spikes.
    steps = np.full((1, 800, 1), increment)
    spikes = np.flatnonzero(simulate_lif(steps, described).spikes[0, :, 0])
    rate = float(transfer(increment, described))
    if rate > 0:
        assert max(np.diff(spikes)) <= round(1 / rate)


def test_few_bits_fire_where_real_arithmetic_just_does_not() -> None:
    described = neuron(leak_shift=3, threshold=80, reset="value")
    assert transfer(10, described) == 0
    assert simulated_count(described, 10, 1000) > 0
    assert simulated_count(described, 9, 1000) == 0


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"noise_bits": 1}, "noise_bits"),
        ({"leak_shift": 1}, "leak_shift"),
        ({"threshold": 100}, "width"),
        ({"reset": "value", "reset_value": 10}, "reset_value"),
        ({"reset": "value", "reset_value": -9, "floor": -8}, "reset_value"),
    ],
)
def test_no_closed_form_is_refused(fields: dict[str, object], complaint: str) -> None:
    with pytest.raises(InputError) as caught:
        transfer(50, neuron(**fields))
    check_message(caught.value, complaint)


def test_a_membrane_that_saturates_has_another_rate() -> None:
    """Why `transfer` refuses it: 50 of 100 would be every other cycle."""
    assert simulated_count(neuron(threshold=100), 90, 1000) < 1000 * 90 / 100 - 50


def test_fan_in_must_divide_the_gain() -> None:
    assert for_fan_in(RAMP, 5).gain == 128
    with pytest.raises(InputError) as caught:
        for_fan_in(RAMP, 7)
    check_message(caught.value, "fan_in", "640")


def deviation(increments: Sequence[int], mean: Fraction) -> Fraction:
    """Return the largest distance of the partial sums from a straight line, at t = 0 .. L."""
    sums = itertools.accumulate(increments, initial=0)
    return max(abs(total - mean * cycle) for cycle, total in enumerate(sums))


def spike_count(increments: Sequence[int], threshold: int, floor: int | None = None) -> int:
    """Count the spikes of integrate-and-fire, in a membrane that no path of these tests fills."""
    described = integrate_and_fire(threshold, width=31)
    if floor is not None:
        described = described.model_copy(update={"floor": floor})
    steps = np.reshape(np.asarray(increments, dtype=np.int64), (1, -1, 1))
    return int(simulate_lif(steps, described).counts[0, 0])


def ideal_count(length: int, mean: Fraction, threshold: int) -> Fraction:
    return length * min(max(mean / threshold, Fraction(0)), Fraction(1))


PATHS = st.lists(st.integers(-60, 60), min_size=1, max_size=80)


@settings(max_examples=500, deadline=None)
@given(PATHS, st.integers(1, 40), st.fractions(-70, 70, max_denominator=50) | st.none())
def test_no_path_breaks_the_spike_bound(
    path: list[int], threshold: int, line: Fraction | None
) -> None:
    """Whatever line the partial sums are compared with: the bound is the theorem's for each mu."""
    mean = Fraction(sum(path), len(path)) if line is None else line
    error = spike_count(path, threshold) - ideal_count(len(path), mean, threshold)
    farthest = deviation(path, mean)
    assert -farthest / threshold - 1 < error <= farthest / threshold
    assert abs(error) <= spike_count_error(float(farthest), threshold, len(path)) + 1e-9


@pytest.mark.parametrize("threshold", [2, 10, 1000])
def test_paths_that_nearly_attain_the_bound(threshold: int) -> None:
    """Below by all but one unit of charge, above to the last one."""
    length = 50
    # The line runs ahead of the charge, which ends one unit below the next spike.
    path = [threshold // 2] * (length - 1) + [0]
    path[-1] = -1 - sum(path) % threshold + threshold
    mean = Fraction(sum(path) + 7 * threshold, length)
    farthest = deviation(path, mean)
    assert farthest == 7 * threshold
    error = spike_count(path, threshold) - ideal_count(length, mean, threshold)
    assert error == -(farthest / threshold + 1 - Fraction(1, threshold))
    # One lump of charge, which leaves the line by all of it.
    lump = [threshold * length // 2] + [0] * (length - 1)
    farthest = deviation(lump, Fraction(0))
    assert spike_count(lump, threshold) == farthest / threshold


def test_a_floor_at_zero_breaks_the_bound() -> None:
    """Reflection: what the floor cuts away is never paid back, so that noise alone fires."""
    threshold, length = 10, 40
    path = [-threshold, threshold] * (length // 2)
    bound = spike_count_error(float(deviation(path, Fraction(0))), threshold, length)
    assert bound == 2
    assert spike_count(path, threshold) <= bound
    assert spike_count(path, threshold, floor=0) == length // 2


def test_a_membrane_that_is_cut_at_the_top_breaks_the_bound() -> None:
    path = [120, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] + [120] + [0] * 11
    narrow = integrate_and_fire(10, width=5)
    count = simulate_lif(np.reshape(path, (1, -1, 1)), narrow).counts[0, 0]
    mean = Fraction(240, len(path))
    error = abs(count - ideal_count(len(path), mean, 10))
    assert error > spike_count_error(float(deviation(path, mean)), 10, len(path))


def test_the_bound_never_exceeds_the_length() -> None:
    assert spike_count_error(1e6, 1, 16) == 16
    assert spike_count_error(0, 1, 16) == 1


@pytest.mark.parametrize(
    ("farthest", "threshold", "length", "complaint"),
    [
        (-1, 1, 1, "max_partial_deviation"),
        (math.nan, 1, 1, "max_partial_deviation"),
        (1, 0, 1, "threshold"),
        (1, 1, -1, "length"),
    ],
)
def test_impossible_arguments_of_the_bound(
    farthest: float, threshold: float, length: int, complaint: str
) -> None:
    with pytest.raises(InputError) as caught:
        spike_count_error(farthest, threshold, length)
    check_message(caught.value, complaint)
