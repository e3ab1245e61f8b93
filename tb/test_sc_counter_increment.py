"""Bench of hdl/sc_counter_increment.v: signed sums of a cycle."""

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
async def signed_sums(dut: Any) -> None:
    """Products with signs, or bipolar ones, added up over the inputs."""
    parameters = bench_parameters()
    inputs, neurons = parameters["Inputs"], parameters["Neurons"]
    rng = bench_random("sc_counter_increment")
    shape = (inputs, neurons, CYCLES)
    product = stimulus(rng, inputs * neurons, CYCLES).reshape(shape)
    negative = stimulus(rng, inputs * neurons, CYCLES).reshape(shape)
    # All four corners: the first cycles of the stimulus are all zeros and all ones.
    negative = np.roll(negative, 1, axis=-1)
    if parameters["Bipolar"]:
        sums = 2 * product.sum(axis=0, dtype=np.int64) - inputs
    else:
        sums = np.where(negative, -1, 1).astype(np.int64)
        sums = (sums * product).sum(axis=0)
    width = parameters["CountWidth"] + 1
    for cycle in range(CYCLES):
        dut.product_i.value = as_word(product[..., cycle])
        dut.negative_i.value = as_word(negative[..., cycle])
        await Timer(1, unit="ns")
        # As two's complement.
        expect(dut.inc_o, sums[:, cycle] % (1 << width), cycle, "products and signs")


PARAMETER_SETS: dict[str, dict[str, int | str]] = {
    "smallest": {"Inputs": 1, "Neurons": 1, "CountWidth": 1, "Bipolar": 0},
    "smallest_bipolar": {"Inputs": 1, "Neurons": 1, "CountWidth": 1, "Bipolar": 1},
    "odd": {"Inputs": 5, "Neurons": 3, "CountWidth": 3, "Bipolar": 0},
    "odd_bipolar": {"Inputs": 7, "Neurons": 3, "CountWidth": 3, "Bipolar": 1},
    "beyond_a_word": {"Inputs": 33, "Neurons": 66, "CountWidth": 6, "Bipolar": 0},
}
PARTS = ("sc_parallel_counter",)
CASES = [("icarus", name) for name in PARAMETER_SETS] + [
    ("verilator", "odd"),
    ("verilator", "odd_bipolar"),
]


@pytest.mark.parametrize(("simulator", "parameter_set"), CASES)
def test_sc_counter_increment(simulator: str, parameter_set: str) -> None:
    parameters = PARAMETER_SETS[parameter_set]
    run_block("sc_counter_increment", simulator, parameter_set, parameters, PARTS)


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({"Inputs": 0}, "Inputs_must_be_positive"),
        ({"Neurons": 0}, "Neurons_must_be_positive"),
        ({"Bipolar": 2}, "Bipolar_must_be_0_or_1"),
        ({"Inputs": 4, "CountWidth": 2}, "CountWidth_must_be_the_bits_of_Inputs"),
    ],
)
def test_illegal_parameters_stop_elaboration(
    simulator: str, parameters: dict[str, int], rule: str
) -> None:
    assert rule in complaint("sc_counter_increment", simulator, parameters, PARTS)
