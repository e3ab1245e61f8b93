"""Bench of hdl/axil_registers.v: the register map over AXI4-Lite.

A model in plain Python holds the registers by address. A watch feeds it from the pins in every
clock cycle and compares every response, every read word, `enable_o` and `clear_o` with it; on top
of it each test states what it must have read. The master is cocotbext-axi's.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import random
from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import Combine, RisingEdge, Timer
from cocotbext.axi import AxiLiteBus, AxiLiteMaster
from cocotbext.axi.axil_channels import (
    AxiLiteARTransaction,
    AxiLiteAWTransaction,
    AxiLiteWTransaction,
)

from tb.bench_support import (
    BENCH_BUILDS,
    HDL,
    SIMULATORS,
    bench_environment,
    bench_random,
    elaborate,
    pauses,
)
from tb.coverage_monitors import watch_registers
from tb.runner import run_bench
from tb.simulators import find_simulator

# As a whole more than the quick subset has time for.
pytestmark = pytest.mark.slow

CLOCK_NS = 10
OKAY, SLVERR = 0, 2

VERSION, CONTROL, STATUS = 0x020, 0x024, 0x028
VECTORS_IN, VECTORS_OUT, PACKET_ERRORS = 0x02C, 0x030, 0x034
CYCLES, BUSY_CYCLES = 0x038, 0x040
LAYERS = 0x100
ENABLE, CLEAR, ZERO = 1, 2, 4
BUSY, DROPPED = 1, 2

WORD = 1 << 32
LONG = 1 << 64


@dataclass
class Pins:
    """The inputs beside the bus in one cycle."""

    busy: bool
    vector_in: bool
    vector_out: bool
    packet_error: bool


class RegisterModel:
    """The register map, by address.

    Parameters
    ----------
    digest : str
        SHA-256 of the manifest, 64 hex digits.
    layers : list of list of int
        Four words for each layer.
    """

    def __init__(self, digest: str, layers: list[list[int]]) -> None:
        self.constants = {4 * w: int(digest[8 * w : 8 * w + 8], 16) for w in range(8)}
        self.constants[VERSION] = len(layers) << 16 | 1
        for number, words in enumerate(layers):
            for w, word in enumerate(words):
                self.constants[LAYERS + 16 * number + 4 * w] = word
        self.reset()

    def reset(self) -> None:
        """Put everything to its value after reset."""
        self.enable = True
        self.dropped = False
        self.counters = {VECTORS_IN: 0, VECTORS_OUT: 0, PACKET_ERRORS: 0, CYCLES: 0, BUSY_CYCLES: 0}
        self.latched = {CYCLES: 0, BUSY_CYCLES: 0}

    def edge(self, pins: Pins) -> None:
        """Count what one clock edge sees."""
        for address, event, size in (
            (VECTORS_IN, pins.vector_in, WORD),
            (VECTORS_OUT, pins.vector_out, WORD),
            (PACKET_ERRORS, pins.packet_error, WORD),
            (CYCLES, True, LONG),
            (BUSY_CYCLES, pins.busy, LONG),
        ):
            self.counters[address] = (self.counters[address] + event) % size
        self.dropped = self.dropped or pins.packet_error

    def write(self, address: int, data: int, strobe: int, pins: Pins) -> tuple[int, bool]:
        """Do a write whose effect falls on the clock edge that `edge` has just counted.

        Returns
        -------
        tuple of int and bool
            The response, and whether the datapath is cleared.
        """
        address &= ~3
        if address not in (CONTROL, STATUS):
            return SLVERR, False
        if not strobe & 1:
            return OKAY, False
        if address == STATUS:
            if data & DROPPED:
                self.dropped = pins.packet_error
            return OKAY, False
        self.enable = bool(data & ENABLE)
        if data & ZERO:
            self.counters = dict.fromkeys(self.counters, 0)
        return OKAY, bool(data & CLEAR)

    def read(self, address: int, busy: bool) -> tuple[int, int]:
        """Read a word: data and response."""
        address &= ~3
        if address in self.constants:
            return self.constants[address], OKAY
        if address == CONTROL:
            return ENABLE * self.enable, OKAY
        if address == STATUS:
            return BUSY * busy | DROPPED * self.dropped, OKAY
        if address in (VECTORS_IN, VECTORS_OUT, PACKET_ERRORS):
            return self.counters[address], OKAY
        if address in self.latched:
            self.latched[address] = self.counters[address] // WORD
            return self.counters[address] % WORD, OKAY
        if address - 4 in self.latched:
            return self.latched[address - 4], OKAY
        return 0, SLVERR


class TB:
    """Clock, reset, master, pins, and the watch that compares every cycle with the model.

    Parameters
    ----------
    dut : Any
        Handle of an `axil_registers`.
    """

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.rng = bench_random("axil_registers")
        built = json.loads(os.environ["BENCH_PARAMETERS"])
        self.digest: str = built["digest"]
        self.layers: list[list[int]] = built["layers"]
        self.model = RegisterModel(self.digest, self.layers)
        self.cycle = 0
        self.clears = 0
        self.reads = 0
        self.writes = 0
        self._aw: deque[int] = deque()
        self._w: deque[tuple[int, int]] = deque()
        self._random_pins = 0.0

        dut.rst_ni.value = 0
        self.set_pins()
        Clock(dut.clk_i, CLOCK_NS, unit="ns").start()
        self.master = AxiLiteMaster(
            AxiLiteBus.from_prefix(dut, "s_axil"),
            dut.clk_i,
            dut.rst_ni,
            reset_active_level=False,
        )
        write, read = self.master.write_if, self.master.read_if
        self.channels = [
            write.aw_channel,
            write.w_channel,
            write.b_channel,
            read.ar_channel,
            read.r_channel,
        ]
        for part in (write, read, *self.channels):
            part.log.setLevel(logging.ERROR)  # else a line for every access
        watch_registers(dut, len(self.layers))
        cocotb.start_soon(self._watch())
        cocotb.start_soon(self._drive_pins())

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

    def set_pins(
        self,
        *,
        busy: bool = False,
        vector_in: bool = False,
        vector_out: bool = False,
        packet_error: bool = False,
    ) -> None:
        """Drive the inputs beside the bus, from the next edge on."""
        self.dut.busy_i.value = busy
        self.dut.vector_in_i.value = vector_in
        self.dut.vector_out_i.value = vector_out
        self.dut.packet_error_i.value = packet_error

    def set_random_pins(self, share: float) -> None:
        """Raise each input beside the bus at random in a share of the cycles; 0 stops it."""
        self._random_pins = share
        if not share:
            self.set_pins()

    def set_pause_generators(self, share: float) -> None:
        """Let every channel of the master pause in a share of the cycles."""
        for channel in self.channels:
            channel.set_pause_generator(pauses(random.Random(self.rng.random()), share))

    async def read(self, address: int) -> tuple[int, int]:
        """Read one word through the master: data and response."""
        answer = await self.master.read(address, 4)
        return int.from_bytes(answer.data, "little"), int(answer.resp)

    async def read_okay(self, address: int) -> int:
        """Read one word that must be there."""
        data, response = await self.read(address)
        assert response == OKAY, f"read of {address:#05x} ended with {response}"
        return data

    async def read_long(self, address: int) -> int:
        """Read a 64-bit counter, low word first."""
        low = await self.read_okay(address)
        return low | await self.read_okay(address + 4) << 32

    async def write(self, address: int, data: int, size: int = 4) -> int:
        """Write bytes through the master: the response. Only the strobes of these bytes are set."""
        answer = await self.master.write(address, data.to_bytes(size, "little"))
        return int(answer.resp)

    async def write_raw(self, address: int, data: int, strobe: int) -> int:
        """Write a word with any strobes, also none."""
        write = self.master.write_if
        await write.aw_channel.send(AxiLiteAWTransaction(awaddr=address, awprot=0))
        await write.w_channel.send(AxiLiteWTransaction(wdata=data, wstrb=strobe))
        answer = await write.b_channel.recv()
        return int(answer.bresp)

    async def preload(self, **values: int) -> None:
        """Put counters, of DUT and model, close to ends that no test could reach by counting."""
        addresses = {
            "vectors_in_q": VECTORS_IN,
            "vectors_out_q": VECTORS_OUT,
            "packet_errors_q": PACKET_ERRORS,
            "cycles_q": CYCLES,
            "busy_cycles_q": BUSY_CYCLES,
        }
        await RisingEdge(self.dut.clk_i)
        await Timer(1, "ns")  # lets the watch and the DUT count this edge first
        for name, value in values.items():
            getattr(self.dut, name).value = value
            self.model.counters[addresses[name]] = value

    async def _drive_pins(self) -> None:
        while True:
            await RisingEdge(self.dut.clk_i)
            if self._random_pins:
                draws = [self.rng.random() < self._random_pins for _ in range(4)]
                self.set_pins(
                    busy=draws[0], vector_in=draws[1], vector_out=draws[2], packet_error=draws[3]
                )

    def _compare(self, what: str, found: object, wanted: object) -> None:
        assert found == wanted, f"cycle {self.cycle}: {what} is {found}, expected {wanted}"

    def _response(self, channel: str) -> tuple[int, ...] | None:
        """Sample what the slave offers on B or R, if anything."""
        dut = self.dut
        if channel == "b":
            return (int(dut.s_axil_bresp.value),) if dut.s_axil_bvalid.value else None
        if not dut.s_axil_rvalid.value:
            return None
        return int(dut.s_axil_rdata.value), int(dut.s_axil_rresp.value)

    def _forget(self) -> None:
        self.model.reset()
        self._aw.clear()
        self._w.clear()

    async def _watch(self) -> None:
        dut, model = self.dut, self.model
        held: dict[str, tuple[int, ...] | None] = {"b": None, "r": None}
        pending_read: tuple[int, ...] | None = None
        overdue = 0
        last_pins = Pins(False, False, False, False)
        await RisingEdge(dut.clk_i)  # at time 0, before the reset has settled
        while True:
            await RisingEdge(dut.clk_i)
            self.cycle += 1
            if not dut.rst_ni.value:
                self._forget()
                held = {"b": None, "r": None}
                pending_read = None
                overdue = 0
                self._compare("bvalid in reset", bool(dut.s_axil_bvalid.value), False)
                self._compare("rvalid in reset", bool(dut.s_axil_rvalid.value), False)
                self._compare("enable_o in reset", bool(dut.enable_o.value), True)
                self._compare("clear_o in reset", bool(dut.clear_o.value), False)
                continue

            # A response that is new in this cycle took effect on the edge before it.
            response = self._response("b")
            clear = False
            if held["b"] is not None:
                self._compare("the held write response", response, held["b"])
            elif response is not None:
                complete = min(len(self._aw), len(self._w))
                assert complete, f"cycle {self.cycle}: a response to no write"
                address, (data, strobe) = self._aw.popleft(), self._w.popleft()
                expected, clear = model.write(address, data, strobe, last_pins)
                self._compare(f"the response to a write of {address:#05x}", response, (expected,))
                self.writes += 1
                overdue = 0
            elif self._aw and self._w:
                overdue += 1
                assert overdue < 2, f"cycle {self.cycle}: a write is not answered"
            self._compare("enable_o", bool(dut.enable_o.value), model.enable)
            self._compare("clear_o", bool(dut.clear_o.value), clear)
            self.clears += clear

            read = self._response("r")
            if held["r"] is not None:
                self._compare("the held read response", read, held["r"])
            else:
                self._compare("the read response (data, response)", read, pending_read)
            pending_read = None

            pins = Pins(
                bool(dut.busy_i.value),
                bool(dut.vector_in_i.value),
                bool(dut.vector_out_i.value),
                bool(dut.packet_error_i.value),
            )
            if dut.s_axil_arvalid.value and dut.s_axil_arready.value:
                assert read is None, f"cycle {self.cycle}: AR accepted over a waiting response"
                pending_read = model.read(int(dut.s_axil_araddr.value), pins.busy)
                self.reads += 1
            model.edge(pins)
            if dut.s_axil_awvalid.value and dut.s_axil_awready.value:
                self._aw.append(int(dut.s_axil_awaddr.value))
            if dut.s_axil_wvalid.value and dut.s_axil_wready.value:
                self._w.append((int(dut.s_axil_wdata.value), int(dut.s_axil_wstrb.value)))
            held["b"] = None if dut.s_axil_bready.value else response
            held["r"] = None if dut.s_axil_rready.value else read
            last_pins = pins


async def start(dut: Any) -> TB:
    """Make a test bench, out of reset, its master never pausing."""
    tb = TB(dut)
    await tb.reset()
    return tb


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def identity_and_layers_read_as_built(dut: Any) -> None:
    """ID is the manifest's digest, first digits first; VERSION and layer words are as built."""
    tb = await start(dut)
    digest = "".join([f"{await tb.read_okay(4 * w):08x}" for w in range(8)])
    assert digest == tb.digest
    assert await tb.read_okay(VERSION) == len(tb.layers) * 65536 + 1
    for number, words in enumerate(tb.layers):
        for w, word in enumerate(words):
            assert await tb.read_okay(LAYERS + 16 * number + 4 * w) == word


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def every_address_answers(dut: Any) -> None:
    """Over all 1,024 words: what is not mapped reads as zero with SLVERR, the rest as OKAY."""
    tb = await start(dut)
    mapped = [*range(0, BUSY_CYCLES + 8, 4)]
    mapped += range(LAYERS, LAYERS + 16 * len(tb.layers), 4)
    for address in range(0, 1 << 12, 4):
        data, response = await tb.read(address)
        assert response == (OKAY if address in mapped else SLVERR), f"{address:#05x}"
        if response == SLVERR:
            assert data == 0, f"{address:#05x}"


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def only_two_registers_can_be_written(dut: Any) -> None:
    """A write to any other of the 1,024 words ends with SLVERR and changes nothing."""
    tb = await start(dut)
    for address in range(0, 1 << 12, 4):
        if address not in (CONTROL, STATUS):
            assert await tb.write(address, tb.rng.getrandbits(32)) == SLVERR, f"{address:#05x}"
    assert tb.clears == 0
    assert await tb.read_okay(CONTROL) == ENABLE
    assert await tb.read_okay(STATUS) == 0
    digest = "".join([f"{await tb.read_okay(4 * w):08x}" for w in range(8)])
    assert digest == tb.digest


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def control_enables_and_clears(dut: Any) -> None:
    """Enable is 1 after reset and follows bit 0; each write with bit 1 is one pulse."""
    tb = await start(dut)
    assert bool(dut.enable_o.value)
    assert await tb.read_okay(CONTROL) == ENABLE
    for data in (0, CLEAR, ENABLE, ENABLE | CLEAR, 0xFFFFFFF8, 0xFFFFFFF9):
        pulses = tb.clears
        assert await tb.write(CONTROL, data) == OKAY
        await tb.cycles(5)
        assert await tb.read_okay(CONTROL) == data & ENABLE
        assert bool(dut.enable_o.value) == bool(data & ENABLE)
        assert tb.clears - pulses == bool(data & CLEAR)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def writes_honour_strobes(dut: Any) -> None:
    """Of CONTROL and STATUS only byte 0 counts; a write without strobes changes nothing."""
    tb = await start(dut)
    tb.set_pins(packet_error=True)
    await tb.cycles(1)
    tb.set_pins()
    await tb.cycles(1)
    for strobe in range(0, 16, 2):
        assert await tb.write_raw(CONTROL, CLEAR | ZERO, strobe) == OKAY
        assert await tb.write_raw(CONTROL, CLEAR | ZERO | ENABLE, strobe) == OKAY
        assert await tb.write_raw(STATUS, 0xFFFFFFFF, strobe) == OKAY
    assert await tb.write(CONTROL + 1, 0x00, size=1) == OKAY
    assert await tb.write(CONTROL + 2, 0x0000, size=2) == OKAY
    assert tb.clears == 0
    assert await tb.read_okay(CONTROL) == ENABLE
    assert await tb.read_okay(STATUS) == DROPPED
    assert await tb.read_okay(PACKET_ERRORS) == 1
    for strobe in range(1, 16, 2):
        assert await tb.write_raw(CONTROL, strobe & 2, strobe) == OKAY
        assert await tb.read_okay(CONTROL) == 0
        assert await tb.write_raw(CONTROL, ENABLE, strobe) == OKAY
        assert await tb.read_okay(CONTROL) == ENABLE
    assert await tb.write(CONTROL, 0, size=1) == OKAY
    assert await tb.read_okay(CONTROL) == 0
    assert await tb.write(STATUS, DROPPED, size=1) == OKAY
    assert await tb.read_okay(STATUS) == 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(lead=["aw", "w", "neither"])
