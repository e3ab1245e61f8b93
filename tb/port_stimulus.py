"""Stimuli for the ports of a whole design, and what must be seen at them in every cycle.

Inputs are drawn once, against the port model, and are the same for every mutant: a mutant that does
anything else than the model, in any cycle, is killed there. Counts on the output stream are those
of the golden model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.design_bounds import DEVIATION, EXACT
from model.forward import GoldenNetwork
from model.plan import Design
from tb.harness import feature_beats
from tb.port_model import (
    BUSY_CYCLES,
    CLEAR,
    CONTROL,
    CYCLES,
    DROPPED,
    ENABLE,
    LAYERS,
    PACKET_ERRORS,
    STATUS,
    VECTORS_IN,
    VECTORS_OUT,
    VERSION,
    ZERO,
    Inputs,
    Outputs,
    PortModel,
    Vector,
)

# Inputs and expectations of one cycle, as tb/templates/netlist_player.cpp.j2 reads them.
CYCLE = np.dtype(
    [
        ("tdata", "<u8"),
        ("preset_value", "<u8"),
        ("wdata", "<u4"),
        ("mdata", "<u4"),
        ("rdata", "<u4"),
        ("awaddr", "<u2"),
        ("araddr", "<u2"),
        ("inputs", "<u2"),  # bits in the order of INPUT_BITS
        ("outputs", "<u2"),  # bits in the order of OUTPUT_BITS
        ("wstrb", "u1"),
        ("prot", "u1"),  # AWPROT, and ARPROT from bit 4 on
        ("responses", "u1"),  # BRESP, and RRESP from bit 4 on
        ("unused", "u1"),
    ]
)
INPUT_BITS = (
    "rst_ni",
    "s_axis_tvalid",
    "s_axis_tlast",
    "m_axis_tready",
    "s_axil_awvalid",
    "s_axil_wvalid",
    "s_axil_bready",
    "s_axil_arvalid",
    "s_axil_rready",
    "preset_load",
)
OUTPUT_BITS = (
    "s_axis_tready",
    "m_axis_tvalid",
    "m_axis_tlast",
    "s_axil_awready",
    "s_axil_wready",
    "s_axil_bvalid",
    "s_axil_arready",
    "s_axil_rvalid",
)
REGISTERS = (
    *range(0, 0x020, 4),
    VERSION,
    CONTROL,
    STATUS,
    VECTORS_IN,
    VECTORS_OUT,
    PACKET_ERRORS,
    CYCLES,
    CYCLES + 4,
    BUSY_CYCLES,
    BUSY_CYCLES + 4,
)


@dataclass(frozen=True)
class Stimulus:
    """What is played.

    Attributes
    ----------
    cycles : numpy.ndarray
        One record of `CYCLE` for each clock cycle.
    tests : tuple of (str, int)
        Name of each test and the cycle in which it begins.
    """

    cycles: NDArray[np.void]
    tests: tuple[tuple[str, int], ...]

    def test_at(self, cycle: int) -> str:
        """Return the name of the test that a cycle belongs to."""
        return [name for name, first in self.tests if first <= cycle][-1]


class _Bench:
    """Plays against the port model and notes every cycle."""

    def __init__(self, design: Design, rng: np.random.Generator) -> None:
        self.rng = rng
        self.manifest = design.manifest
        self.model = PortModel(design.manifest)
        self.played: list[tuple[Inputs, Outputs]] = []
        self.tests: list[tuple[str, int]] = []
        self.pins = Inputs()
        self.beats: list[tuple[int, int]] = []
        self.writes: list[tuple[int, int, int]] = []
        self.reads: list[int] = []
        # How often, in each cycle, a sender or a receiver is willing.
        self.offer = self.accept = self.bus = 1.0
        self.received = 0
        self._address_taken = self._data_taken = False

    def test(self, name: str) -> None:
        """Begin a test."""
        self.tests.append((name, len(self.played)))

    def willing(self, share: float) -> int:
        """Draw whether to be willing in this cycle."""
        return int(share >= 1 or self.rng.random() < share)

    def noise(self, bits: int) -> int:
        """Draw a word."""
        return (
            int(self.rng.integers(0, 1 << bits, dtype=np.uint64))
            if bits < 64
            else int(self.rng.integers(0, (1 << 64) - 1, dtype=np.uint64, endpoint=True))
        )

    @property
    def beat_bits(self) -> int:
        """Width of the input stream."""
        return 16 * self.manifest.features_per_beat

    def step(self) -> Outputs:
        """Play the pins as they are."""
        seen = self.model.cycle(self.pins)
        self.played.append((Inputs(**vars(self.pins)), seen))
        return seen

    def cycle(self) -> Outputs:
        """Play one cycle as well-behaved neighbours do: an offer stands until it is taken."""
        pins = self.pins
        if not pins.s_axis_tvalid and self.beats and self.willing(self.offer):
            pins.s_axis_tvalid = 1
            pins.s_axis_tdata, pins.s_axis_tlast = self.beats[0]
        pins.m_axis_tready = self.willing(self.accept)
        if self.writes:
            address, data, strobe = self.writes[0]
            if not (pins.s_axil_awvalid or self._address_taken) and self.willing(self.bus):
                pins.s_axil_awvalid, pins.s_axil_awaddr = 1, address
                pins.s_axil_awprot = self.noise(3)
            if not (pins.s_axil_wvalid or self._data_taken) and self.willing(self.bus):
                pins.s_axil_wvalid, pins.s_axil_wdata, pins.s_axil_wstrb = 1, data, strobe
        pins.s_axil_bready = self.willing(self.bus)
        if self.reads and not pins.s_axil_arvalid and self.willing(self.bus):
            pins.s_axil_arvalid, pins.s_axil_araddr = 1, self.reads[0]
            pins.s_axil_arprot = self.noise(3)
        pins.s_axil_rready = self.willing(self.bus)
        seen = self.step()
        if pins.s_axis_tvalid and seen.s_axis_tready:
            self.beats.pop(0)
            # What stands on the wires while nothing is offered means nothing.
            pins.s_axis_tvalid, pins.s_axis_tdata = 0, self.noise(self.beat_bits)
            pins.s_axis_tlast = self.noise(1)
        if seen.m_axis_tvalid and pins.m_axis_tready:
            self.received += 1
        if pins.s_axil_awvalid and seen.s_axil_awready:
            pins.s_axil_awvalid, pins.s_axil_awaddr = 0, self.noise(12)
            self._address_taken = True
        if pins.s_axil_wvalid and seen.s_axil_wready:
            pins.s_axil_wvalid, pins.s_axil_wdata = 0, self.noise(32)
            pins.s_axil_wstrb = self.noise(4)
            self._data_taken = True
        if self._address_taken and self._data_taken:
            self.writes.pop(0)
            self._address_taken = self._data_taken = False
        if pins.s_axil_arvalid and seen.s_axil_arready:
            self.reads.pop(0)
            pins.s_axil_arvalid, pins.s_axil_araddr = 0, self.noise(12)
        return seen

    def cycles(self, number: int) -> None:
        """Play some cycles."""
        for _ in range(number):
            self.cycle()

    def drain(self) -> None:
        """Play until everything is sent and nothing has moved for as long as a vector takes."""
        quiet = 0
        longest = 2 * sum(layer.bitstream_length for layer in self.manifest.layers) + 24
        for _ in range(100_000):
            before = (len(self.beats), self.received, len(self.reads), len(self.writes))
            self.cycle()
            after = (len(self.beats), self.received, len(self.reads), len(self.writes))
            quiet = quiet + 1 if after == before else 0
            idle = not (self.beats or self.reads or self.writes)
            if idle and quiet > longest:
                return
        raise AssertionError("the port model hangs")

    def reset(self, cycles: int = 2) -> None:
        """Hold the reset; neighbours forget what they were about."""
        self.pins = Inputs(rst_ni=0, m_axis_tready=1)
        self.beats, self.writes, self.reads = [], [], []
        self._address_taken = self._data_taken = False
        for _ in range(cycles):
            self.step()
        self.pins.rst_ni = 1

    def send(self, vectors: NDArray[np.integer]) -> None:
        """Queue vectors; bits that mean nothing are drawn."""
        fields = feature_beats(self.manifest, vectors).astype(np.int64)
        width = self.manifest.operand_width
        unused = 0x7FFF & ~((1 << width) - 1)
        if not self.manifest.layers[0].input_signed:
            unused |= 0x8000
        fields |= self.rng.integers(0, 1 << 16, fields.shape) & unused
        flat = fields.reshape(len(vectors), -1)
        flat[:, vectors.shape[1] :] = self.rng.integers(
            0, 1 << 16, (len(vectors), flat.shape[1] - vectors.shape[1])
        )
        last = fields.shape[1] - 1
        for packet in fields:
            for beat, row in enumerate(packet):
                data = sum(int(field) << (16 * place) for place, field in enumerate(row))
                self.beats.append((data, int(beat == last)))


def make_stimulus(design: Design, seed: int) -> Stimulus:
    """Draw the stimuli of a design and compute what must be seen.

    Parameters
    ----------
    design : Design
        The design.
    seed : int
        Of everything that is drawn.
    """
    bench = _Bench(design, np.random.default_rng([seed, 17]))
    bench.test("power-up")
    bench.reset()
    for name, play in _TESTS.items():
        bench.test(name)
        bench.offer = bench.accept = bench.bus = 1.0
        play(bench, design)
    return Stimulus(_records(design, bench.played), tuple(bench.tests))


# --- tests ----------------------------------------------------------------------------------------


def some_vectors(bench: _Bench, number: int) -> NDArray[np.integer]:
    """Draw vectors: each feature an extreme as often as anything between."""
    layer = bench.manifest.layers[0]
    top = (1 << bench.manifest.operand_width) - 1
    lowest = -top if layer.input_signed else 0
    shape = (number, layer.fan_in)
    drawn = bench.rng.integers(lowest, top + 1, shape)
    extreme = bench.rng.choice(np.array([lowest, 0, top]), shape)
    return np.where(bench.rng.random(shape) < 0.4, extreme, drawn)


def _plain(bench: _Bench, design: Design) -> None:
    """Vectors back to back, those that the certificates were attained with among them."""
    bench.send(design.features)
    if design.manifest.layers[0].certificate.theorem in (EXACT, DEVIATION):
        bench.send(design.certificate(0).witnesses.reshape(-1, design.features.shape[1]))
    bench.send(some_vectors(bench, 60))
    bench.drain()


def _pressure(bench: _Bench, design: Design) -> None:
    """Senders and receivers that are willing now and then; a reader beside them."""
    for offer, accept in ((1.0, 0.1), (0.1, 1.0), (0.5, 0.5), (1.0, 0.03)):
        bench.offer, bench.accept, bench.bus = offer, accept, 0.5
        bench.send(some_vectors(bench, 8))
        bench.reads += [STATUS, VECTORS_IN, VECTORS_OUT, BUSY_CYCLES] * 4
        bench.drain()
    # Nobody takes anything: all is filled up, and then goes out.
    bench.accept = 0.0
    bench.send(some_vectors(bench, len(design.manifest.layers) * 2 + 4))
    bench.cycles(6 * max(layer.bitstream_length for layer in design.manifest.layers) + 60)
    bench.accept = 1.0
    bench.drain()


def _broken_packets(bench: _Bench, design: Design) -> None:
    """TLAST too early and too late among whole packets; the errors are counted and cleared."""
    whole = feature_beats(design.manifest, design.features[:1]).shape[1]
    for round_number in range(14):
        bench.offer = 1.0 if round_number % 2 else 0.6
        kind = round_number % 4
        if kind == 0:
            length = int(bench.rng.integers(1, whole)) if whole > 1 else 2
        elif kind == 1:
            length = whole + int(bench.rng.integers(1, 2 * whole + 1))
        else:
            length = 0
            bench.send(some_vectors(bench, 1))
        bench.beats += [
            (bench.noise(bench.beat_bits), int(beat == length - 1)) for beat in range(length)
        ]
        bench.reads += [STATUS, PACKET_ERRORS]
        if round_number % 5 == 4:
            bench.writes.append((STATUS, DROPPED | bench.noise(32) & ~DROPPED, 0xF))
        bench.cycles(int(bench.rng.integers(0, 30)))
    bench.drain()
    # Many errors one after the other, under writes that clear the sticky bit.
    bench.bus = 0.7
    for _ in range(12):
        bench.beats += [(bench.noise(bench.beat_bits), int(whole > 1)), (0, 1)]
        bench.writes.append((STATUS, bench.noise(2), bench.noise(4)))
        bench.reads.append(STATUS)
    bench.drain()


def _clear(bench: _Bench, design: Design) -> None:
    """Clear the datapath at every point of a vector's way."""
    total = sum(layer.bitstream_length for layer in design.manifest.layers) + 20
    for wait in [*range(0, total, 3), *bench.rng.integers(0, total, 10)]:
        bench.accept = 0.5 if wait % 2 else 1.0
        bench.send(some_vectors(bench, 4))
        bench.cycles(int(wait))
        bench.writes.append((CONTROL, CLEAR | ENABLE, 0x1))
        while bench.writes:
            bench.cycle()
        # A receiver forgets its packet too; the sender may go on with the rest of one.
        bench.cycles(int(bench.rng.integers(0, 6)))
        if wait % 3 == 0:
            bench.beats, bench.pins.s_axis_tvalid = [], 0
            bench.send(some_vectors(bench, 1))
        if wait % 4 == 0:
            bench.drain()
    bench.drain()
    # ... and at every beat of a packet that is too long, which is then no longer dropped: what is
    # left of it is a packet of its own.
    whole = feature_beats(design.manifest, design.features[:1]).shape[1]
    for taken in [*range(1, 3 * whole + 2), *bench.rng.integers(1, 3 * whole + 2, 6)]:
        packet = [(bench.noise(bench.beat_bits), 0)] * (3 * whole + 1) + [(0, 1)]
        bench.beats = packet[: int(taken)]
        while bench.beats:
            bench.cycle()
        bench.writes.append((CONTROL, CLEAR | ENABLE, 0x1))
        bench.cycles(int(bench.rng.integers(4, 9)))
        bench.beats = packet[int(taken) :] if taken % 2 else []
        bench.send(some_vectors(bench, 3))
        bench.drain()


