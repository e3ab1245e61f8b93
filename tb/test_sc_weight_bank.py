"""Bench of hdl/sc_weight_bank.v: which synapses' weights the words are below."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.triggers import Timer

from tb.bench_support import SIMULATORS, bench_parameters, bench_random
from tb.block_bench import complaint, expect, numbers_of, run_block, vector_parameter
from tb.planes import literal, to_planes

pytestmark = pytest.mark.slow


class TB:
    """The weights that the bank was built with, and a check of every cycle.

    Parameters
    ----------
    dut : Any
        Handle of an `sc_weight_bank`.
    """

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        parameters = bench_parameters()
        self.shape = parameters["FanIn"], parameters["Neurons"]
        self.width = parameters["OperandWidth"]
        self.sources = ((1, 1), (self.shape[0], 1), self.shape)[parameters["Sharing"]]
        self.rng = np.random.default_rng(bench_random("sc_weight_bank").getrandbits(64))
        synapses = self.shape[0] * self.shape[1]
        planes = numbers_of(vector_parameter("WeightMagnitude"), synapses, self.width + 1)
        self.weights = planes.reshape(self.shape)
        assert len(dut.r_i) == self.width * self.sources[0] * self.sources[1]
        assert len(dut.bit_o) == synapses
        self.cycle = 0

    async def check(self, words: Any) -> None:
        """Show one word to each source, and compare the bits of all synapses."""
        self.dut.r_i.value = to_planes(words.ravel().tolist(), self.width)
        await Timer(1, unit="ns")
        expect(self.dut.bit_o, words < self.weights, self.cycle, f"words {words.tolist()}")
        self.cycle += 1


@cocotb.test()
async def every_word(dut: Any) -> None:
    """Every source passes through all words, neighbours at different ones."""
    tb = TB(dut)
    count = 1 << tb.width
    offsets = 3 * np.arange(tb.sources[0] * tb.sources[1]).reshape(tb.sources)
    for first in range(count):
        await tb.check((first + offsets) % count)


@cocotb.test()
async def words_about_the_weights(dut: Any) -> None:
    """Words that are equal to a weight, or next to it."""
    tb = TB(dut)
    top = (1 << tb.width) - 1
    for _ in range(200):
        near = tb.rng.choice(tb.weights.ravel(), tb.sources) + tb.rng.integers(-1, 2, tb.sources)
        await tb.check(np.clip(near, 0, top))


def parameters(fan_in: int, neurons: int, width: int, sharing: int) -> dict[str, int | str]:
    """Return parameters with weights that are often at an end of their range."""
    rng = np.random.default_rng(fan_in + 100 * neurons)
    one = 1 << width
    count = fan_in * neurons
    weights = rng.integers(0, one + 1, count)
    ends = rng.random(count) < 0.4
    weights[ends] = rng.choice([0, 1, one - 1, one], ends.sum())
    planes = to_planes(weights.tolist(), width + 1)
    return {
        "FanIn": fan_in,
        "Neurons": neurons,
        "OperandWidth": width,
        "Sharing": sharing,
        "WeightMagnitude": literal(planes, (width + 1) * count),
    }


PARAMETER_SETS = {
    "smallest": parameters(1, 1, 1, 0),
    "smallest_word_a_lane": parameters(1, 1, 1, 1),
    "smallest_word_a_synapse": parameters(1, 1, 1, 2),
    "shared": parameters(3, 7, 5, 0),
    "word_a_lane": parameters(5, 3, 4, 1),
    "word_a_synapse": parameters(3, 5, 4, 2),
    "beyond_a_word": parameters(3, 65, 8, 0),
    "beyond_a_word_word_a_lane": parameters(7, 65, 8, 1),
    "beyond_a_word_word_a_synapse": parameters(2, 65, 8, 2),
}
CASES = [("icarus", name) for name in PARAMETER_SETS] + [
    ("verilator", "beyond_a_word_word_a_lane"),
    ("verilator", "word_a_synapse"),
]


@pytest.mark.parametrize(("simulator", "parameter_set"), CASES)
def test_sc_weight_bank(simulator: str, parameter_set: str) -> None:
    run_block("sc_weight_bank", simulator, parameter_set, PARAMETER_SETS[parameter_set])


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({"FanIn": 0}, "FanIn_must_be_positive"),
        ({"Neurons": 0}, "Neurons_must_be_positive"),
        ({"OperandWidth": 0}, "OperandWidth_must_be_positive"),
        ({"Sharing": -1}, "Sharing_must_be_0_to_2"),
        ({"Sharing": 3}, "Sharing_must_be_0_to_2"),
    ],
)
def test_illegal_parameters_stop_elaboration(
    simulator: str, parameters: dict[str, int], rule: str
) -> None:
    assert rule in complaint("sc_weight_bank", simulator, parameters)
