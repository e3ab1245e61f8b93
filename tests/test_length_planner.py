"""Lengths layer by layer: bounds that hold, targets, budgets, and what is refused."""

from __future__ import annotations

import itertools
import math
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import model.length_choice as length_choice
from model.errors import InputError
from model.layer_bounds import longest_with_own_stretches
from model.length_choice import Candidates, Chain, least_cost, least_error, least_sum
from model.length_planner import assign_lengths
from model.limits import MAX_LENGTH
from model.manifest import LfsrSource
from model.network import LayerDescription, Network, NetworkDescription
from model.plan import plan_design
from model.precision import LayerPrecision, Method, PrecisionWarning
from model.quantise import quantise_weights
from model.source_choice import choose_sources
from tests.builders import check_message

# Many processes or many searches: as a whole more than the quick subset has time for.
pytestmark = pytest.mark.slow

STATISTICAL: list[Method] = ["hoeffding", "chebyshev", "sensitivity"]
METHODS: list[Method] = [*STATISTICAL, "certificate"]


def matrices(seed: int = 1, *shapes: tuple[int, int]) -> list[NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    return [rng.uniform(-1, 1, shape) for shape in shapes or ((4, 6), (3, 4))]


def quiet(*arguments: Any, **options: Any) -> list[LayerPrecision]:
    """Plan, whatever is missed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrecisionWarning)
        return assign_lengths(*arguments, **options)


# --- bounds that hold -----------------------------------------------------------------------------


def coverage(
    weights: NDArray[np.float64], plan: LayerPrecision, inputs: NDArray[np.float64], trials: int
) -> float:
    """Return how often all outputs of all inputs are inside, with truly independent numbers.

    With own sources every lane of x and of w draws for itself, with shared ones the layer draws one
    number for all x and one for all w a cycle; both kinds are shared over the neurons.
    """
    rng = np.random.default_rng(99)
    quantised = quantise_weights(weights, 8) / 256
    own = plan.source == "lfsr-lane"
    lanes = weights.shape[1] if own else 1
    worst = np.zeros(trials)
    for x in inputs:
        sums = np.zeros((trials, len(weights)))
        for _ in range(plan.bitstream_length):
            u = rng.random((trials, lanes))
            v = rng.random((trials, lanes))
            bits = (u < np.abs(x))[:, None, :] & (v[:, None, :] < np.abs(quantised))
            sums += (bits * (np.sign(x) * np.sign(quantised))).sum(axis=2)
        errors = np.abs(sums / plan.bitstream_length - quantised @ x)
        worst = np.maximum(worst, errors.max(axis=1))
    return float((worst <= plan.error_bound).mean())


@pytest.mark.parametrize("method", STATISTICAL)
@pytest.mark.parametrize("source", ["lfsr-lane", "lfsr"])
@pytest.mark.parametrize("weight", [None, 0.95, 0.02])
def test_independent_sources_stay_inside(method: Method, source: Any, weight: float | None) -> None:
    """For mixed weights, and for those of one sign where the errors of shared sources add up."""
    weights = matrices(5, (3, 12))[0] if weight is None else np.full((3, 12), weight)
    rng = np.random.default_rng(11)
    inputs = np.stack([np.full(12, 0.53), rng.uniform(-1, 1, 12)])
    [plan] = quiet(
        [weights], None, None, 40, 40, 0.01, method, source=source, confidence=0.8, vectors=2
    )
    assert plan.confidence == pytest.approx(0.8)
    assert plan.bitstream_length == 40
    assert coverage(weights, plan, inputs, 400) >= 0.8


def test_the_check_of_coverage_can_fail() -> None:
    """The radius of own sources does not hold for shared ones."""
    weights = np.full((3, 12), 0.7)
    inputs = np.full((1, 12), 0.7)
    [own] = quiet([weights], None, None, 40, 40, confidence=0.8)
    [shared] = quiet([weights], None, None, 40, 40, confidence=0.8, source="lfsr")
    assert coverage(weights, own, inputs, 300) >= 0.8
    assert shared.error_bound == pytest.approx(math.sqrt(12) * own.error_bound)
    lying = LayerPrecision(0, "a", 40, own.error_bound, 0, 0.8, "hoeffding", True, source="lfsr")
    assert coverage(weights, lying, inputs, 300) < 0.8


def test_formulas() -> None:
    """Written out: three outputs, of which one has no weight and one a single one."""
    weights = np.array([[0.5, -0.25, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0], [0.0, 0.125, 0.0, 0.0]])
    d = 0.1 / (2 * 7)
    hoeffding = {"lfsr-lane": math.sqrt(3), "lfsr": 3.0}
    parts = [[0.25, 3 / 16, 0.25], [7 / 64]]
    for source, norm in hoeffding.items():
        options: dict[str, Any] = {"source": source, "confidence": 0.9, "vectors": 7}
        [plan] = quiet([weights], None, None, 64, 64, 0.01, "hoeffding", **options)
        assert plan.error_bound == pytest.approx(norm * math.sqrt(math.log(2 / d) / 128))
        assert "Hoeffding" in plan.theorem
        assert "14 outputs x vectors" in plan.theorem
        assert ("own" in plan.theorem) == (source == "lfsr-lane")
        [plan] = quiet([weights], None, None, 64, 64, 0.01, "chebyshev", **options)
        variance = sum(
            sum(part) if source == "lfsr-lane" else sum(map(math.sqrt, part)) ** 2 for part in parts
        )
        assert plan.error_bound == pytest.approx(math.sqrt(variance * 7 / (64 * 0.1)))
        assert "Chebyshev" in plan.theorem


def network(weights: list[NDArray[np.float64]], *, signed: bool) -> Network:
    """Return a network of one layer with these weights."""
    description = NetworkDescription(
        name="one",
        operand_bits=5,
        confidence=0.95,
        input_signed=signed,
        layers=[
            LayerDescription(name="a", activation="none", scale_exponent=0, bitstream_length=32)
        ],
    )
    outputs, fan_in = weights[0].shape
    return Network(
        description,
        tuple(weights),
        (np.zeros(outputs),),
        np.zeros((1, fan_in), dtype=np.int16),
        np.zeros(1, dtype=np.int64),
    )


@pytest.mark.parametrize("source", ["counter", "counter-lane"])
@pytest.mark.parametrize("signed", [False, True])
def test_certificates_are_those_of_the_manifest(source: Any, signed: bool) -> None:
    weights = matrices(8, (3, 5))
    for length in (2, 8, 64, 2048):
        [plan] = quiet(
            weights,
            method="certificate",
            min_length=length,
            max_length=length,
            operand_bits=5,
            source=source,
            input_signed=signed,
        )
        design = plan_design(network(weights, signed=signed), [length], source)
        assert plan.error_bound == design.manifest.layers[0].certificate.value
        assert plan.confidence == 1.0
        assert "certain" in plan.theorem


def test_the_manifest_agrees_on_what_own_stretches_are() -> None:
    for fan_in in (3, 90):
        last = min(longest_with_own_stretches(fan_in), MAX_LENGTH - 1)
        for length in (last, last + 1):
            x_source, _, _ = choose_sources(
                "lfsr-lane",
                np.ones((1, fan_in), dtype=np.int32),
                length,
                8,
                input_signed=True,
                generator=np.random.default_rng(1),
            )
            assert isinstance(x_source, LfsrSource)
            width = x_source.width
            own = 2 * fan_in * (length + 1) * width < 1 << width
            assert own == (length <= longest_with_own_stretches(fan_in))


def test_where_no_register_is_long_enough_the_bound_is_that_of_shared_sources() -> None:
    weights = [np.full((1, 2000), 0.5)]
    limit = longest_with_own_stretches(2000)
    [own] = quiet(weights, min_length=limit, max_length=limit)
    [beyond] = quiet(weights, min_length=limit + 1, max_length=limit + 1)
    assert beyond.error_bound == pytest.approx(math.sqrt(2000) * own.error_bound, rel=1e-3)


def test_units_and_scales() -> None:
    weights = matrices(1, (4, 10))
    for method in METHODS:
        [total] = quiet(weights, method=method, min_length=64, max_length=64)
        [mean] = quiet(weights, method=method, min_length=64, max_length=64, per="mean")
        [large] = quiet([4 * weights[0]], method=method, min_length=64, max_length=64)
        assert mean.error_bound == pytest.approx(total.error_bound / 10)
        assert (total.per, mean.per) == ("sum", "mean")
        assert large.error_bound == pytest.approx(4 * total.error_bound)


# --- targets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("per", ["sum", "mean"])
@pytest.mark.parametrize("method", METHODS)
def test_the_shortest_length_that_meets_the_target(method: Method, per: Any) -> None:
    weights = matrices()
    target = 0.9 if per == "sum" else 0.15
    plan = assign_lengths(
        weights, None, None, 2, 300, target, method, per=per, confidence=0.7, strict=True
    )
    for index, layer in enumerate(plan):
        bounds = {
            length: quiet(weights, None, None, length, length, target, method, per=per,
                          confidence=0.7)[index].error_bound
            for length in range(2, 201)
            if method != "certificate" or length & (length - 1) == 0
        }  # fmt: skip
        assert layer.meets_target
        assert layer.error_bound <= target
        assert layer.bitstream_length == min(n for n, bound in bounds.items() if bound <= target)
        assert layer.error_bound == bounds[layer.bitstream_length]


@pytest.mark.parametrize("method", METHODS)
def test_a_missed_target_is_told_and_what_it_needs_is_true(method: Method) -> None:
    weights = matrices(2, (2, 3), (2, 2))
    options: dict[str, Any] = {"method": method, "confidence": 0.6, "operand_bits": 5}
    target = 0.03
    with pytest.warns(PrecisionWarning) as caught:
        plan = assign_lengths(weights, ["a", "b"], max_length=40, target_error=target, **options)
    assert len(caught) == 2
    assert "layer a" in str(caught[0].message)
    assert caught[0].filename == __file__
    for layer, warning in zip(plan, caught, strict=True):
        assert not layer.meets_target
        assert layer.error_bound > target
        assert f"best reachable error is {layer.error_bound:.6g}" in str(warning.message)
    with pytest.raises(InputError) as refused:
        assign_lengths(
            weights, ["a", "b"], max_length=40, target_error=target, strict=True, **options
        )
    check_message(refused.value, "layer a", method, f"{plan[0].error_bound:.6g}", "max_length")
    needed = int(str(refused.value).split("need length ")[1].split(";")[0])
    long = quiet(weights, max_length=needed, min_length=needed, target_error=target, **options)
    assert long[0].meets_target
    shorter = needed // 2 if method == "certificate" else needed - 1
    short = quiet(weights, max_length=shorter, min_length=2, target_error=target, **options)
    assert not short[0].meets_target


@pytest.mark.parametrize("method", STATISTICAL)
@pytest.mark.parametrize("per", ["sum", "mean"])
def test_long_streams_are_not_a_cycle_longer_than_needed(method: Method, per: Any) -> None:
    weights = matrices(3, (2, 5))
    [layer] = assign_lengths(
        weights, None, None, 32, 1 << 20, 0.05, method, per=per, confidence=0.8, strict=True
    )
    length = layer.bitstream_length
    options: dict[str, Any] = {"method": method, "per": per, "confidence": 0.8}
    [short] = quiet(weights, min_length=length - 1, max_length=length - 1, **options)
    assert layer.error_bound <= 0.05 < short.error_bound


def test_a_certificate_needs_no_more_than_all_pairs() -> None:
    """4**K cycles are exact, whatever the target."""
    with pytest.raises(InputError) as caught:
        assign_lengths(
            matrices(), method="certificate", operand_bits=4, target_error=1e-9, strict=True,
            max_length=128,
        )  # fmt: skip
    check_message(caught.value, "need length 256")


# --- lengths that the source can run --------------------------------------------------------------


@pytest.mark.parametrize(("low", "high"), [(32, 1024), (33, 1000), (2, 3), (1000, 1030)])
def test_counters_get_powers_of_two(low: int, high: int) -> None:
    for layer in quiet(matrices(), None, None, low, high, 0.3, "certificate", operand_bits=4):
        length = layer.bitstream_length
        assert low <= length <= high
        assert length & (length - 1) == 0
    for layer in quiet(matrices(), None, None, low, high, 1e-3):
        assert layer.bitstream_length == high


def test_a_range_without_a_power_of_two() -> None:
    with pytest.raises(InputError) as caught:
        assign_lengths(matrices(), None, None, 33, 63, method="certificate")
    check_message(caught.value, "power of two", "33", "63", "layer_0")


# --- budgets --------------------------------------------------------------------------------------


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.data())
def test_a_budget_is_kept_and_buys_the_optimum(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    layers = data.draw(st.integers(1, 3))
    method = data.draw(st.sampled_from(METHODS))
    low = data.draw(st.integers(2, 9))
    high = low + data.draw(st.integers(8, 14)) * (8 if method == "certificate" else 1)
    weights = [rng.uniform(-1, 1, rng.integers(1, 5, 2)) for _ in range(layers)]
    costs = (
        rng.integers(1, 5, layers).astype(float)
        if data.draw(st.booleans())
        else rng.uniform(0.1, 3, layers)
    )
    options: dict[str, Any] = {
        "method": method, "operand_bits": 3, "min_length": low, "max_length": high, "n_trials": 3,
        "cost_per_cycle": costs,
    }  # fmt: skip
    lengths = [
        length
        for length in range(low, high + 1)
        if method != "certificate" or length & (length - 1) == 0
    ]
    least, most = lengths[0] * costs.sum(), lengths[-1] * costs.sum()
    budget = float(least + data.draw(st.floats(0.001, 1.1)) * (most - least) + 1e-9)
    bounds = {}
    for n in lengths:
        fixed = quiet(weights, **options | {"min_length": n, "max_length": n})
        bounds[n] = [entry.error_bound for entry in fixed]
    target = data.draw(st.floats(0.5, 1.5)) * float(np.median([max(b) for b in bounds.values()]))
    plan = quiet(weights, total_budget=budget, target_error=target, **options)
    factors = np.ones(layers)
    if method == "sensitivity":
        factors = np.array([e.sensitivity for e in plan])
    plans = [
        (all(b <= target for b in own), float(factors @ np.array(own)))
        for choice in itertools.product(lengths, repeat=layers)
        if sum(n * c for n, c in zip(choice, costs, strict=True)) <= budget
        for own in [[bounds[n][index] for index, n in enumerate(choice)]]
    ]
    assert sum(e.bitstream_length * c for e, c in zip(plan, costs, strict=True)) <= budget
    reachable = any(met for met, _ in plans)
    assert all(e.meets_target for e in plan) == reachable
    optimum = min(total for met, total in plans if met or not reachable)
    own_total = float(factors @ np.array([e.error_bound for e in plan]))
    assert own_total <= 1.02 * optimum + 1e-12
    for entry in plan:
        assert entry.error_bound == bounds[entry.bitstream_length][entry.layer_index]
        assert entry.meets_target == (entry.error_bound <= target)


def test_a_budget_that_pays_for_nothing() -> None:
    with pytest.raises(InputError) as caught:
        assign_lengths(matrices(), total_budget=63)
    check_message(caught.value, "total_budget", "63", "64")
    assert [e.bitstream_length for e in quiet(matrices(), total_budget=64)] == [32, 32]


def random_candidates(rng: np.random.Generator, widths: list[int], count: int) -> list[Candidates]:
    """Draw candidates whose bounds do not even fall with the length."""
    layers = []
    for width in widths:
        lengths = np.sort(rng.choice(np.arange(2, 400), count, replace=False))
        errors = rng.uniform(0.3, 3, (count, width)) / np.sqrt(lengths[:, None])
        layers.append(Candidates(lengths, lengths.astype(np.float64) * rng.uniform(0.5, 2), errors))
    return layers


def random_chain(rng: np.random.Generator, widths: list[int]) -> Chain:
    """Draw weights between layers."""
    shapes = itertools.pairwise([2, *widths])
    return Chain(
        tuple(rng.uniform(0, 1, (outputs, fan_in)) for fan_in, outputs in shapes),
        tuple(int(e) for e in rng.integers(-2, 2, len(widths))),
        0.01,
    )


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(2, 4), st.sampled_from(["all", "front", "thin"]))
def test_the_chain_against_every_plan(seed: int, layers: int, way: str) -> None:
    """All three ways to search: one by one, the whole front, and a thinned front."""
    rng = np.random.default_rng(seed)
    widths = [int(w) for w in rng.integers(1, 4, layers)]
    candidates, chain = random_candidates(rng, widths, 5), random_chain(rng, widths)
    bounds, costs = [], []
    for picks in itertools.product(range(5), repeat=layers):
        errors = [part.errors[pick] for part, pick in zip(candidates, picks, strict=True)]
        if way == "all":
            bounds.append(chain.bound(errors))
        else:  # the largest neuron stands for the layer
            bound = 0.0
            for index, error in enumerate(errors):
                arrived = min(bound * 2.0 ** chain.scale_exponents[index - 1] + 0.01, 1.0)
                gain = chain.absolute_weights[index].sum(axis=1).max() if index else 0.0
                bound = float(gain * arrived + error.max())
            bounds.append(bound)
        costs.append(sum(part.costs[pick] for part, pick in zip(candidates, picks, strict=True)))
    everything = list(itertools.product(range(5), repeat=layers))
    found = dict(zip(everything, zip(bounds, costs, strict=True), strict=True))
    # A target that is exactly a plan's bound would be a matter of rounding.
    target = float(np.quantile(bounds, rng.random())) * (1 + 1e-9)
    budget = float(np.median(costs))
    slack = 1 + 1e-12 if way != "thin" else 1.0101
    with pytest.MonkeyPatch.context() as patch:
        if way != "all":
            patch.setattr(length_choice, "PLANS", 0)
        if way == "thin":
            patch.setattr(length_choice, "FRONT", 3)
        cheap = least_cost(candidates, chain, target)
        assert cheap is not None or way == "thin"
        tight = least_error(candidates, chain, budget)
        assert least_error(candidates, chain, min(costs) / 2) is None
        assert least_cost(candidates, chain, min(bounds) / 2) is None
    cheapest = min(cost for bound, cost in found.values() if bound <= target)
    tightest = min(bound for bound, cost in found.values() if cost <= budget)
    assert cheap is not None
    assert tight is not None
    # Layers are shortened at the end by the bound of all neurons.
    errors = [part.errors[pick] for part, pick in zip(candidates, cheap, strict=True)]
    assert chain.bound(errors) <= target
    assert found[tuple(cheap)][1] <= cheapest * slack
    assert found[tuple(tight)][1] <= budget
    assert found[tuple(tight)][0] <= tightest * slack


def test_large_problems_are_thinned_and_stay_sound() -> None:
    """Real costs and 500 lengths: the front grows beyond the limit, the loss stays below 1 %."""
    rng = np.random.default_rng(3)
    layers = []
    for _ in range(5):
        lengths = np.arange(32, 532)
        errors = rng.uniform(0.3, 3) / np.sqrt(lengths[:, None])
        layers.append(Candidates(lengths, lengths.astype(np.float64) * rng.uniform(0.5, 2), errors))
    budget = sum(float(part.costs.mean()) for part in layers)
    picks = least_sum(layers, np.ones(5), budget)
    assert picks is not None
    total = sum(float(part.worst[pick]) for part, pick in zip(layers, picks, strict=True))
    assert sum(float(part.costs[p]) for part, p in zip(layers, picks, strict=True)) <= budget
    # Relaxed: lengths are real numbers, the optimum of THEORY 6; all of them are in range here.
    k = [float(part.worst[0]) * math.sqrt(32) for part in layers]
    c = [float(part.costs[0]) / 32 for part in layers]
    mass = sum(a ** (2 / 3) * b ** (1 / 3) for a, b in zip(k, c, strict=True))
    ideal = [(a / b) ** (2 / 3) * budget / mass for a, b in zip(k, c, strict=True)]
    assert all(32 <= length <= 531 for length in ideal)
    assert total <= 1.012 * mass**1.5 / math.sqrt(budget)


# --- refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"layer_weights": []}, ("layer_weights", "at least one")),
        ({"layer_weights": "ab"}, ("layer_weights", "str")),
        ({"layer_weights": [np.float64(3)]}, ("layer_weights[0]", "()")),
        ({"layer_weights": [np.zeros((1, 2, 3))]}, ("(1, 2, 3)", "matrix")),
        ({"layer_weights": [[[0.1, math.nan]]]}, ("[0, 1]", "nan")),
        ({"layer_weights": [[[1j]]]}, ("complex", "real numbers")),
        ({"layer_names": ["a"]}, ("1 names for 2 layers", "2")),
        ({"layer_names": ["a", "a"]}, ("'a'", "once")),
        ({"layer_names": "ab"}, ("'ab'", "list")),
        ({"layer_names": ["a", 3]}, ("3", "strings")),
        ({"total_budget": 0}, ("total_budget", "0", "64")),
        ({"total_budget": math.nan}, ("total_budget", "nan")),
        ({"total_budget": "1"}, ("total_budget", "'1'")),
        ({"min_length": 1}, ("min_length", "1", "2 to 1048576")),
        ({"min_length": 2048}, ("min_length is 2048", "max_length, which is 1024")),
        ({"max_length": 2**21}, ("max_length", "2097152", "1048576")),
        ({"max_length": 64.0}, ("max_length", "64.0", "integer")),
        ({"target_error": 0.0}, ("target_error", "above 0")),
        ({"target_error": -1}, ("target_error", "-1")),
        ({"method": "bayes"}, ("'bayes'", "'chebyshev'")),
        ({"method": ["hoeffding"]}, ("method", "'chebyshev'")),
        ({"source": "counter"}, ("'counter'", "'lfsr-lane'")),
        ({"method": "certificate", "source": "lfsr"}, ("'lfsr'", "'counter'")),
        ({"confidence": 0.0}, ("confidence", "(0, 1)")),
        ({"confidence": 1}, ("confidence", "(0, 1)")),
        ({"confidence": 1.2}, ("confidence", "1.2")),
        ({"vectors": 0}, ("vectors", "1 or more")),
        ({"per": "max"}, ("'max'", "'mean'")),
        ({"operand_bits": 11}, ("operand_bits", "11", "1 to 10")),
        ({"cost_per_cycle": [1.0]}, ("cost_per_cycle", "(1,)", "2 layers")),
        ({"cost_per_cycle": [1.0, 0.0]}, ("cost_per_cycle[1]", "0", "above 0")),
        ({"sensitivities": [1.0, -1.0]}, ("sensitivities[1]", "-1", "0 or more")),
        ({"sensitivities": [1.0, math.inf]}, ("sensitivities[1]", "inf")),
        ({"n_trials": 0}, ("n_trials", "0")),
        ({"seed": -1}, ("seed", "-1")),
    ],
)
def test_refused(arguments: dict[str, Any], words: tuple[str, ...]) -> None:
    weights = matrices()
    copies = [part.copy() for part in weights]
    with pytest.raises(InputError) as caught:
        assign_lengths(**({"layer_weights": weights} | arguments))
    check_message(caught.value, *words)
    assert isinstance(caught.value, ValueError)
    assert all((a == b).all() for a, b in zip(weights, copies, strict=True))


def test_inputs_are_never_modified() -> None:
    weights = [4 * part for part in matrices()]
    given: list[Any] = [*weights, np.array([1.0, 2.0]), np.array([0.5, 0.25])]
    copies = [part.copy() for part in given]
    for method in METHODS:
        quiet(
            weights, method=method, cost_per_cycle=given[2], sensitivities=given[3],
            total_budget=500, operand_bits=3,
        )  # fmt: skip
    assert all((a == b).all() for a, b in zip(given, copies, strict=True))


def test_given_sensitivities_steer_the_budget() -> None:
    weights = [np.full((1, 4), 0.5)] * 2
    options: dict[str, Any] = {"total_budget": 400, "method": "sensitivity"}
    even = quiet(weights, sensitivities=[1, 1], **options)
    assert [e.bitstream_length for e in even] == [200, 200]
    steered = quiet(weights, sensitivities=[8, 1], **options)
    assert steered[0].bitstream_length == pytest.approx(320, rel=0.01)
    assert [e.sensitivity for e in steered] == [8, 1]
    zero = quiet(weights, sensitivities=[0, 0], **options)
    assert [e.bitstream_length for e in zero] == [200, 200]
    row = quiet([[0.5, 0.25]], max_length=64)
    assert len(row) == 1
