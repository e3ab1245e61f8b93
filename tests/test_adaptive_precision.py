"""Whole networks: end-to-end bounds that hold, optimal plans, and designs made of them."""

from __future__ import annotations

import itertools
import json
import math
import statistics
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.adaptive_precision import AdaptivePrecisionManager
from model.design_bounds import certificate_of
from model.errors import InputError
from model.forward import GoldenNetwork, quantised_forward
from model.network import Network
from model.plan import Design
from model.precision import Method, PrecisionPlan, PrecisionWarning, precision_plan_manifest
from model.quantise import quantise_weights
from tests.builders import check_message, random_inputs, small_network

# Many processes or many searches: as a whole more than the quick subset has time for.
pytestmark = pytest.mark.slow

STATISTICAL: list[Method] = ["hoeffding", "chebyshev", "sensitivity"]
METHODS: list[Method] = [*STATISTICAL, "certificate"]


def quiet(manager: AdaptivePrecisionManager, *arguments: Any, **options: Any) -> PrecisionPlan:
    """Plan, whatever is missed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrecisionWarning)
        return manager.plan(*arguments, **options)


def mild(network: Network, factor: float = 0.25) -> Network:
    """Return the network with smaller weights after the first layer: errors do not blow up."""
    weights = [network.weights[0], *(factor * weight for weight in network.weights[1:])]
    return replace(network, weights=tuple(weights))


# --- the end-to-end bound -------------------------------------------------------------------------


def adversarial_inputs(design: Design, rng: np.random.Generator) -> NDArray[np.int16]:
    """Return random inputs, the extremes, and the witnesses of every neuron of the first layer."""
    layer = design.manifest.layers[0]
    width = design.manifest.operand_width
    certificate = certificate_of(layer, design.parameters.weights[0], width)
    witnesses = certificate.witnesses.reshape(-1, layer.fan_in)
    random = random_inputs(rng, 60, layer.fan_in, width, signed=layer.input_signed)
    # Half witness, half random: what the hidden layers see differs, too.
    mixed = np.where(rng.random((40, layer.fan_in)) < 0.5, random[:40], witnesses[0])
    return np.concatenate([random, witnesses, mixed]).astype(np.int16)


def measured_error(design: Design, inputs: NDArray[np.int16]) -> float:
    """Return the largest error of any output over some inputs."""
    counts = GoldenNetwork(design.manifest, design.parameters).counts(inputs)[-1]
    exact = quantised_forward(design.manifest, design.parameters, inputs)[-1]
    length = design.manifest.layers[-1].bitstream_length
    return float(np.abs(counts / length - exact).max())


@pytest.mark.slow
def test_a_thousand_networks_stay_below_their_end_to_end_bound(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rng = np.random.default_rng(20)
    tightness, lengths = [], set()
    for number in range(1000):
        sizes = [int(size) for size in rng.integers(1, 6, rng.integers(3, 6))]
        network = small_network(
            rng,
            sizes,
            operand_bits=int(rng.integers(3, 5)),
            scale_exponent=int(rng.integers(-1, 2)),
            vectors=1,
            signed=bool(rng.integers(2)),
        )
        manager = AdaptivePrecisionManager.from_network(
            network, min_length=2, max_length=64, sensitivities=[1.0] * (len(sizes) - 1)
        )
        plan = quiet(
            manager,
            "certificate",
            float(rng.uniform(0.2, 3)),
            "output" if number % 2 else "layer",
            source="counter-lane" if number % 5 == 0 else "counter",
        )
        design = manager.design(plan)
        assert plan.end_to_end_bound == pytest.approx(design.manifest.end_to_end_bound, rel=1e-12)
        error = measured_error(design, adversarial_inputs(design, rng))
        assert error <= plan.end_to_end_bound + 1e-9, f"network {number}"
        if plan.end_to_end_bound > 0:  # 4**K cycles are exact
            tightness.append(error / plan.end_to_end_bound)
        lengths.add(tuple(plan.lengths))
    assert len(lengths) > 50
    median = statistics.median(tightness)
    with capsys.disabled():
        print(
            f"\n1000 networks, 0 violations: measured / bound has median {median:.3f},"
            f" largest {max(tightness):.3f}"
        )
    assert 0.1 < median < 1


@pytest.mark.parametrize("method", STATISTICAL)
def test_independent_sources_keep_the_whole_network_inside(method: Method) -> None:
    """Cycle by cycle with truly independent numbers, re-encoding included."""
    rng = np.random.default_rng(4)
    network = mild(small_network(rng, (4, 5, 3, 2), operand_bits=5, vectors=3))
    manager = AdaptivePrecisionManager.from_network(network, min_length=8, max_length=64)
    plan = quiet(manager, method, 1e-3, "output", 100.0)
    assert sum(plan.lengths) <= 100
    design = manager.design(plan)
    exact = quantised_forward(design.manifest, design.parameters, network.features)[-1]
    inside = 0
    for _ in range(200):
        values = network.features / 32
        for layer, weight, bias in zip(
            design.manifest.layers,
            design.parameters.weights,
            design.parameters.biases,
            strict=True,
        ):
            length = layer.bitstream_length
            x = rng.random((length, len(values), 1, layer.fan_in)) < np.abs(values)[:, None, :]
            w = rng.random((length, 1, 1, layer.fan_in)) < np.abs(weight / 32)
            signs = np.sign(values)[:, None, :] * np.sign(weight)
            sums = (((x & w) * signs).sum(axis=(0, 3)) + bias) / length
            scaled = np.floor(sums * 2.0**layer.scale_exponent * 32 + 0.5)
            values = np.clip(scaled, 0, 31) / 32
        inside += bool((np.abs(sums - exact) <= plan.end_to_end_bound).all())
    assert inside / 200 >= plan.confidence == 0.95


# --- optimal plans --------------------------------------------------------------------------------


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.data())
def test_the_output_target_and_the_budget_against_every_plan(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    layers = data.draw(st.integers(1, 3))
    method = data.draw(st.sampled_from(METHODS))
    high = 128 if method == "certificate" else 10
    sizes = [int(n) for n in rng.integers(1, 5, layers + 1)]
    network = mild(small_network(rng, sizes, operand_bits=3), data.draw(st.floats(0.05, 1)))
    costs = rng.uniform(0.2, 4, layers)
    shares = rng.uniform(0, 1, layers)

    def manager(low: int = 2, top: int = high) -> AdaptivePrecisionManager:
        return AdaptivePrecisionManager.from_network(
            network, costs, min_length=low, max_length=top, sensitivities=shares
        )

    grid = [n for n in range(2, high + 1) if method != "certificate" or n & (n - 1) == 0]
    fixed = {n: quiet(manager(n, n), method, 1.0) for n in grid}
    every = {}
    for choice in itertools.product(grid, repeat=layers):
        own = [fixed[n].layers[index].error_bound for index, n in enumerate(choice)]
        every[choice] = (float(np.dot(choice, costs)), own)
    target = data.draw(st.floats(0.2, 3))
    plan = quiet(manager(), method, target, "output")
    assert plan.meets_target == (plan.end_to_end_bound <= target)
    budget = float(np.quantile([cost for cost, _ in every.values()], data.draw(st.floats(0, 1))))
    budget += 1e-9
    bought = quiet(manager(), method, target, "output", budget)
    assert bought.total_cost <= budget
    assert bought.meets_target == (bought.end_to_end_bound <= target)
    if method == "sensitivity":
        factors = shares / shares.max()
        own = [layer.error_bound for layer in bought.layers]
        least = min(float(factors @ own) for cost, own in every.values() if cost <= budget)
        assert float(factors @ own) <= 1.02 * least
        return
    neurons = {n: neuron_bounds(fixed[n], network) for n in grid}
    ends = {choice: end_to_end(network, neurons, choice) for choice in every}
    if method == "chebyshev":
        ends = {choice: min(end, by_minkowski(network, choice)) for choice, end in ends.items()}
    assert plan.end_to_end_bound == pytest.approx(ends[tuple(plan.lengths)])
    affordable = [ends[choice] for choice, (cost, _) in every.items() if cost <= budget]
    assert bought.end_to_end_bound <= 1.02 * min(affordable)
    good = [cost for choice, (cost, _) in every.items() if ends[choice] <= target * (1 - 1e-12)]
    if good:
        assert plan.meets_target
        assert plan.total_cost <= 1.02 * min(good)
    elif not plan.meets_target:
        assert plan.end_to_end_bound == pytest.approx(min(ends.values()))


def end_to_end(
    network: Network, neurons: dict[int, list[NDArray[np.float64]]], choice: tuple[int, ...]
) -> float:
    """THEORY 5, neuron by neuron."""
    bits = network.description.operand_bits
    bound = arriving = np.zeros(0)
    for index, length in enumerate(choice):
        bound = neurons[length][index]
        if index:
            weight = quantise_weights(network.weights[index], bits) / 2**bits
            bound = bound + np.abs(weight) @ arriving
        scale = 2.0 ** network.description.layers[index].scale_exponent
        arriving = np.minimum(bound * scale + 0.5 / 2**bits, 1)
    return float(bound.max())


def by_minkowski(network: Network, choice: tuple[int, ...]) -> float:
    """Root mean squares to the output, Chebyshev there: one vector, 95 %."""
    bits = network.description.operand_bits
    arriving = np.zeros(network.weights[0].shape[1])
    for index, length in enumerate(choice):
        weight = np.abs(quantise_weights(network.weights[index], bits)) / 2**bits
        variance = np.where(weight < 0.5, weight * (1 - weight), 0.25).sum(axis=1)
        square = np.sqrt(variance / length) + (weight @ arriving if index else 0)
        scale = 2.0 ** network.description.layers[index].scale_exponent
        arriving = np.minimum(square * scale + 0.5 / 2**bits, 1)
    vectors = len(network.features)
    return float(np.linalg.norm(square) * np.sqrt(vectors / (1 - network.description.confidence)))


def neuron_bounds(plan: PrecisionPlan, network: Network) -> list[NDArray[np.float64]]:
    """Return each neuron's own bound, from the manifest or from the layer's bound."""
    if plan.method == "certificate":
        design = AdaptivePrecisionManager.from_network(network, min_length=2).design(plan)
        parts = [design.certificate(index) for index in range(len(plan.layers))]
        return [part.numerators.max(axis=0) / part.denominator for part in parts]
    bits = network.description.operand_bits
    bounds = []
    for entry, weight in zip(plan.layers, network.weights, strict=True):
        lanes = (quantise_weights(weight, bits) != 0).sum(axis=1)
        share = np.sqrt(lanes / max(1, lanes.max())) if plan.method == "hoeffding" else lanes > 0
        bounds.append(entry.error_bound * share)
    return bounds


def test_sensitivity_plans_the_output_in_proportion() -> None:
    network = mild(small_network(np.random.default_rng(6), (6, 5, 4), operand_bits=6))
    manager = AdaptivePrecisionManager.from_network(
        network, [1.0, 2.0], max_length=1 << 16, sensitivities=[3.0, 1.0], vectors=1
    )
    plan = manager.sensitivity(0.3, target="output", strict=True)
    assert plan.meets_target
    assert plan.end_to_end_bound <= 0.3
    ratio = plan.lengths[0] / plan.lengths[1]
    assert ratio == pytest.approx((3 * 2) ** (2 / 3), rel=0.02)
    optimal = manager.hoeffding(0.3, target="output", strict=True)
    assert optimal.total_cost <= plan.total_cost


# --- missed targets -------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_an_output_target_beyond_reach_is_told(method: Method) -> None:
    network = mild(small_network(np.random.default_rng(6), operand_bits=6, vectors=1), 0.1)
    manager = AdaptivePrecisionManager.from_network(network, max_length=64)
    with pytest.warns(PrecisionWarning, match="best reachable") as caught:
        plan = manager.plan(method, 0.05, "output")
    assert len(caught) == 1
    assert not plan.meets_target
    assert not any(layer.meets_target for layer in plan.layers)
    assert f"{plan.end_to_end_bound:.6g}" in str(caught[0].message)
    # Whoever builds it all the same has it in the manifest, and no sign-off.
    record = manager.design(plan).manifest.precision
    assert record is not None
    assert record.shortfalls == [str(caught[0].message)]
    with pytest.raises(InputError) as refused:
        manager.plan(method, 0.05, "output", strict=True)
    check_message(refused.value, "layer layer_", method, "need length", "max_length")
    needed = int(str(refused.value).split("need length ")[1].split(",")[0])
    longer = AdaptivePrecisionManager.from_network(network, max_length=needed)
    assert longer.plan(method, 0.05, "output", strict=True).meets_target
    half = AdaptivePrecisionManager.from_network(network, max_length=needed // 2)
    assert not quiet(half, method, 0.05, "output").meets_target


def test_rounding_between_layers_can_be_too_much_for_any_length() -> None:
    network = mild(small_network(np.random.default_rng(6), operand_bits=2, vectors=1), 1.0)
    manager = AdaptivePrecisionManager.from_network(network)
    with pytest.raises(InputError) as caught:
        manager.certificate(0.01, target="output", strict=True)
    check_message(caught.value, "no length", "long enough", "best reachable")


def test_a_budget_too_small_for_the_output_target_says_what_it_takes() -> None:
    network = mild(small_network(np.random.default_rng(6), operand_bits=6, vectors=1), 0.1)
    manager = AdaptivePrecisionManager.from_network(network, min_length=2)
    free = manager.certificate(0.2, target="output", strict=True)
    assert free.total_cost > 16
    with pytest.raises(InputError) as caught:
        manager.certificate(0.2, target="output", total_budget=16, strict=True)
    check_message(caught.value, "all layers", "budget")


# --- designs --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "source"),
    [("certificate", None), ("certificate", "counter-lane"), ("hoeffding", None),
     ("hoeffding", "lfsr"), ("chebyshev", "lfsr")],
)  # fmt: skip
def test_the_manifest_has_the_plan_of_every_layer(method: Method, source: Any) -> None:
    network = mild(small_network(np.random.default_rng(2), (5, 4, 3, 2), vectors=4))
    manager = AdaptivePrecisionManager.from_network(network, [1, 3, 9], max_length=300)
    plan = quiet(manager, method, 0.8, source=source, total_budget=1500.0)
    design = manager.design(plan)
    assert [layer.bitstream_length for layer in design.manifest.layers] == plan.lengths
    assert len(set(plan.lengths)) > 1
    assert list(plan.precision_map) == [layer.name for layer in design.manifest.layers]
    for record, layer in zip(plan.layers, design.manifest.layers, strict=True):
        if method == "certificate":
            assert record.error_bound == layer.certificate.value
        elif method == "hoeffding":
            # A third of the failures for each of three layers; a lane of weight 0 counts nothing.
            d = 0.05 / 3 / (layer.outputs * 4)
            weight = design.parameters.weights[record.layer_index]
            lanes = float((weight != 0).sum(axis=1).max())
            norm = math.sqrt(lanes) if source is None else lanes
            assert norm <= layer.hoeffding.norm_value
            radius = norm * math.sqrt(math.log(2 / d) / (2 * layer.bitstream_length))
            assert record.error_bound == pytest.approx(radius)
            assert record.confidence == pytest.approx(1 - 0.05 / 3)
            assert layer.hoeffding.norm == ("norm2" if source is None else "norm1")
    text = json.dumps(precision_plan_manifest(plan), allow_nan=False)
    again = quiet(manager, method, 0.8, source=source, total_budget=1500.0)
    assert json.dumps(precision_plan_manifest(again)) == text


def test_lengths_whose_counts_do_not_fit_are_left_out() -> None:
    """5 inputs and biases of half a unit: 8 bits are enough for 16 cycles, not for 32."""
    network = small_network(np.random.default_rng(1), accumulator_width=8)
    manager = AdaptivePrecisionManager.from_network(network, min_length=2)
    plan = quiet(manager, "certificate", 1e-6)
    assert plan.lengths == [16, 16]
    manager.design(plan)
    plan = quiet(manager, "hoeffding", 1e-6)
    manager.design(plan)
    longer = [plan.lengths[0] + 1, plan.lengths[1]]
    layers = [replace(e, bitstream_length=n) for e, n in zip(plan.layers, longer, strict=True)]
    assert max(plan.lengths) < 32
    with pytest.raises(InputError, match="accumulator"):
        manager.design(replace(plan, layers=tuple(replace(e, bitstream_length=32) for e in layers)))
    with pytest.raises(InputError) as caught:
        AdaptivePrecisionManager.from_network(network, min_length=64).certificate(0.1)
    check_message(caught.value, "layer layer_0", "64")


def test_weights_beyond_one_are_those_of_a_scaled_layer() -> None:
    rng = np.random.default_rng(3)
    weights = [rng.uniform(-1, 1, (3, 4)), rng.uniform(-1, 1, (2, 3))]
    plain = AdaptivePrecisionManager(weights, None, [1, 0], max_length=64)
    # The first layer doubled and its scale halved is the same layer in other units.
    scaled = AdaptivePrecisionManager([2 * weights[0], weights[1]], None, [0, 0], max_length=64)
    one = quiet(plain, "certificate", 2.0, "output")
    other = quiet(scaled, "certificate", 2.0, "output")
    assert one.lengths == other.lengths
    assert other.end_to_end_bound == pytest.approx(one.end_to_end_bound)
    assert other.layers[0].error_bound == pytest.approx(2 * one.layers[0].error_bound)


def test_only_whole_networks_have_designs() -> None:
    weights = [np.eye(2), np.eye(2)]
    manager = AdaptivePrecisionManager(weights, [np.zeros(2)] * 2, layer_names=["a", "b"])
    plan = quiet(manager, "certificate")
    with pytest.raises(InputError) as caught:
        manager.design(plan)
    check_message(caught.value, "from_network")
    whole = AdaptivePrecisionManager.from_network(small_network(np.random.default_rng(1)))
    with pytest.raises(InputError) as caught:
        whole.design(plan)
    check_message(caught.value, "['a', 'b']", "layer_0")


def test_the_four_methods_are_the_plans_of_their_names() -> None:
    network = small_network(np.random.default_rng(1))
    manager = AdaptivePrecisionManager.from_network(network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrecisionWarning)
        for method, own in [
            ("hoeffding", manager.hoeffding),
            ("chebyshev", manager.chebyshev),
            ("sensitivity", manager.sensitivity),
            ("certificate", manager.certificate),
        ]:
            plan = own(0.5, target="output", total_budget=500.0)
            assert plan == manager.plan(method, 0.5, "output", 500.0)  # type: ignore[arg-type]
            assert all(layer.method == method for layer in plan.layers)


# --- refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"layer_weights": []}, ("layer_weights", "at least one")),
        ({"layer_weights": [np.eye(2), np.eye(3)]}, ("3 inputs", "2 outputs", "chain")),
        ({"biases": [np.zeros(2)]}, ("biases", "1 arrays for 2 layers")),
        ({"biases": [np.zeros(2), np.zeros(3)]}, ("biases[1]", "(3,)", "2 outputs")),
        ({"biases": [np.zeros(2), [0, math.nan]]}, ("biases[1][1]", "nan")),
        ({"biases": [np.zeros(2), [0, 1e300]]}, ("max_length", "layer_1", "accumulator")),
        ({"scale_exponents": [0]}, ("scale_exponents", "1 entries for 2")),
        ({"scale_exponents": [0, 17]}, ("scale_exponents[1]", "17", "-16 to 16")),
        ({"layer_names": ["a"]}, ("1 names for 2 layers",)),
        ({"cost_per_cycle": [1, -1]}, ("cost_per_cycle[1]", "-1")),
        ({"operand_bits": 0}, ("operand_bits", "0", "1 to 10")),
        ({"confidence": 1.0}, ("confidence", "(0, 1)")),
        ({"vectors": 0}, ("vectors", "0")),
        ({"min_length": 0}, ("min_length", "0")),
        ({"min_length": 99, "max_length": 98}, ("99", "98")),
        ({"sensitivities": [1, math.nan]}, ("sensitivities[1]", "nan")),
        ({"n_trials": 0}, ("n_trials", "0")),
    ],
)
def test_refused(arguments: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as caught:
        AdaptivePrecisionManager(**({"layer_weights": [np.eye(2), np.eye(2)]} | arguments))
    check_message(caught.value, *words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"method": "x"}, ("'x'", "'hoeffding'")),
        ({"target": "all"}, ("'all'", "'output'")),
        ({"target_error": 0}, ("target_error", "0")),
        ({"target": "output", "target_error": -1.0}, ("target_error", "-1")),
        ({"total_budget": 1}, ("total_budget", "64")),
        ({"target": "output", "total_budget": 63.9}, ("total_budget", "63.9", "64")),
        ({"source": "lfsr3"}, ("'lfsr3'", "'lfsr'")),
    ],
)
def test_plans_refused(arguments: dict[str, Any], words: tuple[str, ...]) -> None:
    manager = AdaptivePrecisionManager([np.eye(2), np.eye(2)])
    with pytest.raises(InputError) as caught:
        manager.plan(**({"method": "hoeffding"} | arguments))
    check_message(caught.value, *words)


def test_inputs_are_never_modified() -> None:
    given: list[Any] = [2 * np.eye(2), np.eye(2), np.ones(2), np.zeros(2), np.array([1.0, 2.0])]
    copies = [part.copy() for part in given]
    manager = AdaptivePrecisionManager(given[:2], given[2:4], cost_per_cycle=given[4])
    for method in METHODS:
        quiet(manager, method, 0.5, "output")
    assert all((a == b).all() for a, b in zip(given, copies, strict=True))
