"""Bench of hdl/sc_mux_adder.v: the word of the selected input, and none beyond the inputs."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.triggers import Timer

from model.gates import mux_add
from tb.bench_support import SIMULATORS, bench_parameters, bench_random
from tb.block_bench import as_word, complaint, expect, run_block, stimulus

pytestmark = pytest.mark.slow

CYCLES = 400


@cocotb.test()
async def selected_words(dut: Any) -> None:
    """Every select, its ends and those just beyond the inputs rather often."""
    parameters = bench_parameters()
    inputs, neurons = parameters["Inputs"], parameters["Neurons"]
    top = (1 << parameters["SelectWidth"]) - 1
    rng = bench_random("sc_mux_adder")
    cycles = max(CYCLES, 3 * min(top + 1, 2 * inputs))
    streams = stimulus(rng, inputs * neurons, cycles).reshape(inputs, neurons, cycles)
    ends = [choice for choice in (0, inputs - 1, inputs, top) if choice <= top]
    select = np.array(
        [
            rng.choice(ends) if cycle % 3 else cycle // 3 % min(top + 1, 2 * inputs)
            for cycle in range(cycles)
        ]
    )
    expected = mux_add(streams.swapaxes(0, 1), select)
    for cycle in range(cycles):
        dut.word_i.value = as_word(streams[..., cycle])
        dut.select_i.value = int(select[cycle])
        await Timer(1, unit="ns")
        expect(dut.bit_o, expected[:, cycle], cycle, f"select {select[cycle]}")
        assert int(dut.used_o.value) == (select[cycle] < inputs), f"select {select[cycle]}"


PARAMETER_SETS = {
    "smallest": {"Inputs": 1, "Neurons": 1, "SelectWidth": 1},
    "two": {"Inputs": 2, "Neurons": 1, "SelectWidth": 1},
    "odd": {"Inputs": 3, "Neurons": 5, "SelectWidth": 2},
    "full": {"Inputs": 8, "Neurons": 3, "SelectWidth": 3},
    "half_used": {"Inputs": 4, "Neurons": 3, "SelectWidth": 3},
    "beyond_a_word": {"Inputs": 33, "Neurons": 65, "SelectWidth": 6},
    "widest_select": {"Inputs": 5, "Neurons": 2, "SelectWidth": 30},
}
CASES = [("icarus", name) for name in PARAMETER_SETS] + [
    ("verilator", "odd"),
    ("verilator", "beyond_a_word"),
]


@pytest.mark.parametrize(("simulator", "parameter_set"), CASES)
def test_sc_mux_adder(simulator: str, parameter_set: str) -> None:
    run_block("sc_mux_adder", simulator, parameter_set, PARAMETER_SETS[parameter_set])


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({"Inputs": 0}, "Inputs_must_be_positive"),
        ({"Neurons": 0}, "Neurons_must_be_positive"),
        ({"SelectWidth": 0}, "SelectWidth_must_be_1_to_30_and_reach_every_input"),
        ({"SelectWidth": 31}, "SelectWidth_must_be_1_to_30_and_reach_every_input"),
        ({"Inputs": 5, "SelectWidth": 2}, "SelectWidth_must_be_1_to_30_and_reach_every_input"),
    ],
)
def test_illegal_parameters_stop_elaboration(
    simulator: str, parameters: dict[str, int], rule: str
) -> None:
    assert rule in complaint("sc_mux_adder", simulator, parameters)
