"""Bench of hdl/sc_lif_neuron.v: spike and membrane in every cycle, bit for bit.

Small neurons go through every pair of a state and an input that there is: a state is the membrane
and the refractory cycles that are left. Both are registers without a way in, so that a tour leads
to each of them. The golden model alone says which there are and where each step leads.
"""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Sequence
from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from model.lif import PRESETS, for_fan_in, simulate_lif
from model.manifest import LifNeuron
from tb.bench_support import BENCH_BUILDS, HDL, SIMULATORS, bench_random, elaborate
from tb.coverage_monitors import sample_membrane
from tb.lif_bench import Action, Kind, LifCase, expected_run, random_actions
from tb.runner import run_bench
from tb.simulators import find_simulator

pytestmark = pytest.mark.slow

CLOCK_NS = 10
CASE_VARIABLE = "BENCH_CASE"
SOURCES = [HDL / "sc_lif_neuron.v"]

State = tuple[int, int]
Input = tuple[int, int]


class TB:
    """Clock, and a check of every cycle of a run.

    Parameters
    ----------
    dut : Any
        Handle of an `sc_lif_neuron`.
    """

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.case = CASES[os.environ[CASE_VARIABLE]]
        self.rng = bench_random("sc_lif_neuron")
        assert len(dut.inc_i) == self.case.inc_width
        assert len(dut.noise_i) == max(self.case.neuron.noise_bits, 1)
        assert len(dut.voltage_o) == self.case.neuron.width
        Clock(dut.clk_i, CLOCK_NS, unit="ns").start()

    async def run(self, actions: Sequence[Action]) -> None:
        """Pass a cycle for each action; compare the spike and the membrane in each."""
        await RisingEdge(self.dut.clk_i)  # at time 0
        expected = expected_run(self.case, actions)
        before: tuple[Kind, bool, bool] | None = None
        for cycle, (action, want) in enumerate(zip(actions, expected, strict=True)):
            self.dut.load_i.value = int(action.kind == "load")
            self.dut.step_i.value = int(action.kind == "step")
            self.dut.inc_i.value = action.increments[0] % (1 << self.case.inc_width)
            self.dut.noise_i.value = action.word
            await RisingEdge(self.dut.clk_i)
            if want is not None:
                found = (int(self.dut.spike_o.value), self.dut.voltage_o.value.to_signed())
                assert found == (want.spikes[0], want.voltages[0]), f"cycle {cycle}, {action}"
                if before is not None:
                    sample_membrane(self.case.neuron, *before, after=found[1])
                before = (action.kind, bool(found[0]), int(self.dut.timer_q.value) > 0)


class Graph:
    """All states of a neuron that steps can reach, and where each input leads from each of them.

    Parameters
    ----------
    case : LifCase
        A case of one neuron.
    """

    def __init__(self, case: LifCase) -> None:
        self.case = case
        self.inputs = list(itertools.product(case.increments, case.words))
        self.start: State = (0, 0)
        self.next: dict[tuple[State, Input], State] = {}
        # A shortest way to each state of the newest generation.
        generation: dict[State, list[Input]] = {self.start: []}
        self.states = {self.start}
        while generation:
            generation = self._follow(generation)
            self.states |= generation.keys()

    def _follow(self, generation: dict[State, list[Input]]) -> dict[State, list[Input]]:
        """Take every input in every state of a generation; return the states that are new."""
        ways = [(state, [*way, last]) for state, way in generation.items() for last in self.inputs]
        taken = np.asarray([way for _, way in ways])
        noise = taken[:, :, 1] if self.case.neuron.noise_bits else None
        trace = simulate_lif(taken[:, :, :1], self.case.neuron, self.case.currents, noise)
        new: dict[State, list[Input]] = {}
        for (state, way), voltage, spike in zip(
            ways, trace.voltages[:, -1, 0].tolist(), trace.spikes[:, -1, 0].tolist(), strict=True
        ):
            left = self.case.neuron.refractory if spike else max(state[1] - 1, 0)
            self.next[state, way[-1]] = (voltage, left)
            if (voltage, left) not in self.states:
                new.setdefault((voltage, left), way)
        return new

    def tour(self) -> list[Action]:
        """Return a run that takes every input and a load in every state, and is idle in each."""
        open_inputs: dict[State, list[Input | None]] = {
            state: [None, *self.inputs] for state in self.states
        }
        state = self.start
        actions = [Action("load", (0,))]
        paused = set()
        while True:
            if state not in paused:
                paused.add(state)
                actions += [Action("idle", (increment,), word) for increment, word in self.inputs]
            if open_inputs[state]:
                way = [open_inputs[state].pop()]
            else:
                goals = {goal for goal in self.states if open_inputs[goal]}
                if not goals:
                    return actions
                way = self._way(state, goals)
            for taken in way:
                actions.append(
                    Action("load", (0,)) if taken is None else Action("step", taken[:1], taken[1])
                )
                state = self._after(state, taken)

    def _after(self, state: State, taken: Input | None) -> State:
        return self.start if taken is None else self.next[state, taken]

    def _way(self, state: State, goals: set[State]) -> list[Input | None]:
        """Return a shortest way to one of some states; a load leads back to the first."""
        came: dict[State, tuple[State, Input | None]] = {}
        waiting = deque([state])
        while True:
            here = waiting.popleft()
            if here in goals:
                break
            for taken in (*self.inputs, None):
                there = self._after(here, taken)
                if there not in came and there != state:
                    came[there] = (here, taken)
                    waiting.append(there)
        way = []
        while here != state:
            here, taken = came[here]
            way.append(taken)
        return way[::-1]


