"""Bench of hdl/sc_or_adder.v: whether any input of a neuron is one."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.triggers import Timer

from model.gates import or_add
from tb.bench_support import SIMULATORS, bench_parameters, bench_random
from tb.block_bench import as_word, complaint, expect, run_block, stimulus

pytestmark = pytest.mark.slow

CYCLES = 200


@cocotb.test()
async def any_input(dut: Any) -> None:
    """A single one at every place in turn, then bits at random."""
    parameters = bench_parameters()
    inputs, neurons = parameters["Inputs"], parameters["Neurons"]
    single = np.eye(inputs * neurons, dtype=np.bool_)
    drawn = stimulus(bench_random("sc_or_adder"), inputs * neurons, CYCLES)
    streams = np.concatenate([single, drawn], axis=1).reshape(inputs, neurons, -1)
    expected = or_add(streams.swapaxes(0, 1))
    for cycle in range(streams.shape[-1]):
        word = as_word(streams[..., cycle])
        dut.word_i.value = word
        await Timer(1, unit="ns")
        expect(dut.bit_o, expected[:, cycle], cycle, f"words {word:x}")


PARAMETER_SETS = {
    "smallest": {"Inputs": 1, "Neurons": 1},
    "one_input": {"Inputs": 1, "Neurons": 5},
    "one_neuron": {"Inputs": 65, "Neurons": 1},
    "odd": {"Inputs": 3, "Neurons": 5},
    "beyond_a_word": {"Inputs": 7, "Neurons": 65},
}
CASES = [("icarus", name) for name in PARAMETER_SETS] + [("verilator", "beyond_a_word")]


@pytest.mark.parametrize(("simulator", "parameter_set"), CASES)
def test_sc_or_adder(simulator: str, parameter_set: str) -> None:
    run_block("sc_or_adder", simulator, parameter_set, PARAMETER_SETS[parameter_set])


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({"Inputs": 0}, "Inputs_must_be_positive"),
        ({"Neurons": 0}, "Neurons_must_be_positive"),
    ],
)
def test_illegal_parameters_stop_elaboration(
    simulator: str, parameters: dict[str, int], rule: str
) -> None:
    assert rule in complaint("sc_or_adder", simulator, parameters)
