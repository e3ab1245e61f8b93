"""Bench of the sources of generated layers: the word of every lane in every cycle of a vector.

It looks at a layer's own wires, where the words of all lanes stand side by side, behind rotations
and constants; the layer is clocked through two vectors.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from typing import Any, Literal

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from pydantic import TypeAdapter

from model.files import write_bytes_atomically
from model.lfsr import maximal_taps
from model.manifest import CounterSource, HaltonSource, LfsrSource, SobolSource, Source
from model.plan import plan_design
from model.sobol import sobol_directions
from model.streams import source_words
from rtl_gen.generator import hdl_sources, layer_module, render_design
from tb.bench_support import BENCH_BUILDS, bench_environment
from tb.planes import from_planes
from tb.runner import run_bench
from tb.sample_networks import sample_network
from tb.simulators import find_simulator

pytestmark = pytest.mark.slow

FAN_IN, OUTPUTS, LENGTH, WIDTH = 5, 3, 32, 6
SNGS = FAN_IN * OUTPUTS


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def every_lane_sees_its_words(dut: Any) -> None:
    """In both vectors, each cycle that is counted has the words of the bit-by-bit model."""
    sources = json.loads(os.environ["BENCH_PARAMETERS"])
    dut.rst_ni.value = 0
    dut.clear_i.value = 0
    dut.vector_valid_i.value = 1
    dut.result_ready_i.value = 1
    dut.magnitude_i.value = 0
    dut.sign_i.value = 0
    Clock(dut.clk_i, 10, unit="ns").start()
    for _ in range(3):
        await RisingEdge(dut.clk_i)
    dut.rst_ni.value = 1
    for vector in range(2):
        expected = {}
        for name, text in sources.items():
            source: Source = TypeAdapter(Source).validate_json(text)
            expected[name] = (source.lanes, source_words(source, LENGTH, WIDTH, source.lanes))
        for cycle in range(LENGTH):
            await RisingEdge(dut.clk_i)
            while not int(dut.count.value):
                await RisingEdge(dut.clk_i)
            for name, (lanes, words) in expected.items():
                wire = getattr(dut, f"{name}_planes", None)
                wire = getattr(dut, f"{name}_word") if wire is None else wire
                assert len(wire) == WIDTH * lanes
                measured = from_planes(int(wire.value), lanes, WIDTH)
                assert measured == next(words), f"vector {vector}, cycle {cycle}, {name}"


def counter(
    sharing: Literal["layer", "lane", "sng"], constants: list[int], rotations: list[int]
) -> CounterSource:
    return CounterSource(
        reversed=True, width=5, sharing=sharing, xor_constants=constants, rotations=rotations
    )


def sobol(
    sharing: Literal["layer", "lane", "sng"],
    constants: list[int],
    rotations: list[int],
    bits: int = 5,
) -> SobolSource:
    return SobolSource(
        dimension=7,
        directions=sobol_directions(7, bits, WIDTH),
        sharing=sharing,
        xor_constants=constants,
        rotations=rotations,
    )


def halton(
    base: Literal[2, 3, 5],
    sharing: Literal["layer", "lane", "sng"],
    constants: list[int],
    rotations: list[int],
) -> HaltonSource:
    return HaltonSource(
        base=base,
        digits={2: 5, 3: 4, 5: 3}[base],
        sharing=sharing,
        xor_constants=constants,
        rotations=rotations,
    )


def lfsr(
    form: Literal["fibonacci", "galois"],
    width: int,
    sharing: Literal["layer", "lane", "sng"],
    seeds: list[int],
    constants: list[int],
    rotations: list[int],
) -> LfsrSource:
    return LfsrSource(
        form=form,
        width=width,
        taps=list(maximal_taps(width)),
        step=width,
        sharing=sharing,
        seeds=seeds,
        xor_constants=constants,
        rotations=rotations,
    )


def spread(entries: int, top: int, seed: int) -> list[int]:
    """Return as many numbers from 1 to `top`, not all the same."""
    drawn: list[int] = np.random.default_rng(seed).integers(1, top + 1, entries).tolist()
    return drawn


@dataclass(frozen=True)
class Case:
    """The two sources of a layer."""

    x: Source
    w: Source


CASES = {
    "counter_rotated": Case(
        counter("lane", [0], [0, 1, 2, 5, 8]),
        counter("sng", spread(SNGS, 63, 1), spread(SNGS, 9, 2)),
    ),
    "sobol": Case(
        sobol("layer", [9], [0]),
        sobol("lane", spread(FAN_IN, 63, 3), [0], bits=7),
    ),
    "sobol_rotated": Case(
        sobol("layer", [0], [4]),
        sobol("lane", spread(FAN_IN, 63, 4), [6, 1, 2, 2, 0]),
    ),
    "halton": Case(
        halton(3, "layer", [5], [0]),
        halton(5, "lane", spread(FAN_IN, 63, 5), [0]),
    ),
    "halton_rotated": Case(
        halton(2, "lane", [63], [2, 3, 2, 3, 1]),
        halton(3, "sng", spread(SNGS, 63, 6), [0]),
    ),
    "register": Case(
        lfsr("fibonacci", 16, "lane", [77], [0], [0, 3, 6, 9, 12]),
        lfsr("galois", 16, "layer", [77], [0], [5]),
    ),
    "register_of_many": Case(
        lfsr("galois", 11, "lane", [1025], spread(FAN_IN, 63, 7), [0]),
        lfsr("fibonacci", 13, "sng", [4000], spread(SNGS, 63, 8), spread(SNGS, 12, 9)),
    ),
    "registers": Case(
        lfsr("galois", 12, "lane", spread(FAN_IN, 4095, 10), [7], [0]),
        lfsr("fibonacci", 9, "lane", spread(FAN_IN, 511, 11), [0], [4]),
    ),
    "registers_rotated": Case(
        lfsr("fibonacci", 16, "lane", spread(FAN_IN, 65535, 12), [33], [15, 0, 16, 7, 7]),
        lfsr("galois", 10, "sng", spread(SNGS, 1023, 13), spread(SNGS, 63, 14), [3, 20, 4] * 5),
    ),
}
RUNS = [("icarus", name) for name in CASES] + [("verilator", "sobol_rotated")]


@pytest.mark.parametrize(("simulator", "name"), RUNS)
def test_layer_sources(simulator: str, name: str) -> None:
    case = CASES[name]
    network = sample_network([FAN_IN, OUTPUTS], np.random.default_rng(1), operand_bits=WIDTH)
    design = plan_design(network, [LENGTH])
    changed = design.manifest.layers[0].model_copy(update={"x_source": case.x, "w_source": case.w})
    manifest = design.manifest.model_copy(update={"layers": [changed]})
    text = render_design(replace(design, manifest=manifest))[f"{layer_module(0)}.v"]
    path = BENCH_BUILDS / f"sources_{name}.v"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes_atomically(path, text.encode())
    run_bench(
        name=f"layer_sources_{name}",
        toplevel=layer_module(0),
        sources=[*hdl_sources(), path],
        module="tb.test_layer_sources",
        simulator=find_simulator(simulator),
        build_root=BENCH_BUILDS,
        env=bench_environment({"x": case.x.model_dump_json(), "w": case.w.model_dump_json()}),
        probe=True,
    )