def covered(case: LifCase, actions: Sequence[Action]) -> set[tuple[State, Kind, Input]]:
    """Return what a run does in which state: kind and input, of a load no input."""
    left = 0
    done: set[tuple[State, Kind, Input]] = set()
    for action, want in zip(actions, expected_run(case, actions), strict=True):
        taken = (action.increments[0], action.word)
        if want is not None:
            state = (want.voltages[0], left)
            done.add((state, action.kind, (0, 0) if action.kind == "load" else taken))
        if action.kind == "load":
            left = 0
        elif action.kind == "step":
            left = case.neuron.refractory if want and want.spikes[0] else max(left - 1, 0)
    return done


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def every_input_in_every_state(dut: Any) -> None:
    """All pairs of a state that can be reached and an input, pauses and loads; both ends."""
    tb = TB(dut)
    case = tb.case
    graph = Graph(case)
    actions = graph.tour()
    done = covered(case, actions)
    assert done == {
        (state, kind, taken)
        for state in graph.states
        for kind, inputs in (("load", [(0, 0)]), ("idle", graph.inputs), ("step", graph.inputs))
        for taken in inputs
    }
    assert {left for _, left in graph.states} == set(range(case.neuron.refractory + 1))
    sums = {
        unbounded_sum(case, state[0], taken)
        for state, kind, taken in done
        if kind == "step" and state[1] == 0
    }
    top = (1 << (case.neuron.width - 1)) - 1
    assert min(sums) < case.neuron.floor
    assert max(sums) > top
    assert {case.neuron.threshold - 1, case.neuron.threshold} <= sums
    dut._log.info("%d states, %d pairs, %d cycles", len(graph.states), len(done), len(actions))
    await tb.run(actions)


def unbounded_sum(case: LifCase, voltage: int, taken: Input) -> int:
    """Return the sum of a step before it is bounded."""
    of = case.neuron
    change = of.gain * taken[0] + case.currents[0] - of.leak
    if of.noise_bits:
        change += taken[1] - (1 << (of.noise_bits - 1))
    return voltage + change - (voltage >> of.leak_shift if of.leak_shift else 0)


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def a_long_random_run(dut: Any) -> None:
    """Spikes, saturation at both ends, pauses and loads."""
    tb = TB(dut)
    case = tb.case
    actions = random_actions(case, tb.rng, 4000)
    expected = [want for want in expected_run(case, actions) if want is not None]
    assert any(want.spikes[0] for want in expected)
    if case.both_ends:
        assert case.neuron.floor in {want.voltages[0] for want in expected}
        top = (1 << (case.neuron.width - 1)) - 1
        after_saturation = top - case.neuron.threshold
        assert after_saturation in {want.voltages[0] for want in expected}
    await tb.run(actions)


def small(**fields: Any) -> LifNeuron:
    """Describe a neuron of 4 bits."""
    base: dict[str, Any] = {
        "width": 4,
        "fraction_bits": 0,
        "gain": 3,
        "leak": 0,
        "leak_shift": 0,
        "threshold": 3,
        "reset": "subtract",
        "reset_value": 0,
        "refractory": 0,
        "floor": -8,
    }
    return LifNeuron.model_validate({**base, **fields})


