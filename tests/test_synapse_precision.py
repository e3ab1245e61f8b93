"""Synapse by synapse: bounds that hold, targets that are met, and the cheapest choice of all."""

from __future__ import annotations

import itertools
import json
import math
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.errors import InputError
from model.precision import PrecisionWarning, SynapsePrecision, precision_plan_manifest
from model.synapse_precision import assign_synapse_precisions, stochastic_bound
from tests.builders import check_message


def quiet(*arguments: Any, **options: Any) -> list[SynapsePrecision]:
    """Plan, whatever is missed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrecisionWarning)
        return assign_synapse_precisions(*arguments, **options)


def bound_by_hand(weight: float, length: int, failure: float) -> float:
    """Return the smaller radius; Bernstein's is found by bisection of its tail."""
    if weight == 0:
        return 0.0
    variance = min(weight, 0.5) * (1 - min(weight, 0.5))
    low, high = 0.0, 100.0
    for _ in range(200):
        r = (low + high) / 2
        tail = 2 * math.exp(-length * r * r / (2 * (variance + r / 3)))
        low, high = (r, high) if tail > failure else (low, r)
    return min(high, math.sqrt(math.log(2 / failure) / (2 * length)))


def test_the_default_plan_is_honest() -> None:
    """At 0.01 and 4096 cycles only the small weights make it: all others say so."""
    weights = np.array([[0.0, 0.01, -0.25, 0.7], [1.0, -1.0, 0.5, 0.003]])
    with pytest.warns(PrecisionWarning, match="would need length") as caught:
        plan = assign_synapse_precisions([weights])
    assert len(caught) == 1
    for entry in plan:
        assert entry.meets_target == (entry.total_error_bound <= 0.01)
    met = {(e.output_index, e.input_index) for e in plan if e.meets_target}
    assert met == {(0, 0), (0, 1), (1, 3)}
    assert all(entry.bitstream_length == 4096 for entry in plan if not entry.meets_target)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.data())
def test_it_is_the_cheapest_that_meets_the_target(data: st.DataObject) -> None:
    weight = data.draw(st.one_of(st.floats(-1, 1), st.sampled_from([0.0, 0.5, 1.0, -0.25])))
    target = data.draw(st.floats(0.03, 0.6))
    low, high = data.draw(st.sampled_from([(1, 6), (4, 8), (5, 5)]))
    shortest, longest = data.draw(st.sampled_from([(1, 200), (32, 400), (64, 64)]))
    confidence = data.draw(st.sampled_from([0.5, 0.9, 0.99]))
    [entry] = quiet([[[weight]]], None, None, target, low, high, shortest, longest, confidence)
    choices = []
    for bits, length in itertools.product(range(low, high + 1), range(shortest, longest + 1)):
        rounded = math.floor(abs(weight) * 2**bits + 0.5) / 2**bits
        total = abs(abs(weight) - rounded) + float(
            stochastic_bound(np.array([rounded]), np.array([length]), 1 - confidence)[0]
        )
        choices.append((bits * length, total))
    good = [cost for cost, total in choices if total <= target]
    if good:
        assert entry.meets_target
        assert entry.total_error_bound <= target
        assert entry.bit_width * entry.bitstream_length == min(good)
    else:
        assert not entry.meets_target
        assert entry.total_error_bound == pytest.approx(min(total for _, total in choices))
    assert low <= entry.bit_width <= high
    assert shortest <= entry.bitstream_length <= longest
    assert entry.quantization_error_bound <= 0.5 / 2**entry.bit_width


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.floats(0, 1), st.integers(1, 5000), st.floats(0.001, 0.5))
def test_the_radius_is_the_smaller_of_both_theorems(weight: float, length: int, d: float) -> None:
    radius = float(stochastic_bound(np.array([weight]), np.array([length]), d)[0])
    assert radius == pytest.approx(bound_by_hand(weight, length, d), rel=1e-6)


@pytest.mark.parametrize("weight", [0.004, 0.05, 0.3, -0.6, 0.97])
@pytest.mark.parametrize("confidence", [0.6, 0.95])
def test_independent_streams_stay_inside(weight: float, confidence: float) -> None:
    """For inputs over the whole range, from the product's own distribution."""
    [entry] = quiet([[[weight]]], target_error=0.05, confidence=confidence, max_length=2048)
    rng = np.random.default_rng(7)
    rounded = math.floor(abs(weight) * 2**entry.bit_width + 0.5) / 2**entry.bit_width
    for x in np.linspace(0, 1, 11):
        means = rng.binomial(entry.bitstream_length, x * rounded, 4000) / entry.bitstream_length
        inside = np.abs(means - x * abs(weight)) <= entry.total_error_bound
        assert inside.mean() >= confidence
    # The bound is no empty promise: a quarter of it is exceeded for some input.
    spread = rng.binomial(entry.bitstream_length, rounded / 2, 4000) / entry.bitstream_length
    assert (np.abs(spread - abs(weight) / 2) > entry.total_error_bound / 4).mean() > 0.05