def _reset(bench: _Bench, design: Design) -> None:
    """Reset at every point of a vector's way, and send whole vectors after it."""
    total = sum(layer.bitstream_length for layer in design.manifest.layers) + 20
    for wait in [*range(1, total, 5), *bench.rng.integers(1, total, 6)]:
        bench.accept = 0.3 if wait % 2 else 1.0
        bench.writes.append((CONTROL, bench.noise(3), 0xF))
        bench.writes.append((STATUS, bench.noise(2), 0xF))
        bench.reads += [int(address) for address in bench.rng.choice(REGISTERS, 6)]
        bench.send(some_vectors(bench, 5))
        bench.cycles(int(wait))
        bench.reset(int(bench.rng.integers(1, 3)))
        bench.accept = 1.0
        bench.send(some_vectors(bench, 1))
        bench.reads += [STATUS, CONTROL, CYCLES, CYCLES + 4, BUSY_CYCLES, PACKET_ERRORS]
        bench.cycles(int(wait))
    bench.drain()
    # ... and in a packet that is too long.
    whole = feature_beats(design.manifest, design.features[:1]).shape[1]
    for taken in range(1, 3 * whole + 2):
        bench.beats = [(bench.noise(bench.beat_bits), 0)] * taken
        while bench.beats:
            bench.cycle()
        bench.reset(1)
        bench.cycles(int(bench.rng.integers(0, 4)))
        bench.send(some_vectors(bench, 3))
        bench.drain()


