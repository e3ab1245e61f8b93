"""Harness modules around a network or a layer: text, stimulus and recorded counts.

The formats are those of the templates in ``tb/templates``: one hexadecimal word a line, vectors as
bit-planes (bit k of element i of M at ``k * M + i``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.errors import DesignFailure, SignoffError
from model.files import write_bytes_atomically
from model.manifest import Layer, Manifest
from rtl_gen.generator import BANK_NEURONS, TOP_MODULE, layer_module
from tb.rendering import render_template

NETWORK_HARNESS = "network_harness"
LAYER_HARNESS = "layer_harness"
STIMULUS_FILE = "stimulus.hex"
# What the host and the cocotb modules hand each other in a run's working folder.
BENCH_FILE = "bench.json"
INPUTS_FILE = "inputs.npz"
CYCLES_FILE = "cycles.json"
IDENTITY_FILE = "identity.txt"

AXIL_INPUTS = (
    ("s_axil_awaddr", 12),
    ("s_axil_awprot", 3),
    ("s_axil_awvalid", 1),
    ("s_axil_wdata", 32),
    ("s_axil_wstrb", 4),
    ("s_axil_wvalid", 1),
    ("s_axil_bready", 1),
    ("s_axil_araddr", 12),
    ("s_axil_arprot", 3),
    ("s_axil_arvalid", 1),
    ("s_axil_rready", 1),
)
AXIL_OUTPUTS = (
    ("s_axil_awready", 1),
    ("s_axil_wready", 1),
    ("s_axil_bresp", 2),
    ("s_axil_bvalid", 1),
    ("s_axil_arready", 1),
    ("s_axil_rdata", 32),
    ("s_axil_rresp", 2),
    ("s_axil_rvalid", 1),
)


def write_network_harness(manifest: Manifest, folder: Path) -> Path:
    """Write the harness of a whole network.

    Parameters
    ----------
    manifest : Manifest
        The design.
    folder : pathlib.Path
        An existing folder.

    Returns
    -------
    pathlib.Path
        The Verilog file.
    """
    text = render_template(
        "network_harness.v.j2",
        top=TOP_MODULE,
        layers=len(manifest.layers),
        beat_width=16 * manifest.features_per_beat,
        beats=beats_per_packet(manifest),
        depth=max(manifest.vectors, 2 * manifest.layers[0].outputs),
        drain=64 + 2 * sum(layer.bitstream_length for layer in manifest.layers),
        watchdog=watchdog(max(layer.bitstream_length for layer in manifest.layers)),
        axil_inputs=AXIL_INPUTS,
        axil_outputs=AXIL_OUTPUTS,
    )
    path = folder / f"{NETWORK_HARNESS}.v"
    write_bytes_atomically(path, text.encode())
    return path


def write_layer_harness(
    layer: Layer,
    index: int,
    operand_width: int,
    depth: int,
    folder: Path,
    fresh_seeds: Mapping[str, int] | None = None,
) -> Path:
    """Write the harness of one layer.

    Parameters
    ----------
    layer : Layer
        The layer.
    index : int
        Its number in the network, which its module is named after.
    operand_width : int
        Operand width K in bits.
    depth : int
        Largest number of vectors that can be played.
    folder : pathlib.Path
        An existing folder.
    fresh_seeds : mapping, optional
        Bits of the state of each shift register (x, w, select) that is to have a seed of its own
        for every vector, from ``<name>_seeds.hex``.

    Returns
    -------
    pathlib.Path
        The Verilog file.
    """
    result_planes = layer.accumulator_width if layer.activation == "none" else operand_width
    text = render_template(
        "layer_harness.v.j2",
        module=layer_module(index),
        sign_width=layer.fan_in if layer.input_signed else 0,
        magnitude_width=layer.fan_in * operand_width,
        depth=depth,
        watchdog=watchdog(layer.bitstream_length),
        result="count" if layer.activation == "none" else "magnitude",
        result_width=result_planes * layer.outputs,
        trace_width=layer.accumulator_width * layer.outputs,
        fresh_seeds=dict(fresh_seeds or {}),
    )
    path = folder / f"{LAYER_HARNESS}.v"
    write_bytes_atomically(path, text.encode())
    return path


def beats_per_packet(manifest: Manifest) -> int:
    """Return the number of beats of an input packet."""
    return -(-manifest.layers[0].fan_in // manifest.features_per_beat)


def feature_beats(manifest: Manifest, features: NDArray[np.integer]) -> NDArray[np.uint16]:
    """Return the 16-bit fields of every beat of the packets that carry feature vectors.

    Parameters
    ----------
    manifest : Manifest
        The design.
    features : numpy.ndarray
        Shape (vectors, fan_in), signed magnitudes.

    Returns
    -------
    numpy.ndarray
        Shape (vectors, beats, features_per_beat), dtype uint16: sign in bit 15, magnitude from bit
        0.
    """
    fields = np.zeros(
        (len(features), beats_per_packet(manifest), manifest.features_per_beat), dtype=np.uint16
    )
    words = np.abs(features).astype(np.uint16) | (features < 0).astype(np.uint16) << 15
    fields.reshape(len(features), -1)[:, : features.shape[1]] = words
    return fields


def write_network_stimulus(manifest: Manifest, features: NDArray[np.integer], folder: Path) -> None:
    """Write the beats that the network harness plays.

    Parameters
    ----------
    manifest : Manifest
        The design.
    features : numpy.ndarray
        Shape (vectors, fan_in), signed magnitudes.
    folder : pathlib.Path
        The simulation's working folder.
    """
    fields = feature_beats(manifest, features)
    # The last field of a beat is its most significant one.
    data = fields[:, :, ::-1].astype(">u2").tobytes()
    _write_hex(folder / STIMULUS_FILE, data, 2 * manifest.features_per_beat)


def write_layer_stimulus(
    layer: Layer, operand_width: int, inputs: NDArray[np.integer], folder: Path
) -> None:
    """Write the operand vectors that the layer harness plays.

    Parameters
    ----------
    layer : Layer
        The layer.
    operand_width : int
        Operand width K in bits.
    inputs : numpy.ndarray
        Shape (vectors, fan_in), signed magnitudes; not negative where the layer's inputs are
        unsigned.
    folder : pathlib.Path
        The simulation's working folder.
    """
    planes = [np.abs(inputs) >> bit & 1 for bit in range(operand_width)]
    if layer.input_signed:
        planes.append((inputs < 0).astype(inputs.dtype))
    bits = np.concatenate(planes, axis=1).astype(np.uint8)
    width = -(-bits.shape[1] // 8) * 8
    padded = np.zeros((len(bits), width), dtype=np.uint8)
    padded[:, width - bits.shape[1] :] = bits[:, ::-1]
    _write_hex(folder / STIMULUS_FILE, np.packbits(padded, axis=1).tobytes(), width // 8)


def write_seeds(name: str, width: int, seeds: NDArray[np.integer], folder: Path) -> None:
    """Write the states that a layer harness loads into a shift register, one a vector.

    Parameters
    ----------
    name : str
        Of the source: x, w, select.
    width : int
        Bits of a register.
    seeds : numpy.ndarray
        Shape (vectors, registers).
    folder : pathlib.Path
        The run's working folder.
    """
    # Bit b of register g stands at b * registers + g.
    planes = seeds[:, None, :] >> np.arange(width)[None, :, None] & 1
    bits = planes.reshape(len(seeds), -1).astype(np.uint8)
    padded = np.zeros((len(bits), -(-bits.shape[1] // 8) * 8), dtype=np.uint8)
    padded[:, : bits.shape[1]] = bits
    packed = np.packbits(padded[:, ::-1], axis=1)
    _write_hex(folder / f"{name}_seeds.hex", packed.tobytes(), packed.shape[1])


def read_trace(path: Path, vectors: int, layer: Layer) -> NDArray[np.int64]:
    """Read the signed counts that a harness recorded at a layer's trace port.

    Parameters
    ----------
    path : pathlib.Path
        A file with one hexadecimal word a line: the banks side by side, each as a plane vector.
    vectors : int
        How many lines it must have.
    layer : Layer
        The layer.

    Returns
    -------
    numpy.ndarray
        Shape (vectors, outputs), int64.

    Raises
    ------
    SignoffError
        If lines are missing or hold anything but binary digits (an X, for instance).
    """
    width = layer.accumulator_width
    bits = _read_bits(path, vectors, layer.outputs * width)
    counts = np.empty((vectors, layer.outputs), dtype=np.int64)
    for first in range(0, layer.outputs, BANK_NEURONS):
        last = min(first + BANK_NEURONS, layer.outputs)
        counts[:, first:last] = _plane_numbers(
            bits[:, first * width : last * width], last - first, signed=True
        )
    return counts


def read_results(path: Path, vectors: int, layer: Layer, operand_width: int) -> NDArray[np.int64]:
    """Read what a layer harness recorded at a layer's result port.

    Parameters
    ----------
    path : pathlib.Path
        A file with one hexadecimal word a line: a plane vector of magnitudes, or of signed counts
        where the layer has no activation.
    vectors : int
        How many lines it must have.
    layer : Layer
        The layer.
    operand_width : int
        Operand width K in bits.

    Returns
    -------
    numpy.ndarray
        Shape (vectors, outputs), int64.

    Raises
    ------
    SignoffError
        If lines are missing or hold anything but binary digits.
    """
    counts = layer.activation == "none"
    width = layer.accumulator_width if counts else operand_width
    return _plane_numbers(
        _read_bits(path, vectors, layer.outputs * width), layer.outputs, signed=counts
    )


def read_stream_counts(path: Path, vectors: int, outputs: int) -> NDArray[np.int64]:
    """Read the recorded output stream as counts.

    Parameters
    ----------
    path : pathlib.Path
        A file with TLAST and TDATA of one beat a line.
    vectors : int
        Number of packets it must hold.
    outputs : int
        Beats of a packet.

    Returns
    -------
    numpy.ndarray
        Shape (vectors, outputs), int64.

    Raises
    ------
    SignoffError
        If beats are missing, hold anything but binary digits, or TLAST stands at the wrong beats.
    """
    lines = _recorded_lines(path, vectors * outputs, f"[01xz] {_hex_digits(32)}")
    last = "".join(line[0] for line in lines)
    if last != ("0" * (outputs - 1) + "1") * vectors:
        beat = next(i for i, bit in enumerate(last) if bit != "01"[i % outputs == outputs - 1])
        raise DesignFailure(
            f"TLAST is {last[beat]} at beat {beat % outputs} of packet {beat // outputs}",
            str(path),
            "look at the output stream of that packet with WAVES=1",
        )
    raw = _hex_bytes("".join(line[2:] for line in lines), path)
    return np.frombuffer(raw, dtype=">i4").astype(np.int64).reshape(vectors, outputs)


def read_network_counts(manifest: Manifest, folder: Path, vectors: int) -> list[NDArray[np.int64]]:
    """Read the counts of every layer that the network harness recorded.

    Parameters
    ----------
    manifest : Manifest
        The design.
    folder : pathlib.Path
        The simulation's working folder.
    vectors : int
        Number of vectors that were played.

    Returns
    -------
    list of numpy.ndarray
        For each layer, shape (vectors, outputs), int64.

    Raises
    ------
    SignoffError
        If anything is missing.
    """
    counts = [
        read_trace(folder / f"layer_{index}.hex", vectors, layer)
        for index, layer in enumerate(manifest.layers[:-1])
    ]
    last = len(manifest.layers) - 1
    counts.append(
        read_stream_counts(folder / f"layer_{last}.hex", vectors, manifest.layers[-1].outputs)
    )
    return counts


def watchdog(longest: int) -> int:
    """Return after how many cycles without any progress a design counts as hung."""
    return 16 * longest + 4096


def _write_hex(path: Path, data: bytes, word_bytes: int) -> None:
    """Write words of equal size as lines of hexadecimal digits."""
    write_bytes_atomically(path, data.hex("\n", -word_bytes).encode() + b"\n")


def _read_bits(path: Path, vectors: int, bits: int) -> NDArray[np.uint8]:
    """Read words of `bits` bits, one a line: shape (vectors, bits), bit 0 first."""
    lines = _recorded_lines(path, vectors, _hex_digits(bits))
    digits = -(-bits // 8) * 2
    raw = _hex_bytes("".join(line.rjust(digits, "0") for line in lines), path)
    words = np.frombuffer(raw, dtype=np.uint8).reshape(vectors, digits // 2)
    return np.unpackbits(words, axis=1)[:, ::-1][:, :bits]


def _plane_numbers(bits: NDArray[np.uint8], elements: int, *, signed: bool) -> NDArray[np.int64]:
    """Turn plane vectors into numbers, shape (vectors, elements)."""
    planes = bits.reshape(len(bits), -1, elements)
    numbers = np.zeros((len(bits), elements), dtype=np.int64)
    for weight in range(planes.shape[1]):
        numbers += planes[:, weight].astype(np.int64) << weight
    if signed:
        numbers -= planes[:, -1].astype(np.int64) << planes.shape[1]
    return numbers


def _hex_digits(bits: int) -> str:
    """Return the pattern of a word as ``%h`` prints it."""
    return f"[0-9a-fxz]{{{-(-bits // 4)}}}"


def _recorded_lines(path: Path, expected: int, pattern: str) -> list[str]:
    """Return the lines of a recording, which must be complete."""
    try:
        lines = path.read_text(errors="replace").lower().splitlines()
    except OSError as error:
        raise SignoffError(
            f"cannot read what the simulation recorded: {error.strerror}",
            str(path),
            "simulate again",
        ) from None
    if len(lines) > expected:
        raise DesignFailure(
            f"the simulation recorded {len(lines)} of {expected} words, which are too many",
            str(path),
            "the design gives results that nobody asked for: look at its handshakes with WAVES=1",
        )
    if len(lines) != expected:
        raise SignoffError(
            f"the simulation recorded {len(lines)} of {expected} words",
            str(path),
            "the design hung, the disk is full or the run was cut short: see the simulation's log",
        )
    whole = re.compile(pattern)
    for number, line in enumerate(lines, start=1):
        if not whole.fullmatch(line):
            raise SignoffError(
                f"line {number} of what the simulation recorded is not a whole word",
                str(path),
                "the run was cut short or the file was edited: simulate again",
            )
    return lines


def _hex_bytes(digits: str, path: Path) -> bytes:
    """Convert hexadecimal digits, which must not contain X or Z."""
    try:
        return bytes.fromhex(digits)
    except ValueError:
        raise DesignFailure(
            "the simulation recorded unknown values (X)",
            str(path),
            "look at the vector with WAVES=1: a register is read before it is written",
        ) from None
