"""Bench of hdl/sc_parallel_counter.v: how many inputs of each neuron are one."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.triggers import Timer

from model.gates import parallel_count
from tb.bench_support import SIMULATORS, bench_parameters, bench_random
from tb.block_bench import as_word, complaint, expect, run_block, stimulus
from tb.coverage_monitors import sample_range
from tb.planes import from_planes

pytestmark = pytest.mark.slow


async def check(dut: Any, streams: Any) -> None:
    """Pass streams of shape (neurons, inputs, cycles) through the counter."""
    counts = parallel_count(streams)
    for cycle in range(streams.shape[-1]):
        word = as_word(streams[..., cycle].T)
        dut.word_i.value = word
        await Timer(1, unit="ns")
        expect(dut.count_o, counts[:, cycle], cycle, f"words {word:x}")
        inputs, neurons = streams.shape[1], streams.shape[0]
        found = from_planes(int(dut.count_o.value), neurons, inputs.bit_length())
        sample_range("count_range", "parallel counter", found, 0, inputs)


@cocotb.test()
async def random_words(dut: Any) -> None:
    """No ones, all ones, a single one or zero, then bits at random."""
    parameters = bench_parameters()
    inputs, neurons = parameters["Inputs"], parameters["Neurons"]
    streams = stimulus(bench_random("sc_parallel_counter"), inputs * neurons, 200)
    await check(dut, streams.reshape(neurons, inputs, -1))


@cocotb.test()
async def every_word(dut: Any) -> None:
    """Of up to 10 inputs, every combination; of more, ones that move along and fill up."""
    parameters = bench_parameters()
    inputs, neurons = parameters["Inputs"], parameters["Neurons"]
    place = np.arange(inputs)[:, None]
    if inputs <= 10:
        words = np.arange(1 << inputs) >> place & 1 == 1
    else:
        words = np.concatenate([place == place.T, place < place.T], axis=1)
    # Each neuron is at a word of its own.
    await check(dut, np.stack([np.roll(words, 5 * j, axis=1) for j in range(neurons)]))


PARAMETER_SETS = {
    f"{inputs}_inputs_{neurons}_neurons": {
        "Inputs": inputs,
        "Neurons": neurons,
        "CountWidth": inputs.bit_length(),
    }
    for inputs, neurons in (
        *((1, 1), (2, 1), (3, 5), (4, 1), (6, 65), (7, 2), (8, 3)),
        *((15, 1), (16, 2), (63, 3), (65, 64)),
    )
}
CASES = [("icarus", name) for name in PARAMETER_SETS] + [
    ("verilator", "6_inputs_65_neurons"),
    ("verilator", "65_inputs_64_neurons"),
]


@pytest.mark.parametrize(("simulator", "parameter_set"), CASES)
def test_sc_parallel_counter(simulator: str, parameter_set: str) -> None:
    run_block("sc_parallel_counter", simulator, parameter_set, PARAMETER_SETS[parameter_set])


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({"Inputs": 0}, "Inputs_must_be_positive"),
        ({"Neurons": 0}, "Neurons_must_be_positive"),
        ({"Inputs": 4, "CountWidth": 2}, "CountWidth_must_be_the_bits_of_Inputs"),
        ({"Inputs": 3, "CountWidth": 3}, "CountWidth_must_be_the_bits_of_Inputs"),
        ({"Inputs": 1, "CountWidth": 0}, "CountWidth_must_be_the_bits_of_Inputs"),
    ],
)
def test_illegal_parameters_stop_elaboration(
    simulator: str, parameters: dict[str, int], rule: str
) -> None:
    assert rule in complaint("sc_parallel_counter", simulator, parameters)
