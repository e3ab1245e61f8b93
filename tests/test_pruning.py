"""Pruning: every promise of the compressors, the bounds in exact arithmetic, and refused inputs."""

from __future__ import annotations

import doctest
import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import FrozenInstanceError, asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from model import (
    Projection,
    PruningReport,
    RemovedNeuron,
    prune_neurons,
    prune_stochastic,
    prune_weights,
)
from model.bounds import propagate
from model.errors import InputError
from model.quantise import quantise_weights
from tests.builders import check_message

Array = NDArray[np.float64]
Layers = list[Array]
Pruner = Callable[[Layers], tuple[Layers, PruningReport]]

# Of every pruner of synapses, one that changes much.
SYNAPSE_PRUNERS: list[Pruner] = [
    lambda weights: prune_weights(weights, 0.3),
    lambda weights: prune_weights(weights, 0.4, "percentile"),
    lambda weights: prune_stochastic(weights, 7, 2.5),
]


def layers_of(seed: int, *, top: float = 1.0, sizes: Sequence[int] | None = None) -> Layers:
    """Draw a chain of layers; exact zeros, ones and ties come often."""
    rng = np.random.default_rng(seed)
    if sizes is None:
        sizes = rng.integers(1, 6, rng.integers(2, 5)).tolist()
    layers = []
    for fan_in, outputs in itertools.pairwise(sizes):
        weights = rng.uniform(-top, top, (outputs, fan_in))
        special = rng.choice([0, top, -top, top / 2, -top / 2, top / 256], weights.shape)
        layers.append(np.where(rng.random(weights.shape) < 0.3, special, weights))
    return layers


def forward(
    weights: Layers, biases: Layers, exponents: Sequence[int], inputs: Array
) -> tuple[Layers, Layers]:
    """Return the weighted sums and the clipped activations of every layer."""
    sums, activations = [], []
    for weight, bias, exponent in zip(weights, biases, exponents, strict=True):
        sums.append(inputs @ weight.T + bias)
        inputs = np.clip(sums[-1] * 2.0**exponent, 0, 1)
        activations.append(inputs)
    return sums, activations


def exact_worst(old: Array, new: Array) -> list[Fraction]:
    return [
        sum((abs(Fraction(b) - Fraction(a)) for a, b in zip(*rows, strict=True)), Fraction())
        for rows in zip(old.tolist(), new.tolist(), strict=True)
    ]


# --- synapses: all three ways ---------------------------------------------------------------------


@pytest.mark.parametrize("prune", SYNAPSE_PRUNERS)
@given(seed=st.integers(0, 2**32), top=st.sampled_from([1.0, 0.4]))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_output_bounds_are_the_exact_worst_case(prune: Pruner, seed: int, top: float) -> None:
    """Not below the exact sum of the changes, and not above it by more than its rounding."""
    layers = layers_of(seed, top=top)
    pruned, report = prune(layers)
    for old, new, bounds in zip(layers, pruned, report.output_bounds, strict=True):
        for bound, worst in zip(bounds, exact_worst(old, new), strict=True):
            assert worst <= Fraction(bound) <= worst * (1 + Fraction(1, 10**14))


@pytest.mark.parametrize("prune", SYNAPSE_PRUNERS)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_the_bound_is_attained_by_an_input(prune: Pruner, seed: int) -> None:
    """The signs of one output's changes, as an input, move it by the whole bound."""
    layers = layers_of(seed)
    pruned, report = prune(layers)
    for old, new, bounds in zip(layers, pruned, report.output_bounds, strict=True):
        witness = np.sign(new - old)
        moved = ((new - old) * witness).sum(axis=1)
        assert moved == pytest.approx(bounds, rel=1e-12, abs=0)


@pytest.mark.parametrize("prune", SYNAPSE_PRUNERS)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_bounds_hold_through_the_network(prune: Pruner, seed: int) -> None:
    """The report's bounds with the pruned weights, propagated, cover every measured error."""
    layers = layers_of(seed)
    pruned, report = prune(layers)
    rng = np.random.default_rng(seed)
    exponents = rng.integers(-2, 3, len(layers)).tolist()
    biases = [rng.uniform(-1, 1, len(layer)) for layer in layers]
    inputs = np.sign(rng.uniform(-1, 1, (60, layers[0].shape[1])))
    inputs[30:] *= rng.random(inputs[30:].shape)
    bounds = propagate(
        [np.abs(layer) for layer in pruned],
        [np.array(part) for part in report.output_bounds],
        exponents,
        0.0,
    )
    before, _ = forward(layers, biases, exponents, inputs)
    after, _ = forward(pruned, biases, exponents, inputs)
    for old, new, bound in zip(before, after, bounds, strict=True):
        assert (np.abs(new - old) <= bound + 1e-12).all()