async def address_and_data_in_any_order(dut: Any, lead: str) -> None:
    """Nothing happens before both are there; then it does, once, whichever came first."""
    tb = await start(dut)
    write = tb.master.write_if
    late = {"aw": write.w_channel, "w": write.aw_channel}.get(lead)
    enable = True
    for _ in range(5):
        enable = not enable
        if late:
            late.pause = True
        task = cocotb.start_soon(tb.write(CONTROL, enable | CLEAR))
        if late:
            await tb.cycles(12)
            assert not task.done()
            assert bool(dut.enable_o.value) != enable
            late.pause = False
        assert await task == OKAY
        assert bool(dut.enable_o.value) == enable
    assert tb.clears == 5


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def back_to_back_writes_keep_their_data(dut: Any) -> None:
    """Writes queued behind an unread response are done in order, each with its own data."""
    tb = await start(dut)
    write = tb.master.write_if
    write.b_channel.pause = True
    plan = [
        (CONTROL, 0),
        (VERSION, 7),
        (CONTROL, ENABLE),
        (CONTROL, CLEAR),
        (0x800, 1),
        (CONTROL, 3),
    ]
    tasks = [cocotb.start_soon(tb.write(address, data)) for address, data in plan]
    await tb.cycles(30)
    assert tb.writes == 1, "a write took effect under an unread response"
    assert not bool(dut.enable_o.value)
    write.b_channel.pause = False
    await Combine(*tasks)
    assert [task.result() for task in tasks] == [OKAY, SLVERR, OKAY, OKAY, SLVERR, OKAY]
    assert tb.clears == 2
    assert await tb.read_okay(CONTROL) == ENABLE


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reads_and_writes_do_not_wait_for_each_other(dut: Any) -> None:
    """A stuck write lets reads through, and a stuck read lets writes through."""
    tb = await start(dut)
    tb.master.write_if.w_channel.pause = True
    stuck_write = cocotb.start_soon(tb.write(CONTROL, 0))
    for _ in range(4):
        assert await tb.read_okay(CONTROL) == ENABLE
    tb.master.read_if.r_channel.pause = True
    tb.master.write_if.w_channel.pause = False
    stuck_read = cocotb.start_soon(tb.read(CONTROL))
    assert await stuck_write == OKAY
    for data in (ENABLE, 0, ENABLE | CLEAR):
        assert await tb.write(CONTROL, data) == OKAY
    assert not stuck_read.done()
    assert tb.clears == 1
    tb.master.read_if.r_channel.pause = False
    await stuck_read


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def counters_count_their_events(dut: Any) -> None:
    """Different numbers of pulses on each input, alone and adjoining, end in the right counters."""
    tb = await start(dut)
    wanted = {"vector_in": 11, "vector_out": 7, "packet_error": 3, "busy": 23}
    await tb.write(CONTROL, ENABLE | ZERO)
    for name, count in wanted.items():
        for number in range(count):
            tb.set_pins(**{name: True})
            await tb.cycles(1)
            if number % 3:
                tb.set_pins()
                await tb.cycles(number % 3)
        tb.set_pins()
        await tb.cycles(1)
    assert await tb.read_okay(VECTORS_IN) == wanted["vector_in"]
    assert await tb.read_okay(VECTORS_OUT) == wanted["vector_out"]
    assert await tb.read_okay(PACKET_ERRORS) == wanted["packet_error"]
    assert await tb.read_long(BUSY_CYCLES) == wanted["busy"]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def cycles_are_clock_cycles(dut: Any) -> None:
    """Two reads of CYCLES are as many counts apart as clock edges have passed between them."""
    tb = await start(dut)
    first = await tb.read_long(CYCLES)
    counts, edges = [], []
    for gap in (0, 1, 10, 1000):
        await tb.cycles(gap)
        counts.append(await tb.read_okay(CYCLES))
        edges.append(tb.cycle)
    assert first < counts[0]
    assert [b - a for a, b in pairwise(counts)] == [b - a for a, b in pairwise(edges)]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def busy_is_seen_as_it_is(dut: Any) -> None:
    """STATUS bit 0 is the input, at every read."""
    tb = await start(dut)
    for busy in (True, False, True, True, False):
        tb.set_pins(busy=busy)
        await tb.cycles(1)
        assert await tb.read_okay(STATUS) == BUSY * busy


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_packet_error_sticks_until_cleared(dut: Any) -> None:
    """STATUS bit 1 stays through reads, other writes and zeroing; a write of 1 to it clears it."""
    tb = await start(dut)
    tb.set_pins(packet_error=True)
    await tb.cycles(1)
    tb.set_pins()
    await tb.cycles(1)
    for _ in range(3):
        assert await tb.read_okay(STATUS) == DROPPED
    assert await tb.write(STATUS, 0xFFFFFFFF & ~DROPPED) == OKAY
    assert await tb.write(CONTROL, ENABLE | CLEAR | ZERO) == OKAY
    assert await tb.write(VERSION, 0xFFFFFFFF) == SLVERR
    assert await tb.read_okay(STATUS) == DROPPED
    assert await tb.write(STATUS, DROPPED) == OKAY
    assert await tb.read_okay(STATUS) == 0
    # An error in the very cycle of the clearing write, as in any later one, must not be lost.
    seen = []
    for delay in range(8):
        task = cocotb.start_soon(tb.write(STATUS, DROPPED))
        await tb.cycles(delay)
        tb.set_pins(packet_error=True)
        await tb.cycles(1)
        tb.set_pins()
        await task
        await tb.cycles(8)
        seen.append(await tb.read_okay(STATUS))
        await tb.write(STATUS, DROPPED)
    assert seen == sorted(seen)
    assert {*seen} == {0, DROPPED}, "the clearing write was not in the window"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def zeroing_zeroes_all_counters(dut: Any) -> None:
    """CONTROL bit 2 zeroes every counter and nothing else, and counting goes on from there."""
    tb = await start(dut)
    tb.set_pins(busy=True, vector_in=True, vector_out=True, packet_error=True)
    await tb.cycles(50)
    tb.set_pins()
    await tb.cycles(1)
    for address in (VECTORS_IN, VECTORS_OUT, PACKET_ERRORS, BUSY_CYCLES):
        assert await tb.read_okay(address) == 50
    assert await tb.write(CONTROL, ZERO) == OKAY
    assert await tb.read_okay(CYCLES) < 20
    for address in (VECTORS_IN, VECTORS_OUT, PACKET_ERRORS, BUSY_CYCLES):
        assert await tb.read_okay(address) == 0
    assert await tb.read_okay(CONTROL) == 0
    assert await tb.read_okay(STATUS) == DROPPED
    assert tb.clears == 0
    # Events in every cycle, so also in that of the zeroing: the model says which of them count.
    tb.set_pins(busy=True, vector_in=True, vector_out=True, packet_error=True)
    assert await tb.write(CONTROL, ENABLE | ZERO) == OKAY
    counts = [await tb.read_okay(a) for a in (VECTORS_IN, VECTORS_OUT, PACKET_ERRORS, BUSY_CYCLES)]
    assert 0 < counts[0] < counts[1] < counts[2] < counts[3] < 40


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(address=[CYCLES, BUSY_CYCLES])
async def long_counters_read_as_one(dut: Any, address: int) -> None:
    """Around a carry, low then high is one moment's value, however late high is read."""
    tb = await start(dut)
    tb.set_pins(busy=True)
    carry = 7 << 32
    seen = set()
    for ahead in range(12):
        await tb.preload(cycles_q=carry - ahead, busy_cycles_q=carry - ahead)
        low = await tb.read_okay(address)
        await tb.cycles(20)
        value = low | await tb.read_okay(address + 4) << 32
        assert carry - 12 <= value < carry + 12, f"{value:#x}"
        # Reading the high word latches nothing.
        assert await tb.read_okay(address + 4) == value >> 32
        seen.add(value >= carry)
    assert seen == {False, True}, "the carry was not in the window"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def long_counters_are_read_in_all_their_bits(dut: Any) -> None:
    """High words of ones and of zeros, by turns."""
    tb = await start(dut)
    for high in (0, WORD - 1, 0):
        await tb.preload(cycles_q=high * WORD, busy_cycles_q=high * WORD)
        for address in (CYCLES, BUSY_CYCLES):
            assert await tb.read_long(address) >> 32 == high


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def the_byte_in_a_word_and_the_protection_do_not_matter(dut: Any) -> None:
    """Reads and writes of any byte of a word, with any protection, are those of the word."""
    tb = await start(dut)
    write, read = tb.master.write_if, tb.master.read_if
    for byte in (3, 0, 1, 2):
        for protection in (7, 0, 5):
            await read.ar_channel.send(
                AxiLiteARTransaction(araddr=VERSION + byte, arprot=protection)
            )
            answer = await read.r_channel.recv()
            assert int(answer.rdata) == len(tb.layers) * 65536 + 1
            address = AxiLiteAWTransaction(awaddr=CONTROL + byte, awprot=protection)
            await write.aw_channel.send(address)
            await write.w_channel.send(AxiLiteWTransaction(wdata=protection & 1, wstrb=1))
            assert int((await write.b_channel.recv()).bresp) == OKAY
            assert await tb.read_okay(CONTROL) == protection & 1


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def counters_wrap(dut: Any) -> None:
    """The 32-bit counters wrap at 2^32, the 64-bit counters at 2^64; none touches another."""
    tb = await start(dut)
    await tb.preload(
        vectors_in_q=WORD - 5,
        vectors_out_q=WORD - 6,
        packet_errors_q=WORD - 7,
        cycles_q=LONG - 8,
        busy_cycles_q=LONG - 9,
    )
    tb.set_pins(busy=True, vector_in=True, vector_out=True, packet_error=True)
    await tb.cycles(20)
    tb.set_pins()
    await tb.cycles(1)
    assert await tb.read_okay(VECTORS_IN) == 15
    assert await tb.read_okay(VECTORS_OUT) == 14
    assert await tb.read_okay(PACKET_ERRORS) == 13
    assert await tb.read_long(BUSY_CYCLES) == 11
    assert 12 < await tb.read_long(CYCLES) < 60


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(stuck=["aw", "w", "b", "r"])
async def reset_in_mid_access_leaves_no_trace(dut: Any, stuck: str) -> None:
    """A reset with a half-done write or an unread response leaves registers as new."""
    tb = await start(dut)
    assert await tb.write(CONTROL, 0) == OKAY
    tb.set_pins(packet_error=True)
    await tb.cycles(1)
    tb.set_pins()
    write, read = tb.master.write_if, tb.master.read_if
    channel = {
        "aw": write.w_channel,
        "w": write.aw_channel,
        "b": write.b_channel,
        "r": read.r_channel,
    }
    channel[stuck].pause = True
    access = tb.read(VERSION) if stuck == "r" else tb.write(CONTROL, CLEAR)
    task = cocotb.start_soon(access)
    await tb.cycles(10)
    assert not task.done()
    task.cancel()
    await Timer(2, "ns")  # the reset acts without a clock edge
    dut.rst_ni.value = 0
    await Timer(1, "ns")
    assert bool(dut.enable_o.value)
    assert not bool(dut.s_axil_bvalid.value)
    assert not bool(dut.s_axil_rvalid.value)
    await tb.cycles(2)
    dut.rst_ni.value = 1
    channel[stuck].pause = False
    await tb.cycles(5)
    clears = tb.clears
    assert await tb.read_okay(CONTROL) == ENABLE
    assert await tb.read_okay(STATUS) == 0
    assert await tb.read_okay(PACKET_ERRORS) == 0
    assert await tb.read_okay(CYCLES) < 40
    assert tb.clears == clears, "the write from before the reset was done"
    assert await tb.write(CONTROL, 0) == OKAY
    assert await tb.read_okay(CONTROL) == 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_in_each_cycle_of_a_write(dut: Any) -> None:
    """From before its beginning to after its end; the next accesses are as ever."""
    tb = await start(dut)
    for cycles in range(8):
        task = cocotb.start_soon(tb.write(CONTROL, CLEAR)) if cycles else None
        await tb.cycles(cycles)
        if task is not None:
            task.cancel()
        await Timer(2, "ns")
        dut.rst_ni.value = 0
        await tb.cycles(2)
        dut.rst_ni.value = 1
        await tb.cycles(5)
        assert await tb.read_okay(CONTROL) == ENABLE
        clears = tb.clears
        assert await tb.write(CONTROL, CLEAR) == OKAY
        await tb.cycles(2)
        assert tb.clears == clears + 1
        assert await tb.read_okay(CONTROL) == 0