WIDEST = small(
    width=32,
    gain=(1 << 31) - 1,
    leak=(1 << 31) - 1,
    leak_shift=31,
    threshold=(1 << 31) - 1,
    floor=-(1 << 31),
    noise_bits=16,
)
CASES = {
    "subtract": LifCase(small(leak=1, refractory=2, noise_bits=2), 3, (-1,)),
    "subtract_shift": LifCase(small(leak_shift=1, threshold=7, noise_bits=1), 3, (2,)),
    "subtract_floor": LifCase(small(gain=2, leak=1, threshold=2, floor=-3), 4),
    "value": LifCase(small(reset="value", reset_value=-8, refractory=1, floor=-5), 3, (1,)),
    "value_shift": LifCase(
        small(reset="value", reset_value=5, leak_shift=2, refractory=3, floor=0, noise_bits=3),
        3,
    ),
    "smallest": LifCase(small(width=2, gain=3, threshold=1, floor=-2), 1, (2,)),
    "ramp": LifCase(for_fan_in(PRESETS["ramp"], 16), 6),
    "patient": LifCase(small(width=12, gain=40, threshold=900, refractory=255, floor=-500), 6),
    "widest": LifCase(WIDEST, 2, ((1 << 31) + 1,), both_ends=True),
    "widest_value": LifCase(
        small(
            width=32,
            gain=123456789,
            threshold=987654321,
            reset="value",
            reset_value=-(1 << 31),
            leak_shift=3,
            refractory=1,
            floor=-(1 << 31),
        ),
        5,
        (-12345678,),
    ),
}
# Wider neurons have too many states to go through.
MOST_BITS = 4
RUNS = [("icarus", name) for name in CASES] + [
    ("verilator", "subtract"),
    ("verilator", "value_shift"),
    ("verilator", "widest"),
]


@pytest.mark.parametrize(("simulator", "case"), RUNS)
def test_sc_lif_neuron(simulator: str, case: str) -> None:
    run_bench(
        name=f"sc_lif_neuron_{case}",
        toplevel="sc_lif_neuron",
        sources=SOURCES,
        module="tb.test_sc_lif_neuron",
        simulator=find_simulator(simulator),
        build_root=BENCH_BUILDS,
        parameters=CASES[case].parameters(),
        env={CASE_VARIABLE: case},
        test_filter="a_long_random_run" if CASES[case].neuron.width > MOST_BITS else None,
    )


LOWEST = -(1 << 31)


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({"IncWidth": 0}, "IncWidth_must_be_positive"),
        ({"Width": 1}, "Width_must_be_2_to_32"),
        ({"Width": 33}, "Width_must_be_2_to_32"),
        ({"Gain": 0}, "Gain_must_be_positive"),
        ({"Gain": -1}, "Gain_must_be_positive"),
        ({"Leak": -1}, "Leak_must_not_be_negative"),
        ({"LeakShift": -1}, "LeakShift_must_be_0_to_31"),
        ({"LeakShift": 32}, "LeakShift_must_be_0_to_31"),
        ({"Threshold": 0}, "Threshold_must_be_positive_and_fit_Width"),
        ({"Width": 8, "Threshold": 128}, "Threshold_must_be_positive_and_fit_Width"),
        ({"Width": 8, "ResetToValue": 1, "ResetValue": 128}, "ResetValue_must_fit_Width"),
        ({"Width": 8, "ResetToValue": 1, "ResetValue": -129}, "ResetValue_must_fit_Width"),
        ({"Refractory": -1}, "Refractory_must_not_be_negative"),
        ({"Floor": 1}, "Floor_must_not_be_positive_and_fit_Width"),
        ({"Width": 8, "Floor": -129}, "Floor_must_not_be_positive_and_fit_Width"),
        ({"NoiseWidth": -1}, "NoiseWidth_must_be_0_to_31"),
        ({"NoiseWidth": 32}, "NoiseWidth_must_be_0_to_31"),
        ({"CurrentWidth": 0}, "CurrentWidth_must_be_positive"),
    ],
)
def test_illegal_parameters_stop_elaboration(
    simulator: str, parameters: dict[str, int], rule: str
) -> None:
    result = elaborate(find_simulator(simulator), "sc_lif_neuron", SOURCES, parameters)
    assert result.returncode != 0
    assert rule in result.stdout


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize(
    "parameters",
    [
        {"Width": 2, "Threshold": 1, "Floor": -2, "ResetToValue": 1, "ResetValue": -2},
        {"Width": 8, "Threshold": 127, "Floor": -128, "ResetToValue": 1, "ResetValue": 127},
        {"Width": 32, "Threshold": -LOWEST - 1, "Floor": LOWEST, "Gain": -LOWEST - 1},
        {"Width": 32, "ResetToValue": 1, "ResetValue": LOWEST, "Leak": -LOWEST - 1},
        {"Width": 8, "ResetToValue": 0, "ResetValue": 128},
        {"Refractory": 0, "LeakShift": 31, "NoiseWidth": 31},
    ],
)
def test_the_ends_of_the_legal_ranges_elaborate(simulator: str, parameters: dict[str, int]) -> None:
    result = elaborate(find_simulator(simulator), "sc_lif_neuron", SOURCES, parameters)
    assert result.returncode == 0, result.stdout