@pytest.mark.parametrize("prune", SYNAPSE_PRUNERS)
def test_reports_count_what_was_done(prune: Pruner) -> None:
    layers = layers_of(3, sizes=(6, 5, 4))
    pruned, report = prune(layers)
    assert report.shapes_before == report.shapes_after == ((5, 6), (4, 5))
    assert report.synapses_before == tuple(int((layer != 0).sum()) for layer in layers)
    assert report.synapses_after == tuple(int((layer != 0).sum()) for layer in pruned)
    ones = [
        int(((new != old) & (np.abs(new) == 1)).sum())
        for old, new in zip(layers, pruned, strict=True)
    ]
    assert report.constant_gates == tuple(ones)
    assert any(ones) == (report.method == "stochastic")
    assert sum(report.synapses_after) < sum(report.synapses_before)
    assert report.sparsity == (50 - sum(report.synapses_after)) / 50
    assert report.layer_bounds == tuple(max(bounds) for bounds in report.output_bounds)


@pytest.mark.parametrize("prune", [prune_weights, prune_stochastic])
def test_one_array_is_one_layer(prune: Callable[[Any], tuple[Any, PruningReport]]) -> None:
    array = layers_of(4, sizes=(6, 5))[0]
    alone, report = prune(array)
    listed, same = prune([array])
    assert isinstance(alone, np.ndarray)
    assert isinstance(listed, list)
    assert np.array_equal(alone, listed[0])
    assert report == same


def test_a_1d_array_is_one_output() -> None:
    (pruned,), report = prune_weights([np.array([0.001, 0.5, -0.002])])
    assert pruned.tolist() == [0, 0.5, 0]
    assert report.shapes_after == ((1, 3),)
    alone, _ = prune_stochastic(np.array([0.001, 0.999]))
    assert alone.tolist() == [0, 1]


def test_integers_and_float32_are_weights() -> None:
    (pruned, other), _ = prune_weights(
        [np.array([[1, 0, -3]]), np.array([[0.5], [0.001]], np.float32)]
    )
    assert pruned.dtype == other.dtype == np.float64
    assert pruned.tolist() == [[1, 0, -3]]
    assert other.tolist() == [[0.5], [0]]


# --- prune_weights --------------------------------------------------------------------------------


@given(seed=st.integers(0, 2**32), threshold=st.floats(0, 1.2))
@example(seed=1, threshold=0.0)
@example(seed=1, threshold=0.5)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_magnitude_cuts_exactly_what_is_below(seed: int, threshold: float) -> None:
    layers = layers_of(seed)
    pruned, report = prune_weights(layers, threshold)
    for old, new in zip(layers, pruned, strict=True):
        for before, after in zip(old.flat, new.flat, strict=True):
            assert after == (0 if abs(before) < threshold else before)
    assert report.method == "magnitude"
    assert report.cuts == (threshold,) * len(layers)


def test_the_default_threshold_is_one_hundredth() -> None:
    pruned, _ = prune_weights(np.array([[0.0099, -0.0099, 0.01, -0.01]]))
    assert pruned.tolist() == [[0, 0, 0.01, -0.01]]


@given(seed=st.integers(0, 2**32), share=st.floats(0, 0.999))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_percentile_cuts_the_smallest_and_never_more_than_its_share(
    seed: int, share: float
) -> None:
    layers = layers_of(seed)
    pruned, report = prune_weights(layers, share, "percentile")
    for old, new, cut in zip(layers, pruned, report.cuts, strict=True):
        most = math.floor(Fraction(repr(share)) * old.size)
        below = np.abs(old) < cut
        assert below.sum() <= most
        # One more, the cut itself and all that tie with it, would be too many.
        assert (np.abs(old) <= cut).sum() > most
        assert np.array_equal(new, np.where(below, 0, old))


@pytest.mark.parametrize("percent", range(100))
def test_percentile_takes_the_share_as_it_is_written(percent: int) -> None:
    """0.29 x 100 is 28.999999999999996 in floats; 29 of 100 different weights go."""
    weights = np.linspace(1, 100, 100).reshape(10, 10)
    pruned, report = prune_weights(weights, float(f"0.{percent:02d}"), "percentile")
    assert (pruned == 0).sum() == percent
    assert report.cuts == (percent + 1,)


def test_percentile_keeps_ties() -> None:
    weights = np.array([[0.1, 0.2, -0.2, 0.2, 0.3]])
    for share, left in ((0.2, 4), (0.4, 4), (0.6, 4), (0.8, 1)):
        pruned, _ = prune_weights(weights, share, "percentile")
        assert np.count_nonzero(pruned) == left
    same, report = prune_weights(np.full((3, 3), 0.5), 0.9, "percentile")
    assert (same == 0.5).all()
    assert report.layer_bounds == (0,)


def test_percentile_is_for_each_layer() -> None:
    pruned, report = prune_weights(
        [np.array([[1.0, 2, 3, 4]]), np.array([[10.0, 20, 30, 40]])], 0.5, "percentile"
    )
    assert [layer.tolist() for layer in pruned] == [[[0, 0, 3, 4]], [[0, 0, 30, 40]]]
    assert report.cuts == (3, 30)


# --- prune_stochastic -----------------------------------------------------------------------------


