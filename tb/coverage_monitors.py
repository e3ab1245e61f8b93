"""Monitors that watch blocks under test and report to the testplan what they see.

A bench starts the monitor of its block with one call, once a test; without functional coverage the
call does nothing. Monitors look at the block's own signals in the middle of each cycle, where
inputs and outputs are those that the next clock edge will take.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge

from model.limits import MAX_LENGTH
from model.manifest import LifNeuron, Manifest, Source
from tb.functional_coverage import ENABLED, sample

_ACCESSES = {0: "OKAY", 2: "SLVERR"}
_REGISTERS = {
    0x020: "version",
    0x024: "control",
    0x028: "status",
    0x02C: "vectors in",
    0x030: "vectors out",
    0x034: "packet errors",
    0x038: "cycles low",
    0x03C: "cycles high",
    0x040: "busy cycles low",
    0x044: "busy cycles high",
}


def high(handle: Any) -> bool:
    """Say whether a one-bit signal is 1; neither 0 nor unknown are."""
    return str(handle.value) == "1"


def number(handle: Any) -> int | None:
    """Return a signal as a number without a sign; None while a bit of it is unknown."""
    value = handle.value
    return int(value) if value.is_resolvable else None


@dataclass(frozen=True)
class Watched:
    """A block with phases: what `watch_phases` has to know of it.

    Attributes
    ----------
    name : str
        The goals are ``<name>_back_pressure``, ``<name>_clear`` and ``<name>_reset``.
    clk, rst_n : Any
        Handles.
    clear : callable
        Says whether the block is being cleared.
    phase : callable
        Returns the phase.
    handshake : callable
        Returns how it is with the other side; None where nothing is to be reported.
    prefix : tuple of str
        First axes of all three goals.
    """

    name: str
    clk: Any
    rst_n: Any
    clear: Callable[[], bool]
    phase: Callable[[], str]
    handshake: Callable[[], str | None]
    prefix: tuple[str, ...] = ()


def watch_phases(block: Watched) -> None:
    """Report back-pressure, clear and reset in each phase of a block."""
    if not ENABLED:
        return
    last: list[str | None] = [None]

    async def cycles() -> None:
        while True:
            await FallingEdge(block.clk)
            if not high(block.rst_n):
                continue
            last[0] = phase = block.phase()
            if block.clear():
                sample(f"{block.name}_clear", *block.prefix, phase)
            else:
                handshake = block.handshake()
                if handshake is not None:
                    sample(f"{block.name}_back_pressure", *block.prefix, phase, handshake)

    async def resets() -> None:
        while True:
            await FallingEdge(block.rst_n)
            phase, last[0] = last[0], None
            if phase is not None:
                sample(f"{block.name}_reset", *block.prefix, phase)

    cocotb.start_soon(cycles())
    cocotb.start_soon(resets())


def watch_each_cycle(clk: Any, look: Callable[[], None]) -> None:
    """Look in the middle of each cycle."""
    if not ENABLED:
        return

    async def cycles() -> None:
        while True:
            await FallingEdge(clk)
            look()

    cocotb.start_soon(cycles())


# --- sequencers -----------------------------------------------------------------------------------


def watch_layer_ctrl(dut: Any) -> None:
    """Watch an `sc_layer_ctrl`."""

    def phase() -> str:
        for name in ("sign", "count", "finish"):
            if high(getattr(dut, f"{name}_o")):
                return name
        return "idle"

    _watch_sequencer("layer", dut, phase)


def watch_stream_ctrl(dut: Any) -> None:
    """Watch an `sc_stream_ctrl`."""

    def phase() -> str:
        for name in ("load", "count", "finish"):
            if high(getattr(dut, f"{name}_o")):
                return name
        return "gap" if high(dut.busy_o) else "idle"

    _watch_sequencer("stream", dut, phase)


def _watch_sequencer(name: str, dut: Any, phase: Callable[[], str]) -> None:
    watch_phases(
        Watched(
            name,
            dut.clk_i,
            dut.rst_ni,
            lambda: high(dut.clear_i),
            phase,
            lambda: "taken" if high(dut.result_ready_i) else "blocked",
        )
    )
    counted = 0

    def look() -> None:
        nonlocal counted
        if not high(dut.rst_ni) or high(dut.clear_i) or high(dut.load_o):
            counted = 0
        elif high(dut.count_o):
            counted += 1
        elif high(dut.finish_o) and counted:
            sample("counted_cycles", name, length_class(counted))
            counted = 0

    watch_each_cycle(dut.clk_i, look)


def length_class(length: int) -> str:
    """Return the class of a bitstream length."""
    if length <= 2:
        return str(length)
    if length & (length - 1) == 0:
        return "power of two"
    return "odd" if length % 2 else "even"


# --- AXI4-Stream ----------------------------------------------------------------------------------


def watch_vector_sink(dut: Any, beats: int) -> None:
    """Watch an `axis_vector_sink`.

    Parameters
    ----------
    dut : Any
        Its handle.
    beats : int
        Beats of a whole packet.
    """

    def phase() -> str:
        if high(dut.drop_q):
            return "dropping"
        if number(dut.beat_q):
            return "partway"
        return "waiting" if high(dut.vector_valid_o) else "empty"

    def handshake() -> str:
        if not high(dut.s_axis_tvalid):
            return "no beat"
        return "accepted" if high(dut.s_axis_tready) else "stalled"

    watch_phases(
        Watched("sink", dut.clk_i, dut.rst_ni, lambda: high(dut.clear_i), phase, handshake)
    )

    def look() -> None:
        if high(dut.rst_ni) and not high(dut.clear_i) and not high(dut.enable_i):
            sample("sink_disabled", phase(), handshake())

    watch_each_cycle(dut.clk_i, look)
    watch_packets(
        "sink_packets",
        dut.clk_i,
        dut.rst_ni,
        dut,
        beats,
        clear=dut.clear_i,
        error=dut.packet_error_o,
    )


def watch_packets(
    goal: str,
    clk: Any,
    rst_n: Any,
    stream: Any,
    beats: int,
    *,
    clear: Any = None,
    error: Any = None,
) -> None:
    """Report of each packet how long it was, and whether it was said to be broken.

    Parameters
    ----------
    goal : str
        With the axis packet, and with an axis verdict where there is an error.
    clk, rst_n : Any
        Handles.
    stream : Any
        What has the handles ``s_axis_*``.
    beats : int
        Beats of a whole packet.
    clear, error : Any
        Handles, where there are such pins; the error comes in the cycle after the beat.
    """
    # None: a packet whose beginning was not seen, or was dropped.
    length: int | None = 0
    blamed = False
    # Of the packet whose last beat was accepted in the cycle before.
    ended, kind = False, ""

    def look() -> None:
        nonlocal length, blamed, ended, kind
        if not high(rst_n):
            length, blamed, ended = 0, False, False
            return
        blamed = blamed or (error is not None and high(error))
        if ended:
            if kind:
                verdict = () if error is None else ("error" if blamed else "no error",)
                sample(goal, kind, *verdict)
            ended, blamed = False, False
        if clear is not None and high(clear):
            # The next beat begins a packet, even if its sender sees it otherwise.
            length, blamed = None if length else length, False
        elif high(stream.s_axis_tvalid) and high(stream.s_axis_tready):
            length = None if length is None else length + 1
            if high(stream.s_axis_tlast):
                ended, kind = True, "" if length is None else packet_class(length, beats)
                length = 0

    watch_each_cycle(clk, look)


def packet_class(length: int, beats: int) -> str:
    """Return the class of a packet by its length."""
    if length == beats:
        return "whole"
    if length > beats:
        return "one beat too long" if length == beats + 1 else "far too long"
    if length == beats - 1:
        return "one beat too short"
    return "far too short"


def watch_count_source(dut: Any) -> None:
    """Watch an `axis_count_source`."""

    def phase() -> str:
        if not high(dut.m_axis_tvalid):
            return "idle"
        first, last = number(dut.beat_q) == 0, high(dut.m_axis_tlast)
        if first and last:
            return "only beat"
        return "first beat" if first else "last beat" if last else "beat between"

    watch_phases(
        Watched(
            "source",
            dut.clk_i,
            dut.rst_ni,
            lambda: high(dut.clear_i),
            phase,
            lambda: "taken" if high(dut.m_axis_tready) else "blocked",
        )
    )


# --- AXI4-Lite ------------------------------------------------------------------------------------


def register_class(address: int, layers: int) -> str:
    """Return the name of the register at an address; ``nothing`` where there is none."""
    address &= ~3
    if address < 0x020:
        return "id"
    if 0x100 <= address < 0x100 + 16 * layers:
        return "layer"
    return _REGISTERS.get(address, "nothing")


def watch_registers(dut: Any, layers: int) -> None:
    """Watch an `axil_registers`.

    Parameters
    ----------
    dut : Any
        Its handle.
    layers : int
        Number of layers that it describes.
    """

    def phase() -> str:
        if high(dut.s_axil_bvalid):
            return "write response"
        if high(dut.s_axil_rvalid):
            return "read data"
        address, data = high(dut.aw_held_q), high(dut.w_held_q)
        if address and data:
            return "write at work"
        return "address held" if address else "data held" if data else "idle"

    def handshake() -> str | None:
        if not high(dut.s_axil_bvalid) and not high(dut.s_axil_rvalid):
            return None
        ready = dut.s_axil_bready if high(dut.s_axil_bvalid) else dut.s_axil_rready
        return "taken" if high(ready) else "blocked"

    watch_phases(Watched("registers", dut.clk_i, dut.rst_ni, lambda: False, phase, handshake))
    reading = writing = 0
    order: str | None = None

    def look() -> None:
        nonlocal reading, writing, order
        if not high(dut.rst_ni):
            order = None
            return
        if high(dut.s_axil_rvalid) and high(dut.s_axil_rready):
            _sample_access("read", reading, dut.s_axil_rresp)
        if high(dut.s_axil_bvalid) and high(dut.s_axil_bready):
            _sample_access("write", writing, dut.s_axil_bresp)
        if high(dut.s_axil_arvalid) and high(dut.s_axil_arready):
            reading = number(dut.s_axil_araddr) or 0
        address, data = high(dut.aw_held_q), high(dut.w_held_q)
        if order is None and (address or data):
            order = "together" if address and data else "address" if address else "data"
            sample("register_write_order", order)
        if high(dut.commit):
            order = None
            writing = 4 * (number(dut.aw_word_q) or 0)
            _sample_control(dut, writing)

    def _sample_access(access: str, address: int, response: Any) -> None:
        answer = _ACCESSES.get(number(response) or 0, "?")
        sample("register_access", access, register_class(address, layers), answer)

    watch_each_cycle(dut.clk_i, look)


def _sample_control(dut: Any, address: int) -> None:
    """Report a write of control or status, in the cycle before its effect."""
    name = register_class(address, 0)
    if name not in ("control", "status"):
        return
    strobe = "written" if high(dut.w_strobe_q) else "strobe off"
    data = number(dut.w_data_q) or 0
    if name == "status":
        sample("register_control", "drop the error flag" if data & 2 else "keep it", strobe)
        if data & 2 and high(dut.w_strobe_q):
            sample("register_collisions", "flag dropped", _events(high(dut.packet_error_i)))
        return
    for bit, effect in ((2, "clear"), (4, "zero the counters")):
        if data & bit:
            sample("register_control", effect, strobe)
    sample("register_control", "enable" if data & 1 else "disable", strobe)
    if data & 4 and high(dut.w_strobe_q):
        pins = (dut.vector_in_i, dut.vector_out_i, dut.packet_error_i, dut.busy_i)
        sample("register_collisions", "counters zeroed", _events(any(high(pin) for pin in pins)))


def _events(any_: bool) -> str:
    return "with an event" if any_ else "without"


# --- operands, counts and results -----------------------------------------------------------------


def operand_class(magnitude: int, width: int) -> str:
    """Return the class of a magnitude of some bits."""
    top = (1 << width) - 1
    return {0: "0", top: "largest", 1: "1"}.get(magnitude, "between")


def sample_operands(goal: str, magnitudes: Sequence[int], signs: Sequence[int], width: int) -> None:
    """Report operands: their magnitudes and signs."""
    if ENABLED:
        for magnitude, minus in zip(magnitudes, signs, strict=True):
            sample(goal, operand_class(magnitude, width), "minus" if minus else "plus")


def sample_range(goal: str, block: str, values: Sequence[int], low: int, top: int) -> None:
    """Report where numbers that a block shows stand in their range."""
    if not ENABLED:
        return
    for value in values:
        place = {low: "least", top: "largest"}.get(value, "between")
        sample(goal, block, place)


def sample_outputs(values: Iterable[int], width: int) -> None:
    """Report elements of an output of the block under test whose bits are all the same.

    Parameters
    ----------
    values : iterable of int
        The elements.
    width : int
        Bits of each.
    """
    if not ENABLED:
        return
    ones = (1 << width) - 1
    found = set(values)
    for value, name in ((0, "all zeros"), (ones, "all ones")):
        if value in found:
            sample("block_outputs", os.environ["COCOTB_TOPLEVEL"], name)


def watch_result_stage(dut: Any) -> None:
    """Watch a result stage, or the first of several in a wrapper."""
    name = str(dut._name).removeprefix("sc_result_").removesuffix("_bench")

    def first(handle: Any) -> bool:
        return str(handle.value)[-1] == "1"

    def phase() -> str:
        if first(dut.result_valid_o):
            return "offered"
        # Ready does not depend on the taker while nothing is offered.
        return "idle" if first(dut.acc_ready_o) else "at work"

    watch_phases(
        Watched(
            "result",
            dut.clk_i,
            dut.rst_ni,
            lambda: high(dut.clear_i),
            phase,
            lambda: "taken" if high(dut.result_ready_i) else "blocked",
            (name,),
        )
    )


def sample_clipping(dut: Any, port: str, counts: Sequence[int], results: Sequence[int]) -> None:
    """Report what a result stage has made of counts.

    Parameters
    ----------
    dut : Any
        Its handle, or that of a wrapper.
    port : str
        The port that the results were read from.
    counts, results : sequence of int
        Of all neurons; results as magnitudes.
    """
    if not ENABLED or not port.startswith("magnitude"):
        return
    name = str(dut._name).removeprefix("sc_result_").removesuffix("_bench")
    top = max(1, (1 << (len(getattr(dut, port)) // len(counts))) - 1)
    for count, result in zip(counts, results, strict=True):
        sign = "negative" if count < 0 else "positive" if count else "zero"
        place = {0: "0", top: "largest"}.get(result, "between")
        sample("saturation", name, sign, place)


def sample_membrane(neuron: LifNeuron, kind: str, spike: bool, resting: bool, after: int) -> None:
    """Report what a spiking neuron did in a cycle.

    Parameters
    ----------
    neuron : LifNeuron
        Its parameters.
    kind : {'load', 'idle', 'step'}
        What it was told to do.
    spike : bool
        Whether it fired.
    resting : bool
        Whether it was refractory.
    after : int
        Its membrane after the cycle.
    """
    if not ENABLED:
        return
    if kind != "step":
        sample("membrane", kind)
    elif resting:
        sample("membrane", "rest")
    elif not spike:
        sample("membrane", "held at the floor" if after == neuron.floor else "no spike")
    else:
        top = (1 << (neuron.width - 1)) - 1
        cut = neuron.reset == "subtract" and after == top - neuron.threshold
        sample("membrane", "spike cut at the top" if cut else "spike")


# --- whole networks -------------------------------------------------------------------------------


def watch_network(dut: Any, manifest: Manifest) -> None:
    """Watch a network in its harness; where the simulator shows them, its layers too.

    Parameters
    ----------
    dut : Any
        Handle of the harness.
    manifest : Manifest
        Of the network.
    """
    if not ENABLED:
        return
    width = manifest.operand_width

    def flow(valid: Any, ready: Any) -> str:
        return "none" if not high(valid) else "moves" if high(ready) else "stalls"

    def look() -> None:
        if not high(dut.rst_n):
            return
        arriving = flow(dut.s_axis_tvalid, dut.s_axis_tready)
        leaving = flow(dut.m_axis_tvalid, dut.m_axis_tready)
        sample("network_flow", arriving, leaving)
        if arriving == "moves":
            beat = number(dut.s_axis_tdata) or 0
            fields = [beat >> 16 * place for place in range(manifest.features_per_beat)]
            sample_operands(
                "network_operands",
                [field & ((1 << width) - 1) for field in fields],
                [field >> 15 & 1 for field in fields],
                width,
            )
        if leaving == "moves":
            count = dut.m_axis_tdata.value.to_signed()
            sample("network_counts", "negative" if count < 0 else "positive" if count else "zero")

    watch_each_cycle(dut.clk, look)
    beats = -(-manifest.layers[0].fan_in // manifest.features_per_beat)
    watch_packets("network_packets", dut.clk, dut.rst_n, dut, beats)
    for name, index in _ends(len(manifest.layers)):
        # Verilator is told to show the signals of the harness only.
        if hasattr(dut, "dut") and hasattr(dut.dut, f"u_layer_{index}"):
            layer = getattr(dut.dut, f"u_layer_{index}")
            watch_phases(_watched_layer(dut, name, layer.u_ctrl))


def _ends(layers: int) -> Iterator[tuple[str, int]]:
    yield "first", 0
    if layers > 1:
        yield "last", layers - 1


def _watched_layer(dut: Any, name: str, ctrl: Any) -> Watched:
    def phase() -> str:
        if high(ctrl.finish_o):
            return "finish"
        return "work" if high(ctrl.busy_o) else "idle"

    return Watched(
        "network",
        dut.clk,
        dut.rst_n,
        lambda: high(ctrl.clear_i),
        phase,
        lambda: "taken" if high(ctrl.result_ready_i) else "blocked",
        (name,),
    )


def sample_design(manifest: Manifest) -> None:
    """Report what a design is, once its RTL has said by its ID that it is this manifest's.

    Parameters
    ----------
    manifest : Manifest
        Of the design.
    """
    if not ENABLED:
        return
    sample("operand_widths", str(manifest.operand_width))
    sample("layer_numbers", str(min(len(manifest.layers), 3)))
    for layer in manifest.layers:
        for source in (layer.x_source, layer.w_source, layer.select_source):
            if source is not None:
                sample("sources", f"{_source_kind(source)} {source.sharing}")
        neuron = "spikes streamed" if layer.streams else layer.activation
        sample("gates", layer.encoding, layer.adder, neuron)
        sample("lengths", length_class(layer.bitstream_length))
        if layer.bitstream_length == MAX_LENGTH:
            sample("longest", "2^20")
        for end, size in (("inputs", layer.fan_in), ("neurons", layer.outputs)):
            sample("sizes", end, size_class(size))


def _source_kind(source: Source) -> str:
    if source.kind == "lfsr":
        return source.form if source.step > 1 else f"{source.form}, one bit a cycle"
    if source.kind == "counter":
        return "counter reversed" if source.reversed else "counter"
    return source.kind


def size_class(size: int) -> str:
    """Return the class of a number of inputs or neurons; a bank has 64 neurons at most."""
    if size <= 2:
        return str(size)
    if size > 64:
        return "more than a bank"
    return "odd" if size % 2 else "even"
