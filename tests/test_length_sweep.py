"""Error against length: the design's own point is the golden model's, and certificates hold."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from model.forward import GoldenNetwork, layer_errors
from model.network import Network
from model.plan import plan_design
from model.source_choice import SourceKind
from tb.length_sweep import source_kind, sweep_lengths
from tb.sample_networks import sample_network
from tests.builders import small_network


def network(length: int = 64) -> Network:
    return small_network(np.random.default_rng(5), (6, 5, 3), length=length, vectors=9)


@pytest.mark.parametrize("kind", get_args(SourceKind))
def test_every_kind_of_source(kind: SourceKind) -> None:
    design = plan_design(network(), None, kind)
    assert {source_kind(layer) for layer in design.manifest.layers} == {kind}
    counts = GoldenNetwork(design.manifest, design.parameters).counts(design.features)
    errors = layer_errors(design.manifest, design.parameters, design.features, counts)
    for layer, curve, error in zip(
        design.manifest.layers, sweep_lengths(design), errors, strict=True
    ):
        assert (curve.layer, curve.own, curve.vectors) == (layer.name, 64, 9)
        points = {point.length: point for point in curve.points}
        assert len(points) >= 10
        assert points[64].error == pytest.approx(float(np.abs(error).max()), abs=1e-12)
        assert points[64].certificate == layer.certificate.value
        assert points[64].radius == layer.hoeffding.radius
        assert points[256].radius == pytest.approx(points[64].radius / 2)
        for point in points.values():
            assert point.error <= point.certificate * (1 + 1e-12)
    # What deterministic sources are there for.
    if kind in ("counter", "counter-lane", "sobol", "sobol-lane"):
        assert points[4096].error < points[16].error / 30


def test_only_the_first_vectors() -> None:
    design = plan_design(network())
    assert [curve.vectors for curve in sweep_lengths(design, 4)] == [4, 4]


def test_a_length_between_the_powers_of_two() -> None:
    design = plan_design(network(100), None, "sobol")
    assert 100 in [point.length for point in sweep_lengths(design)[0].points]


def test_another_encoding_and_adder() -> None:
    design = plan_design(
        sample_network((6, 5, 3), np.random.default_rng(2), encoding="bipolar", adder="mux"),
        None,
        "lfsr",
    )
    counts = GoldenNetwork(design.manifest, design.parameters).counts(design.features)
    errors = layer_errors(design.manifest, design.parameters, design.features, counts)
    for curve, error in zip(sweep_lengths(design), errors, strict=True):
        own = next(point for point in curve.points if point.length == curve.own)
        assert own.error == pytest.approx(float(np.abs(error).max()), abs=1e-12)


@pytest.mark.parametrize("streams", [False, True])
def test_neurons_that_spike_have_no_such_law(streams: bool) -> None:
    design = plan_design(
        sample_network((6, 5, 3), np.random.default_rng(2), activation="lif", streams=streams),
        None,
        "lfsr",
    )
    first, second = sweep_lengths(design)
    assert first.points == ()
    assert "spike" in first.why_not
    assert bool(second.points) is not streams
    assert ("spikes of the layer before" in second.why_not) is streams
