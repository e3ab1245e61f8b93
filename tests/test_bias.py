"""Expected errors are the mean over what is drawn, and the tests find what they say they find."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from model.bias import (
    ExpectedError,
    bias_tests,
    expected_error,
    fresh_seeds,
    has_fresh_seeds,
    paired_bias_test,
    uniform_inputs,
    vectors_for,
    vectors_to_see,
)
from model.counting import LayerCounter
from model.manifest import Layer, LfsrSource
from model.plan import Design, plan_design
from model.source_choice import SourceKind
from tb.sample_networks import sample_network

LEVEL, POWER = 1e-3, 0.9


def planned(source: SourceKind, length: int, bits: int, **style: Any) -> Design:
    network = sample_network((2, 3), np.random.default_rng(2), operand_bits=bits, **style)
    return plan_design(network, [length], source)


def errors_of(
    layer: Layer, weights: NDArray[np.integer], inputs: NDArray[np.integer], bits: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    counts = LayerCounter(layer, weights, np.zeros(len(weights), dtype=int), bits).counts(inputs)
    sums = inputs.astype(float) @ weights.T / 4.0**bits
    return counts / layer.bitstream_length - sums, sums


@pytest.mark.parametrize("source", ["counter", "sobol", "halton"])
@pytest.mark.parametrize(
    "style",
    [
        {},
        {"signed": False},
        {"encoding": "bipolar"},
        {"encoding": "bipolar", "adder": "mux"},
        {"adder": "mux"},
    ],
)
def test_of_fixed_sources_the_moments_are_those_over_all_inputs(
    source: SourceKind, style: dict[str, Any]
) -> None:
    bits = 3
    design = planned(source, 8, bits, **style)
    layer, weights = design.manifest.layers[0], design.parameters.weights[0]
    top = (1 << bits) - 1
    values = range(-top if layer.input_signed else 0, top + 1)
    every = np.array(list(product(values, repeat=2)))
    errors, sums = errors_of(layer, weights, every, bits)
    expected = expected_error(layer, weights, bits)
    assert np.allclose(errors.mean(axis=0), expected.mean, atol=1e-12)
    assert np.allclose(sums.mean(axis=0), expected.mean_sum, atol=1e-12)
    covariance = (errors * sums).mean(axis=0) - errors.mean(axis=0) * sums.mean(axis=0)
    assert np.allclose(covariance, expected.covariance, atol=1e-12)


@pytest.mark.parametrize("style", [{}, {"encoding": "bipolar"}, {"adder": "mux"}])
def test_of_shift_registers_the_mean_is_that_over_all_seeds(style: dict[str, Any]) -> None:
    bits, width, taps = 2, 4, [4, 3]
    design = planned("lfsr", 1, bits, **style)
    layer, weights = design.manifest.layers[0], design.parameters.weights[0]
    names = ["x_source", "w_source"] + (["select_source"] if layer.select_source else [])
    small = {
        name: getattr(layer, name).model_copy(
            update={"width": width, "taps": taps, "step": 1, "seeds": [1]}
        )
        for name in names
    }
    layer = layer.model_copy(update=small)
    top = (1 << bits) - 1
    every = np.array(list(product(range(-top, top + 1), repeat=2)))
    errors = []
    for states in product(range(1, 1 << width), repeat=len(names)):
        seeded = layer.model_copy(
            update={
                name: small[name].model_copy(update={"seeds": [state]})
                for name, state in zip(names, states, strict=True)
            }
        )
        errors.append(errors_of(seeded, weights, every, bits))
    expected = expected_error(layer, weights, bits)
    assert np.allclose(np.mean([e.mean(axis=0) for e, _ in errors], axis=0), expected.mean)
    products = np.mean([(e * s).mean(axis=0) for e, s in errors], axis=0)
    centre = expected.mean * errors[0][1].mean(axis=0)
    assert np.allclose(products - centre, expected.covariance)


def drawn(
    design: Design, vectors: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], ExpectedError]:
    generator = np.random.default_rng(seed)
    layer, weights = design.manifest.layers[0], design.parameters.weights[0]
    inputs = uniform_inputs(layer, vectors, 8, generator)
    assert inputs.min() < 0 <= inputs.max() <= 255
    errors, sums = errors_of(layer, weights, inputs, 8)
    return errors, sums, expected_error(layer, weights, 8)


def test_right_errors_are_rarely_suspected() -> None:
    design = planned("counter", 64, 8)
    found = [
        test.held
        for seed in range(200)
        for test in bias_tests(*drawn(design, 100, seed), 0.05, 0.9)
    ]
    # 600 tests at a level of .05 / 3 each: 10 expected, 22 with probability below 1e-3.
    assert 0 < found.count(False) <= 22


def test_the_stated_power_is_reached() -> None:
    """A bias of the stated size is found about as often as is said."""
    design = planned("counter", 64, 8)
    seen = {"vector means": 0, "slope": 0}
    runs = 300
    for seed in range(runs):
        errors, sums, expected = drawn(design, 200, seed)
        tests = {test.name: test for test in bias_tests(errors, sums, expected, LEVEL, POWER)}
        biased = bias_tests(errors + tests["vector means"].detectable, sums, expected, LEVEL, POWER)
        seen["vector means"] += not biased[0].held
        variance = float(((sums - expected.mean_sum) ** 2).mean())
        sloped = errors + tests["slope"].detectable / variance * (sums - expected.mean_sum)
        seen["slope"] += not bias_tests(sloped, sums, expected, LEVEL, POWER)[2].held
    # Nine tenths, less or more by three standard deviations (.052).
    assert 0.84 < seen["vector means"] / runs < 0.96
    # What is added to the errors adds to their spread too: a little less.
    assert 0.75 < seen["slope"] / runs < 0.96


def test_one_outputs_bias_is_found_and_named() -> None:
    design = planned("counter", 64, 8)
    errors, sums, expected = drawn(design, 400, 1)
    outputs = bias_tests(errors, sums, expected, LEVEL, POWER)[1]
    errors[:, 2] += 1.5 * outputs.detectable
    found = bias_tests(errors, sums, expected, LEVEL, POWER)[1]
    assert not found.held
    assert found.where == "neuron 2"


def test_the_sample_is_as_large_as_the_power_demands() -> None:
    # z of .0005 is 3.2905, of .1 is 1.2816.
    assert vectors_for(2.0, 0.5, 1e-3, 0.9) == int(np.ceil((4.5721 * 4) ** 2))
    assert vectors_for(0.0, 0.5, 1e-3, 0.9) == 0


def test_without_any_spread_every_bias_is_found() -> None:
    design = planned("counter", 64, 8)
    layer, weights = design.manifest.layers[0], design.parameters.weights[0] * 0
    inputs = uniform_inputs(layer, 30, 8, np.random.default_rng(1))
    errors, sums = errors_of(layer, weights, inputs, 8)
    expected = expected_error(layer, weights, 8)
    assert all(test.held for test in bias_tests(errors, sums, expected, LEVEL, POWER))
    assert not bias_tests(errors + 1e-6, sums, expected, LEVEL, POWER)[0].held


def test_fresh_seeds_are_states_that_a_register_can_have() -> None:
    layer = planned("lfsr-lane", 64, 8).manifest.layers[0]
    assert has_fresh_seeds(layer)
    assert not has_fresh_seeds(planned("counter", 64, 8).manifest.layers[0])
    assert isinstance(layer.x_source, LfsrSource)
    seeds = fresh_seeds(layer.x_source, 500, np.random.default_rng(3))
    assert seeds.shape == (500, 2)
    assert seeds.min() >= 1
    assert seeds.max() < 1 << layer.x_source.width
    assert len(np.unique(seeds)) > 980


def test_paired_counts_that_agree_are_never_suspected() -> None:
    counts = np.random.default_rng(1).integers(0, 9, (230, 3))
    test = paired_bias_test(counts, counts, 16, LEVEL, POWER)
    assert test.held
    assert test.found == 0
    # 230 vectors show what a hundredth of them shows with probability .9.
    assert vectors_to_see(0.01, 0.9) == 230
    assert test.detectable == pytest.approx(0.01 / 16, rel=0.01)


def test_paired_counts_show_a_rare_defect_as_often_as_is_said() -> None:
    generator = np.random.default_rng(2)
    counts = np.zeros((230, 2), dtype=np.int64)
    seen = 0
    for _ in range(1000):
        wrong = counts.copy()
        wrong[:, 1] += generator.random(230) < 0.01
        seen += not paired_bias_test(wrong, counts, 16, LEVEL, POWER).held
    assert 0.87 < seen / 1000 < 0.93  # three standard deviations are .028


def test_paired_counts_name_the_output_even_where_its_mean_is_right() -> None:
    counts = np.zeros((10, 3), dtype=np.int64)
    wrong = counts.copy()
    wrong[:2, 1] = 1, -1
    test = paired_bias_test(wrong, counts, 16, LEVEL, POWER)
    assert not test.held
    assert test.where == "neuron 1"
    wrong[:, 2] = 4
    test = paired_bias_test(wrong, counts, 16, LEVEL, POWER)
    assert test.where == "neuron 2"
    assert test.found == 4 / 16