async def _random_writes(tb: TB, rng: random.Random, count: int) -> None:
    for _ in range(count):
        address = rng.choice((CONTROL, CONTROL, STATUS, STATUS, rng.randrange(0, 1 << 12, 4)))
        size = rng.choice((1, 2, 4))
        offset = rng.randrange(0, 5 - size)
        await tb.write(address + offset, rng.getrandbits(8 * size), size)


async def _random_reads(tb: TB, rng: random.Random, count: int) -> None:
    last = min(LAYERS + 16 * len(tb.layers) + 16, 1 << 12)
    for _ in range(count):
        await tb.read(rng.choice((rng.randrange(CONTROL, 0x4C, 4), rng.randrange(0, last, 4))))


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(share=[0.0, 0.3, 0.7], pins=[0.1, 0.9])
async def anything_at_any_time(dut: Any, share: float, pins: float) -> None:
    """Random reads and writes at once, pauses on all five channels, random pins."""
    tb = await start(dut)
    tb.set_pause_generators(share)
    tb.set_random_pins(pins)
    readers = [
        cocotb.start_soon(_random_reads(tb, random.Random(tb.rng.random()), 75)) for _ in range(2)
    ]
    writers = [
        cocotb.start_soon(_random_writes(tb, random.Random(tb.rng.random()), 75)) for _ in range(2)
    ]
    await Combine(*readers, *writers)
    tb.set_random_pins(0.0)
    await tb.cycles(3)
    assert tb.reads == 150
    assert tb.writes == 150


