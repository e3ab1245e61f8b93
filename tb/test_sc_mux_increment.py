"""Bench of hdl/sc_mux_increment.v: the selected lane's signed product, times all selects."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.triggers import Timer

from tb.bench_support import SIMULATORS, bench_parameters, bench_random
from tb.block_bench import as_word, complaint, expect, run_block, stimulus

pytestmark = pytest.mark.slow

CYCLES = 400


@cocotb.test()
async def selected_products(dut: Any) -> None:
    """Every select; those beyond the inputs count nothing."""
    parameters = bench_parameters()
    inputs, neurons = parameters["Inputs"], parameters["Neurons"]
    rng = bench_random("sc_mux_increment")
    shape = (inputs, neurons, CYCLES)
    product = stimulus(rng, inputs * neurons, CYCLES).reshape(shape)
    negative = stimulus(rng, inputs * neurons, CYCLES).reshape(shape)
    # All four corners: the first cycles of the stimulus are all zeros and all ones.
    negative = np.roll(negative, 1, axis=-1)
    bits = parameters["SelectWidth"]
    for cycle in range(CYCLES):
        select = rng.randrange(1 << bits) if cycle % 2 else cycle // 2 % (1 << bits)
        dut.product_i.value = as_word(product[..., cycle])
        dut.negative_i.value = as_word(negative[..., cycle])
        dut.select_i.value = select
        await Timer(1, unit="ns")
        counts = np.zeros(neurons, dtype=np.int64)
        if select < inputs:
            one = product[select, :, cycle]
            if parameters["Bipolar"]:
                counts = np.where(one, 1, -1)
            else:
                counts = np.where(negative[select, :, cycle], -1, 1) * one.astype(np.int64)
        expect(dut.inc_o, (counts << bits) % (1 << (bits + 2)), cycle, f"select {select}")


PARAMETER_SETS: dict[str, dict[str, int | str]] = {
    "smallest": {"Inputs": 1, "Neurons": 1, "SelectWidth": 1, "Bipolar": 0},
    "smallest_bipolar": {"Inputs": 1, "Neurons": 1, "SelectWidth": 1, "Bipolar": 1},
    "odd": {"Inputs": 5, "Neurons": 3, "SelectWidth": 3, "Bipolar": 0},
    "odd_bipolar": {"Inputs": 6, "Neurons": 3, "SelectWidth": 3, "Bipolar": 1},
    "beyond_a_word": {"Inputs": 33, "Neurons": 66, "SelectWidth": 6, "Bipolar": 0},
}
PARTS = ("sc_mux_adder",)
CASES = [("icarus", name) for name in PARAMETER_SETS] + [
    ("verilator", "odd"),
    ("verilator", "odd_bipolar"),
]


@pytest.mark.parametrize(("simulator", "parameter_set"), CASES)
def test_sc_mux_increment(simulator: str, parameter_set: str) -> None:
    parameters = PARAMETER_SETS[parameter_set]
    run_block("sc_mux_increment", simulator, parameter_set, parameters, PARTS)


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({"Inputs": 0}, "Inputs_must_be_positive"),
        ({"Neurons": 0}, "Neurons_must_be_positive"),
        ({"Bipolar": 2}, "Bipolar_must_be_0_or_1"),
        ({"Inputs": 5, "SelectWidth": 2}, "SelectWidth_must_be_1_to_30_and_reach_every_input"),
    ],
)
def test_illegal_parameters_stop_elaboration(
    simulator: str, parameters: dict[str, int], rule: str
) -> None:
    assert rule in complaint("sc_mux_increment", simulator, parameters, PARTS)
