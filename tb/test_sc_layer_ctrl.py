"""Bench of hdl/sc_layer_ctrl.v: the sequence of a vector, cycle by cycle.

The model knows only how many cycles ago the vector was loaded, and foretells every output of every
cycle from that.
"""

from __future__ import annotations

from typing import Any

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer

from tb.bench_support import (
    BENCH_BUILDS,
    HDL,
    SIMULATORS,
    bench_environment,
    bench_parameters,
    bench_random,
    elaborate,
    pauses,
)
from tb.coverage_monitors import watch_layer_ctrl
from tb.runner import run_bench
from tb.simulators import find_simulator

CLOCK_NS = 10


class ControlModel:
    """The schedule of a vector: (sign cycle), counted cycles, finish."""

    def __init__(self, length: int, *, signed: bool) -> None:
        self.schedule: list[tuple[str, int | None]] = [("sign", None)] * signed
        self.schedule += [("count", cycle) for cycle in range(length)]
        self.schedule += [("finish", None)]
        self.age: int | None = None

    def phase(self) -> tuple[str, int | None]:
        """Return what the layer does in this cycle, and the number of a counted cycle."""
        return ("idle", None) if self.age is None else self.schedule[self.age]

    def ready(self, *, clear: bool, result_ready: bool) -> bool:
        """Say whether a vector is taken in this cycle if one is offered."""
        phase, _ = self.phase()
        return not clear and (phase == "idle" or (phase == "finish" and result_ready))

    def step(self, *, valid: bool, clear: bool, result_ready: bool) -> None:
        """Pass a clock edge."""
        phase, _ = self.phase()
        if valid and self.ready(clear=clear, result_ready=result_ready):
            self.age = 0
        elif clear or (phase == "finish" and result_ready):
            self.age = None
        elif self.age is not None and phase != "finish":
            self.age += 1


class TB:
    """Clock, reset, and a check of every output in every cycle.

    Parameters
    ----------
    dut : Any
        Handle of an `sc_layer_ctrl`.
    """

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        parameters = bench_parameters()
        self.length = parameters["Length"]
        self.signed = bool(parameters["InputSigned"])
        self.model = ControlModel(self.length, signed=self.signed)
        self.rng = bench_random("sc_layer_ctrl")
        assert len(dut.cycle_o) == parameters["CycleWidth"]
        dut.rst_ni.value = 0
        dut.clear_i.value = 0
        dut.vector_valid_i.value = 0
        dut.result_ready_i.value = 0
        Clock(dut.clk_i, CLOCK_NS, unit="ns").start()
        watch_layer_ctrl(dut)

    async def reset(self) -> None:
        """Hold the reset for some cycles."""
        self.dut.rst_ni.value = 0
        self.dut.vector_valid_i.value = 0
        self.model.age = None
        for _ in range(3):
            await RisingEdge(self.dut.clk_i)
        assert not bool(self.dut.busy_o.value)
        self.dut.rst_ni.value = 1

    async def cycle(
        self, *, valid: bool = False, result_ready: bool = True, clear: bool = False
    ) -> str:
        """Pass a cycle, comparing all outputs; return its phase, ``load`` where one is taken."""
        dut, model = self.dut, self.model
        dut.vector_valid_i.value = valid
        dut.result_ready_i.value = result_ready
        dut.clear_i.value = clear
        await RisingEdge(dut.clk_i)
        phase, number = model.phase()
        ready = model.ready(clear=clear, result_ready=result_ready)
        found = {
            name: bool(getattr(dut, name).value)
            for name in ("vector_ready_o", "load_o", "sign_o", "count_o", "finish_o", "busy_o")
        }
        assert found == {
            "vector_ready_o": ready,
            "load_o": ready and valid,
            "sign_o": phase == "sign",
            "count_o": phase == "count",
            "finish_o": phase == "finish",
            "busy_o": phase != "idle",
        }, f"in phase {phase} {number}"
        if number is not None:
            assert int(dut.cycle_o.value) == number
        model.step(valid=valid, clear=clear, result_ready=result_ready)
        return "load" if ready and valid else phase

    async def vector(self) -> list[str]:
        """Pass a whole vector from idle; return its phases, the load first."""
        phases = [await self.cycle(valid=True)]
        while phases[-1] != "finish":
            phases.append(await self.cycle())
        return phases

    @property
    def whole(self) -> list[str]:
        """The phases of a vector that nobody holds up."""
        return ["load"] + ["sign"] * self.signed + ["count"] * self.length + ["finish"]

    @property
    def points(self) -> list[int]:
        """Cycles of a vector after its load: all, of a long one those at both ends."""
        points = range(len(self.whole) - 1)
        return [point for point in points if min(point, len(points) - 1 - point) < 6]


