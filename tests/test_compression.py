"""Compression by recipe: what is left, on how many bits, and how far it is from the trained one."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from model import AdaptivePrecisionManager, assign_synapse_precisions, prune_stochastic
from model.compression import (
    compress_network,
    compression_recipe,
    firing_rates,
    synapse_widths,
)
from model.deviation import trained_deviations
from model.errors import InputError
from model.forward import GoldenNetwork, float_forward
from model.manifest import Compression, canonical_bytes
from model.network import Network
from model.plan import Design, plan_design
from tests.builders import check_message, small_network

SIZES = (6, 7, 5, 3)


def network(seed: int = 1, sizes: tuple[int, ...] = SIZES, **options: Any) -> Network:
    found = small_network(np.random.default_rng(seed), sizes, **{"vectors": 40, **options})
    samples = np.random.default_rng(seed + 1).integers(-15, 16, (50, sizes[0])).astype(np.int16)
    return replace(found, calibration=samples if found.description.input_signed else abs(samples))


def constant_neurons() -> Network:
    """Neuron 1 of layer 0 is always 0, neuron 2 always 1, neuron 4 is read by nobody."""
    found = network()
    biases = [part.copy() for part in found.biases]
    weights = [part.copy() for part in found.weights]
    biases[0][1], biases[0][2] = -20.0, 20.0
    weights[1][:, 4] = 0
    return replace(found, weights=tuple(weights), biases=tuple(biases))


# --- recipes --------------------------------------------------------------------------------------


def test_no_recipe_changes_nothing_but_rounding() -> None:
    trained = network()
    left = compress_network(trained, Compression())
    for before, after, widths in zip(
        trained.weights, left.network.weights, left.widths, strict=True
    ):
        assert np.abs(before - after).max() <= 1 / 32
        assert (widths == 4).all()
    assert left.kept == ([*range(7)], [*range(5)], [*range(3)])
    plain, recipe = plan_design(trained), plan_design(trained, compression=Compression())
    assert plain.manifest.layers == recipe.manifest.layers
    assert plain.manifest.compression is None


def test_the_steps_are_those_of_the_functions() -> None:
    trained = network()
    recipe = Compression(prune_threshold=0.2, constant_margin=0.1, weight_bits=[3, 2, 4])
    left = compress_network(trained, recipe)
    for before, after, bits in zip(trained.weights, left.network.weights, (3, 2, 4), strict=True):
        pruned = np.where(np.abs(before) < 0.2, 0, before)
        pruned = prune_stochastic(pruned, 1000, 100.0)[0]
        steps = np.abs(pruned) * 2**bits
        expected = np.sign(pruned) * np.floor(steps + 0.5) / 2**bits
        assert np.array_equal(after, expected)
        assert (after[np.abs(before) < 0.2] == 0).all()
        assert (np.abs(after[np.abs(before) > 0.9]) == 1).all()
    assert [report.method for report in left.reports] == ["magnitude", "stochastic"]


def test_removed_neurons_are_folded_and_remembered() -> None:
    trained = constant_neurons()
    left = compress_network(trained, Compression(remove_neurons=True))
    assert left.kept == ([0, 3, 5, 6], [*range(5)], [*range(3)])
    assert left.network.weights[0].shape == (4, 6)
    assert left.network.weights[1].shape == (5, 4)
    assert np.allclose(left.network.biases[1], trained.biases[1] + trained.weights[1][:, 2])
    exact = float_forward(trained, trained.features)[-1]
    rounded = compress_network(trained, Compression(remove_neurons=True))
    unrounded = replace(
        rounded.network,
        weights=(
            trained.weights[0][[0, 3, 5, 6]],
            trained.weights[1][:, [0, 3, 5, 6]],
            trained.weights[2],
        ),
    )
    assert np.allclose(float_forward(unrounded, trained.features)[-1], exact)


def test_neurons_that_pruning_left_without_a_reader_go_too() -> None:
    trained = network()
    weights = [part.copy() for part in trained.weights]
    weights[1][:, 3] = 0.01
    trained = replace(trained, weights=tuple(weights))
    kept = compress_network(trained, Compression(prune_threshold=0.05)).kept[0]
    assert 3 in kept
    recipe = Compression(prune_threshold=0.05, remove_neurons=True)
    assert 3 not in compress_network(trained, recipe).kept[0]


def test_inactive_neurons_are_those_of_the_calibration_data() -> None:
    trained = network(3)
    rates = firing_rates(trained)
    threshold = float(np.sort(rates[0])[2])
    recipe = Compression(remove_neurons=True, activity_threshold=threshold)
    gone = set(range(7)) - set(compress_network(trained, recipe).kept[0])
    assert set(np.flatnonzero(rates[0] < threshold)) <= gone
    with pytest.raises(InputError) as error:
        compress_network(replace(trained, calibration=None), recipe)
    check_message(error.value, "no calibration data", "activity_threshold", "network.json")


def test_widths_of_synapses_reach_the_weights() -> None:
    trained = network()
    plan = assign_synapse_precisions(
        list(trained.weights), target_error=0.2, min_bits=1, max_bits=4, max_length=1 << 20
    )
    widths = synapse_widths(plan)
    assert len({int(bits) for part in widths for bits in part.ravel()}) > 1
    design = plan_design(trained, compression=Compression(given_widths=True), widths=widths)
    for weights, bits, real in zip(design.parameters.weights, widths, trained.weights, strict=True):
        steps = 1 << (4 - bits.astype(int))
        assert (weights % steps == 0).all()
        assert (np.abs(weights / 16 - real) <= steps / 32).all()
    assert all(map(np.array_equal, design.parameters.widths, widths))


def test_the_error_of_a_synapse_chooses_its_bits() -> None:
    trained = network(operand_bits=8)
    loose = compress_network(trained, Compression(synapse_error=0.2)).widths
    tight = compress_network(trained, Compression(synapse_error=0.02)).widths
    assert sum(part.sum() for part in loose) < sum(part.sum() for part in tight)


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"prune_threshold": -0.1}, ("prune_threshold is -0.1", "greater than or equal to 0")),
        ({"prune_threshold": float("nan")}, ("prune_threshold is nan", "finite")),
        ({"constant_margin": 0.6}, ("constant_margin is 0.6", "less than or equal to 0.5")),
        ({"activity_threshold": 2.0}, ("activity_threshold is 2.0",)),
        ({"activity_threshold": 0.1}, ("activity_threshold needs remove_neurons",)),
        ({"weight_bits": []}, ("weight_bits is []",)),
        ({"synapse_error": 0.0}, ("synapse_error is 0.0", "greater than 0")),
        ({"weight_bits": [3], "synapse_error": 0.1}, ("exclude each other",)),
        ({"prune_method": "random"}, ("prune_method is 'random'",)),
        ({"surprise": 1}, ("surprise",)),
    ],
)
def test_recipes_refused(choices: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as error:
        compression_recipe(**choices)
    check_message(error.value, *words)


@pytest.mark.parametrize(
    ("recipe", "widths", "words"),
    [
        (Compression(weight_bits=[5]), None, ("weight_bits is 5", "1 to 4", "operand_bits")),
        (Compression(weight_bits=[0]), None, ("weight_bits is 0", "1 to 4")),
        (Compression(weight_bits=[3, 3]), None, ("2 numbers for 3 layers",)),
        (Compression(given_widths=True), None, ("widths of the weights are missing",)),
        (Compression(), [np.ones((1, 1), int)], ("widths of its own",)),
        (Compression(given_widths=True), [np.ones((1, 1), int)], ("widths have shapes [(1, 1)]",)),
        (
            Compression(given_widths=True),
            [np.full(s, 5) for s in ((7, 6), (5, 7), (3, 5))],
            ("widths[0] holds 5 to 5", "1 to 4"),
        ),
        (
            Compression(given_widths=True),
            [np.full(s, 2.5) for s in ((7, 6), (5, 7), (3, 5))],
            ("widths[0] holds 2.5",),
        ),
        (Compression(prune_threshold=2.0, remove_neurons=True), None, ("would be removed",)),
    ],
)
def test_compressions_refused(recipe: Compression, widths: Any, words: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as error:
        compress_network(network(), recipe, widths)
    check_message(error.value, *words)


def test_plans_with_holes_are_no_widths() -> None:
    plan = assign_synapse_precisions(list(network().weights), target_error=0.5)
    for part in (plan[1:], []):
        with pytest.raises(InputError) as error:
            synapse_widths(part)
        check_message(error.value, "plan")


def test_the_trained_network_is_never_modified() -> None:
    trained = constant_neurons()
    before = [part.copy() for part in (*trained.weights, *trained.biases)]
    plan_design(trained, compression=Compression(remove_neurons=True, prune_threshold=0.1))
    assert all(map(np.array_equal, before, (*trained.weights, *trained.biases)))


def test_the_same_recipe_gives_the_same_manifest() -> None:
    recipe = Compression(remove_neurons=True, prune_threshold=0.1, weight_bits=[3])
    one, two = (plan_design(constant_neurons(), compression=recipe).manifest for _ in "ab")
    assert canonical_bytes(one) == canonical_bytes(two)
    assert one.compression is not None
    assert one.compression.recipe == recipe
    assert one.compression.kept[0] == [0, 3, 5, 6]


# --- bounds against the trained network -----------------------------------------------------------


def corners(fan_in: int, top: float, *, signed: bool) -> NDArray[np.float64]:
    ends = (-top, top) if signed else (0.0, top)
    return np.array(list(itertools.product(ends, repeat=fan_in)))


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_the_deviation_of_a_first_layer_is_attained_and_never_passed(
    seed: int, signed: bool
) -> None:
    trained = network(seed, (6, 5, 3), signed=signed)
    recipe = Compression(prune_threshold=0.3, weight_bits=[2])
    design = plan_design(trained, compression=recipe)
    weights, biases = design.parameters.weights, design.parameters.biases
    found = trained_deviations(trained, weights, biases, [16, 16], [range(5), range(3)])[0]
    ends = corners(6, 15 / 16, signed=signed)
    sums = ends @ (trained.weights[0] - weights[0] / 16).T + trained.biases[0] - biases[0] / 16
    worst = np.abs(sums).max(axis=0)
    assert (found >= worst).all()
    assert np.allclose(found, worst, rtol=1e-9)
    assert design.manifest.layers[0].deviation == found.max()


@pytest.mark.parametrize("seed", range(8))
def test_the_deviation_of_every_layer_holds_on_the_trained_networks_own_activations(
    seed: int,
) -> None:
    """What the remaining weights make of them, against what the trained ones make."""
    trained = network(seed, (6, 7, 6, 3), bias=1.5)
    rates = np.concatenate(firing_rates(trained))
    recipe = Compression(
        remove_neurons=True,
        activity_threshold=float(np.sort(rates[rates > 0])[2]),
        prune_threshold=0.1,
        weight_bits=[3],
    )
    left = compress_network(trained, recipe)
    assert sum(map(len, left.kept)) < 16
    design = plan_design(trained, [64], compression=recipe)
    weights, biases = design.parameters.weights, design.parameters.biases
    found = trained_deviations(trained, weights, biases, [64] * 3, left.kept)
    arriving = corners(6, 15 / 16, signed=True)
    columns = list(range(6))
    for index, bound in enumerate(found):
        rows = left.kept[index]
        sums = arriving @ trained.weights[index].T + trained.biases[index]
        ours = arriving[:, columns] @ (weights[index] / 16).T + biases[index] / 64
        assert (np.abs(ours - sums[:, rows]).max(axis=0) <= bound).all()
        arriving, columns = np.clip(sums, 0, 1), rows
    assert [layer.deviation for layer in design.manifest.layers] == [part.max() for part in found]


def outputs(design: Design, features: NDArray[np.integer]) -> NDArray[np.float64]:
    counts = GoldenNetwork(design.manifest, design.parameters).counts(features)[-1]
    return counts / design.manifest.layers[-1].bitstream_length


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.data())
def test_hardware_stays_within_its_bound_of_the_trained_network(data: st.DataObject) -> None:
    """Random networks and recipes; random inputs, extremes, and the witnesses."""
    seed = data.draw(st.integers(0, 10_000))
    rng = np.random.default_rng(seed)
    sizes = tuple(rng.integers(2, 7, data.draw(st.integers(3, 5))).tolist())
    trained = network(seed, sizes, length=int(2 ** rng.integers(2, 9)), bias=2.0)
    recipe = Compression(
        remove_neurons=bool(rng.random() < 0.5),
        prune_threshold=float(rng.choice([0, 0.05, 0.3])),
        constant_margin=float(rng.choice([0, 0.05, 0.3])),
        weight_bits=[int(rng.integers(1, 5))],
    )
    try:
        design = plan_design(trained, compression=recipe)
    except InputError as refusal:
        assert "would be removed" in refusal.what  # noqa: PT017
        return
    witnesses = design.certificate(0).witnesses.reshape(-1, sizes[0])
    extremes = rng.choice([-15, 15], (40, sizes[0]))
    played = np.concatenate([trained.features, witnesses, extremes]).astype(np.int16)
    error = np.abs(outputs(design, played) - float_forward(trained, played)[-1]).max()
    assert error <= design.manifest.trained_bound
    assert design.manifest.trained_bound >= design.manifest.layers[-1].deviation


def test_a_folded_neuron_that_is_not_constant_is_in_the_bound() -> None:
    """An inactive neuron's activation can still rise to 1: the bound must allow for that."""
    trained = network(3, (6, 7, 3))
    rates = firing_rates(trained)[0]
    threshold = float(np.sort(rates)[1])
    recipe = Compression(remove_neurons=True, activity_threshold=threshold)
    design = plan_design(trained, [256], compression=recipe)
    assert design.manifest.layers[0].outputs < 7
    plain = plan_design(trained, [256]).manifest.layers[1].deviation
    assert design.manifest.layers[1].deviation > plain + 0.05
    ends = (corners(6, 15, signed=True)).astype(np.int16)
    error = np.abs(outputs(design, ends) - float_forward(trained, ends)[-1]).max()
    assert error <= design.manifest.trained_bound


