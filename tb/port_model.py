"""What the ports of a whole design do in every clock cycle: a model of its documented timing.

Counts are not known here: a vector runs through the layers as its features, and whoever compares
looks its counts up in the golden model. The timing is that of the headers in `hdl/`: how long a
layer works on a vector, who waits for whom, what clears, resets and broken packets do, and which
value each register has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from model.errors import InputError
from model.manifest import Manifest, manifest_digest
from rtl_gen.generator import works_by_cycles
from tb.harness import beats_per_packet

Vector = tuple[int, ...]

OKAY, SLVERR = 0, 2
VERSION, CONTROL, STATUS = 0x020, 0x024, 0x028
VECTORS_IN, VECTORS_OUT, PACKET_ERRORS = 0x02C, 0x030, 0x034
CYCLES, BUSY_CYCLES = 0x038, 0x040
LAYERS = 0x100
ENABLE, CLEAR, ZERO = 1, 2, 4
BUSY, DROPPED = 1, 2
_COUNTER_BITS = {
    VECTORS_IN: 32,
    VECTORS_OUT: 32,
    PACKET_ERRORS: 32,
    CYCLES: 64,
    BUSY_CYCLES: 64,
}


@dataclass
class Inputs:
    """All inputs in one cycle. Of an address only the 12 bits that there are, and so on."""

    rst_ni: int = 1
    s_axis_tdata: int = 0
    s_axis_tvalid: int = 0
    s_axis_tlast: int = 0
    m_axis_tready: int = 0
    s_axil_awaddr: int = 0
    s_axil_awprot: int = 0
    s_axil_awvalid: int = 0
    s_axil_wdata: int = 0
    s_axil_wstrb: int = 0
    s_axil_wvalid: int = 0
    s_axil_bready: int = 0
    s_axil_araddr: int = 0
    s_axil_arprot: int = 0
    s_axil_arvalid: int = 0
    s_axil_rready: int = 0
    preset_load: int = 0
    preset_value: int = 0


@dataclass
class Outputs:
    """All outputs in one cycle; data only where their valid is high, else None.

    `m_beat` is which beat of which vector is on offer.
    """

    s_axis_tready: int
    m_axis_tvalid: int
    m_axis_tlast: int | None
    m_beat: tuple[Vector, int] | None
    s_axil_awready: int
    s_axil_wready: int
    s_axil_bvalid: int
    s_axil_bresp: int | None
    s_axil_arready: int
    s_axil_rvalid: int
    s_axil_rdata: int | None
    s_axil_rresp: int | None


class _Sink:
    """`axis_vector_sink` in packets and vectors."""

    def __init__(self, manifest: Manifest) -> None:
        self._features = manifest.layers[0].fan_in
        self._mask = (1 << manifest.operand_width) - 1
        self._signed = manifest.layers[0].input_signed
        self._per_beat = manifest.features_per_beat
        self._beats = beats_per_packet(manifest)
        self.reset()

    def reset(self) -> None:
        self._packet: list[int] = []
        self._skipping = False
        self.vector: Vector | None = None
        self.error = False

    def ready(self, enable: bool, clear: bool, taken: bool) -> bool:
        if clear:
            return False
        if self._skipping or self._packet:
            return True
        return enable and (self.vector is None or taken)

    def edge(self, beat: tuple[int, int] | None, clear: bool, taken: bool) -> None:
        self.error = False
        if taken:
            self.vector = None
        if clear:
            self.reset()
            return
        if beat is None:
            return
        data, last = beat
        if self._skipping:
            self._skipping = not last
            return
        self._packet.append(data)
        complete = len(self._packet) == self._beats
        if complete and last:
            self.vector = self._decode()
        if complete != bool(last):
            self.error = True
            self._skipping = complete
        if complete or last:
            self._packet = []

    def _decode(self) -> Vector:
        fields = [
            data >> (16 * place) & 0xFFFF
            for data in self._packet
            for place in range(self._per_beat)
        ]
        return tuple(
            -(field & self._mask) if self._signed and field >> 15 else field & self._mask
            for field in fields[: self._features]
        )


class _Result:
    """A result register, with the cycles that it needs before it offers what it took."""

    def __init__(self, delay: int) -> None:
        self._delay = delay
        self.reset()

    def reset(self) -> None:
        self._left = 0  # cycles of a division
        self._vector: Vector | None = None

    @property
    def vector(self) -> Vector | None:
        """What is on offer."""
        return None if self._left else self._vector

    def ready(self, taken: bool) -> bool:
        return self._left == 0 and (self._vector is None or taken)

    def edge(self, vector: Vector | None, clear: bool, taken: bool) -> None:
        if clear:
            self.reset()
        elif vector is not None:
            self._vector, self._left = vector, self._delay
        elif self._left:
            self._left -= 1
        elif taken:
            self._vector = None


class _Layer:
    """A layer that takes whole vectors and offers results, or streams to the layer after it."""

    def __init__(self, work: int, delay: int, streams: bool) -> None:
        self._work = work
        self._streams = streams
        self._result = _Result(delay)
        self.reset()

    def reset(self) -> None:
        self._vector: Vector | None = None
        self._left = 0
        self._result.reset()

    @property
    def busy(self) -> bool:
        return self._vector is not None

    @property
    def counting(self) -> bool:
        """Whether a stream goes on (without a sign cycle)."""
        return self._vector is not None and self._left > 0

    @property
    def vector(self) -> Vector | None:
        return self._result.vector

    def ready(self, clear: bool, next_ready: bool) -> bool:
        # A layer that streams keeps no result; it begins when the next one is ready.
        self._may_finish = self._streams or self._result.ready(next_ready)
        idle = self._vector is None or (self._left == 0 and self._may_finish)
        return not clear and idle and (next_ready or not self._streams)

    def edge(self, taken: Vector | None, clear: bool, next_ready: bool) -> None:
        finished = self._vector is not None and self._left == 0 and self._may_finish
        if not self._streams:
            self._result.edge(self._vector if finished else None, clear, next_ready)
        if clear:
            self._vector = None
        elif taken is not None:
            self._vector, self._left = taken, self._work
        elif finished:
            self._vector = None
        elif self._left:
            self._left -= 1


class _StreamedLayer:
    """A layer that works along with the one before it, a cycle later."""

    def __init__(self, work: int, delay: int) -> None:
        self._work = work
        self._result = _Result(delay)
        self.reset()

    def reset(self) -> None:
        self._vector: Vector | None = None
        self._left = 0
        self._result.reset()

    @property
    def busy(self) -> bool:
        return self._vector is not None

    @property
    def vector(self) -> Vector | None:
        return self._result.vector

    def ready(self, clear: bool, next_ready: bool) -> bool:
        self._may_finish = self._result.ready(next_ready)
        idle = self._vector is None or (self._left == 0 and self._may_finish)
        return not clear and idle

    def edge(self, taken: Vector | None, clear: bool, next_ready: bool) -> None:
        finished = self._vector is not None and self._left == 0 and self._may_finish
        self._result.edge(self._vector if finished else None, clear, next_ready)
        if clear:
            self._vector = None
        elif taken is not None:
            # The start, then the cycles of the stream, each registered once.
            self._vector, self._left = taken, self._work + 1
        elif finished:
            self._vector = None
        elif self._left:
            self._left -= 1


class _Source:
    """`axis_count_source`: a vector as one packet."""

    def __init__(self, outputs: int) -> None:
        self._outputs = outputs
        self.reset()

    def reset(self) -> None:
        self.vector: Vector | None = None
        self.beat = 0

    @property
    def last(self) -> bool:
        return self.beat == self._outputs - 1

    def ready(self, clear: bool, m_ready: bool) -> bool:
        return not clear and (self.vector is None or (m_ready and self.last))

    def edge(self, taken: Vector | None, clear: bool, m_ready: bool) -> None:
        if clear:
            self.reset()
        elif taken is not None:
            self.vector, self.beat = taken, 0
        elif self.vector is not None and m_ready:
            if self.last:
                self.reset()
            else:
                self.beat += 1


class _Registers:
    """`axil_registers`: the map by address, and the five channels."""

    def __init__(self, manifest: Manifest) -> None:
        digest = manifest_digest(manifest)
        self._constants = {4 * w: int(digest[8 * w : 8 * w + 8], 16) for w in range(8)}
        self._constants[VERSION] = len(manifest.layers) << 16 | 1
        for number, layer in enumerate(manifest.layers):
            words = (
                layer.bitstream_length,
                layer.outputs << 16 | layer.fan_in,
                layer.accumulator_width << 8 | manifest.operand_width,
                0,
            )
            for w, word in enumerate(words):
                self._constants[LAYERS + 16 * number + 4 * w] = word
        self.reset()

    def reset(self) -> None:
        self.enable = True
        self.clear = False
        self._dropped = False
        self._counters = dict.fromkeys(_COUNTER_BITS, 0)
        self._latched = {CYCLES: 0, BUSY_CYCLES: 0}
        self.address: int | None = None
        self.data: tuple[int, int] | None = None
        self.response: int | None = None
        self.word: tuple[int, int] | None = None

    def edge(
        self, pins: Inputs, busy: bool, came_in: bool, went_out: bool, packet_error: bool
    ) -> None:
        word = self.word
        if pins.s_axil_arvalid and word is None:
            self.word = self._read(pins.s_axil_araddr & ~3, busy)
        elif pins.s_axil_rready:
            self.word = None

        events = {
            VECTORS_IN: came_in,
            VECTORS_OUT: went_out,
            PACKET_ERRORS: packet_error,
            CYCLES: True,
            BUSY_CYCLES: busy,
        }
        for counter, bits in _COUNTER_BITS.items():
            self._counters[counter] = (self._counters[counter] + events[counter]) % (1 << bits)
        self._dropped = self._dropped or packet_error
        self.clear = False

        address, data = self.address, self.data
        commit = (
            address is not None
            and data is not None
            and (self.response is None or bool(pins.s_axil_bready))
        )
        if commit and address is not None and data is not None:
            self.response = self._write(address & ~3, *data, packet_error)
            self.address = self.data = None
        elif pins.s_axil_bready:
            self.response = None
        # Ready was low for what has just been written: nothing new came in this cycle.
        if pins.s_axil_awvalid and address is None:
            self.address = pins.s_axil_awaddr
        if pins.s_axil_wvalid and data is None:
            self.data = (pins.s_axil_wdata, pins.s_axil_wstrb)
        if pins.preset_load:
            for preset, bits in _COUNTER_BITS.items():
                self._counters[preset] = pins.preset_value % (1 << bits)

    def _write(self, address: int, data: int, strobe: int, packet_error: bool) -> int:
        if address not in (CONTROL, STATUS):
            return SLVERR
        if strobe & 1 and address == STATUS and data & DROPPED:
            self._dropped = packet_error
        if strobe & 1 and address == CONTROL:
            self.enable = bool(data & ENABLE)
            self.clear = bool(data & CLEAR)
            if data & ZERO:
                self._counters = dict.fromkeys(_COUNTER_BITS, 0)
        return OKAY

    def _read(self, address: int, busy: bool) -> tuple[int, int]:
        if address in self._constants:
            return self._constants[address], OKAY
        if address == CONTROL:
            return ENABLE * self.enable, OKAY
        if address == STATUS:
            return BUSY * busy | DROPPED * self._dropped, OKAY
        if address in self._counters:
            if address in self._latched:
                self._latched[address] = self._counters[address] >> 32
            return self._counters[address] & 0xFFFFFFFF, OKAY
        if address - 4 in self._latched:
            return self._latched[address - 4], OKAY
        return 0, SLVERR


class PortModel:
    """The ports of a design, cycle by cycle.

    Parameters
    ----------
    manifest : Manifest
        The design. Of two neighbouring layers at most one may take streams from the one before.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._sink = _Sink(manifest)
        self._source = _Source(manifest.layers[-1].outputs)
        self._registers = _Registers(manifest)
        self._layers: list[_Layer | _StreamedLayer] = []
        streamed = False
        for layer in manifest.layers:
            length = layer.bitstream_length
            divides = layer.activation not in ("none", "step") and length & (length - 1)
            delay = manifest.operand_width + 1 if divides else 0
            if streamed and layer.streams:
                raise InputError(
                    "two streams in a row are not modelled",
                    f"layer {layer.name}",
                    "choose a network with one",
                )
            if streamed:
                self._layers.append(_StreamedLayer(length, delay))
            else:
                # Dense banks take the signs of their inputs in a cycle of their own.
                sign = layer.input_signed and not works_by_cycles(layer, streamed=False)
                self._layers.append(_Layer(length + sign, delay, layer.streams))
            streamed = layer.streams

    def cycle(self, pins: Inputs) -> Outputs:
        """Pass one cycle, up to and with its rising edge, and return what is seen before it."""
        parts: list[Any] = [self._sink, *self._layers, self._source]
        if not pins.rst_ni:
            for part in (*parts, self._registers):
                part.reset()
        registers, sink, source = self._registers, self._sink, self._source
        clear = registers.clear
        m_ready = bool(pins.m_axis_tready)

        # Who waits for whom: from the output to the input.
        ready = [source.ready(clear, m_ready)]
        for layer in reversed(self._layers):
            ready.insert(0, layer.ready(clear, ready[0]))
        # What the layers offer; one that streams offers its vector when it begins with it.
        offers: list[Vector | None] = [sink.vector]
        taken: list[Vector | None] = []
        for number, layer in enumerate(self._layers):
            taken.append(offers[-1] if ready[number] else None)
            streams = isinstance(layer, _Layer) and layer._streams
            offers.append(taken[-1] if streams else layer.vector)
        taken.append(offers[-1] if ready[-1] else None)

        s_ready = sink.ready(registers.enable, clear, ready[0])
        busy = sink.vector is not None or source.vector is not None
        for layer in self._layers:
            busy = busy or layer.busy or layer.vector is not None
        valid = source.vector is not None
        seen = Outputs(
            s_axis_tready=int(s_ready),
            m_axis_tvalid=int(valid),
            m_axis_tlast=int(source.last) if valid else None,
            m_beat=(source.vector, source.beat) if source.vector is not None else None,
            s_axil_awready=int(registers.address is None),
            s_axil_wready=int(registers.data is None),
            s_axil_bvalid=int(registers.response is not None),
            s_axil_bresp=registers.response,
            s_axil_arready=int(registers.word is None),
            s_axil_rvalid=int(registers.word is not None),
            s_axil_rdata=None if registers.word is None else registers.word[0],
            s_axil_rresp=None if registers.word is None else registers.word[1],
        )
        if not pins.rst_ni:
            return seen
        came_in = taken[0] is not None
        went_out = valid and m_ready and source.last
        registers.edge(pins, busy, came_in, went_out, sink.error)
        source.edge(taken[-1], clear, m_ready)
        for number, layer in enumerate(self._layers):
            layer.edge(taken[number], clear, ready[number + 1])
        beat = (pins.s_axis_tdata, pins.s_axis_tlast) if pins.s_axis_tvalid and s_ready else None
        sink.edge(beat, clear, ready[0])
        return seen
