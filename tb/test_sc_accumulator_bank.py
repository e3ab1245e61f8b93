"""Bench of hdl/sc_accumulator_bank.v: sums of signed increments, cycle by cycle."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from tb.bench_support import SIMULATORS, bench_parameters, bench_random
from tb.block_bench import complaint, expect, run_block, vector_parameter
from tb.coverage_monitors import sample_range
from tb.planes import from_planes, to_planes

pytestmark = pytest.mark.slow

CYCLES = 400


@cocotb.test()
async def sums_of_increments(dut: Any) -> None:
    """Loads, counted cycles and pauses at random; sums wrap like the hardware's word."""
    parameters = bench_parameters()
    neurons, inc, acc = (parameters[name] for name in ("Neurons", "IncWidth", "AccWidth"))
    preload = from_planes(vector_parameter("Preload"), neurons, acc)
    rng = bench_random("sc_accumulator_bank")
    dut.load_i.value = 1
    dut.count_i.value = 0
    Clock(dut.clk_i, 10, unit="ns").start()
    await RisingEdge(dut.clk_i)
    sums = list(preload)
    low, high = -(1 << (inc - 1)), (1 << (inc - 1)) - 1
    for cycle in range(CYCLES):
        load = rng.random() < 0.03
        count = not load and rng.random() < 0.8
        steps = [rng.choice((low, high, 0, rng.randint(low, high))) for _ in range(neurons)]
        dut.load_i.value = load
        dut.count_i.value = count
        dut.inc_i.value = to_planes(steps, inc)
        await RisingEdge(dut.clk_i)
        expect(dut.acc_o, np.array(sums), cycle, f"before load {load}, count {count}, {steps}")
        found = from_planes(int(dut.acc_o.value), neurons, acc)
        signed = [value - (value >> (acc - 1) << acc) for value in found]
        sample_range("count_range", "accumulator", signed, -1 << (acc - 1), (1 << (acc - 1)) - 1)
        if load:
            sums = list(preload)
        elif count:
            pairs = zip(sums, steps, strict=True)
            sums = [(total + step) % (1 << acc) for total, step in pairs]


PARAMETER_SETS: dict[str, dict[str, int | str]] = {
    "smallest": {"Neurons": 1, "IncWidth": 1, "AccWidth": 1, "Preload": "1'h1"},
    "odd": {"Neurons": 3, "IncWidth": 4, "AccWidth": 7, "Preload": "21'h0a5c33"},
    "as_wide": {"Neurons": 2, "IncWidth": 5, "AccWidth": 5, "Preload": "10'h2b1"},
    "beyond_a_word": {"Neurons": 66, "IncWidth": 3, "AccWidth": 32, "Preload": "2112'h1234567"},
}
CASES = [("icarus", name) for name in PARAMETER_SETS] + [("verilator", "odd")]


@pytest.mark.parametrize(("simulator", "parameter_set"), CASES)
def test_sc_accumulator_bank(simulator: str, parameter_set: str) -> None:
    parameters = PARAMETER_SETS[parameter_set]
    run_block("sc_accumulator_bank", simulator, parameter_set, parameters)


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({"Neurons": 0}, "Neurons_must_be_positive"),
        ({"IncWidth": 0}, "IncWidth_must_be_1_to_AccWidth"),
        ({"IncWidth": 17}, "IncWidth_must_be_1_to_AccWidth"),
    ],
)
def test_illegal_parameters_stop_elaboration(
    simulator: str, parameters: dict[str, int], rule: str
) -> None:
    assert rule in complaint("sc_accumulator_bank", simulator, parameters)