async def start(dut: Any) -> TB:
    """Make a test bench, out of reset."""
    tb = TB(dut)
    await tb.reset()
    return tb


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def one_vector(dut: Any) -> None:
    """A vector takes its cycles in order, and the layer is idle after it."""
    tb = await start(dut)
    for idle in (0, 1, 4):
        assert [await tb.cycle() for _ in range(idle)] == ["idle"] * idle
        assert await tb.vector() == tb.whole
    assert await tb.cycle() == "idle"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def back_to_back(dut: Any) -> None:
    """With vectors waiting one is taken every Length + 1 cycles, one more with a sign cycle."""
    tb = await start(dut)
    period = tb.length + 1 + tb.signed
    phases = [await tb.cycle(valid=True) for _ in range(5 * period)]
    assert phases == (tb.whole[:-1]) * 5


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_result_that_has_to_wait(dut: Any) -> None:
    """Finish lasts until the result is taken; a vector that waits is taken in that cycle."""
    tb = await start(dut)
    for wait in (1, 2, 7):
        for waiting in (False, True):
            assert await tb.cycle(valid=True) == "load"
            phase = await tb.cycle(result_ready=False)
            while phase != "finish":
                phase = await tb.cycle(result_ready=False)
            for _ in range(wait):
                assert await tb.cycle(valid=waiting, result_ready=False) == "finish"
            assert await tb.cycle(valid=waiting) == ("load" if waiting else "finish")
            while tb.model.age is not None:
                await tb.cycle()


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(waiting=[False, True], wait=[False, True])
async def clear_in_each_phase(dut: Any, waiting: bool, wait: bool) -> None:
    """A cleared layer is idle in the next cycle, and the vector after that is whole."""
    tb = await start(dut)
    for cycles in [*tb.points, len(tb.whole)]:
        await tb.cycle(valid=True)
        for _ in range(cycles):
            await tb.cycle(result_ready=not wait)
        for _ in range(1 + cycles % 2):
            phase = await tb.cycle(valid=waiting, clear=True, result_ready=not wait)
            assert phase != "load"
        assert tb.model.age is None
        assert await tb.vector() == tb.whole


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_in_each_phase(dut: Any) -> None:
    """A reset acts without a clock edge in each phase, and the vector after it is whole."""
    tb = await start(dut)
    for cycles in tb.points:
        await tb.cycle(valid=True)
        for _ in range(cycles):
            await tb.cycle(result_ready=False)
        await Timer(2, "ns")
        assert bool(dut.busy_o.value)
        dut.vector_valid_i.value = 0
        dut.rst_ni.value = 0
        await Timer(1, "ns")
        assert not bool(dut.busy_o.value)
        for name in ("load_o", "sign_o", "count_o", "finish_o"):
            assert not bool(getattr(dut, name).value), name
        await tb.reset()
        assert await tb.vector() == tb.whole


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(idle=[0.0, 0.6], wait=[0.0, 0.7])
async def anything_at_any_time(dut: Any, idle: float, wait: float) -> None:
    """Random pauses on both sides, clears and resets."""
    tb = await start(dut)
    gaps, waits = pauses(tb.rng, idle), pauses(tb.rng, wait)
    loads = 0
    for _ in range(400 + 10 * tb.length):
        if tb.rng.random() < 0.004:
            await tb.reset()
        phase = await tb.cycle(
            valid=not next(gaps), result_ready=not next(waits), clear=tb.rng.random() < 0.03
        )
        loads += phase == "load"
    assert loads > 5


PARAMETER_SETS = {
    f"{length}_{'signed' if signed else 'unsigned'}": {
        "Length": length,
        "CycleWidth": max((length - 1).bit_length(), 1),
        "InputSigned": signed,
    }
    for length in (1, 2, 3, 5, 8)
    for signed in (0, 1)
} | {"100_signed": {"Length": 100, "CycleWidth": 7, "InputSigned": 1}}
CASES = [("icarus", name) for name in PARAMETER_SETS] + [
    ("verilator", "2_unsigned"),
    ("verilator", "5_signed"),
]


@pytest.mark.parametrize(("simulator", "parameter_set"), CASES)
def test_sc_layer_ctrl(simulator: str, parameter_set: str) -> None:
    parameters = PARAMETER_SETS[parameter_set]
    run_bench(
        name=f"sc_layer_ctrl_{parameter_set}",
        toplevel="sc_layer_ctrl",
        sources=[HDL / "sc_layer_ctrl.v"],
        module="tb.test_sc_layer_ctrl",
        simulator=find_simulator(simulator),
        build_root=BENCH_BUILDS,
        parameters=parameters,
        env=bench_environment(parameters),
    )


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({"Length": 0, "CycleWidth": 1}, "Length_must_be_positive"),
        ({"Length": 1, "CycleWidth": 2}, "CycleWidth_must_be_the_bits_of_Length_minus_1"),
        ({"Length": 1, "CycleWidth": 0}, "CycleWidth_must_be_the_bits_of_Length_minus_1"),
        ({"Length": 8, "CycleWidth": 2}, "CycleWidth_must_be_the_bits_of_Length_minus_1"),
        ({"Length": 8, "CycleWidth": 4}, "CycleWidth_must_be_the_bits_of_Length_minus_1"),
        ({"Length": 9, "CycleWidth": 3}, "CycleWidth_must_be_the_bits_of_Length_minus_1"),
    ],
)
def test_illegal_parameters_stop_elaboration(
    simulator: str, parameters: dict[str, int], rule: str
) -> None:
    sources = [HDL / "sc_layer_ctrl.v"]
    result = elaborate(find_simulator(simulator), "sc_layer_ctrl", sources, parameters)
    assert result.returncode != 0
    assert rule in result.stdout