def _registers(bench: _Bench, design: Design) -> None:
    """Every address is read and written, and enable and the counters do what they should."""
    layers = [LAYERS + 4 * word for word in range(4 * len(design.manifest.layers))]
    bench.reads += [*REGISTERS, *layers]
    bench.drain()
    for bus in (1.0, 0.4):
        bench.bus = bus
        # Two lowest bits of an address are ignored; addresses of nothing are neighbours of some.
        near = [1 << bit for bit in range(12)]
        other = [address ^ bit for address in (*REGISTERS, *layers) for bit in near]
        bench.reads += [int(a) for a in bench.rng.permutation(other)]
        bench.drain()
        for address in bench.rng.permutation([*other, *REGISTERS])[:120]:
            bench.writes.append((int(address), bench.noise(32), bench.noise(4)))
            bench.reads += [CONTROL, STATUS]
        bench.send(some_vectors(bench, 4))
        bench.cycles(400)
        bench.writes.append((CONTROL, ENABLE, 0x1))
        bench.drain()
    # A write to a neighbour of what can be written shows, if it hits: no enable, or no error.
    whole = feature_beats(design.manifest, design.features[:1]).shape[1]
    for bit in near:
        bench.writes.append((CONTROL ^ bit, 0, 0x1))
        bench.beats = [(bench.noise(bench.beat_bits), 0)] * whole + [(0, 1)]
        bench.drain()
        bench.writes.append((STATUS ^ bit, DROPPED, 0x1))
        bench.drain()
        bench.reads += [CONTROL, STATUS]
        bench.drain()
        bench.writes += [(CONTROL, ENABLE, 0x1), (STATUS, DROPPED, 0x1)]
        bench.drain()
    # Enable low: a packet that was begun is finished, none is begun.
    for offer in (1.0, 0.5):
        bench.offer = offer
        bench.writes.append((CONTROL, 0, 0x1))
        bench.send(some_vectors(bench, 4))
        bench.reads += [CONTROL, STATUS]
        bench.cycles(80)
        bench.writes.append((CONTROL, ENABLE, 0x1))
        bench.drain()
    # ... at every beat of a packet, whole or too long.
    for beats in range(1, 2 * whole + 2):
        bench.send(some_vectors(bench, 3))
        long = [(bench.noise(bench.beat_bits), 0)] * (whole + 1) + [(0, 1)]
        bench.beats = long + bench.beats if beats % 2 else bench.beats
        rest, bench.beats = bench.beats[beats:], bench.beats[:beats]
        while bench.beats:
            bench.cycle()
        bench.writes.append((CONTROL, 0, 0x1))
        bench.cycles(4)
        bench.beats = rest
        bench.cycles(60)
        bench.writes.append((CONTROL, ENABLE, 0x1))
        bench.drain()
    bench.writes.append((CONTROL, ENABLE | ZERO, 0x1))
    bench.drain()
    bench.reads += [*REGISTERS]
    bench.drain()


