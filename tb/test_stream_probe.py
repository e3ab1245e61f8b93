"""Streams of whole networks, cycle by cycle, and defects that the probe has to locate."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.plan import Design, plan_design, save_design
from model.source_choice import SourceKind
from rtl_gen.generator import generate_rtl
from tb.bench_support import BENCH_BUILDS
from tb.sample_networks import sample_network
from tb.simulate import RTL_FOLDER, simulate_network
from tb.simulators import find_simulator
from tb.stream_probe import StreamComparison, compare_streams

pytestmark = pytest.mark.slow

CASES: dict[str, tuple[tuple[int, ...], tuple[int, ...], SourceKind, dict[str, Any]]] = {
    "smallest": ((1, 1), (1,), "sobol", {"operand_bits": 1, "signed": False}),
    "dense": ((6, 5, 3), (16, 8), "counter", {}),
    "lanes": ((7, 4, 2), (13, 9), "lfsr-lane", {"operand_bits": 5}),
    "two_banks": ((4, 70, 2), (8, 8), "counter-lane", {"operand_bits": 6}),
    "bipolar_mux": ((5, 6, 3), (16, 8), "counter", {"encoding": "bipolar", "adder": "mux"}),
    "every_sng": ((3, 4, 2), (11, 7), "lfsr-sng", {}),
    "streaming": ((5, 6, 4, 3), (9, 9, 9), "sobol", {"activation": "lif", "streams": True}),
    "spiking": ((5, 3, 2), (16, 16), "lfsr", {"activation": "lif", "encoding": "bipolar"}),
}
VECTORS = 3


def planned(case: str, folder: Path) -> Design:
    widths, lengths, source, style = CASES[case]
    network = sample_network(widths, np.random.default_rng(len(case)), **style)
    # Some weights are no synapses: those that are there close ranks.
    for weight in network.weights:
        weight[:, ::3] = 0 if weight.shape[1] > 3 else weight[:, ::3]
    design = plan_design(network, lengths, source)
    save_design(design, folder)
    generate_rtl(design, folder / RTL_FOLDER)
    return design


def probed(design: Design, folder: Path) -> list[StreamComparison]:
    inputs = design.features[:VECTORS]
    simulation = simulate_network(
        design, folder, find_simulator("icarus"), inputs, run_name="streams", probe=True
    )
    return compare_streams(design, inputs, simulation.results_xml.parent)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("simulator", ["icarus"])
def test_every_stream_is_the_models(case: str, simulator: str) -> None:
    folder = BENCH_BUILDS / "probes" / case
    design = planned(case, folder)
    for layer, comparison in zip(design.manifest.layers, probed(design, folder), strict=True):
        assert comparison.differences == 0, comparison.first
        assert comparison.vectors == VECTORS
        # More than one bit for each synapse and cycle.
        assert comparison.bits > VECTORS * layer.bitstream_length * layer.synapses
        assert {"x bit", "product", "count"} <= set(comparison.signals)


@pytest.mark.parametrize(
    ("case", "layer", "old", "new", "told"),
    [
        (
            "dense",
            1,
            ".x_i(x_bit)",
            ".x_i({x_bit[4:2], 1'b0, x_bit[0]})",
            ("layer layer1", "product", "lane 1"),
        ),
        (
            "bipolar_mux",
            0,
            ".product_i(product)",
            ".product_i(product ^ 30'd1)",
            ("layer layer0", "cycle ", "increment", "neuron 0"),
        ),
        (
            "streaming",
            1,
            ".w_i(w_bit)",
            ".w_i(w_bit ^ 24'd32)",
            ("layer layer1", "product", "neuron 1, lane 1"),
        ),
    ],
)
@pytest.mark.parametrize("simulator", ["icarus"])
def test_a_defect_is_located(
    case: str, layer: int, old: str, new: str, told: tuple[str, ...], simulator: str, tmp_path: Path
) -> None:
    design = planned(case, tmp_path)
    path = tmp_path / RTL_FOLDER / f"certibit_layer_{layer}.v"
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    found = probed(design, tmp_path)
    assert all(not part.differences for part in found[:layer])
    assert found[layer].differences
    for words in told:
        assert words in found[layer].first
    shutil.rmtree(tmp_path)
