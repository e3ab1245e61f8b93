"""cocotb tests of one generated layer: play operand vectors, hold counts and results to the model.

Run by `tb.simulate.simulate_layer` in a folder that holds ``bench.json``, ``inputs.npz`` and the
stimulus. The first vectors are evaluated bit by bit (`model.streams`), all of them by counting
tables.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, RisingEdge
from numpy.typing import NDArray

from model.counting import LayerCounter
from model.forward import next_operands
from model.manifest import Layer, load_manifest
from model.plan import Design, load_design
from model.spiking import CycleLayer
from model.streams import evaluate_layer, next_magnitudes
from tb.harness import BENCH_FILE, CYCLES_FILE, INPUTS_FILE, read_results, read_trace
from tb.network_bench import reset

_BIT_BY_BIT = 3


@cache
def bench() -> dict[str, Any]:
    """Return what this run is about: the manifest's path and the layer's number."""
    content: dict[str, Any] = json.loads(Path(BENCH_FILE).read_text())
    return content


@cache
def design() -> Design:
    """Return the design that the layer belongs to."""
    path = Path(bench()["manifest"])
    return load_design(load_manifest(path), path.parent)


def layer() -> Layer:
    """Return the layer under test."""
    index: int = bench()["layer"]
    return design().manifest.layers[index]


@cache
def inputs() -> NDArray[np.int16]:
    """Return the operand vectors that this run plays."""
    with np.load(INPUTS_FILE) as archive:
        features: NDArray[np.int16] = archive["features"]
    return features


@cocotb.test()
async def test_play_all_vectors(dut: Any) -> None:
    """Every vector goes in and every result comes out, in the cycles that the layer promises."""
    await reset(dut)
    dut.vectors.value = len(inputs())
    dut.play.value = 1
    await RisingEdge(dut.ended)
    await ClockCycles(dut.clk, 1)
    assert not int(dut.hung.value), f"hung after {int(dut.results.value)} of {len(inputs())}"
    Path(CYCLES_FILE).write_text(json.dumps({"cycles": int(dut.cycles.value)}))


@cocotb.test()
async def test_counts_equal_golden(dut: Any) -> None:
    """Every count equals the golden count."""
    await ClockCycles(dut.clk, 1)
    measured = read_trace(Path("layer_0.hex"), len(inputs()), layer())
    weights, biases = (
        design().parameters.weights[bench()["layer"]],
        design().parameters.biases[bench()["layer"]],
    )
    width = design().manifest.operand_width
    counter = LayerCounter if layer().lif is None else CycleLayer
    golden = counter(layer(), weights, biases, width).counts(inputs())
    wrong = np.argwhere(measured != golden)
    assert not len(wrong), (
        f"{len(wrong)} of {golden.size} counts differ, first at vector {wrong[0][0]}, neuron"
        f" {wrong[0][1]}: RTL {measured[tuple(wrong[0])]}, golden {golden[tuple(wrong[0])]}"
    )
    for vector, operands in enumerate(inputs()[:_BIT_BY_BIT]):
        streams = evaluate_layer(layer(), weights, biases, operands, width)
        assert (measured[vector] == streams.counts).all(), f"vector {vector}, bit by bit"


@cocotb.test()
async def test_results_equal_golden(dut: Any) -> None:
    """Every result is the re-encoded count, or the count itself where there is no activation."""
    await ClockCycles(dut.clk, 1)
    width = design().manifest.operand_width
    counts = read_trace(Path("layer_0.hex"), len(inputs()), layer())
    results = read_results(Path("results.hex"), len(inputs()), layer(), width)
    if layer().activation == "none":
        assert (results == counts).all()
        return
    assert (results == next_operands(layer(), counts, width)).all()
    assert results[0].tolist() == next_magnitudes(layer(), counts[0], width)
