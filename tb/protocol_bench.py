"""cocotb tests of what a whole design does beside counting right: its protocol and its memory.

Packets are driven and taken by cocotbext-axi with random idle and back-pressure; nothing is lost,
nothing reordered, and reset, clear and broken packets in the middle of everything leave no trace.
Part of every sign-off, and of the benches of sample networks; run in a folder that holds
``bench.json`` and a stimulus.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, FallingEdge, ReadOnly, RisingEdge, Timer, with_timeout
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiResp,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)
from numpy.typing import NDArray

from model.forward import GoldenNetwork
from model.manifest import load_manifest, manifest_digest
from model.plan import Design, load_design
from model.streams import evaluate_network
from tb.bench_support import bench_random, pauses
from tb.coverage_monitors import sample_design, watch_network
from tb.harness import BENCH_FILE, beats_per_packet, feature_beats
from tb.network_bench import drive_clock

# Vectors that the tests draw from.
_POOL = 16

CONTROL, STATUS = 0x024, 0x028
VECTORS_IN, VECTORS_OUT, PACKET_ERRORS = 0x02C, 0x030, 0x034
CYCLES, BUSY_CYCLES = 0x038, 0x040
CLEAR, ZERO_COUNTERS, ENABLE = 2, 4, 1


@cache
def design() -> Design:
    """Return the design under test."""
    path = Path(json.loads(Path(BENCH_FILE).read_text())["manifest"])
    return load_design(load_manifest(path), path.parent)


@cache
def golden() -> NDArray[np.int64]:
    """Return golden output counts of the first test vectors; two are checked bit by bit."""
    manifest, parameters = design().manifest, design().parameters
    counts = GoldenNetwork(manifest, parameters).counts(design().features[:_POOL])[-1]
    for features, expected in zip(design().features[:2], counts, strict=False):
        streams = evaluate_network(
            manifest.layers,
            parameters.weights,
            parameters.biases,
            features,
            manifest.operand_width,
        )
        assert (streams[-1].counts == expected).all()
    return counts


class TB:
    """Drivers, sink and register access of one design in the network harness."""

    def __init__(self, dut: Any, purpose: str) -> None:
        self.dut = dut
        self.random = bench_random(purpose)
        self.clocked = False
        self.source = AxiStreamSource(
            AxiStreamBus.from_prefix(dut, "s_axis"),
            dut.clk,
            dut.rst_n,
            False,
            byte_lanes=self._lanes,
        )
        self.sink = AxiStreamSink(
            AxiStreamBus.from_prefix(dut, "m_axis"), dut.clk, dut.rst_n, False, byte_lanes=4
        )
        self.registers = AxiLiteMaster(
            AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst_n, False
        )
        watch_network(dut, design().manifest)
        cocotb.start_soon(self._watchdog())

    async def _watchdog(self) -> None:
        """End a test whose design hangs: no test takes so long."""
        await Timer(10 * 500 * self.cycles_through() + 200_000, "ns")
        raise AssertionError("hung: the watchdog ended the test")

    @property
    def _lanes(self) -> int:
        return 2 * design().manifest.features_per_beat

    async def reset(self) -> None:
        """Reset the design and the drivers' queues."""
        self.dut.play.value = 0
        if not self.clocked:
            drive_clock(self.dut)
            self.clocked = True
        self.source.clear()
        self.dut.rst_n.value = 0
        await ClockCycles(self.dut.clk, self.random.randint(1, 5))
        self.dut.rst_n.value = 1
        await ClockCycles(self.dut.clk, 2)
        self.sink.clear()

    def stress(self, idle: float, back_pressure: float) -> None:
        """Pause the source and the sink in random cycles."""
        self.source.set_pause_generator(pauses(self.random, idle))
        self.sink.set_pause_generator(pauses(self.random, back_pressure))

    def send(self, vectors: Sequence[int]) -> None:
        """Queue one packet a vector."""
        for beats in feature_beats(design().manifest, design().features[list(vectors)]):
            self.source.send_nowait(AxiStreamFrame(beats.astype("<u2").tobytes()))

    async def expect(self, vectors: Sequence[int]) -> None:
        """Take one packet a vector; its counts are the golden ones."""
        for place, vector in enumerate(vectors):
            frame = await with_timeout(self.sink.recv(), self.patience(), "ns")
            counts = np.frombuffer(bytes(frame.tdata), dtype="<i4")
            assert counts.tolist() == golden()[vector].tolist(), (
                f"packet {place} (vector {vector}): RTL {counts.tolist()},"
                f" golden {golden()[vector].tolist()}"
            )
        assert self.sink.empty()

    async def clear(self) -> None:
        """Abandon all vectors by register, with the receiver, which may hold half a packet."""
        self.sink.pause = True
        await self.registers.write_dword(CONTROL, ENABLE | CLEAR | ZERO_COUNTERS)
        self.sink.assert_reset()
        await ClockCycles(self.dut.clk, 2)
        self.sink.assert_reset(False)
        self.sink.clear()
        self.sink.pause = False

    async def quiet(self) -> None:
        """Wait for longer than any vector takes; nothing may come out."""
        await ClockCycles(self.dut.clk, 4 * self.cycles_through())
        assert self.sink.empty(), "a result that nobody asked for"

    def cycles_through(self) -> int:
        """Return more cycles than an undisturbed vector needs from its first beat to its last."""
        manifest = design().manifest
        layers = sum(layer.bitstream_length + layer.fan_in for layer in manifest.layers)
        return 64 + layers + manifest.layers[-1].outputs

    def patience(self) -> int:
        """Return after how many ns without a packet the design has hung, pauses included."""
        return 10 * 100 * self.cycles_through()

    async def read(self, address: int) -> int:
        """Read a register."""
        value: int = await self.registers.read_dword(address)
        return value


