"""Bench of hdl/axis_count_source.v: vectors of signed counts in, packets of 32-bit words out.

A model in plain Python is stepped with every clock cycle and foretells every output; on top of it
each test states what must have arrived in the end. The receiver is cocotbext-axi's.
"""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer
from cocotbext.axi import AxiStreamBus, AxiStreamSink

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
from tb.coverage_monitors import watch_count_source
from tb.runner import run_bench
from tb.simulators import find_simulator

pytestmark = pytest.mark.slow

CLOCK_NS = 10
WORD_BITS = 32


class SourceModel:
    """The source told in packets: what it offers and what it accepts."""

    def __init__(self) -> None:
        self.left: deque[int] = deque()

    def reset(self) -> None:
        """Forget everything."""
        self.left.clear()

    def offer(self) -> tuple[int, bool] | None:
        """Say which word (data, last) is offered in this cycle, if any."""
        if not self.left:
            return None
        return self.left[0] % (1 << WORD_BITS), len(self.left) == 1

    def ready(self, *, clear: bool, take: bool) -> bool:
        """Say whether a vector offered in this cycle is accepted."""
        return not clear and (not self.left or (take and len(self.left) == 1))

    def step(self, *, counts: Sequence[int] | None, clear: bool, take: bool) -> None:
        """Pass a clock edge with an accepted vector or none."""
        if take and self.left:
            self.left.popleft()
        if clear:
            self.reset()
        if counts is not None:
            assert not self.left
            self.left.extend(counts)


class TB:
    """Clock, reset, giver of vectors, receiver, and the watch that compares with the model.

    Parameters
    ----------
    dut : Any
        Handle of an `axis_count_source`.
    """

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.rng = bench_random("axis_count_source")
        parameters = bench_parameters()
        self.outputs = parameters["Outputs"]
        self.width = parameters["CountWidth"]
        assert len(dut.m_axis_tdata) == WORD_BITS
        assert len(dut.count_i) == self.width * self.outputs

        self.model = SourceModel()
        self.queue: deque[list[int]] = deque()
        self.given = 0
        self.cycle = 0
        self.beat_cycles: list[int] = []
        self._offered: list[int] | None = None
        self._idle: Iterator[bool] = repeat(False)

        dut.rst_ni.value = 0
        dut.clear_i.value = 0
        dut.count_valid_i.value = 0
        Clock(dut.clk_i, CLOCK_NS, unit="ns").start()
        self.sink = AxiStreamSink(
            AxiStreamBus.from_prefix(dut, "m_axis"),
            dut.clk_i,
            dut.rst_ni,
            reset_active_level=False,
            byte_size=WORD_BITS,
        )
        self.sink.log.setLevel(logging.ERROR)  # else a line for every frame
        watch_count_source(dut)
        cocotb.start_soon(self._watch())
        cocotb.start_soon(self._give())

    async def cycles(self, count: int) -> None:
        """Let some clock edges pass."""
        for _ in range(count):
            await RisingEdge(self.dut.clk_i)

    async def reset(self) -> None:
        """Hold the reset for three cycles."""
        self.dut.rst_ni.value = 0
        await self.cycles(3)
        self.dut.rst_ni.value = 1
        await self.cycles(1)

    async def clear(self) -> None:
        """Hold `clear_i` for one cycle."""
        self.dut.clear_i.value = 1
        await self.cycles(1)
        self.dut.clear_i.value = 0

    def set_idle_generator(self, share: float) -> None:
        """Let the giver of vectors pause in a share of the cycles."""
        self._idle = pauses(self.rng, share)

    def set_backpressure_generator(self, share: float) -> None:
        """Let the receiver wait in a share of the cycles."""
        self.sink.set_pause_generator(pauses(self.rng, share))

    def counts(self) -> list[int]:
        """Draw a random vector, now and then with only the ends of the range in it."""
        low, high = -(1 << (self.width - 1)), (1 << (self.width - 1)) - 1
        if self.rng.random() < 0.2:
            return [self.rng.choice((low, high, -1, 0)) for _ in range(self.outputs)]
        return [self.rng.randint(low, high) for _ in range(self.outputs)]

    async def until_given(self, vectors: int) -> None:
        """Wait until so many vectors have been accepted since the start."""
        while self.given < vectors:
            await RisingEdge(self.dut.clk_i)
            await Timer(1, "ns")  # lets the watch count this edge first

    async def until_sent(self, beats: int) -> None:
        """Wait for the clock edge at which so many beats have been received since the start."""
        while len(self.beat_cycles) < beats:
            await RisingEdge(self.dut.clk_i)
            await Timer(1, "ns")

    async def finish(self, expected: Sequence[Sequence[int]]) -> None:
        """Let everything that was given arrive, then compare all of it.

        Parameters
        ----------
        expected : Sequence[Sequence[int]]
            The signed counts of each packet that must have arrived, in order.
        """
        self.set_idle_generator(0.0)
        self.set_backpressure_generator(0.0)
        while self.queue or self._offered is not None:
            await self.cycles(1)
        await self.cycles(self.outputs + 4)
        packets = [list(self.sink.recv_nowait().tdata) for _ in range(self.sink.count())]
        assert len(packets) == len(expected), "packets lost or invented"
        for index, (found, counts) in enumerate(zip(packets, expected, strict=True)):
            signed = [word - (word >> (WORD_BITS - 1) << WORD_BITS) for word in found]
            assert signed == list(counts), f"packet {index}: got {signed}, expected {counts}"
        assert not bool(self.dut.m_axis_tvalid.value)

    def _to_planes(self, counts: Sequence[int]) -> int:
        return sum(
            (count >> k & 1) << (k * self.outputs + j)
            for j, count in enumerate(counts)
            for k in range(self.width)
        )

    async def _give(self) -> None:
        dut = self.dut
        while True:
            await RisingEdge(dut.clk_i)
            if dut.count_valid_i.value and dut.count_ready_o.value and dut.rst_ni.value:
                self._offered = None
            if self._offered is None and self.queue and not next(self._idle):
                self._offered = self.queue.popleft()
            dut.count_valid_i.value = self._offered is not None
            if self._offered is not None:
                dut.count_i.value = self._to_planes(self._offered)
            else:
                dut.count_i.value = self.rng.getrandbits(self.width * self.outputs)

    def _compare(self, what: str, found: object, wanted: object) -> None:
        assert found == wanted, f"cycle {self.cycle}: {what} is {found}, expected {wanted}"

    async def _watch(self) -> None:
        dut, model = self.dut, self.model
        await RisingEdge(dut.clk_i)  # at time 0, before the reset has settled
        while True:
            await RisingEdge(dut.clk_i)
            self.cycle += 1
            if not dut.rst_ni.value:
                model.reset()
                self._compare("m_axis_tvalid in reset", bool(dut.m_axis_tvalid.value), False)
                continue
            clear = bool(dut.clear_i.value)
            take = bool(dut.m_axis_tready.value)
            offer = None
            if dut.m_axis_tvalid.value:
                offer = (int(dut.m_axis_tdata.value), bool(dut.m_axis_tlast.value))
            self._compare("the offered word (data, last)", offer, model.offer())
            ready = model.ready(clear=clear, take=take)
            self._compare("count_ready_o", bool(dut.count_ready_o.value), ready)
            counts = None
            if dut.count_valid_i.value and ready:
                counts = self._offered
                self.given += 1
            if offer is not None and take:
                self.beat_cycles.append(self.cycle)
            model.step(counts=counts, clear=clear, take=take)