def test_counts_of_synapses_wires_and_bits() -> None:
    trained = network(1, (3, 2, 1))
    weights = (np.array([[1.0, -0.5, 0.0], [0.75, -1.0, 0.03]]), np.array([[0.0625, 0.0]]))
    layers = plan_design(replace(trained, weights=weights)).manifest.layers
    assert [layer.synapses for layer in layers] == [4, 1]
    assert [layer.constant_gates for layer in layers] == [2, 0]
    # .5 is 1 bit, .75 are 2, 1/16 are all 4 of K = 4.
    assert [layer.comparator_bits for layer in layers] == [3, 4]


def test_plans_of_a_compressed_network_are_those_of_its_manifest() -> None:
    trained = constant_neurons()
    recipe = Compression(remove_neurons=True, prune_threshold=0.2, weight_bits=[3])
    manager = AdaptivePrecisionManager.from_network(trained, compression=recipe, min_length=2)
    plan = manager.certificate(2.0, target="output", strict=True)
    design = manager.design(plan)
    assert design.manifest.end_to_end_bound == plan.end_to_end_bound <= 2.0
    record = design.manifest.precision
    assert record is not None
    assert [layer.error_bound for layer in record.layers] == [
        layer.certificate.value for layer in design.manifest.layers
    ]
    assert record.target_error == 2.0
    assert not record.shortfalls
