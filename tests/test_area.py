"""Compression in gates: cell counts of generated layers, by Yosys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.synthesis import Area, design_areas
from model.manifest import Compression
from model.network import Network
from model.plan import Design, plan_design
from model.source_choice import SourceKind
from tests.builders import small_network

pytestmark = [pytest.mark.slow, pytest.mark.lint]


def silent(_text: str) -> None:
    """Say nothing."""


@pytest.fixture
def area(tmp_path: Path) -> Callable[..., list[Area]]:
    """Return the area of the first layer of each design."""

    def measure(*designs: Design) -> list[Area]:
        return [row[0] for row in design_areas(designs, tmp_path / "area", silent)]

    return measure


def trained(fan_in: int = 16, neurons: int = 6, *, bits: int = 8) -> Network:
    network = small_network(
        np.random.default_rng(2), (fan_in, neurons, 1), operand_bits=bits, vectors=3
    )
    # No weight that costs less than others by itself.
    return with_weights(network, np.clip(network.weights[0], -0.95, 0.95))


def with_weights(network: Network, weights: NDArray[np.float64]) -> Network:
    return replace(network, weights=(weights, *network.weights[1:]))


def design(network: Network, source: SourceKind = "counter", **recipe: object) -> Design:
    return plan_design(network, [32], source, compression=Compression.model_validate(recipe))


def test_a_pruned_synapse_costs_as_much_as_one_that_never_was(
    area: Callable[..., list[Area]],
) -> None:
    """One neuron, every second weight 0, against a neuron with half the inputs."""
    network = trained(16, 1)
    weights = network.weights[0].copy()
    weights[:, 1::2] = 0
    half = replace(
        with_weights(network, weights[:, ::2]),
        features=network.features[:, ::2],
    )
    full, pruned, never = area(
        design(network), design(with_weights(network, weights)), design(half)
    )
    assert pruned.flip_flops == never.flip_flops < full.flip_flops
    assert abs(pruned.lut4 - never.lut4) <= 0.02 * never.lut4
    assert pruned.lut4 < 0.65 * full.lut4


def test_scattered_pruning_saves_what_it_prunes(area: Callable[..., list[Area]]) -> None:
    """Each neuron lacks other inputs: adders must go, not only become narrower."""
    network = trained(24, 8)
    rng = np.random.default_rng(1)
    weights = network.weights[0].copy()
    for row in weights:
        row[rng.permutation(24)[:12]] = 0
    full, pruned, none = area(
        design(network),
        design(with_weights(network, weights)),
        design(with_weights(network, np.zeros_like(weights))),
    )
    synapses = full.lut4 - none.lut4
    assert pruned.lut4 - none.lut4 < 0.65 * synapses


def test_weights_of_one_are_wires(area: Callable[..., list[Area]]) -> None:
    network = trained(16, 6)
    ones = np.sign(network.weights[0])
    compared, wired = area(
        design(network, "counter-lane"), design(with_weights(network, ones), "counter-lane")
    )
    # A comparator and an AND gate fewer for each of 96 synapses.
    assert wired.lut4 <= compared.lut4 - 96


def test_fewer_bits_are_fewer_gates(area: Callable[..., list[Area]]) -> None:
    network = trained(16, 6)
    areas = area(*(design(network, "counter-lane", weight_bits=[bits]) for bits in (8, 6, 4, 2)))
    luts = [part.lut4 for part in areas]
    assert luts == sorted(luts, reverse=True)
    assert len(set(luts)) == len(luts)


def test_a_removed_neuron_is_absent(area: Callable[..., list[Area]]) -> None:
    network = trained(12, 6)
    biases = network.biases[0].copy()
    biases[2] = -50.0
    network = replace(network, biases=(biases, network.biases[1]))
    all_of_them, fewer = area(design(network), design(network, remove_neurons=True))
    assert fewer.flip_flops < all_of_them.flip_flops
    assert fewer.lut4 < all_of_them.lut4


def test_results_are_kept(tmp_path: Path) -> None:
    said: list[str] = []
    first = design_areas([design(trained(3, 2))], tmp_path, said.append)
    assert any("synthesise 2 layers" in text for text in said)
    said.clear()
    assert design_areas([design(trained(3, 2))], tmp_path, said.append) == first
    assert said == []
    design_areas([design(trained(3, 3))], tmp_path, said.append)
    assert any("synthesise 2 layers" in text for text in said)
