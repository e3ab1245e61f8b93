"""Bench of hdl/sc_saturating_counter.v: every state in every cycle."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer

from model.gates import saturating_counter
from tb.bench_support import SIMULATORS, bench_parameters, bench_random, pauses
from tb.block_bench import as_word, complaint, expect, run_block, stimulus
from tb.coverage_monitors import sample_range
from tb.planes import from_planes

pytestmark = pytest.mark.slow


class TB:
    """Clock, reset, and a check of every cycle of a stream.

    Parameters
    ----------
    dut : Any
        Handle of an `sc_saturating_counter`.
    """

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        parameters = bench_parameters()
        self.neurons, self.width = parameters["Neurons"], parameters["StateWidth"]
        self.rng = bench_random("sc_saturating_counter")
        self.middle = np.full(self.neurons, 1 << (self.width - 1))
        dut.rst_ni.value = 1
        dut.load_i.value = dut.count_i.value = dut.bit_i.value = 0
        Clock(dut.clk_i, 10, unit="ns").start()

    async def reset(self) -> None:
        """Restart by a reset between two edges of the clock, which must not need the next one."""
        await RisingEdge(self.dut.clk_i)
        self.dut.count_i.value = 0
        await Timer(2, unit="ns")
        self.dut.rst_ni.value = 0
        await Timer(1, unit="ns")
        expect(self.dut.state_o, self.middle, 0, "reset")
        self.dut.rst_ni.value = 1

    async def load(self) -> None:
        """Restart by a load, whatever else stands at the inputs."""
        self.dut.load_i.value = 1
        self.dut.count_i.value = self.rng.getrandbits(1)
        self.dut.bit_i.value = self.rng.getrandbits(self.neurons)
        await RisingEdge(self.dut.clk_i)
        self.dut.load_i.value = 0

    async def play(self, streams: Any, share: float = 0.0) -> None:
        """Count streams from a restart on, with pauses; compare all bits and states."""
        paused = pauses(self.rng, share)
        bits, states = saturating_counter(streams, self.width)
        position = 0
        while position < streams.shape[1]:
            count = not next(paused)
            self.dut.count_i.value = count
            self.dut.bit_i.value = (
                as_word(streams[:, position]) if count else self.rng.getrandbits(self.neurons)
            )
            await RisingEdge(self.dut.clk_i)
            expect(self.dut.state_o, states[:, position], position, f"count {count}")
            expect(self.dut.bit_o, bits[:, position], position, f"count {count}")
            found = from_planes(int(self.dut.state_o.value), self.neurons, self.width)
            sample_range("count_range", "saturating counter", found, 0, (1 << self.width) - 1)
            position += count


@cocotb.test()
async def to_both_ends_and_back(dut: Any) -> None:
    """Longer at each end than it takes to get there, so that a counter that wraps is found."""
    tb = TB(dut)
    await tb.reset()
    states = 1 << tb.width
    ways = np.repeat([True, False, True, False], [states, 2 * states, 2 * states, states])
    # Half of the neurons go the other way.
    await tb.play(ways ^ (np.arange(tb.neurons) % 2 == 1)[:, None])


@cocotb.test()
async def random_streams(dut: Any) -> None:
    """Streams at random after resets and loads, without and with pauses."""
    tb = TB(dut)
    for share in (0.0, 0.3):
        for restart in (tb.reset, tb.load, tb.load):
            await restart()
            # Bits that last, so that walks go far.
            streams = np.repeat(stimulus(tb.rng, tb.neurons, 60), tb.rng.choice((1, 3)), axis=1)
            await tb.play(streams, share)


PARAMETER_SETS = {
    "smallest": {"Neurons": 1, "StateWidth": 1},
    "one_bit": {"Neurons": 3, "StateWidth": 1},
    "one_neuron": {"Neurons": 1, "StateWidth": 3},
    "odd": {"Neurons": 5, "StateWidth": 2},
    "wide": {"Neurons": 2, "StateWidth": 7},
    "beyond_a_word": {"Neurons": 65, "StateWidth": 4},
}
CASES = [("icarus", name) for name in PARAMETER_SETS] + [("verilator", "beyond_a_word")]


@pytest.mark.parametrize(("simulator", "parameter_set"), CASES)
def test_sc_saturating_counter(simulator: str, parameter_set: str) -> None:
    run_block("sc_saturating_counter", simulator, parameter_set, PARAMETER_SETS[parameter_set])


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({"Neurons": 0}, "Neurons_must_be_positive"),
        ({"StateWidth": 0}, "StateWidth_must_be_positive"),
    ],
)
def test_illegal_parameters_stop_elaboration(
    simulator: str, parameters: dict[str, int], rule: str
) -> None:
    assert rule in complaint("sc_saturating_counter", simulator, parameters)
