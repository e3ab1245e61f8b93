"""Bench of hdl/axis_vector_sink.v: packets of features in, vectors in bit planes out.

A model in plain Python is stepped with every clock cycle and foretells every output; on top of it
each test states what must have arrived in the end. The sender is cocotbext-axi's.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer
from cocotbext.axi import AxiStreamBus, AxiStreamSource

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
from tb.coverage_monitors import watch_vector_sink
from tb.runner import run_bench
from tb.simulators import find_simulator

pytestmark = pytest.mark.slow

CLOCK_NS = 10
FIELD_BITS = 16


@dataclass(frozen=True)
class Vector:
    """One feature vector: magnitudes and signs (True is minus), feature 0 first."""

    magnitudes: tuple[int, ...]
    minus: tuple[bool, ...]


class SinkModel:
    """The sink told in packets and vectors: what is accepted, what is offered, what is an error.

    Parameters
    ----------
    features, width, per_beat : int
        Features of a vector, bits of a magnitude, fields of a beat.
    """

    def __init__(self, features: int, width: int, per_beat: int) -> None:
        self.features = features
        self.width = width
        self.per_beat = per_beat
        self.beats = -(-features // per_beat)
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.packet: list[int] = []
        self.skipping = False
        self.vector: Vector | None = None
        self.error = False

    def ready(self, *, enable: bool, clear: bool, take: bool) -> bool:
        """Say whether a beat offered in this cycle is accepted."""
        if clear:
            return False
        if self.skipping or self.packet:
            return True
        return enable and (self.vector is None or take)

    def step(self, *, beat: tuple[int, bool] | None, clear: bool, take: bool) -> None:
        """Pass a clock edge with an accepted beat (data, last) or none."""
        self.error = False
        if take:
            self.vector = None
        if clear:
            self.reset()
        if beat is None:
            return
        data, last = beat
        if self.skipping:
            self.skipping = not last
            return
        mask = (1 << FIELD_BITS) - 1
        self.packet += [data >> (FIELD_BITS * j) & mask for j in range(self.per_beat)]
        complete = len(self.packet) == self.beats * self.per_beat
        if complete and last:
            self.vector = self.read(self.packet)
        if complete != last:
            self.error = True
            self.skipping = complete
        if complete or last:
            self.packet = []

    def read(self, fields: Sequence[int]) -> Vector:
        """Decode the fields of a whole packet."""
        used = fields[: self.features]
        return Vector(
            magnitudes=tuple(field % (1 << self.width) for field in used),
            minus=tuple(field >= 1 << (FIELD_BITS - 1) for field in used),
        )


class TB:
    """Clock, reset, sender, taker of vectors, and the watch that compares with the model.

    Parameters
    ----------
    dut : Any
        Handle of an `axis_vector_sink`.
    """

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.rng = bench_random("axis_vector_sink")
        parameters = bench_parameters()
        self.features = parameters["Features"]
        self.width = parameters["OperandWidth"]
        self.per_beat = parameters["FeaturesPerBeat"]
        assert len(dut.s_axis_tdata) == FIELD_BITS * self.per_beat
        assert len(dut.magnitude_o) == self.width * self.features
        assert len(dut.sign_o) == self.features

        self.model = SinkModel(self.features, self.width, self.per_beat)
        self.beats = self.model.beats
        self.received: list[Vector] = []
        self.errors = 0
        self.cycle = 0
        self.beat_cycles: list[int] = []
        self._hold: Iterator[bool] = repeat(False)

        dut.rst_ni.value = 0
        dut.clear_i.value = 0
        dut.enable_i.value = 1
        dut.vector_ready_i.value = 0
        Clock(dut.clk_i, CLOCK_NS, unit="ns").start()
        self.source = AxiStreamSource(
            AxiStreamBus.from_prefix(dut, "s_axis"),
            dut.clk_i,
            dut.rst_ni,
            reset_active_level=False,
            byte_size=FIELD_BITS,
        )
        self.source.log.setLevel(logging.ERROR)  # else a line for every frame
        watch_vector_sink(dut, self.beats)
        cocotb.start_soon(self._watch())
        cocotb.start_soon(self._take())

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
        """Let the sender pause in a share of the cycles."""
        self.source.set_pause_generator(pauses(self.rng, share))

    def set_backpressure_generator(self, share: float) -> None:
        """Let the taker of vectors wait in a share of the cycles."""
        self._hold = pauses(self.rng, share)

    def vector(self) -> Vector:
        """Draw a random vector, now and then with only the ends of the range in it."""
        top = (1 << self.width) - 1
        ends = self.rng.random() < 0.2
        return Vector(
            tuple(
                self.rng.choice((0, top)) if ends else self.rng.randint(0, top)
                for _ in range(self.features)
            ),
            tuple(self.rng.random() < 0.5 for _ in range(self.features)),
        )

    def packet(self, vector: Vector, beats: int | None = None) -> list[int]:
        """Pack a vector into fields: whatever the sink must ignore is random.

        Parameters
        ----------
        vector : Vector
            What the packet says.
        beats : int or None
            Length if not the right one: cut short, or lengthened by random fields.

        Returns
        -------
        list[int]
            Fields of whole beats.
        """
        spare = FIELD_BITS - 1 - self.width
        fields = [
            minus << (FIELD_BITS - 1) | self.rng.getrandbits(spare) << self.width | magnitude
            for magnitude, minus in zip(vector.magnitudes, vector.minus, strict=True)
        ]
        length = self.per_beat * (self.beats if beats is None else beats)
        fields += [self.rng.getrandbits(FIELD_BITS) for _ in range(length - len(fields))]
        return fields[:length]

    async def accepted(self, beats: int) -> None:
        """Wait for the clock edge at which so many beats have been accepted since the start."""
        while len(self.beat_cycles) < beats:
            await RisingEdge(self.dut.clk_i)
            await Timer(1, "ns")  # lets the watch count this edge first

    async def finish(self, expected: Sequence[Vector], errors: int = 0) -> None:
        """Let everything that was sent arrive, then compare all of it.

        Parameters
        ----------
        expected : Sequence[Vector]
            The vectors that must have been taken, in order.
        errors : int
            How often `packet_error_o` must have been high.
        """
        self.set_idle_generator(0.0)
        self.set_backpressure_generator(0.0)
        await self.source.wait()
        await self.cycles(3)
        assert len(self.received) == len(expected), "vectors lost or invented"
        for index, (found, wanted) in enumerate(zip(self.received, expected, strict=True)):
            assert found == wanted, f"vector {index}: got {found}, expected {wanted}"
        assert self.errors == errors, f"{self.errors} packet errors, expected {errors}"

    async def _take(self) -> None:
        while True:
            await RisingEdge(self.dut.clk_i)
            self.dut.vector_ready_i.value = not next(self._hold)

    def _planes(self) -> Vector:
        magnitude = int(self.dut.magnitude_o.value)
        sign = int(self.dut.sign_o.value)
        return Vector(
            tuple(
                sum((magnitude >> (k * self.features + f) & 1) << k for k in range(self.width))
                for f in range(self.features)
            ),
            tuple(bool(sign >> f & 1) for f in range(self.features)),
        )

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
                self._compare("vector_valid_o in reset", bool(dut.vector_valid_o.value), False)
                self._compare("packet_error_o in reset", bool(dut.packet_error_o.value), False)
                continue
            clear = bool(dut.clear_i.value)
            hungry = bool(dut.vector_ready_i.value)
            ready = model.ready(enable=bool(dut.enable_i.value), clear=clear, take=hungry)
            self._compare("s_axis_tready", bool(dut.s_axis_tready.value), ready)
            self._compare("packet_error_o", bool(dut.packet_error_o.value), model.error)
            self._compare(
                "vector_valid_o", bool(dut.vector_valid_o.value), model.vector is not None
            )
            if model.vector is not None:
                self._compare("the vector", self._planes(), model.vector)
            self.errors += bool(dut.packet_error_o.value)
            take = hungry and bool(dut.vector_valid_o.value)
            if take:
                self.received.append(self._planes())
            beat = None
            if dut.s_axis_tvalid.value and ready:
                beat = (int(dut.s_axis_tdata.value), bool(dut.s_axis_tlast.value))
                self.beat_cycles.append(self.cycle)
            model.step(beat=beat, clear=clear, take=take)


async def start(dut: Any) -> TB:
    """Make a test bench, out of reset, its taker always ready."""
    tb = TB(dut)
    await tb.reset()
    return tb


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(idle=[0.0, 0.5], wait=[0.0, 0.3, 0.9])
async def nothing_is_lost_or_reordered(dut: Any, idle: float, wait: float) -> None:
    """Random vectors arrive complete and in order whatever the sender's and the taker's pace."""
    tb = await start(dut)
    tb.set_idle_generator(idle)
    tb.set_backpressure_generator(wait)
    vectors = [tb.vector() for _ in range(30)]
    for vector in vectors:
        await tb.source.send(tb.packet(vector))
    await tb.source.wait()
    await tb.finish(vectors)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def every_feature_has_its_place(dut: Any) -> None:
    """All zero, all ones, minus zero, and one feature different from all others, each in turn."""
    tb = await start(dut)
    top = (1 << tb.width) - 1
    n = tb.features
    vectors = [
        Vector((magnitude,) * n, (minus,) * n) for magnitude in (0, top) for minus in (False, True)
    ]
    for f in range(n):
        lone = [0] * n
        lone[f] = 1 << (f % tb.width)
        vectors.append(Vector(tuple(lone), tuple(i != f for i in range(n))))
    for vector in vectors:
        await tb.source.send(tb.packet(vector))
    await tb.finish(vectors)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def beats_flow_without_a_bubble(dut: Any) -> None:
    """With a sender and a taker that never wait, a beat is accepted in every single cycle."""
    tb = await start(dut)
    tb.set_backpressure_generator(0.0)
    vectors = [tb.vector() for _ in range(20)]
    for vector in vectors:
        tb.source.send_nowait(tb.packet(vector))
    await tb.finish(vectors)
    first = tb.beat_cycles[0]
    assert tb.beat_cycles == list(range(first, first + 20 * tb.beats))


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_waiting_vector_is_stable(dut: Any) -> None:
    """A vector that nobody takes stays as it is and holds back the next packet."""
    tb = await start(dut)
    tb.set_backpressure_generator(1.0)
    vectors = [tb.vector() for _ in range(2)]
    for vector in vectors:
        tb.source.send_nowait(tb.packet(vector))
    await tb.cycles(tb.beats + 40)
    assert len(tb.beat_cycles) == tb.beats, "beats were accepted over a waiting vector"
    assert bool(dut.vector_valid_o.value)
    await tb.finish(vectors)


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(idle=[0.0, 0.5])
async def an_early_last_drops_only_its_packet(dut: Any, idle: float) -> None:
    """Packets cut short at each possible length are one error each; their neighbours arrive."""
    tb = await start(dut)
    tb.set_idle_generator(idle)
    tb.set_backpressure_generator(0.3)
    vectors = [tb.vector()]
    await tb.source.send(tb.packet(vectors[0]))
    for beats in range(1, tb.beats):
        await tb.source.send(tb.packet(tb.vector(), beats))
        vectors.append(tb.vector())
        await tb.source.send(tb.packet(vectors[-1]))
    await tb.source.wait()
    await tb.finish(vectors, errors=tb.beats - 1)


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(idle=[0.0, 0.5])
async def a_missing_last_drops_up_to_the_next(dut: Any, idle: float) -> None:
    """Packets too long, also by whole packets, are one error each; their neighbours arrive."""
    tb = await start(dut)
    tb.set_idle_generator(idle)
    tb.set_backpressure_generator(0.3)
    vectors = []
    extras = [1, 2, tb.beats, tb.beats + 1, 3 * tb.beats]
    for extra in extras:
        await tb.source.send(tb.packet(tb.vector(), tb.beats + extra))
        vectors.append(tb.vector())
        await tb.source.send(tb.packet(vectors[-1]))
    await tb.source.wait()
    await tb.finish(vectors, errors=len(extras))


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_reset_in_mid_packet_leaves_no_trace(dut: Any) -> None:
    """After a reset at each beat of a packet, the next packet arrives as if nothing had been."""
    tb = await start(dut)
    vectors = []
    for beats in range(1, tb.beats + 1):
        tb.source.send_nowait(tb.packet(tb.vector(), tb.beats + 1))
        await tb.accepted(len(tb.beat_cycles) + beats)
        tb.source.clear()
        await tb.reset()
        vectors.append(tb.vector())
        await tb.source.send(tb.packet(vectors[-1]))
        await tb.source.wait()
        await tb.cycles(2)
    await tb.finish(vectors)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_acts_without_a_clock_edge(dut: Any) -> None:
    """A waiting vector disappears when the reset falls, between two edges."""
    tb = await start(dut)
    tb.set_backpressure_generator(1.0)
    tb.source.send_nowait(tb.packet(tb.vector()))
    await tb.source.wait()
    await tb.cycles(2)
    await Timer(2, "ns")
    assert bool(dut.vector_valid_o.value)
    dut.rst_ni.value = 0
    await Timer(1, "ns")
    assert not bool(dut.vector_valid_o.value)
    await tb.cycles(2)
    dut.rst_ni.value = 1
    await tb.finish([])


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def clear_drops_a_partial_packet(dut: Any) -> None:
    """A sender that stops with the clear loses that packet and nothing else, at any beat."""
    tb = await start(dut)
    vectors = []
    for beats in range(1, tb.beats):
        tb.source.send_nowait(tb.packet(tb.vector()))
        await tb.accepted(len(tb.beat_cycles) + beats)
        tb.source.assert_reset()
        await tb.clear()
        vectors.append(tb.vector())
        await tb.source.send(tb.packet(vectors[-1]))
        await tb.source.wait()
        await tb.cycles(2)
    vectors.append(tb.vector())
    await tb.source.send(tb.packet(vectors[-1]))
    await tb.finish(vectors)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def clear_under_a_sender_that_goes_on(dut: Any) -> None:
    """The rest of a cleared packet is dropped as one error; the packets after it arrive."""
    tb = await start(dut)
    vectors = [tb.vector()]
    tb.source.send_nowait(tb.packet(vectors[0]))
    await tb.source.wait()
    await tb.cycles(2)
    for beats in range(1, tb.beats):
        vectors.append(tb.vector())
        tb.source.send_nowait(tb.packet(tb.vector()))
        tb.source.send_nowait(tb.packet(vectors[-1]))
        await tb.accepted(len(tb.beat_cycles) + beats)
        await tb.clear()
        await tb.source.wait()
        await tb.cycles(2)
    await tb.finish(vectors, errors=tb.beats - 1)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def clear_drops_a_waiting_vector(dut: Any) -> None:
    """A vector that waits is gone after the clear; the packet behind it is not."""
    tb = await start(dut)
    tb.set_backpressure_generator(1.0)
    survivor = tb.vector()
    tb.source.send_nowait(tb.packet(tb.vector()))
    tb.source.send_nowait(tb.packet(survivor))
    await tb.accepted(tb.beats)
    await tb.cycles(3)
    assert bool(dut.vector_valid_o.value)
    await tb.clear()
    await tb.finish([survivor])


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def enable_low_begins_no_packet(dut: Any) -> None:
    """With enable low a begun packet is finished, the next waits, a waiting vector stays."""
    tb = await start(dut)
    tb.set_backpressure_generator(0.0)
    vectors = [tb.vector() for _ in range(3)]
    for vector in vectors:
        tb.source.send_nowait(tb.packet(vector))
    await tb.accepted(tb.beats + 1)  # the first beat of the second packet
    dut.enable_i.value = 0
    await tb.cycles(2 * tb.beats + 20)
    assert tb.received == vectors[:2]
    assert len(tb.beat_cycles) == 2 * tb.beats
    tb.set_backpressure_generator(1.0)
    dut.enable_i.value = 1
    await tb.accepted(3 * tb.beats)
    dut.enable_i.value = 0
    await tb.cycles(10)
    assert bool(dut.vector_valid_o.value)
    await tb.finish(vectors)


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(idle=[0.0, 0.4], wait=[0.0, 0.5])
async def anything_at_any_time(dut: Any, idle: float, wait: float) -> None:
    """Good and bad packets under random clears, resets and enables match the model."""
    tb = await start(dut)
    tb.set_idle_generator(idle)
    tb.set_backpressure_generator(wait)
    events = random.Random(tb.rng.random())
    goal = 120 * tb.beats
    while len(tb.beat_cycles) < goal:
        if tb.source.count() < 4:
            beats = tb.beats
            if events.random() < 0.3:
                beats = events.randint(1, 2 * tb.beats + 1)
            tb.source.send_nowait(tb.packet(tb.vector(), beats))
        dut.clear_i.value = events.random() < 0.02
        dut.enable_i.value = events.random() < 0.8
        dut.rst_ni.value = events.random() < 0.995
        await tb.cycles(1)
    dut.clear_i.value = 0
    dut.enable_i.value = 1
    dut.rst_ni.value = 1
    await tb.source.wait()
    # The last packet may have been a bad one without its end, or cut by the last clear.
    await tb.source.send(tb.packet(tb.vector(), 1))
    await tb.source.wait()
    tb.set_backpressure_generator(0.0)
    await tb.cycles(4)
    tb.received.clear()
    tb.errors = 0
    last = tb.vector()
    await tb.source.send(tb.packet(last))
    await tb.finish([last])


PARAMETER_SETS = {
    "smallest": {"Features": 1, "OperandWidth": 1, "FeaturesPerBeat": 1},
    "odd": {"Features": 7, "OperandWidth": 8, "FeaturesPerBeat": 3},
    "one_beat_with_spare_fields": {"Features": 5, "OperandWidth": 4, "FeaturesPerBeat": 8},
    "widest_operand": {"Features": 6, "OperandWidth": 15, "FeaturesPerBeat": 3},
    "one_feature_a_beat": {"Features": 13, "OperandWidth": 3, "FeaturesPerBeat": 1},
    "mnist": {"Features": 50, "OperandWidth": 8, "FeaturesPerBeat": 4},
}
# A Verilator build costs tens of seconds: there, only the sets that differ most.
CASES = [("icarus", name) for name in PARAMETER_SETS] + [
    ("verilator", "smallest"),
    ("verilator", "odd"),
]


@pytest.mark.parametrize(("simulator", "parameter_set"), CASES)
def test_axis_vector_sink(simulator: str, parameter_set: str) -> None:
    parameters = PARAMETER_SETS[parameter_set]
    run_bench(
        name=f"axis_vector_sink_{parameter_set}",
        toplevel="axis_vector_sink",
        sources=[HDL / "axis_vector_sink.v"],
        module="tb.test_axis_vector_sink",
        simulator=find_simulator(simulator),
        build_root=BENCH_BUILDS,
        parameters=parameters,
        env=bench_environment(parameters),
    )


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({"Features": 0}, "Features_must_be_positive"),
        ({"Features": -1}, "Features_must_be_positive"),
        ({"OperandWidth": 0}, "OperandWidth_must_be_1_to_15"),
        ({"OperandWidth": 16}, "OperandWidth_must_be_1_to_15"),
        ({"FeaturesPerBeat": 0}, "FeaturesPerBeat_must_be_positive"),
    ],
)
def test_illegal_parameters_stop_elaboration(
    simulator: str, parameters: dict[str, int], rule: str
) -> None:
    sources = [HDL / "axis_vector_sink.v"]
    result = elaborate(find_simulator(simulator), "axis_vector_sink", sources, parameters)
    assert result.returncode != 0
    assert rule in result.stdout
