"""Bench of hdl/sc_stochastic_counter.v: every count in every cycle."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from model.gates import stochastic_count
from tb.bench_support import SIMULATORS, bench_parameters, bench_random, pauses
from tb.block_bench import as_word, complaint, expect, run_block, stimulus

pytestmark = pytest.mark.slow


class TB:
    """Clock and counters; a model that remembers the bits since the last load.

    Parameters
    ----------
    dut : Any
        Handle of an `sc_stochastic_counter`.
    """

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        parameters = bench_parameters()
        self.neurons, self.length = parameters["Neurons"], parameters["Length"]
        self.rng = bench_random("sc_stochastic_counter")
        self.counted = np.zeros((self.neurons, 0), dtype=np.bool_)
        self.cycle = 0
        dut.load_i.value = dut.count_i.value = dut.bit_i.value = 0
        Clock(dut.clk_i, 10, unit="ns").start()

    async def load(self) -> None:
        """Start from zero, whatever else stands at the inputs."""
        self.dut.load_i.value = 1
        self.dut.count_i.value = self.rng.getrandbits(1)
        self.dut.bit_i.value = self.rng.getrandbits(self.neurons)
        await RisingEdge(self.dut.clk_i)
        self.dut.load_i.value = 0
        self.counted = self.counted[:, :0]

    async def play(self, bits: Any, share: float = 0.0) -> None:
        """Count streams with pauses, and compare all counts in every cycle."""
        paused = pauses(self.rng, share)
        position = 0
        while position < bits.shape[1]:
            count = not next(paused)
            self.dut.count_i.value = count
            self.dut.bit_i.value = (
                as_word(bits[:, position]) if count else self.rng.getrandbits(self.neurons)
            )
            await RisingEdge(self.dut.clk_i)
            expected = stochastic_count(self.counted)
            expect(self.dut.count_o, expected, self.cycle, f"{self.counted.shape[1]} counted")
            if count:
                self.counted = np.append(self.counted, bits[:, position : position + 1], axis=1)
                position += 1
            self.cycle += 1
        self.dut.count_i.value = 0
        await RisingEdge(self.dut.clk_i)
        expect(self.dut.count_o, stochastic_count(self.counted), self.cycle, "at the end")


@cocotb.test()
async def all_ones(dut: Any) -> None:
    """The largest count that is promised."""
    tb = TB(dut)
    await tb.load()
    await tb.play(np.ones((tb.neurons, tb.length), dtype=np.bool_))


@cocotb.test()
async def random_streams(dut: Any) -> None:
    """Streams at random, whole ones and such that a load cuts short, without and with pauses."""
    tb = TB(dut)
    for share in (0.0, 0.3):
        for length in (tb.length, tb.rng.randint(1, tb.length), tb.length):
            await tb.load()
            await tb.play(stimulus(tb.rng, tb.neurons, max(length, 4))[:, :length], share)


PARAMETER_SETS = {
    "smallest": {"Neurons": 1, "Length": 1, "CountWidth": 1},
    "one_neuron": {"Neurons": 1, "Length": 7, "CountWidth": 3},
    "odd": {"Neurons": 5, "Length": 37, "CountWidth": 6},
    "power_of_two": {"Neurons": 3, "Length": 64, "CountWidth": 7},
    "wider_than_needed": {"Neurons": 2, "Length": 16, "CountWidth": 40},
    "beyond_a_word": {"Neurons": 65, "Length": 100, "CountWidth": 7},
}
CASES = [("icarus", name) for name in PARAMETER_SETS] + [("verilator", "beyond_a_word")]


@pytest.mark.parametrize(("simulator", "parameter_set"), CASES)
def test_sc_stochastic_counter(simulator: str, parameter_set: str) -> None:
    run_block("sc_stochastic_counter", simulator, parameter_set, PARAMETER_SETS[parameter_set])


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({"Neurons": 0}, "Neurons_must_be_positive"),
        ({"Length": 0}, "Length_must_be_positive"),
        ({"Length": 8, "CountWidth": 3}, "CountWidth_must_hold_Length"),
        ({"Length": 1, "CountWidth": 0}, "CountWidth_must_hold_Length"),
    ],
)
def test_illegal_parameters_stop_elaboration(
    simulator: str, parameters: dict[str, int], rule: str
) -> None:
    assert rule in complaint("sc_stochastic_counter", simulator, parameters)