def _counters(bench: _Bench, design: Design) -> None:
    """Set the counters shortly before a carry, and to patterns, and let them run on."""
    full = (1 << 64) - 1
    carries = [(1 << bit) - 2 for bit in range(3, 65)] + [(1 << bit) - 5 for bit in range(3, 65, 3)]
    patterns = [int(x) for x in bench.rng.integers(0, full, 24, dtype=np.uint64)]
    for number, value in enumerate([*carries, 0, full, *patterns]):
        # Both halves of a long counter are the value of a short one.
        mixed = value if value >> 32 else value | bench.noise(32) << 32
        bench.pins.preset_value = mixed if number % 2 else value
        # Else the two halves of a counter would always be read at the same distance.
        bench.bus = 1.0 if number % 3 else 0.6
        bench.pins.preset_load = 1
        bench.cycle()
        bench.pins.preset_load = 0
        bench.send(some_vectors(bench, 1))
        bench.beats.append((bench.noise(bench.beat_bits), 1))
        bench.beats += [(bench.noise(bench.beat_bits), 0)] * (number % 3) + [(0, 1)]
        if number % 4 == 0:
            bench.drain()
        bench.cycles(int(bench.rng.integers(1, 5)))
        order = bench.rng.permutation(np.array([CYCLES, BUSY_CYCLES]))
        for low in order:
            bench.reads += [int(low), int(low) + 4]
        bench.reads += [VECTORS_IN, VECTORS_OUT, PACKET_ERRORS]
        if number % 9 == 8:
            bench.drain()
            bench.writes.append((CONTROL, ENABLE | ZERO, 0x1))
            bench.reads += [CYCLES, VECTORS_IN, PACKET_ERRORS, CYCLES + 4, BUSY_CYCLES + 4]
        while bench.reads or bench.writes:
            bench.cycle()
    bench.bus = 1.0
    bench.drain()