def test_less_sensitive_synapses_may_be_less_exact() -> None:
    weights = np.full((1, 4), 0.7)
    maps = [np.array([[4.0, 2.0, 1.0, 0.0]])]
    plan = assign_synapse_precisions([weights], None, maps, 0.05)
    assert [entry.target_error for entry in plan[:3]] == pytest.approx([0.05, 0.1, 0.2])
    lengths = [entry.bitstream_length for entry in plan]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[-1] == 32
    for entry in plan[:3]:
        assert entry.meets_target
        assert entry.sensitivity * entry.total_error_bound <= 4 * 0.05 * (1 + 1e-12)


def test_the_most_sensitive_synapse_may_be_in_another_layer() -> None:
    maps = [np.array([[1.0]]), np.array([[2.0]])]
    first, second = assign_synapse_precisions([[[0.7]], [[0.7]]], ["a", "b"], maps, 0.05)
    assert (first.layer_name, second.layer_name) == ("a", "b")
    assert first.target_error == 2 * second.target_error == 0.1


def test_maps_of_zeros_and_exact_weights() -> None:
    plan = assign_synapse_precisions([[[0.9, 0.5]]], None, [[[0.0, 0.0]]])
    assert [(e.bit_width, e.bitstream_length, e.meets_target) for e in plan] == [(4, 32, True)] * 2
    zero, half = assign_synapse_precisions([[[0.0, 0.5]]], target_error=0.05)
    assert (zero.bit_width, zero.bitstream_length, zero.total_error_bound) == (4, 32, 0.0)
    assert half.quantization_error_bound == 0.0
    assert half.bit_width == 4
    assert "Hoeffding" in half.theorem
    assert "constant-0" in zero.theorem


def test_what_is_missed_is_named() -> None:
    weights = [np.array([[0.01, 0.7]])]
    with pytest.raises(InputError) as caught:
        assign_synapse_precisions(weights, ["out"], target_error=0.02, strict=True)
    text = "target_error 0.02 of synapse [0, 1]"
    check_message(caught.value, text, "layer out", "max_length is 4096", "1 of 2 synapses")
    needed = int(str(caught.value).split("need length ")[1].split(",")[0])
    plan = assign_synapse_precisions(weights, max_length=needed, target_error=0.02, strict=True)
    assert all(entry.meets_target for entry in plan)
    few = quiet(weights, None, None, 0.02, 4, 4, 32, 4096)
    assert not few[1].meets_target
    with pytest.raises(InputError) as caught:
        assign_synapse_precisions([[[0.7]]], None, None, 0.004, 4, 4, strict=True)
    check_message(caught.value, "more than max_bits")


def test_manifest_and_inputs() -> None:
    rng = np.random.default_rng(2)
    weights = [rng.uniform(-1, 1, (3, 4)), rng.uniform(-1, 1, (2, 3))]
    maps = [rng.random((3, 4)), rng.random((2, 3))]
    copies = [part.copy() for part in weights + maps]
    texts = {
        json.dumps(precision_plan_manifest(quiet(weights, None, maps, 0.05))) for _ in range(2)
    }
    assert len(texts) == 1
    assert all((a == b).all() for a, b in zip(weights + maps, copies, strict=True))
    assert len(json.loads(texts.pop())["synapses"]) == 18


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"layer_weights": []}, ("layer_weights", "at least one")),
        ({"layer_weights": [[[1.5]]]}, ("layer_weights[0][0, 0]", "1.5", "within +-1")),
        ({"layer_weights": [[[math.inf]]]}, ("inf", "finite")),
        ({"layer_weights": [np.zeros((1, 1, 1))]}, ("(1, 1, 1)",)),
        ({"layer_names": ["a", "b"]}, ("2 names for 1 layers",)),
        ({"layer_names": [""]}, ("layer name ''",)),
        ({"sensitivity_maps": []}, ("0 maps for 1 layers",)),
        ({"sensitivity_maps": [[[1.0]]]}, ("sensitivity_maps[0]", "(1, 1)", "(1, 2)")),
        ({"sensitivity_maps": [[[1.0, -2.0]]]}, ("sensitivity_maps[0]", "-2", "0 or more")),
        ({"sensitivity_maps": [[[1.0, math.nan]]]}, ("nan", "finite")),
        ({"target_error": 0}, ("target_error", "0", "above 0")),
        ({"target_error": math.nan}, ("target_error", "nan")),
        ({"min_bits": 0}, ("min_bits", "0", "1 to 24")),
        ({"max_bits": 25}, ("max_bits", "25", "1 to 24")),
        ({"min_bits": 9, "max_bits": 8}, ("min_bits is 9", "max_bits, which is 8")),
        ({"min_length": 0}, ("min_length", "1 to 1048576")),
        ({"min_length": 64, "max_length": 32}, ("min_length is 64", "which is 32")),
        ({"max_length": 2**20 + 1}, ("max_length", "1048577")),
        ({"confidence": 0}, ("confidence", "(0, 1)")),
        ({"confidence": 1.0}, ("confidence", "1", "(0, 1)")),
    ],
)
def test_refused(arguments: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as caught:
        assign_synapse_precisions(**({"layer_weights": [[[0.5, 0.25]]]} | arguments))
    check_message(caught.value, *words)
