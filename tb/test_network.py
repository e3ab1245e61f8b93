"""Network benches: whole generated designs behind their AXI interfaces, against the golden model.

Packets are driven and taken by cocotbext-axi with random idle and back-pressure; nothing is lost,
nothing reordered, and reset, clear and broken packets in the middle of everything leave no trace.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.triggers import ClockCycles, with_timeout
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)
from numpy.typing import NDArray

from model.forward import GoldenNetwork
from model.manifest import load_manifest, manifest_digest
from model.plan import Design, load_design, plan_design, save_design
from model.source_choice import SourceKind
from model.streams import evaluate_layer, next_magnitudes
from rtl_gen.generator import HDL_FOLDER, generate_rtl, hdl_sources
from tb.bench_support import BENCH_BUILDS, bench_random, pauses
from tb.coverage_monitors import sample_design, watch_network
from tb.harness import (
    BENCH_FILE,
    NETWORK_HARNESS,
    feature_beats,
    write_network_harness,
    write_network_stimulus,
)
from tb.network_bench import drive_clock
from tb.runner import run_bench
from tb.sample_networks import sample_network
from tb.simulate import RTL_FOLDER, rtl_files
from tb.simulators import find_simulator

CONTROL, STATUS = 0x024, 0x028
VECTORS_IN, VECTORS_OUT, PACKET_ERRORS = 0x02C, 0x030, 0x034
CLEAR, ZERO_COUNTERS, ENABLE = 2, 4, 1


@cache
def design() -> Design:
    """Return the design under test."""
    path = Path(json.loads(Path(BENCH_FILE).read_text())["manifest"])
    return load_design(load_manifest(path), path.parent)


@cache
def golden() -> NDArray[np.int64]:
    """Return the golden output counts of all test vectors; the first are checked bit by bit."""
    manifest, parameters = design().manifest, design().parameters
    counts = GoldenNetwork(manifest, parameters).counts(design().features)[-1]
    for vector in range(2):
        inputs: Any = design().features[vector]
        for layer, weight, bias in zip(
            manifest.layers, parameters.weights, parameters.biases, strict=True
        ):
            streams = evaluate_layer(layer, weight, bias, inputs, manifest.operand_width)
            inputs = np.asarray(next_magnitudes(layer, streams.counts, manifest.operand_width))
            if layer.streams:
                inputs = streams.spikes
        assert (streams.counts == counts[vector]).all()
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
            frame = await with_timeout(self.sink.recv(), 10, "ms")
            counts = np.frombuffer(bytes(frame.tdata), dtype="<i4")
            assert counts.tolist() == golden()[vector].tolist(), (
                f"packet {place} (vector {vector}): RTL {counts.tolist()},"
                f" golden {golden()[vector].tolist()}"
            )
        assert self.sink.empty()

    async def forget_output(self) -> None:
        """Reset the receiver, as who clears the design must: it may hold half a packet."""
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
        return 64 + sum(layer.bitstream_length + layer.fan_in for layer in manifest.layers)

    async def read(self, address: int) -> int:
        """Read a register."""
        value: int = await self.registers.read_dword(address)
        return value


def some_vectors(rng: random.Random, number: int) -> list[int]:
    """Return vector numbers, with repetitions back to back."""
    chosen = [rng.randrange(len(design().features)) for _ in range(number)]
    return [vector for vector in chosen for _ in range(rng.choice((1, 1, 2)))]


@cocotb.test()
@cocotb.parametrize(("idle", (0.0, 0.5)), ("back_pressure", (0.0, 0.8)))
async def test_nothing_lost_nothing_reordered(dut: Any, idle: float, back_pressure: float) -> None:
    """Every packet in gives its packet out, in order, under random pauses."""
    tb = TB(dut, f"pauses {idle} {back_pressure}")
    await tb.reset()
    tb.stress(idle, back_pressure)
    vectors = list(range(3)) + some_vectors(tb.random, 8)
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
    vectors = some_vectors(tb.random, 8)
    tb.send(vectors)
    await ClockCycles(dut.clk, 8 * tb.cycles_through())
    assert await tb.read(STATUS) == 1
    assert await tb.read(VECTORS_OUT) == 0
    tb.sink.pause = False
    await tb.expect(vectors)


@cocotb.test()
async def test_repeated_vectors_leak_no_state(dut: Any) -> None:
    """A vector gives the same counts first, after itself, and after any other."""
    tb = TB(dut, "repeated")
    await tb.reset()
    vectors = [0, 0, 0, 1, 0, 2, 2, 1, 0]
    tb.send(vectors)
    await tb.expect(vectors)


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
    tb.send([0])
    await tb.source.wait()
    await ClockCycles(dut.clk, 1 + int(part * tb.cycles_through() / 2))
    tb.sink.pause = True
    await tb.registers.write_dword(CONTROL, ENABLE | CLEAR | ZERO_COUNTERS)
    await tb.forget_output()
    vectors = some_vectors(tb.random, 3)
    tb.send(vectors)
    await tb.expect(vectors)


@cocotb.test()
async def test_clear_with_a_blocked_output_recovers(dut: Any) -> None:
    """Clear drops vectors that wait for the output, in the last layer too."""
    tb = TB(dut, "clear blocked")
    await tb.reset()
    tb.sink.pause = True
    # As many as wait behind each other from the last layer on, so that all packets get in.
    tb.send([0, 1, 2])
    await tb.source.wait()
    await ClockCycles(dut.clk, 4 * tb.cycles_through())
    assert await tb.read(VECTORS_OUT) == 0
    await tb.registers.write_dword(CONTROL, ENABLE | CLEAR | ZERO_COUNTERS)
    await tb.forget_output()
    vectors = some_vectors(tb.random, 3)
    tb.send(vectors)
    await tb.expect(vectors)


@cocotb.test()
async def test_minus_zero_is_zero(dut: Any) -> None:
    """A zero with a sign counts as one without."""
    tb = TB(dut, "minus zero")
    await tb.reset()
    assert not design().features[0].any()
    zeros = feature_beats(design().manifest, design().features[:1])[0].astype("<u2")
    tb.source.send_nowait(AxiStreamFrame((zeros | 0x8000).astype("<u2").tobytes()))
    tb.send([1])
    await tb.expect([0, 1])


@cocotb.test()
async def test_broken_packets_are_dropped_and_counted(dut: Any) -> None:
    """A packet too short or too long is dropped whole; its neighbours are not touched."""
    tb = TB(dut, "broken")
    await tb.reset()
    whole = feature_beats(design().manifest, design().features[3:4])[0].astype("<u2").tobytes()
    broken = 0
    tb.send([1])
    if len(whole) > tb.source.byte_lanes:
        tb.source.send_nowait(AxiStreamFrame(whole[: -tb.source.byte_lanes]))
        broken += 1
    tb.send([2])
    tb.source.send_nowait(AxiStreamFrame(whole + whole[: tb.source.byte_lanes]))
    broken += 1
    tb.send([0])
    await tb.expect([1, 2, 0])
    await tb.quiet()
    assert await tb.read(PACKET_ERRORS) == broken
    assert await tb.read(STATUS) & 2


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


@dataclass(frozen=True)
class Case:
    """A network under test."""

    widths: tuple[int, ...]
    lengths: tuple[int, ...]
    source: SourceKind = "counter"
    operand_bits: int = 8
    signed: bool = True
    features_per_beat: int = 4
    style: dict[str, Any] = field(default_factory=dict)


CASES = {
    "smallest": Case((1, 1), (2,), operand_bits=1, signed=False, features_per_beat=1),
    "one_layer": Case((7, 4), (16,), features_per_beat=3),
    "two_layers": Case((6, 5, 3), (128, 32), "counter-lane", operand_bits=5),
    "short_then_long": Case((9, 3, 2), (4, 64), signed=False, features_per_beat=2),
    "divided": Case((5, 6, 4, 3), (37, 20, 9), "lfsr", features_per_beat=1),
    "two_banks": Case((4, 70, 2), (8, 8), "lfsr-lane", operand_bits=6, features_per_beat=8),
    "streams": Case((5, 6, 4, 3), (9, 9, 9), "sobol", style={"activation": "lif", "streams": True}),
    "bipolar_mux_step": Case(
        (5, 6, 3),
        (16, 8),
        style={"encoding": "bipolar", "adder": "mux", "activation": "step"},
    ),
}
RUNS = [("icarus", name) for name in CASES] + [
    ("verilator", "two_layers"),
    ("verilator", "divided"),
    ("verilator", "streams"),
]


@pytest.mark.parametrize(("simulator", "case"), RUNS)
def test_network(simulator: str, case: str) -> None:
    shape = CASES[case]
    folder = BENCH_BUILDS / "networks" / case
    network = sample_network(
        shape.widths,
        np.random.default_rng(len(case)),
        operand_bits=shape.operand_bits,
        signed=shape.signed,
        features_per_beat=shape.features_per_beat,
        **shape.style,
    )
    planned = plan_design(network, shape.lengths, shape.source)
    save_design(planned, folder)
    generate_rtl(planned, folder / RTL_FOLDER)
    harness = write_network_harness(planned.manifest, folder)
    run_dir = folder / f"run-{simulator}"
    run_dir.mkdir(exist_ok=True)
    write_network_stimulus(planned.manifest, planned.features, run_dir)
    (run_dir / BENCH_FILE).write_text(
        json.dumps({"manifest": str((folder / "manifest.json").resolve())})
    )
    run_bench(
        name=f"network_{case}",
        toplevel=NETWORK_HARNESS,
        sources=[
            *hdl_sources(),
            *rtl_files(planned, folder),
            harness,
            HDL_FOLDER / "lint" / "verilator.vlt",
        ],
        module="tb.test_network",
        simulator=find_simulator(simulator),
        build_root=BENCH_BUILDS,
        run_dir=run_dir,
    )