@given(
    seed=st.integers(0, 2**32),
    length=st.sampled_from([1, 2, 3, 7, 16, 100, 256, 1024]),
    share=st.floats(0, 0.5),
)
@example(seed=1, length=2, share=0.5)
@settings(max_examples=120, deadline=None, derandomize=True)
def test_stochastic_makes_constant_gates_by_the_rule(seed: int, length: int, share: float) -> None:
    """Exact arithmetic decides; rounding may keep a weight on the edge, never change one beyond."""
    least = share * length
    layers = layers_of(seed)
    pruned, report = prune_stochastic(layers, length, least)
    edge = Fraction(length, 10**14)
    for old, new in zip(layers, pruned, strict=True):
        for before, after in zip(old.ravel().tolist(), new.ravel().tolist(), strict=True):
            ones = abs(Fraction(before)) * length
            zeros = length - ones
            if after == before:
                assert before == 0 or min(ones, zeros) >= Fraction(least) - edge or zeros == 0
            elif after == 0:
                assert ones < least
            else:
                assert after == math.copysign(1, before)
                assert zeros < least
    assert report.method == "stochastic"


def test_stochastic_at_the_edges_of_the_rule() -> None:
    """256 cycles, one bit: exactly one expected one, or zero, is enough to stay."""
    one = 1 / 256
    weights = np.array([[one, np.nextafter(one, 0), 1 - one, np.nextafter(1 - one, 1), 0.5, 0, 1]])
    pruned, report = prune_stochastic(np.concatenate([weights, -weights]))
    expected = np.array([[one, 0, 1 - one, 1, 0.5, 0, 1]])
    assert np.array_equal(pruned, np.concatenate([expected, -expected]))
    assert report.constant_gates == (2,)
    assert report.cuts == (one,)
    assert report.layer_bounds[0] == pytest.approx(2 * one, rel=1e-12)


def test_a_weight_near_one_becomes_a_constant_gate_and_not_zero() -> None:
    pruned, _ = prune_stochastic(np.array([[0.9999, -0.9999, 0.0001, -0.0001]]))
    assert pruned.tolist() == [[1, -1, 0, 0]]
    assert quantise_weights(pruned, 8).tolist() == [[256, -256, 0, 0]]


def test_no_bits_change_nothing() -> None:
    layers = layers_of(5, sizes=(6, 5))
    pruned, report = prune_stochastic(layers, 256, 0)
    assert np.array_equal(pruned[0], layers[0])
    assert report.layer_bounds == (0,)


def test_the_largest_legal_bits_leave_only_constant_gates() -> None:
    """At half of the length both rules meet at 1/2, and never overlap."""
    pruned, _ = prune_stochastic(np.array([[0.3, 0.49, 0.5, 0.51, -0.51]]), 256, 128)
    assert pruned.tolist() == [[0, 0, 0.5, 1, -1]]


# --- prune_neurons --------------------------------------------------------------------------------


def corners(fan_in: int, low: float) -> Array:
    """Return every corner of the cube of inputs."""
    return np.array(list(itertools.product((low, 1.0), repeat=fan_in)))


