"""Bench of hdl/sc_stream_ctrl.v: vectors of streams through the sequencer, cycle by cycle."""

from __future__ import annotations

from typing import Any

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer

from tb.bench_support import SIMULATORS, bench_parameters, bench_random
from tb.block_bench import complaint, run_block
from tb.coverage_monitors import watch_stream_ctrl

pytestmark = pytest.mark.slow


class Model:
    """What the sequencer shows, as a list of what it still has to do."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.starting = False
        self.arrived: int | None = None
        self.counted: int | None = None
        self.finishing = False

    def ready(self, result_ready: bool) -> bool:
        """Say whether a vector may be started in this cycle."""
        free = not self.starting and self.counted is None
        return free and (not self.finishing or result_ready)

    def edge(self, start: bool, stream: int | None, result_ready: bool) -> None:
        """Pass a clock edge; `stream` is None in a cycle that is not valid."""
        if self.finishing and result_ready:
            self.finishing = False
        if self.arrived is not None:
            assert self.counted is not None
            self.counted += 1
            if self.counted == self.length:
                self.counted = None
                self.finishing = True
        if self.starting:
            self.counted = 0
        self.starting, self.arrived = start, stream


class TB:
    """Clock, reset, and a check of every output in every cycle.

    Parameters
    ----------
    dut : Any
        Handle of an `sc_stream_ctrl`.
    """

    def __init__(self, dut: Any, purpose: str) -> None:
        self.dut = dut
        parameters = bench_parameters()
        self.lanes, self.length = parameters["Lanes"], parameters["Length"]
        self.model = Model(self.length)
        self.rng = bench_random(purpose)
        for name in ("clear_i", "start_i", "valid_i", "stream_i", "result_ready_i", "rst_ni"):
            getattr(dut, name).value = 0
        Clock(dut.clk_i, 10, unit="ns").start()
        watch_stream_ctrl(dut)

    async def reset(self) -> None:
        """Reset in the middle of a cycle."""
        self.dut.rst_ni.value = 0
        await Timer(1, unit="ns")
        self.model.clear()
        assert not int(self.dut.busy_o.value)
        await RisingEdge(self.dut.clk_i)
        self.dut.rst_ni.value = 1

    async def cycle(
        self,
        *,
        start: bool = False,
        stream: int | None = None,
        result_ready: bool = False,
        clear: bool = False,
    ) -> bool:
        """Pass a cycle with these inputs; return whether the sequencer was ready."""
        dut, model = self.dut, self.model
        dut.start_i.value = start
        dut.valid_i.value = stream is not None
        dut.stream_i.value = self.rng.getrandbits(self.lanes) if stream is None else stream
        dut.result_ready_i.value = result_ready
        dut.clear_i.value = clear
        await RisingEdge(dut.clk_i)
        ready = model.ready(result_ready) and not clear
        assert bool(dut.ready_o.value) == ready
        assert bool(dut.load_o.value) == model.starting
        assert bool(dut.count_o.value) == (model.arrived is not None)
        assert bool(dut.finish_o.value) == model.finishing
        assert bool(dut.busy_o.value) == (
            model.starting or model.counted is not None or model.finishing
        )
        if model.arrived is not None:
            assert int(dut.stream_o.value) == model.arrived
            assert int(dut.cycle_o.value) == model.counted
        if clear:
            model.clear()
        else:
            model.edge(start, stream, result_ready)
        return ready

    async def vector(self, wait: float, gaps: float = 0.0) -> None:
        """Wait until a vector may start, and send one; layers do so without gaps."""
        ready = False
        while not ready:
            # A start in a cycle that is not ready would be a fault of the layer before.
            result_ready = self.rng.random() >= wait
            start = self.model.ready(result_ready)
            ready = await self.cycle(start=start, result_ready=result_ready)
            if start:
                break
        for _ in range(self.length):
            while self.rng.random() < gaps:
                await self.cycle(result_ready=self.rng.random() >= wait)
            word = self.rng.getrandbits(self.lanes)
            await self.cycle(stream=word, result_ready=self.rng.random() >= wait)


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(wait=[0.0, 0.3, 0.9], gaps=[0.0, 0.4])
async def vectors_one_after_the_other(dut: Any, wait: float, gaps: float) -> None:
    """Results are waited for, streams pause; nothing is lost and nothing counted twice."""
    tb = TB(dut, f"vectors {wait} {gaps}")
    await tb.reset()
    for _ in range(12):
        await tb.vector(wait, gaps)
    for _ in range(3):
        await tb.cycle(result_ready=True)
    assert not int(dut.busy_o.value)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def clear_and_reset_at_each_point(dut: Any) -> None:
    """A vector is abandoned in each cycle of its life; the next one is whole."""
    tb = TB(dut, "clear")
    await tb.reset()
    for point in range(min(tb.length + 4, 40)):
        for clear in (True, False):
            words = [None, *(tb.rng.getrandbits(tb.lanes) for _ in range(tb.length))]
            for number, word in enumerate([*words, None, None, None][: point + 1]):
                await tb.cycle(start=number == 0, stream=word)
            if clear:
                await tb.cycle(clear=True)
            else:
                await tb.reset()
            await tb.vector(0.0)
            for _ in range(3):
                await tb.cycle(result_ready=True)
    # With nothing to abandon, and in a gap.
    for abandon in (lambda: tb.cycle(clear=True), tb.reset):
        await abandon()
        await tb.vector(0.0)
        for _ in range(3):
            await tb.cycle(result_ready=True)
        await tb.cycle(start=True)
        for _ in range(3):
            await tb.cycle()
        await abandon()
        await tb.vector(0.0)
        for _ in range(3):
            await tb.cycle(result_ready=True)


PARAMETER_SETS: dict[str, dict[str, int | str]] = {
    "smallest": {"Lanes": 1, "Length": 1, "CycleWidth": 1},
    "two": {"Lanes": 2, "Length": 2, "CycleWidth": 1},
    "odd": {"Lanes": 3, "Length": 5, "CycleWidth": 3},
    "even": {"Lanes": 1, "Length": 6, "CycleWidth": 3},
    "full": {"Lanes": 70, "Length": 64, "CycleWidth": 6},
}
CASES = [("icarus", name) for name in PARAMETER_SETS] + [("verilator", "odd")]


@pytest.mark.parametrize(("simulator", "parameter_set"), CASES)
def test_sc_stream_ctrl(simulator: str, parameter_set: str) -> None:
    run_block("sc_stream_ctrl", simulator, parameter_set, PARAMETER_SETS[parameter_set])


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({"Lanes": 0}, "Lanes_must_be_positive"),
        ({"Length": 0}, "Length_must_be_positive"),
        ({"Length": 5, "CycleWidth": 2}, "CycleWidth_must_be_the_bits_of_Length_minus_1"),
        ({"Length": 4, "CycleWidth": 3}, "CycleWidth_must_be_the_bits_of_Length_minus_1"),
        ({"Length": 1, "CycleWidth": 2}, "CycleWidth_must_be_the_bits_of_Length_minus_1"),
    ],
)
def test_illegal_parameters_stop_elaboration(
    simulator: str, parameters: dict[str, int], rule: str
) -> None:
    assert rule in complaint("sc_stream_ctrl", simulator, parameters)
