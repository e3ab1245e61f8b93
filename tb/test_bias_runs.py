"""Bias runs in RTL: fresh seeds arrive in the registers, and planted biases are found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.bias import fresh_seeds, uniform_inputs
from model.counting import LayerCounter
from model.plan import Design, plan_design, save_design
from model.source_choice import SourceKind
from rtl_gen.generator import generate_rtl
from tb.bench_support import BENCH_BUILDS
from tb.bias_runs import bias_check, lfsr_sources, run_bias_tests
from tb.sample_networks import sample_network
from tb.simulate import RTL_FOLDER, simulate_layer
from tb.simulators import find_simulator

pytestmark = pytest.mark.slow

STYLES: dict[str, tuple[SourceKind, dict[str, Any]]] = {
    "shared": ("lfsr", {}),
    "lanes": ("lfsr-lane", {}),
    "bipolar_mux": ("lfsr", {"encoding": "bipolar", "adder": "mux"}),
    "every_sng": ("lfsr-sng", {}),
}


def planned(source: SourceKind, style: dict[str, Any], folder: Path) -> Design:
    network = sample_network((3, 2), np.random.default_rng(4), **style)
    design = plan_design(network, [16 if source == "counter" else 9], source)
    save_design(design, folder)
    generate_rtl(design, folder / RTL_FOLDER)
    return design


@pytest.mark.parametrize(
    ("simulator", "name"),
    [*(("icarus", name) for name in STYLES), ("verilator", "lanes"), ("verilator", "bipolar_mux")],
)
def test_every_vector_has_the_seeds_that_were_drawn(simulator: str, name: str) -> None:
    folder = BENCH_BUILDS / "bias" / name
    source, style = STYLES[name]
    design = planned(source, style, folder)
    layer, generator = design.manifest.layers[0], np.random.default_rng(7)
    inputs = uniform_inputs(layer, 20, 8, generator)
    sources = lfsr_sources(layer)
    seeds = {part: fresh_seeds(register, 20, generator) for part, register in sources.items()}
    run = simulate_layer(
        design, 0, folder, find_simulator(simulator), inputs, run_name="seeds", seeds=seeds
    )
    for vector in range(20):
        update = {
            f"{part}_source": register.model_copy(update={"seeds": seeds[part][vector].tolist()})
            for part, register in sources.items()
        }
        counter = LayerCounter(
            layer.model_copy(update=update),
            design.parameters.weights[0],
            design.parameters.biases[0],
            8,
        )
        assert (run.counts[0][vector] == counter.counts(inputs[vector : vector + 1])).all()


@pytest.mark.parametrize("simulator", ["icarus"])
def test_a_biased_layer_is_found(simulator: str, tmp_path: Path) -> None:
    design = planned("counter", {"signed": False}, tmp_path)
    layer = design.manifest.layers[0]
    found = run_bias_tests(design, 0, tmp_path, find_simulator(simulator), 1)
    assert bias_check(layer, found).verdict == "PASS"
    assert found.record is not None
    assert found.record.vectors >= 64
    path = tmp_path / RTL_FOLDER / "certibit_layer_0.v"
    text = path.read_text()
    # An input that is stuck at one.
    assert text.count(".x_i(x_bit)") == 1
    path.write_text(text.replace(".x_i(x_bit)", ".x_i(x_bit | 3'd2)"))
    check = bias_check(layer, run_bias_tests(design, 0, tmp_path, find_simulator(simulator), 1))
    assert check.verdict == "FAIL"
    assert "bias" in check.detail
    assert "p = " in check.detail


@pytest.mark.parametrize("source", ["counter", "lfsr"])
@pytest.mark.parametrize("simulator", ["icarus"])
def test_a_biased_neuron_is_found(simulator: str, source: SourceKind, tmp_path: Path) -> None:
    network = sample_network((3, 2, 2), np.random.default_rng(4), activation="lif")
    design = plan_design(network, [16, 16], source)
    save_design(design, tmp_path)
    generate_rtl(design, tmp_path / RTL_FOLDER)
    layer = design.manifest.layers[0]
    found = run_bias_tests(design, 0, tmp_path, find_simulator(simulator), 1)
    assert bias_check(layer, found).verdict == "PASS"
    assert found.record is not None
    assert found.record.fresh_seeds == (source == "lfsr")
    assert found.record.paired
    assert found.record.vectors == 230
    assert "each against the golden model" in bias_check(layer, found).detail
    path = tmp_path / RTL_FOLDER / "certibit_layer_0.v"
    text = path.read_text()
    threshold = f".Threshold({layer.lif.threshold})" if layer.lif else ""
    assert text.count(threshold) == 1
    lower = f".Threshold({layer.lif.threshold * 3 // 4})" if layer.lif else ""
    path.write_text(text.replace(threshold, lower))
    check = bias_check(layer, run_bias_tests(design, 0, tmp_path, find_simulator(simulator), 1))
    assert check.verdict == "FAIL"
    assert "p = " in check.detail
