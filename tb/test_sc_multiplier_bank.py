"""Bench of hdl/sc_multiplier_bank.v: every product and sign against the golden gates."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.triggers import Timer

from model.gates import and_multiply, xnor_multiply
from tb.bench_support import SIMULATORS, bench_parameters, bench_random
from tb.block_bench import as_word, complaint, expect, run_block, stimulus

pytestmark = pytest.mark.slow

CYCLES = 300


@cocotb.test()
async def products_and_signs(dut: Any) -> None:
    """Streams and signs at random, and all of them zero or one."""
    parameters = bench_parameters()
    fan_in, neurons = parameters["FanIn"], parameters["Neurons"]
    rng = bench_random("sc_multiplier_bank")
    shape = fan_in, neurons, CYCLES
    x, x_sign = (stimulus(rng, fan_in, CYCLES) for _ in range(2))
    w, w_sign = (stimulus(rng, fan_in * neurons, CYCLES).reshape(shape) for _ in range(2))
    # The extreme words of the two sides in all combinations.
    for cycle in range(4):
        x[:, cycle], w[:, :, cycle] = bool(cycle & 1), bool(cycle & 2)
    if parameters["Bipolar"]:
        product, negative = xnor_multiply(x[:, None], w), np.zeros(shape, dtype=np.bool_)
    else:
        product, negative = and_multiply(x[:, None], w), x_sign[:, None] ^ w_sign
    for cycle in range(CYCLES):
        dut.x_i.value = as_word(x[:, cycle])
        dut.x_sign_i.value = as_word(x_sign[:, cycle])
        dut.w_i.value = as_word(w[..., cycle])
        dut.w_sign_i.value = as_word(w_sign[..., cycle])
        await Timer(1, unit="ns")
        expect(dut.product_o, product[..., cycle], cycle, f"x {as_word(x[:, cycle]):x}")
        expect(dut.negative_o, negative[..., cycle], cycle, f"sign {as_word(x_sign[:, cycle]):x}")


PARAMETER_SETS = {
    f"{name}_{kind}": {"FanIn": fan_in, "Neurons": neurons, "Bipolar": bipolar}
    for name, fan_in, neurons in (("smallest", 1, 1), ("odd", 3, 5), ("beyond_a_word", 5, 65))
    for bipolar, kind in enumerate(("and", "xnor"))
}
CASES = [("icarus", name) for name in PARAMETER_SETS] + [
    ("verilator", "beyond_a_word_and"),
    ("verilator", "beyond_a_word_xnor"),
]


@pytest.mark.parametrize(("simulator", "parameter_set"), CASES)
def test_sc_multiplier_bank(simulator: str, parameter_set: str) -> None:
    run_block("sc_multiplier_bank", simulator, parameter_set, PARAMETER_SETS[parameter_set])


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({"FanIn": 0}, "FanIn_must_be_positive"),
        ({"Neurons": 0}, "Neurons_must_be_positive"),
        ({"Bipolar": 2}, "Bipolar_must_be_0_or_1"),
        ({"Bipolar": -1}, "Bipolar_must_be_0_or_1"),
    ],
)
def test_illegal_parameters_stop_elaboration(
    simulator: str, parameters: dict[str, int], rule: str
) -> None:
    assert rule in complaint("sc_multiplier_bank", simulator, parameters)