@given(seed=st.integers(0, 2**32), signed=st.booleans(), with_biases=st.booleans())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_provably_constant_neurons_change_nothing(
    seed: int, signed: bool, with_biases: bool
) -> None:
    """Dyadic weights, so that float64 is exact: all sums of the remaining neurons are the same."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 6, 4).tolist()
    weights = [
        rng.integers(-4, 5, (outputs, fan_in)) / 4 for fan_in, outputs in itertools.pairwise(sizes)
    ]
    biases = [rng.integers(-8, 9, len(layer)) / 4 * with_biases for layer in weights]
    exponents = rng.integers(-1, 2, len(weights)).tolist()
    try:
        if with_biases:
            pruned, folded, report = prune_neurons(
                weights, biases=biases, scale_exponents=exponents, input_signed=signed
            )
        else:
            pruned, report = prune_neurons(weights, scale_exponents=exponents, input_signed=signed)
            folded = [np.zeros(len(layer)) for layer in pruned]
    except InputError as error:
        assert "would be removed" in str(error)  # noqa: PT017
        return
    assert report.layer_bounds == (0,) * len(weights)
    inputs = corners(sizes[0], -1.0 if signed else 0.0)
    inputs = np.concatenate([inputs, np.round(rng.uniform(inputs.min(), 1, inputs.shape) * 8) / 8])
    before, activations = forward(weights, biases, exponents, inputs)
    after, _ = forward(pruned, folded, exponents, inputs)
    for index, (old, new) in enumerate(zip(before, after, strict=True)):
        gone = [part.neuron for part in report.removed if part.layer == index]
        assert np.array_equal(np.delete(old, gone, axis=1), new)
    for part in report.removed:
        assert part.error == 0
        if part.reason == "constant":
            assert (activations[part.layer][:, part.neuron] == part.constant).all()


@given(seed=st.integers(0, 2**32), with_biases=st.booleans())
@settings(max_examples=100, deadline=None, derandomize=True)
def test_the_bound_of_inactive_neurons_holds(seed: int, with_biases: bool) -> None:
    """Against rates that lie: neurons that are called inactive may be fully active."""
    rng = np.random.default_rng(seed)
    layers = layers_of(seed, sizes=(3, 5, 4, 2))
    biases = [rng.uniform(-1, 1, len(layer)) * with_biases for layer in layers]
    exponents = rng.integers(-1, 2, 3).tolist()
    rates = [rng.choice([0, 0.2, 0.5], len(layer)) for layer in layers[:2]]
    for rate in rates:
        rate[0] = 1
    kept: dict[str, Any] = {"scale_exponents": exponents}
    try:
        if with_biases:
            pruned, folded, report = prune_neurons(layers, rates, 0.3, biases=biases, **kept)
        else:
            pruned, report = prune_neurons(layers, rates, 0.3, **kept)
            folded = [np.zeros(len(layer)) for layer in pruned]
    except InputError as error:
        assert "would be removed" in str(error)  # noqa: PT017
        return
    inputs = np.concatenate([corners(3, -1.0), rng.uniform(-1, 1, (40, 3))])
    bounds = propagate(
        [np.abs(layer) for layer in pruned],
        [np.array(part) for part in report.output_bounds],
        exponents,
        0.0,
    )
    before, activations = forward(layers, biases, exponents, inputs)
    after, _ = forward(pruned, folded, exponents, inputs)
    for index, (old, new, bound) in enumerate(zip(before, after, bounds, strict=True)):
        gone = [part.neuron for part in report.removed if part.layer == index]
        assert (np.abs(np.delete(old, gone, axis=1) - new) <= bound + 1e-12).all()
    for part in report.removed:
        if part.reason != "unused":
            distance = np.abs(activations[part.layer][:, part.neuron] - part.constant)
            assert distance.max() <= part.error + 1e-12


# Inputs 0 to 1. Neuron 0 is never above 0, neuron 1 never below 1, neuron 2 is neither; the largest
# and the smallest sum are exactly 0 and exactly 1, or one unit in the last place beyond.
CONSTANT_WEIGHTS = [np.array([[0.5, -0.5], [-0.5, 0.5], [0.5, 0.5]]), np.array([[1.0, 0.5, 0.25]])]
CONSTANT_BIASES = [np.array([-0.5, 1.5, 0]), np.array([0.125])]


def test_constants_are_found_on_the_very_edge() -> None:
    pruned, biases, report = prune_neurons(
        CONSTANT_WEIGHTS, biases=CONSTANT_BIASES, input_signed=False
    )
    assert [layer.tolist() for layer in pruned] == [[[0.5, 0.5]], [[0.25]]]
    assert [bias.tolist() for bias in biases] == [[0], [0.625]]
    assert report.removed == (
        RemovedNeuron(0, 0, "constant", 0.0, 0.0),
        RemovedNeuron(0, 1, "constant", 1.0, 0.0),
    )
    assert report.shapes_before == ((3, 2), (1, 3))
    assert report.shapes_after == ((1, 2), (1, 1))
    assert report.synapses_before == (6, 3)
    assert report.synapses_after == (2, 1)
    assert report.sparsity == pytest.approx(2 / 3)


@pytest.mark.parametrize(("neuron", "toward"), [(0, 0.0), (1, 0.0)])
def test_one_rounding_beyond_the_edge_is_no_constant(neuron: int, toward: float) -> None:
    biases = [bias.copy() for bias in CONSTANT_BIASES]
    biases[0][neuron] = np.nextafter(biases[0][neuron], toward)
    _, _, report = prune_neurons(CONSTANT_WEIGHTS, biases=biases, input_signed=False)
    assert [part.neuron for part in report.removed] == [1 - neuron]


def test_signed_inputs_make_fewer_constants() -> None:
    _, _, report = prune_neurons(CONSTANT_WEIGHTS, biases=CONSTANT_BIASES)
    assert report.removed == ()


def test_the_scale_decides_what_is_never_below_one() -> None:
    kept, _, _ = prune_neurons(
        CONSTANT_WEIGHTS, biases=CONSTANT_BIASES, input_signed=False, scale_exponents=[-1, 0]
    )
    assert kept[0].shape == (2, 2)


@pytest.mark.parametrize("exponent", [-2, -1, 1, 2])
def test_the_edge_of_one_moves_with_the_scale(exponent: int) -> None:
    """A smallest sum of exactly 2**-e is always 1 after the clip; the float below it is not."""
    weights = [np.array([[-0.5, 0.5], [0.5, 0.5]]), np.ones((1, 2))]
    edge = 2.0**-exponent + 0.5
    found = []
    for bias in (edge, np.nextafter(edge, 0)):
        _, _, report = prune_neurons(
            weights,
            biases=[np.array([bias, 0]), np.zeros(1)],
            scale_exponents=[exponent, 0],
            input_signed=False,
        )
        found.append([(part.neuron, part.constant) for part in report.removed])
    assert found == [[(0, 1.0)], []]


def test_without_biases_constants_are_zero() -> None:
    weights = [np.array([[-1.0, -1], [1, 1], [0, 0]]), np.ones((2, 3))]
    pruned, report = prune_neurons(weights, input_signed=False)
    assert [(part.neuron, part.constant) for part in report.removed] == [(0, 0), (2, 0)]
    assert [layer.tolist() for layer in pruned] == [[[1, 1]], [[1], [1]]]


def test_a_constant_of_an_earlier_layer_reaches_a_later_one() -> None:
    """Layer 1 is constant only because neuron 0 of layer 0 is always 1."""
    weights = [np.array([[0.0], [1]]), np.array([[-1.0, 1], [0, 1]]), np.array([[1.0, 1]])]
    biases = [np.array([2.0, 0]), np.zeros(2), np.zeros(1)]
    pruned, new, report = prune_neurons(weights, biases=biases)
    assert [(part.layer, part.neuron) for part in report.removed] == [(0, 0), (1, 0)]
    assert [layer.tolist() for layer in pruned] == [[[1]], [[1]], [[1]]]
    assert [bias.tolist() for bias in new] == [[0], [0], [0]]


def test_neurons_that_nothing_uses_are_found_backwards() -> None:
    weights = [np.eye(2), np.eye(2), np.array([[1.0, 0]])]
    pruned, report = prune_neurons(weights)
    assert [layer.tolist() for layer in pruned] == [[[1, 0]], [[1]], [[1]]]
    assert [part.reason for part in report.removed] == ["unused", "unused"]
    assert report.layer_bounds == (0, 0, 0)


def test_inactive_neurons_fold_their_mean() -> None:
    weights = [np.array([[0.5], [0.25]]), np.array([[1.0, -0.5]])]
    biases = [np.zeros(2), np.array([0.25])]
    rates = [np.array([0.5, 0.125])]
    pruned, new, report = prune_neurons(weights, rates, 0.2, biases=biases)
    assert [layer.tolist() for layer in pruned] == [[[0.5]], [[1.0]]]
    assert new[1].tolist() == [0.25 - 0.5 * 0.125]
    # Its activation goes from 0 to 1/4, so the constant is off by 1/8 at most.
    (part,) = report.removed
    assert (part.reason, part.constant) == ("inactive", 0.125)
    assert part.error == pytest.approx(0.125, rel=1e-12)
    assert report.output_bounds[1] == pytest.approx((0.0625,), rel=1e-12)
    pruned, report = prune_neurons(weights, rates, 0.2)
    assert report.removed[0].constant == 0
    assert report.output_bounds[1] == pytest.approx((0.125,), rel=1e-12)


def test_a_rate_at_the_threshold_is_active() -> None:
    weights = [np.array([[0.5], [0.5]]), np.array([[1.0, 1.0]])]
    _, report = prune_neurons(weights, [np.array([0.001, np.nextafter(0.001, 0)])])
    assert [part.neuron for part in report.removed] == [1]


def test_a_rate_that_cannot_be_is_moved_into_the_interval() -> None:
    weights = [np.array([[0.0625], [1]]), np.array([[1.0, 1.0]])]
    biases = [np.array([0.5, 0]), np.zeros(1)]
    _, new, report = prune_neurons(weights, [np.array([0.0, 1])], 0.1, biases=biases)
    assert report.removed[0].constant == pytest.approx(0.4375, rel=1e-12)
    assert new[1][0] == pytest.approx(0.4375, rel=1e-12)


def test_outputs_stay_unless_told_otherwise() -> None:
    weights = [np.eye(2), np.array([[1.0, 1], [0, 0]])]
    rates = [np.ones(2), np.array([1.0, 0])]
    pruned, report = prune_neurons(weights, rates)
    assert pruned[1].shape == (2, 2)
    assert report.removed == ()
    pruned, report = prune_neurons(weights, rates, keep_outputs=False)
    assert pruned[1].tolist() == [[1, 1]]
    assert [(part.layer, part.neuron) for part in report.removed] == [(1, 1)]


def test_a_layer_that_was_not_measured_stays() -> None:
    weights = [np.eye(2), np.eye(2), np.eye(2)]
    _, report = prune_neurons(weights, [None, np.array([0.0, 1])])
    assert [(part.layer, part.neuron) for part in report.removed] == [(0, 0), (1, 0)]
    assert [part.reason for part in report.removed] == ["unused", "inactive"]


@pytest.mark.parametrize(
    ("weights", "rates", "words"),
    [
        ([np.eye(2), np.eye(2)], [np.zeros(2)], ("layer 0", "inactive", "firing_rates", "0.001")),
        ([np.zeros((2, 2)), np.eye(2)], None, ("layer 0", "constant", "weights")),
        ([np.eye(2), np.zeros((2, 2))], None, ("layer 0", "unused", "weights")),
        ([np.eye(2), np.zeros((2, 2)), np.eye(2)], None, ("layer 1", "constant", "weights")),
    ],
)
def test_a_whole_layer_is_never_removed(
    weights: Layers, rates: Layers | None, words: tuple[str, ...]
) -> None:
    with pytest.raises(InputError) as caught:
        prune_neurons(weights, rates)
    check_message(caught.value, "would be removed", "at least one", *words)


# --- Projection -----------------------------------------------------------------------------------


def test_a_projection_drops_synapses_below_its_threshold() -> None:
    weights = np.array([[0.5, -0.05, 0.1], [0.0, -0.1, 0.0999]])
    part = Projection(weights, np.array([0.001, -2]), scale_exponent=1, weight_threshold=0.1)
    assert part.weights.tolist() == [[0.5, 0, 0.1], [0, -0.1, 0]]
    assert part.biases is not None
    assert part.biases.tolist() == [0.001, -2]
    assert (part.outputs, part.fan_in, part.synapses) == (2, 3, 3)
    assert part.report == prune_weights(weights, 0.1)[1]
    assert part.weighted_sums(np.array([[1.0, 1, 1]])).tolist() == [[0.5 + 0.1 + 0.001, -2.1]]


def test_a_projection_without_threshold_drops_nothing() -> None:
    weights = layers_of(6, sizes=(5, 4))[0]
    part = Projection(weights)
    assert np.array_equal(part.weights, weights)
    assert part.biases is None
    assert np.array_equal(part.weighted_sums(np.eye(5)), weights.T)
    assert part.report.layer_bounds == (0,)


def test_a_projection_cannot_be_changed() -> None:
    weights, biases = np.array([[0.5, 0.001]]), np.array([0.5])
    part = Projection(weights, biases, weight_threshold=0.1)
    weights[:] = biases[:] = 1
    assert part.weights.tolist() == [[0.5, 0]]
    assert part.biases is not None
    for array in (part.weights, part.biases):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 1
    with pytest.raises(FrozenInstanceError):
        part.weight_threshold = 0.0  # type: ignore[misc]


# --- nothing that is given is modified ------------------------------------------------------------


def test_inputs_are_not_modified_nor_shared() -> None:
    layers = layers_of(7, sizes=(6, 5, 4))
    biases = [np.full(len(layer), 0.25) for layer in layers]
    rates = [np.array([0.0, 1, 1, 0, 1]), np.ones(4)]
    before = [part.tobytes() for part in (*layers, *biases, *rates)]
    results = [
        *prune_weights(layers, 0.3)[0],
        *prune_weights(layers, 0)[0],
        *prune_weights(layers, 0.4, "percentile")[0],
        *prune_stochastic(layers, 7, 2.5)[0],
        prune_stochastic(layers[0], 7, 0)[0],
        *prune_neurons(layers, rates)[0],
        *prune_neurons(layers)[0],
        *prune_neurons(layers, rates, 0.5, biases=biases)[0],
        *prune_neurons(layers, rates, 0.5, biases=biases)[1],
        *prune_neurons(layers, biases=biases)[1],
        Projection(layers[0], biases[0], weight_threshold=0.3).weights,
    ]
    for array in results:
        assert not any(np.shares_memory(array, given) for given in (*layers, *biases, *rates))
        if array.flags.writeable:
            array[...] = 9
    assert [part.tobytes() for part in (*layers, *biases, *rates)] == before


def test_read_only_inputs_will_do() -> None:
    layers = layers_of(8, sizes=(4, 3, 2))
    for layer in layers:
        layer.setflags(write=False)
    prune_weights(layers)
    prune_stochastic(layers)
    prune_neurons(layers)


# --- reports --------------------------------------------------------------------------------------


def report_of(**changes: Any) -> PruningReport:
    fields: dict[str, Any] = {
        "method": "neurons",
        "shapes_before": ((3, 2), (2, 3)),
        "shapes_after": ((2, 2), (2, 2)),
        "synapses_before": (6, 6),
        "synapses_after": (4, 4),
        "constant_gates": (0, 0),
        "cuts": (0.001, 0.001),
        "output_bounds": ((0.0, 0.0), (0.5, 0.25)),
        "removed": (RemovedNeuron(0, 1, "inactive", 0.0, 1.0),),
    }
    return PruningReport(**(fields | changes))


def test_a_report_is_frozen_and_goes_into_json() -> None:
    report = report_of()
    with pytest.raises(FrozenInstanceError):
        report.method = "magnitude"  # type: ignore[misc]
    back = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert back == json.loads(json.dumps(asdict(report)))
    _, real = prune_neurons(CONSTANT_WEIGHTS, input_signed=False)
    assert json.loads(json.dumps(real.to_dict())) == json.loads(json.dumps(asdict(real)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": "guess"}, ("method", "guess", "magnitude")),
        ({"shapes_before": ()}, ("shapes_before", "empty")),
        ({"cuts": (0.1,)}, ("cuts", "1 entries", "2")),
        ({"cuts": (0.1, -0.1)}, ("cuts[1]", "-0.1", "0 to")),
        ({"cuts": (0.1, math.nan)}, ("cuts[1]", "nan")),
        ({"shapes_after": ((4, 2), (2, 2))}, ("shapes_after[0]", "4", "1 to 3")),
        ({"shapes_after": ((2, 2), (0, 2))}, ("shapes_after[1]", "0", "1 to 2")),
        ({"shapes_after": ((2,), (2, 2))}, ("shapes_after[0]", "(2,)")),
        ({"shapes_after": ((3, 2), (2, 2))}, ("shapes_after[0]", "2 outputs, as removed")),
        ({"synapses_before": (7, 6)}, ("synapses_before[0]", "7", "0 to 6")),
        ({"synapses_before": (6, 3)}, ("synapses_after[1]", "4", "0 to 3")),
        ({"synapses_after": (5, 4)}, ("synapses_after[0]", "5", "0 to 4")),
        ({"synapses_after": (-1, 4)}, ("synapses_after[0]", "-1")),
        ({"constant_gates": (0, 5)}, ("constant_gates[1]", "5", "0 to 4")),
        ({"output_bounds": ((0.0,), (0.5, 0.25))}, ("output_bounds[0]", "1 entries", "2")),
        ({"output_bounds": ((0.0, 0.0), (0.5, -0.25))}, ("output_bounds[1][1]", "-0.25")),
        ({"output_bounds": ((0.0, 0.0), (0.5, math.inf))}, ("output_bounds[1][1]", "inf")),
        ({"removed": (RemovedNeuron(0, 3, "unused", 0, 0),)}, ("removed", "neuron 3 of layer 0")),
        (
            {
                "shapes_after": ((1, 2), (2, 2)),
                "synapses_after": (2, 4),
                "output_bounds": ((0.0,), (0.5, 0.25)),
                "removed": (RemovedNeuron(0, 1, "unused", 0, 0),) * 2,
            },
            ("removed", "twice"),
        ),
    ],
)
def test_a_report_that_contradicts_itself(changes: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as caught:
        report_of(**changes)
    check_message(caught.value, *words)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"layer": -1}, ("layer", "-1", "0 to")),
        ({"neuron": 1.5}, ("neuron", "1.5", "integer")),
        ({"reason": "tired"}, ("reason", "tired", "unused")),
        ({"constant": 1.25}, ("constant", "1.25", "0 to 1")),
        ({"error": math.nan}, ("error", "nan", "0 to 1")),
    ],
)
def test_a_removed_neuron_out_of_range(changes: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as caught:
        replace(RemovedNeuron(0, 0, "unused", 0, 0), **changes)
    check_message(caught.value, *words)


# --- refused --------------------------------------------------------------------------------------

GOOD = np.array([[0.5, 0.25], [0.125, 1]])
BAD_WEIGHTS: list[tuple[Any, tuple[str, ...]]] = [
    ([], ("weights", "empty")),
    ((), ("weights", "empty")),
    (None, ("weights", "None", "list")),
    (0.5, ("weights", "0.5", "list")),
    ("weights", ("weights", "'weights'", "list")),
    ({0: GOOD}, ("weights", "list")),
    ([0.5], ("weights[0]", "()", "2-d")),
    ([np.array(0.5)], ("weights[0]", "()", "2-d")),
    ([GOOD, np.ones((2, 2, 2))], ("weights[1]", "(2, 2, 2)", "2-d")),
    ([np.ones((0, 2))], ("weights[0]", "(0, 2)")),
    ([np.ones((2, 0))], ("weights[0]", "(2, 0)")),
    ([GOOD, np.array([[0.5, np.nan], [0, 0]])], ("weights[1][0, 1]", "nan")),
    ([GOOD, np.array([[0.5, 0], [-np.inf, 0]])], ("weights[1][1, 0]", "-inf")),
    ([np.array([[1e17]])], ("weights[0][0, 0]", "1e+17", "9.0072e+15")),
    ([np.array([["a"]])], ("weights[0]", "<U1")),
    ([np.array([[1j]])], ("weights[0]", "complex")),
    ([np.array([[True]])], ("weights[0]", "bool")),
    ([[[0.5], [0.5, 0.25]]], ("weights[0]", "ragged")),
]
BAD_ARRAYS: list[tuple[Any, tuple[str, ...]]] = [
    (np.array(0.5), ("weights", "()", "2-d")),
    (np.ones((2, 2, 2)), ("weights", "(2, 2, 2)", "2-d")),
    (np.ones((0, 0)), ("weights", "(0, 0)")),
    (np.array([[np.nan]]), ("weights[0, 0]", "nan")),
]
WEIGHT_FUNCTIONS: list[Callable[..., Any]] = [prune_weights, prune_stochastic, prune_neurons]


def refused(call: Callable[[], object], *words: str) -> None:
    with pytest.raises(InputError) as caught:
        call()
    check_message(caught.value, *words)


@pytest.mark.parametrize("prune", WEIGHT_FUNCTIONS)
@pytest.mark.parametrize(("weights", "words"), BAD_WEIGHTS)
def test_bad_weights(prune: Callable[..., Any], weights: Any, words: tuple[str, ...]) -> None:
    if prune is prune_stochastic and words[1] == "1e+17":
        words = (*words[:2], "-1 to 1")
    refused(lambda: prune(weights), *words)


@pytest.mark.parametrize("prune", [prune_weights, prune_stochastic])
@pytest.mark.parametrize(("weights", "words"), BAD_ARRAYS)
def test_bad_arrays(prune: Callable[..., Any], weights: Any, words: tuple[str, ...]) -> None:
    refused(lambda: prune(weights), *words)


def test_neurons_take_a_list_only() -> None:
    refused(lambda: prune_neurons(GOOD), "weights", "(2, 2)", "list")  # type: ignore[call-overload]


@pytest.mark.parametrize("weight", [1.0000001, -2, 256])
def test_stochastic_weights_beyond_one(weight: float) -> None:
    refused(lambda: prune_stochastic([np.array([[0, weight]])]), "weights[0][0, 1]", "-1 to 1")


THRESHOLDS: list[Any] = [-0.1, math.nan, math.inf, -math.inf, "0.1", None, True, 1j, 10**400]


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_bad_thresholds(threshold: Any) -> None:
    value = repr(threshold)[:50]
    refused(lambda: prune_weights([GOOD], threshold), "threshold", value, "0 or more")
    refused(
        lambda: prune_weights([GOOD], threshold, "percentile"), "threshold", value, "0 to below 1"
    )
    refused(lambda: prune_neurons([GOOD], None, threshold), "activity_threshold", value, "0 to 1")
    refused(lambda: prune_stochastic([GOOD], 256, threshold), "min_popcount_bits", value)
    refused(lambda: Projection(GOOD, weight_threshold=threshold), "weight_threshold", value)


def test_thresholds_beyond_their_range() -> None:
    refused(lambda: prune_weights([GOOD], 1.0, "percentile"), "threshold", "1.0", "below 1")
    refused(lambda: prune_weights([GOOD], 50, "percentile"), "threshold", "50", "below 1")
    refused(lambda: prune_neurons([GOOD], None, 1.5), "activity_threshold", "1.5", "0 to 1")
    refused(lambda: prune_stochastic([GOOD], 16, 8.5), "min_popcount_bits", "8.5", "0 to 8")
    refused(lambda: prune_stochastic([GOOD], 1), "min_popcount_bits", "1.0", "0 to 0.5")


@pytest.mark.parametrize("method", ["Magnitude", "", None, 1, np.array(["magnitude", "x"])])
def test_bad_methods(method: Any) -> None:
    refused(lambda: prune_weights([GOOD], 0.01, method), "method", "percentile")


@pytest.mark.parametrize("length", [0, -1, 2.0, math.nan, "256", None, True, 2**60])
def test_bad_lengths(length: Any) -> None:
    refused(lambda: prune_stochastic([GOOD], length), "bitstream_length", repr(length), "integer")


CHAIN = [np.eye(2), np.ones((3, 2))]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"weights": [np.eye(2), np.ones((3, 3))]}, ("weights[1]", "(3, 3)", "2 inputs")),
        ({"firing_rates": []}, ("firing_rates", "empty")),
        ({"firing_rates": [np.ones(2)] * 3}, ("firing_rates", "3 entries", "2")),
        ({"firing_rates": np.ones(2)}, ("firing_rates", "list")),
        ({"firing_rates": [np.ones(3)]}, ("firing_rates[0]", "(3,)", "(2,)")),
        ({"firing_rates": [np.ones((2, 1))]}, ("firing_rates[0]", "(2, 1)", "(2,)")),
        ({"firing_rates": [np.array([0.5, -0.1])]}, ("firing_rates[0][1]", "-0.1", "0 to 1")),
        ({"firing_rates": [np.array([0.5, 1.1])]}, ("firing_rates[0][1]", "1.1", "0 to 1")),
        ({"firing_rates": [np.array([0.5, np.nan])]}, ("firing_rates[0][1]", "nan")),
        (
            {"firing_rates": [np.ones(2)], "keep_outputs": False},
            ("firing_rates", "1 entries", "2"),
        ),
        ({"biases": []}, ("biases", "empty")),
        ({"biases": [np.ones(2)]}, ("biases", "1 entries", "2")),
        ({"biases": [np.ones(2), np.ones(2)]}, ("biases[1]", "(2,)", "(3,)")),
        ({"biases": [np.array([0, np.inf]), np.ones(3)]}, ("biases[0][1]", "inf")),
        ({"scale_exponents": [0]}, ("scale_exponents", "1 entries", "2")),
        ({"scale_exponents": [0, 17]}, ("scale_exponents[1]", "17", "-16 to 16")),
        ({"scale_exponents": [0.5, 0]}, ("scale_exponents[0]", "0.5", "integer")),
        ({"input_signed": 1}, ("input_signed", "1", "True or False")),
        ({"keep_outputs": "no"}, ("keep_outputs", "no", "True or False")),
    ],
)
def test_what_does_not_fit_the_network(arguments: dict[str, Any], words: tuple[str, ...]) -> None:
    refused(lambda: prune_neurons(**({"weights": CHAIN} | arguments)), *words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"weights": np.array(0.5)}, ("weights", "()", "2-d")),
        ({"weights": np.ones((2, 2, 2))}, ("weights", "(2, 2, 2)")),
        ({"weights": np.array([[1.5]])}, ("weights[0, 0]", "1.5", "-1 to 1")),
        ({"weights": np.array([[np.nan]])}, ("weights[0, 0]", "nan")),
        ({"biases": np.ones(3)}, ("biases", "(3,)", "(2,)")),
        ({"biases": np.array([0, np.nan])}, ("biases[1]", "nan")),
        ({"scale_exponent": 17}, ("scale_exponent", "17", "-16 to 16")),
        ({"scale_exponent": 1.0}, ("scale_exponent", "1.0", "integer")),
    ],
)
def test_a_projection_that_no_hardware_holds(
    arguments: dict[str, Any], words: tuple[str, ...]
) -> None:
    refused(lambda: Projection(**({"weights": GOOD} | arguments)), *words)


@pytest.mark.parametrize("inputs", [np.ones(2), np.ones((1, 3)), np.ones((1, 1, 2))])
def test_a_projection_takes_batches(inputs: Array) -> None:
    refused(lambda: Projection(GOOD).weighted_sums(inputs), "inputs", str(inputs.shape))


# --- the page -------------------------------------------------------------------------------------


def test_every_snippet_of_the_page_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/compression.md, from the folder that a reader is in."""
    root = Path(__file__).parents[1]
    monkeypatch.chdir(root)
    page = root / "docs" / "compression.md"
    with np.printoptions(legacy=False):
        failed, run = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
    assert run == page.read_text().count("\n>>> ")
    assert failed == 0
