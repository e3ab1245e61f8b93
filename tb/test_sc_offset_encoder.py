"""Bench of hdl/sc_offset_encoder.v: operands as bipolar levels."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.triggers import Timer

from tb.bench_support import SIMULATORS, bench_parameters, bench_random
from tb.block_bench import complaint, expect, run_block
from tb.planes import to_planes

pytestmark = pytest.mark.slow

CYCLES = 400


@cocotb.test()
async def levels_of_operands(dut: Any) -> None:
    """Every lane's operand with its sign, zero of both signs and the ends rather often."""
    parameters = bench_parameters()
    lanes, width = parameters["Lanes"], parameters["OperandWidth"]
    top = (1 << width) - 1
    rng = bench_random("sc_offset_encoder")
    for cycle in range(CYCLES):
        magnitudes = [rng.choice((0, 1, top, rng.randint(0, top))) for _ in range(lanes)]
        signs = [rng.getrandbits(1) for _ in range(lanes)]
        dut.magnitude_i.value = to_planes(magnitudes, width)
        dut.sign_i.value = to_planes(signs, 1)
        await Timer(1, unit="ns")
        levels = [
            (1 << width) + (-magnitude if sign else magnitude)
            for magnitude, sign in zip(magnitudes, signs, strict=True)
        ]
        expect(dut.level_o, np.array(levels), cycle, f"{signs} {magnitudes}")


PARAMETER_SETS: dict[str, dict[str, int | str]] = {
    "smallest": {"Lanes": 1, "OperandWidth": 1},
    "odd": {"Lanes": 3, "OperandWidth": 5},
    "wide": {"Lanes": 2, "OperandWidth": 10},
    "beyond_a_word": {"Lanes": 67, "OperandWidth": 8},
}
CASES = [("icarus", name) for name in PARAMETER_SETS] + [("verilator", "odd")]


@pytest.mark.parametrize(("simulator", "parameter_set"), CASES)
def test_sc_offset_encoder(simulator: str, parameter_set: str) -> None:
    parameters = PARAMETER_SETS[parameter_set]
    run_block("sc_offset_encoder", simulator, parameter_set, parameters)


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({"Lanes": 0}, "Lanes_must_be_positive"),
        ({"OperandWidth": 0}, "OperandWidth_must_be_positive"),
    ],
)
def test_illegal_parameters_stop_elaboration(
    simulator: str, parameters: dict[str, int], rule: str
) -> None:
    assert rule in complaint("sc_offset_encoder", simulator, parameters)