def _noise(bench: _Bench, design: Design) -> None:
    """Every pin does as it likes, with no regard to any protocol."""
    some = (*REGISTERS, LAYERS, LAYERS + 0x14, CONTROL, STATUS, CONTROL, STATUS)
    for _ in range(60):
        shares = bench.rng.choice(np.array([0.03, 0.5, 0.97]), 10)
        clears = bench.rng.random() < 0.3
        resets = 0.02 if bench.rng.random() < 0.3 else 0.0
        vectors = bench.rng.random() < 0.5
        bench.send(some_vectors(bench, 30))
        for _ in range(90):
            pins = bench.pins
            names = INPUT_BITS[1:-1]
            for name, share in zip(names, shares, strict=False):
                setattr(pins, name, bench.willing(float(share)))
            pins.rst_ni = int(bench.rng.random() >= resets)
            pins.s_axis_tdata = bench.noise(bench.beat_bits)
            if vectors and bench.beats:
                pins.s_axis_tdata, pins.s_axis_tlast = bench.beats[0]
            for prefix in ("aw", "ar"):
                address = int(bench.rng.choice(some)) if bench.willing(0.8) else bench.noise(12)
                setattr(pins, f"s_axil_{prefix}addr", address)
                setattr(pins, f"s_axil_{prefix}prot", bench.noise(3))
            pins.s_axil_wdata = bench.noise(32)
            if not clears:
                pins.s_axil_wdata = pins.s_axil_wdata & ~CLEAR | ENABLE
            pins.s_axil_wstrb = bench.noise(4)
            seen = bench.step()
            if vectors and pins.s_axis_tvalid and seen.s_axis_tready and bench.beats:
                bench.beats.pop(0)
        bench.beats = []
    bench.reset()