LAYER_COUNTS = {"smallest": 1, "odd": 5, "most": 240}
# A Verilator build costs tens of seconds: there, only the small sets.
CASES = [("icarus", name) for name in LAYER_COUNTS] + [
    ("verilator", "smallest"),
    ("verilator", "odd"),
]


def _registers(layers: int) -> tuple[str, list[list[int]]]:
    """Make up a manifest's digest and layer words; each word differs from all others."""
    rng = random.Random(layers)
    digest = hashlib.sha256(f"{layers} layers".encode()).hexdigest()
    words = [
        [
            1 << rng.randrange(1, 17) | number << 20,
            rng.randrange(1, 1 << 16) << 16 | rng.randrange(1, 1 << 16),
            rng.randrange(8, 33) << 8 | rng.randrange(1, 16),
            0,
        ]
        for number in range(layers)
    ]
    return digest, words


def _verilog(digest: str, words: list[list[int]]) -> dict[str, int | str]:
    info = sum(
        word << 32 * (4 * number + w)
        for number, four in enumerate(words)
        for w, word in enumerate(four)
    )
    return {
        "Layers": len(words),
        "Id": f"256'h{digest}",
        "LayerInfo": f"{128 * len(words)}'h{info:x}",
    }


@pytest.mark.parametrize(("simulator", "parameter_set"), CASES)
def test_axil_registers(simulator: str, parameter_set: str) -> None:
    digest, words = _registers(LAYER_COUNTS[parameter_set])
    run_bench(
        name=f"axil_registers_{parameter_set}",
        toplevel="axil_registers",
        sources=[HDL / "axil_registers.v"],
        module="tb.test_axil_registers",
        simulator=find_simulator(simulator),
        build_root=BENCH_BUILDS,
        parameters=_verilog(digest, words),
        env=bench_environment({"digest": digest, "layers": words}),
    )


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("layers", [0, 241])
def test_illegal_parameters_stop_elaboration(simulator: str, layers: int) -> None:
    sources = [HDL / "axil_registers.v"]
    result = elaborate(find_simulator(simulator), "axil_registers", sources, {"Layers": layers})
    assert result.returncode != 0
    assert "Layers_must_be_1_to_240" in result.stdout