def pool(*numbers: int) -> list[int]:
    """Return numbers of vectors that there are: a network may have less of them than are named."""
    return [number % len(golden()) for number in numbers]


def some_vectors(rng: random.Random, number: int) -> list[int]:
    """Return vector numbers, with repetitions back to back."""
    chosen = [rng.randrange(len(golden())) for _ in range(number)]
    return [vector for vector in chosen for _ in range(rng.choice((1, 1, 2)))]


@cocotb.test()
@cocotb.parametrize(("idle", (0.0, 0.5)), ("back_pressure", (0.0, 0.8)))
async def test_nothing_lost_nothing_reordered(dut: Any, idle: float, back_pressure: float) -> None:
    """Every packet in gives its packet out, in order, under random pauses."""
    tb = TB(dut, f"pauses {idle} {back_pressure}")
    await tb.reset()
    tb.stress(idle, back_pressure)
    vectors = pool(0, 1, 2) + some_vectors(tb.random, 5)
    tb.send(vectors)
    await tb.expect(vectors)
    assert await tb.read(VECTORS_IN) == len(vectors)
    assert await tb.read(VECTORS_OUT) == len(vectors)
    assert await tb.read(PACKET_ERRORS) == 0
    assert await tb.read(STATUS) == 0


@cocotb.test()
async def test_blocked_output_stops_the_input_and_nothing_is_lost(dut: Any) -> None:
    """With the output blocked the pipeline fills and waits; then everything comes out."""
    tb = TB(dut, "blocked")
    await tb.reset()
    tb.sink.pause = True
    vectors = some_vectors(tb.random, 6)
    tb.send(vectors)
    await ClockCycles(dut.clk, 8 * tb.cycles_through())
    assert await tb.read(STATUS) == 1
    assert await tb.read(VECTORS_OUT) == 0
    tb.sink.pause = False
    await tb.expect(vectors)


