"""Bench of hdl/sc_lif_bank.v: spikes, counts and membranes of all neurons in every cycle."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from model.lif import PRESETS, for_fan_in, integrate_and_fire
from tb.bench_support import BENCH_BUILDS, HDL, SIMULATORS, bench_random, elaborate
from tb.coverage_monitors import sample_outputs
from tb.lif_bench import Action, LifCase, expected_run, random_actions
from tb.planes import from_planes, to_planes
from tb.runner import run_bench
from tb.simulators import find_simulator

pytestmark = pytest.mark.slow

CLOCK_NS = 10
CASE_VARIABLE = "BENCH_CASE"
SOURCES = [HDL / f"{name}.v" for name in ("sc_lif_bank", "sc_lif_neuron", "sc_stochastic_counter")]


class TB:
    """Clock, and a check of every cycle of a run.

    Parameters
    ----------
    dut : Any
        Handle of an `sc_lif_bank`.
    """

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.case, self.length = CASES[os.environ[CASE_VARIABLE]]
        self.rng = bench_random("sc_lif_bank")
        self.neurons = len(self.case.currents)
        assert len(dut.spike_o) == self.neurons
        assert len(dut.count_o) == self.length.bit_length() * self.neurons
        assert len(dut.voltage_o) == self.case.neuron.width * self.neurons
        Clock(dut.clk_i, CLOCK_NS, unit="ns").start()

    def voltages(self) -> list[int]:
        """Read the membranes: a neuron's bits stand together."""
        width = self.case.neuron.width
        word = int(self.dut.voltage_o.value)
        found = [word >> (index * width) & ((1 << width) - 1) for index in range(self.neurons)]
        return [value - (value >> (width - 1) << width) for value in found]

    async def run(self, actions: Sequence[Action]) -> None:
        """Pass a cycle for each action; compare everything in each."""
        dut, inc_width = self.dut, self.case.inc_width
        modulus = 1 << self.length.bit_length()
        expected = expected_run(self.case, actions)
        for cycle, (action, want) in enumerate(zip(actions, expected, strict=True)):
            dut.load_i.value = int(action.kind == "load")
            dut.step_i.value = int(action.kind == "step")
            dut.inc_i.value = to_planes(action.increments, inc_width)
            dut.noise_i.value = action.word
            await RisingEdge(dut.clk_i)
            if want is not None:
                where = f"cycle {cycle}, {action}"
                spikes = from_planes(int(dut.spike_o.value), self.neurons, 1)
                assert spikes == list(want.spikes), where
                sample_outputs(spikes, 1)
                assert self.voltages() == list(want.voltages), where
                counts = from_planes(int(dut.count_o.value), self.neurons, self.length.bit_length())
                # Runs may be longer than Length: counters wrap then.
                assert counts == [count % modulus for count in want.counts], where


async def start(dut: Any) -> TB:
    """Make a test bench, past the clock edge at time 0."""
    tb = TB(dut)
    await RisingEdge(dut.clk_i)
    return tb


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def random_runs(dut: Any) -> None:
    """Pauses, loads amid a vector, increments of each neuron's own."""
    tb = await start(dut)
    actions = random_actions(tb.case, tb.rng, 1200)
    fired = [want.spikes for want in expected_run(tb.case, actions) if want is not None]
    assert all(any(spikes) for spikes in zip(*fired, strict=True)), "a neuron never fires"
    await tb.run(actions)


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def counters_hold_every_count(dut: Any) -> None:
    """Vectors of Length steps, back to back: all that fire in each step, then random ones."""
    tb = await start(dut)
    case = tb.case
    most = case.increments[-1]
    actions: list[Action] = []
    for vector in range(3):
        actions.append(Action("load", (0,) * tb.neurons))
        for _ in range(tb.length):
            increments = tuple(
                most if vector == 0 else tb.rng.choice(case.increments) for _ in case.currents
            )
            actions.append(Action("step", increments, tb.rng.choice(case.words)))
    actions.append(Action("idle", (most,) * tb.neurons))
    at_the_end = expected_run(case, actions)[tb.length + 1]
    assert at_the_end is not None
    assert max(at_the_end.counts) == tb.length, "no counter is full"
    await tb.run(actions)


RAMP = for_fan_in(PRESETS["ramp"], 4)
CASES: dict[str, tuple[LifCase, int]] = {
    "smallest": (LifCase(integrate_and_fire(1, width=2), 2), 1),
    "ramp": (LifCase(RAMP, 4, (0, -64, 64, 300, -1)), 255),
    "noisy": (
        LifCase(
            RAMP.model_copy(
                update={"noise_bits": 7, "leak_shift": 4, "reset": "value", "reset_value": -20}
            ),
            5,
            (200, 0, 100),
        ),
        100,
    ),
    "beyond_a_word": (
        LifCase(integrate_and_fire(3, width=6, gain=15), 3, tuple(range(-16, 49))),
        16,
    ),
}
RUNS = [("icarus", name) for name in CASES] + [
    ("verilator", "noisy"),
    ("verilator", "beyond_a_word"),
]


@pytest.mark.parametrize(("simulator", "case"), RUNS)
def test_sc_lif_bank(simulator: str, case: str) -> None:
    described, length = CASES[case]
    run_bench(
        name=f"sc_lif_bank_{case}",
        toplevel="sc_lif_bank",
        sources=SOURCES,
        module="tb.test_sc_lif_bank",
        simulator=find_simulator(simulator),
        build_root=BENCH_BUILDS,
        parameters={
            **described.parameters(),
            "Neurons": len(described.currents),
            "Length": length,
            "AccWidth": length.bit_length(),
        },
        env={CASE_VARIABLE: case},
    )


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({"Neurons": 0}, "Neurons_must_be_positive"),
        ({"Length": 0}, "Length_must_be_positive"),
        ({"Length": 256, "AccWidth": 8}, "AccWidth_must_hold_Length"),
        ({"Length": 1, "AccWidth": 0}, "AccWidth_must_hold_Length"),
        # The neurons' own checks reach through the bank.
        ({"Threshold": 0}, "Threshold_must_be_positive_and_fit_Width"),
    ],
)
def test_illegal_parameters_stop_elaboration(
    simulator: str, parameters: dict[str, int], rule: str
) -> None:
    result = elaborate(find_simulator(simulator), "sc_lif_bank", SOURCES, parameters)
    assert result.returncode != 0
    assert rule in result.stdout