async def start(dut: Any) -> TB:
    """Make a test bench, out of reset, its receiver always ready."""
    tb = TB(dut)
    await tb.reset()
    return tb


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(idle=[0.0, 0.5], wait=[0.0, 0.3, 0.9])
async def nothing_is_lost_or_reordered(dut: Any, idle: float, wait: float) -> None:
    """Random counts arrive complete and in order whatever the giver's and the receiver's pace."""
    tb = await start(dut)
    tb.set_idle_generator(idle)
    tb.set_backpressure_generator(wait)
    vectors = [tb.counts() for _ in range(40)]
    tb.queue.extend(vectors)
    await tb.until_given(len(vectors))
    await tb.finish(vectors)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def every_bit_has_its_place(dut: Any) -> None:
    """The ends of the range, minus one, and each power of two in each output by turns."""
    tb = await start(dut)
    low, high = -(1 << (tb.width - 1)), (1 << (tb.width - 1)) - 1
    vectors = [[count] * tb.outputs for count in (low, high, -1, 0)]
    for k in range(tb.width - 1):
        lone = [0] * tb.outputs
        lone[k % tb.outputs] = 1 << k
        vectors += [lone, [~count for count in lone]]
    tb.queue.extend(vectors)
    await tb.finish(vectors)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def beats_flow_without_a_bubble(dut: Any) -> None:
    """With a giver and a receiver that never wait, a beat goes in every single cycle."""
    tb = await start(dut)
    vectors = [tb.counts() for _ in range(20)]
    tb.queue.extend(vectors)
    await tb.finish(vectors)
    first = tb.beat_cycles[0]
    assert tb.beat_cycles == list(range(first, first + 20 * tb.outputs))


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def an_offered_word_is_stable(dut: Any) -> None:
    """A word that nobody takes stays as it is, and no further vector is accepted."""
    tb = await start(dut)
    tb.sink.pause = True
    vectors = [tb.counts() for _ in range(2)]
    tb.queue.append(vectors[0])
    await tb.until_given(1)
    await tb.cycles(3)
    offered = (int(dut.m_axis_tdata.value), bool(dut.m_axis_tlast.value))
    tb.queue.append(vectors[1])
    for _ in range(40):
        await tb.cycles(1)
        assert bool(dut.m_axis_tvalid.value)
        assert (int(dut.m_axis_tdata.value), bool(dut.m_axis_tlast.value)) == offered
    assert tb.given == 1, "a vector was accepted over another"
    await tb.finish(vectors)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(wait=[0.0, 0.5])