_TESTS: dict[str, Callable[[_Bench, Design], None]] = {
    "vectors back to back": _plain,
    "back-pressure and idle": _pressure,
    "broken packets": _broken_packets,
    "clear": _clear,
    "reset": _reset,
    "registers": _registers,
    "counters": _counters,
    "noise on every pin": _noise,
}


# --- records --------------------------------------------------------------------------------------


def _bits(source: Inputs | Outputs, names: Sequence[str]) -> int:
    """Pack single bits; what is not to be compared counts as 0."""
    return sum(int(getattr(source, name) or 0) << place for place, name in enumerate(names))


def _records(design: Design, played: Sequence[tuple[Inputs, Outputs]]) -> NDArray[np.void]:
    """Write down what was played, with the golden counts in the output beats."""
    counts = _golden_counts(
        design, (seen.m_beat[0] for _, seen in played if seen.m_beat is not None)
    )
    records = np.zeros(len(played), dtype=CYCLE)
    for record, (pins, seen) in zip(records, played, strict=True):
        record["tdata"] = pins.s_axis_tdata
        record["preset_value"] = pins.preset_value
        record["wdata"] = pins.s_axil_wdata
        record["awaddr"] = pins.s_axil_awaddr
        record["araddr"] = pins.s_axil_araddr
        record["wstrb"] = pins.s_axil_wstrb
        record["prot"] = pins.s_axil_awprot | pins.s_axil_arprot << 4
        record["inputs"] = _bits(pins, INPUT_BITS)
        record["outputs"] = _bits(seen, OUTPUT_BITS)
        record["rdata"] = seen.s_axil_rdata or 0
        record["responses"] = (seen.s_axil_bresp or 0) | (seen.s_axil_rresp or 0) << 4
        if seen.m_beat is not None:
            vector, beat = seen.m_beat
            record["mdata"] = int(counts[vector][beat]) & 0xFFFFFFFF
    return records


def _golden_counts(design: Design, vectors: Iterable[Vector]) -> dict[Vector, NDArray[np.int64]]:
    """Return the counts of the last layer for each vector that comes out."""
    different = list(dict.fromkeys(vectors))
    if not different:
        return {}
    golden = GoldenNetwork(design.manifest, design.parameters)
    counts = golden.counts(np.array(different, dtype=np.int16))[-1]
    return dict(zip(different, counts, strict=True))