@cocotb.test()
async def test_repeatability(dut: Any) -> None:
    """A vector gives the same counts alone, back to back, after another, after reset and clear."""
    tb = TB(dut, "repeatability")
    await tb.reset()
    tb.send(pool(0))
    await tb.expect(pool(0))
    vectors = pool(0, 0, 0, 1, 0, 2, 2, 1, 0)
    tb.send(vectors)
    await tb.expect(vectors)
    await tb.reset()
    tb.send(pool(0))
    await tb.expect(pool(0))
    for abort in (tb.reset, tb.clear):
        # Another vector is abandoned when its layers are at work on it.
        tb.send(pool(1))
        await tb.source.wait()
        await ClockCycles(dut.clk, 2 + tb.random.randrange(tb.cycles_through() // 2))
        await abort()
        await tb.quiet()
        tb.send(pool(0, 2))
        await tb.expect(pool(0, 2))


@cocotb.test()
@cocotb.parametrize(part=(0.02, 0.3, 0.6, 0.9))
async def test_reset_in_mid_vector_recovers(dut: Any, part: float) -> None:
    """A reset at any phase leaves a design that works as new."""
    tb = TB(dut, f"reset {part}")
    await tb.reset()
    tb.send(some_vectors(tb.random, 4))
    await ClockCycles(dut.clk, 1 + int(part * 2 * tb.cycles_through()))
    await tb.reset()
    await tb.quiet()
    vectors = some_vectors(tb.random, 3)
    tb.send(vectors)
    await tb.expect(vectors)


@cocotb.test()
@cocotb.parametrize(part=(0.3, 0.7))
async def test_clear_in_mid_vector_recovers(dut: Any, part: float) -> None:
    """Clear by register drops every vector in flight."""
    tb = TB(dut, f"clear {part}")
    await tb.reset()
    # One whole packet, so that the source is idle between packets when the clear comes.
    tb.send(pool(0))
    await tb.source.wait()
    await ClockCycles(dut.clk, 1 + int(part * tb.cycles_through() / 2))
    await tb.clear()
    assert [await tb.read(register) for register in (VECTORS_IN, VECTORS_OUT)] == [0, 0]
    vectors = some_vectors(tb.random, 3)
    tb.send(vectors)
    await tb.expect(vectors)


async def fill(tb: TB) -> int:
    """Send vectors until the blocked design takes no more; return the one that had to wait."""
    tb.sink.pause = True
    for sent in range(4 + 4 * len(design().manifest.layers)):
        vector = pool(sent)[0]
        tb.send([vector])
        for _ in range(24):
            await ClockCycles(tb.dut.clk, tb.cycles_through() // 8)
            if tb.source.idle():
                break
        else:
            return vector
    raise AssertionError("a design whose output is blocked takes vectors without end")


@cocotb.test()
async def test_reset_empties_a_full_pipeline(dut: Any) -> None:
    """Reset drops every vector of a pipeline in which all stages wait."""
    tb = TB(dut, "reset of a full pipeline")
    await tb.reset()
    await fill(tb)
    await tb.reset()
    tb.sink.pause = False
    await tb.quiet()
    vectors = some_vectors(tb.random, 3)
    tb.send(vectors)
    await tb.expect(vectors)


@cocotb.test()
async def test_clear_empties_a_full_pipeline(dut: Any) -> None:
    """Clear drops every vector of a pipeline in which all stages wait, not the one outside."""
    tb = TB(dut, "clear of a full pipeline")
    await tb.reset()
    waiting = await fill(tb)
    await tb.clear()
    vectors = some_vectors(tb.random, 3)
    tb.send(vectors)
    await tb.expect([waiting, *vectors])
    await tb.quiet()


async def begin_packet(tb: TB, vector: int) -> None:
    """Send the first beat of a packet, and hold the others back."""
    tb.send([vector])
    while not int(tb.dut.s_axis_tvalid.value):
        await FallingEdge(tb.dut.clk)
    tb.source.pause = True  # after the beat that is offered now
    begun = 0
    for _ in range(8):
        await RisingEdge(tb.dut.clk)
        begun += int(tb.dut.s_axis_tvalid.value) and int(tb.dut.s_axis_tready.value)
    assert begun == 1, f"{begun} beats of a packet went, not 1"


@cocotb.test()
async def test_reset_in_mid_packet_drops_it(dut: Any) -> None:
    """After a reset the next beat begins a packet, whatever was begun before."""
    tb = TB(dut, "reset in mid-packet")
    await tb.reset()
    await begin_packet(tb, pool(1)[0])
    await tb.reset()
    tb.source.pause = False
    await tb.quiet()
    vectors = some_vectors(tb.random, 2)
    tb.send(vectors)
    await tb.expect(vectors)
    assert await tb.read(PACKET_ERRORS) == 0


@cocotb.test()
async def test_clear_in_mid_packet_drops_it(dut: Any) -> None:
    """The rest of a packet whose first beat was cleared is too short, and is dropped too."""
    tb = TB(dut, "clear in mid-packet")
    await tb.reset()
    await begin_packet(tb, pool(1)[0])
    await tb.clear()
    tb.source.pause = False
    vectors = some_vectors(tb.random, 2)
    tb.send(vectors)
    await tb.expect(vectors)
    await tb.quiet()
    # A packet of one beat has no rest.
    assert await tb.read(PACKET_ERRORS) == (beats_per_packet(design().manifest) > 1)


@cocotb.test()
async def test_minus_zero_is_zero(dut: Any) -> None:
    """A zero with a sign counts as one without."""
    tb = TB(dut, "minus zero")
    await tb.reset()
    manifest, parameters = design().manifest, design().parameters
    zeros = np.zeros((1, manifest.layers[0].fan_in), dtype=np.int16)
    counts = GoldenNetwork(manifest, parameters).counts(zeros)[-1][0]
    beats = (feature_beats(manifest, zeros)[0] | 0x8000).astype("<u2")
    tb.source.send_nowait(AxiStreamFrame(beats.tobytes()))
    tb.send(pool(1))
    frame = await with_timeout(tb.sink.recv(), tb.patience(), "ns")
    assert np.frombuffer(bytes(frame.tdata), dtype="<i4").tolist() == counts.tolist()
    await tb.expect(pool(1))


@cocotb.test()
async def test_broken_packets_are_dropped_and_counted(dut: Any) -> None:
    """A packet too short or too long is dropped whole; its neighbours are not touched."""
    tb = TB(dut, "broken")
    await tb.reset()
    features = design().features[pool(3)]
    whole = feature_beats(design().manifest, features)[0].astype("<u2").tobytes()
    broken = 0
    tb.send(pool(1))
    if len(whole) > tb.source.byte_lanes:
        tb.source.send_nowait(AxiStreamFrame(whole[: -tb.source.byte_lanes]))
        broken += 1
    tb.send(pool(2))
    tb.source.send_nowait(AxiStreamFrame(whole + whole[: tb.source.byte_lanes]))
    broken += 1
    tb.send([0])
    await tb.expect(pool(1, 2, 0))
    await tb.quiet()
    assert await tb.read(PACKET_ERRORS) == broken
    assert await tb.read(STATUS) == 2
    await tb.registers.write_dword(STATUS, 2)
    assert await tb.read(STATUS) == 0


@cocotb.test()
async def test_registers_describe_the_design(dut: Any) -> None:
    """ID and layer registers say what the manifest says."""
    tb = TB(dut, "registers")
    await tb.reset()
    words = [await tb.read(4 * word) for word in range(8)]
    manifest = design().manifest
    assert "".join(f"{word:08x}" for word in words) == manifest_digest(manifest)
    sample_design(manifest)
    for index, layer in enumerate(manifest.layers):
        described = [await tb.read(0x100 + 16 * index + 4 * word) for word in range(3)]
        assert described == [
            layer.bitstream_length,
            layer.outputs << 16 | layer.fan_in,
            layer.accumulator_width << 8 | manifest.operand_width,
        ]
    assert await tb.read(0x020) == len(manifest.layers) << 16 | 1
    assert await tb.read(CONTROL) == ENABLE


@cocotb.test()
async def test_forbidden_accesses_are_refused_and_change_nothing(dut: Any) -> None:
    """Writes to what can only be read, and any access beyond the map, end with SLVERR."""
    tb = TB(dut, "forbidden")
    await tb.reset()
    beyond = 0x100 + 16 * len(design().manifest.layers)
    before = [await tb.read(4 * word) for word in range(10)]
    for address in (0x000, 0x020, VECTORS_IN, 0x100, beyond):
        answer = await tb.registers.write(address, b"\xff\xff\xff\xff")
        assert answer.resp == AxiResp.SLVERR, f"write to {address:#x}: {answer.resp.name}"
    # Strobes without byte 0 are legal, and have nothing to write.
    answer = await tb.registers.write(CONTROL + 1, b"\xff\xff\xff")
    assert answer.resp == AxiResp.OKAY, f"write to the upper bytes of CONTROL: {answer.resp.name}"
    refused = await tb.registers.read(beyond, 4)
    assert (refused.resp, bytes(refused.data)) == (AxiResp.SLVERR, bytes(4))
    assert [await tb.read(4 * word) for word in range(10)] == before


@cocotb.test()
async def test_disabled_design_takes_no_packet(dut: Any) -> None:
    """With enable low no packet is begun, nothing is lost, and the busy cycles stand still."""
    tb = TB(dut, "disabled")
    await tb.reset()
    await tb.registers.write_dword(CONTROL, 0)
    vectors = pool(2, 0)
    tb.send(vectors)
    await tb.quiet()
    assert await tb.read(CONTROL) == 0
    assert await tb.read(VECTORS_IN) == 0
    assert await tb.read(BUSY_CYCLES) == 0
    await tb.registers.write_dword(CONTROL, ENABLE)
    await tb.expect(vectors)
    assert await tb.read(BUSY_CYCLES) > 0
    first, second = await tb.read(CYCLES), await tb.read(CYCLES)
    assert 0 < second - first < 100


@cocotb.test()
async def test_waiting_results_are_stable(dut: Any) -> None:
    """What is offered and not taken stays offered, unchanged."""
    tb = TB(dut, "stable")
    await tb.reset()
    tb.stress(0.2, 0.8)
    vectors = some_vectors(tb.random, 4)
    tb.send(vectors)
    waiting = None
    seen = 0
    while seen < len(vectors) * design().manifest.layers[-1].outputs:
        await RisingEdge(dut.clk)
        await ReadOnly()
        offered = bool(int(dut.m_axis_tvalid.value))
        assert offered or waiting is None, "TVALID fell before TREADY"
        if offered:
            told = (int(dut.m_axis_tdata.value), int(dut.m_axis_tlast.value))
            assert waiting in (None, told), f"{waiting} became {told} while it waited"
            taken = bool(int(dut.m_axis_tready.value))
            waiting = None if taken else told
            seen += taken
    await tb.expect(vectors)


@cocotb.test()
async def test_outputs_are_never_unknown(dut: Any) -> None:
    """No X reached an output in all of the above; only a simulator with X can say so."""
    await Timer(1, "ns")
    assert not int(dut.unknown.value), f"{int(dut.unknown.value)} cycles with X at an output"
