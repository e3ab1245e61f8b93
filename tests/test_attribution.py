"""Parts of a layer's error: they add up, each is what its name says, and a wrong count shows."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from model.attribution import Attribution, LayerParts, attribute_errors
from model.forward import GoldenNetwork, float_forward, layer_errors
from model.manifest import Compression
from model.network import Network
from model.plan import Design, plan_design
from model.source_choice import SourceKind
from tb.sample_networks import sample_network

STYLES: list[tuple[SourceKind, list[int], dict[str, Any], Compression | None]] = [
    ("counter", [64, 32], {}, None),
    ("lfsr-lane", [64, 37], {}, None),
    ("lfsr-sng", [33, 20], {"adder": "mux", "activation": "step"}, None),
    ("counter", [64, 64], {"encoding": "bipolar", "adder": "mux"}, None),
    ("sobol", [64, 64], {"activation": "lif", "streams": True}, None),
    ("lfsr", [64, 64], {"activation": "lif", "encoding": "bipolar"}, None),
    ("counter", [64, 32], {}, Compression(remove_neurons=True, prune_threshold=0.3)),
]


def planned(
    source: SourceKind, lengths: list[int], style: dict[str, Any], recipe: Compression | None
) -> tuple[Network, Design, list[NDArray[np.int64]]]:
    network = sample_network((6, 5, 3), np.random.default_rng(1), **style)
    design = plan_design(network, lengths, source, compression=recipe)
    trained = replace(network, description=network.description.restyled(design.manifest.layers))
    counts = GoldenNetwork(design.manifest, design.parameters).counts(design.features)
    return trained, design, counts


def attributed(
    network: Network, design: Design, counts: list[NDArray[np.int64]]
) -> list[Attribution]:
    return attribute_errors(network, design.manifest, design.parameters, design.features, counts)


@pytest.mark.parametrize(("source", "lengths", "style", "recipe"), STYLES)
def test_the_parts_add_up(
    source: SourceKind, lengths: list[int], style: dict[str, Any], recipe: Compression | None
) -> None:
    network, design, counts = planned(source, lengths, style, recipe)
    for part in attributed(network, design, counts):
        assert part.gap < 1e-12
        assert np.abs(part.measured).max() > 0


def test_a_wrong_count_is_not_accounted_for() -> None:
    network, design, counts = planned(*STYLES[0])
    counts[1][3, 1] += 1
    first, second = attributed(network, design, counts)
    assert first.gap < 1e-12
    assert second.gap == pytest.approx(1 / 32)


def test_the_total_is_the_error_of_the_output() -> None:
    network, design, counts = planned(*STYLES[0])
    real = float_forward(network, design.features)[-1]
    assert np.allclose(
        attributed(network, design, counts)[-1].parts.total, counts[-1] / 32 - real, atol=1e-12
    )


@pytest.mark.parametrize("case", [0, 1, 2, 3])
def test_stochastic_and_correlation_are_the_layers_own_error(case: int) -> None:
    network, design, counts = planned(*STYLES[case])
    errors = layer_errors(design.manifest, design.parameters, design.features, counts)
    for part, error in zip(attributed(network, design, counts), errors, strict=True):
        assert np.allclose(part.parts.stochastic + part.parts.correlation, error, atol=1e-12)


def test_over_a_full_period_no_stream_misses_its_operand() -> None:
    network, design, counts = planned("counter", [256, 256], {}, None)
    for part in attributed(network, design, counts):
        assert np.abs(part.parts.stochastic).max() < 1e-12
        assert np.abs(part.parts.correlation).max() > 0


def test_the_first_layer_inherits_nothing_and_the_last_has_no_activation() -> None:
    network, design, counts = planned("counter", [256, 256], {}, None)
    first, last = attributed(network, design, counts)
    for name in ("inherited", "reencoding"):
        assert not getattr(first.parts, name).any()
        assert getattr(last.parts, name).any()
    assert np.abs(last.parts.activation).max() < 1e-12
    assert {part.name for part in fields(LayerParts)} >= {"quantisation", "activation"}