async def a_reset_in_mid_packet_leaves_no_trace(dut: Any, wait: float) -> None:
    """After a reset at each beat of a packet, the next packet arrives whole."""
    tb = await start(dut)
    vectors = []
    for beats in range(tb.outputs):
        tb.set_backpressure_generator(wait)
        tb.queue.append(tb.counts())
        await tb.until_given(tb.given + 1)
        await tb.until_sent(len(tb.beat_cycles) + beats)
        await tb.reset()
        vectors.append(tb.counts())
        tb.queue.append(vectors[-1])
        await tb.until_given(tb.given + 1)
        await tb.until_sent(len(tb.beat_cycles) + tb.outputs)
    await tb.finish(vectors)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_acts_without_a_clock_edge(dut: Any) -> None:
    """An offered word disappears when the reset falls, between two edges."""
    tb = await start(dut)
    tb.sink.pause = True
    tb.queue.append(tb.counts())
    await tb.until_given(1)
    await tb.cycles(2)
    await Timer(2, "ns")
    assert bool(dut.m_axis_tvalid.value)
    dut.rst_ni.value = 0
    await Timer(1, "ns")
    assert not bool(dut.m_axis_tvalid.value)
    await tb.cycles(2)
    dut.rst_ni.value = 1
    await tb.finish([])


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(wait=[0.0, 0.5])
async def clear_drops_the_rest_of_a_packet(dut: Any, wait: float) -> None:
    """A clear at each beat, the receiver cleared too, loses that packet, not the next."""
    tb = await start(dut)
    vectors = []
    for beats in range(tb.outputs):
        tb.set_backpressure_generator(wait)
        vectors.append(tb.counts())
        given = tb.given
        tb.queue.append(tb.counts())
        await tb.until_given(given + 1)
        await tb.until_sent(len(tb.beat_cycles) + beats)
        tb.queue.append(vectors[-1])
        tb.sink.assert_reset()
        dut.m_axis_tready.value = 0  # the receiver takes nothing in the cycle of the clear
        await tb.clear()
        await tb.until_given(given + 2)
        await tb.until_sent(len(tb.beat_cycles) + tb.outputs)
    await tb.finish(vectors)


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(idle=[0.0, 0.6], wait=[0.0, 0.5])
async def anything_at_any_time(dut: Any, idle: float, wait: float) -> None:
    """Under random clears and resets every cycle matches the model, and the end is clean."""
    tb = await start(dut)
    tb.set_idle_generator(idle)
    tb.set_backpressure_generator(wait)
    events = random.Random(tb.rng.random())
    while len(tb.beat_cycles) < 300 + 20 * tb.outputs:
        if len(tb.queue) < 3:
            tb.queue.append(tb.counts())
        dut.clear_i.value = events.random() < 0.03
        dut.rst_ni.value = events.random() < 0.995
        await tb.cycles(1)
    dut.clear_i.value = 0
    dut.rst_ni.value = 1
    tb.set_idle_generator(0.0)
    tb.set_backpressure_generator(0.0)
    while tb.queue:
        await tb.cycles(1)
    await tb.cycles(2 * tb.outputs + 4)
    tb.sink.clear()
    last = tb.counts()
    tb.queue.append(last)
    await tb.until_given(tb.given + 1)
    await tb.finish([last])


PARAMETER_SETS = {
    "smallest": {"Outputs": 1, "CountWidth": 2},
    "odd": {"Outputs": 5, "CountWidth": 9},
    "widest_count": {"Outputs": 3, "CountWidth": 32},
    "two_outputs": {"Outputs": 2, "CountWidth": 31},
    "mnist": {"Outputs": 10, "CountWidth": 17},
    "many": {"Outputs": 33, "CountWidth": 24},
}
# A Verilator build costs tens of seconds: there, only the sets that differ most.
CASES = [("icarus", name) for name in PARAMETER_SETS] + [
    ("verilator", "smallest"),
    ("verilator", "odd"),
]


@pytest.mark.parametrize(("simulator", "parameter_set"), CASES)
def test_axis_count_source(simulator: str, parameter_set: str) -> None:
    parameters = PARAMETER_SETS[parameter_set]
    run_bench(
        name=f"axis_count_source_{parameter_set}",
        toplevel="axis_count_source",
        sources=[HDL / "axis_count_source.v"],
        module="tb.test_axis_count_source",
        simulator=find_simulator(simulator),
        build_root=BENCH_BUILDS,
        parameters=parameters,
        env=bench_environment(parameters),
    )


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({"Outputs": 0}, "Outputs_must_be_positive"),
        ({"CountWidth": 1}, "CountWidth_must_be_2_to_32"),
        ({"CountWidth": 33}, "CountWidth_must_be_2_to_32"),
    ],
)
def test_illegal_parameters_stop_elaboration(
    simulator: str, parameters: dict[str, int], rule: str
) -> None:
    sources = [HDL / "axis_count_source.v"]
    result = elaborate(find_simulator(simulator), "axis_count_source", sources, parameters)
    assert result.returncode != 0
    assert rule in result.stdout
