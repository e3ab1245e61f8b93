"""Internal streams of a design, cycle by cycle: recorded from the RTL, held to the slow model.

The probe is a second module beside the network harness, which reads the layers' signals by their
hierarchical names and writes them down while vectors are played. It needs Icarus: the dense bank
computes its weight streams and products in a function, whose variables no other simulator shows.

A layer made of blocks shows x bits, weight bits, products, their signs, the adder's increments, the
accumulators, spikes and membranes. A layer of dense banks shows x bits, weight bits (where all
lanes share a source), products and accumulators. The first difference is located to vector, cycle,
signal, neuron and lane.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.errors import SignoffError
from model.files import write_bytes_atomically
from model.manifest import Layer
from model.plan import Design
from model.streams import LayerStreams, evaluate_network
from rtl_gen.generator import BANK_NEURONS, increment_width, works_by_cycles
from tb.rendering import render_template

PROBE_MODULE = "stream_probe"
PROBE_DEFINE = "CERTIBIT_PROBE"

_UNKNOWN = np.iinfo(np.int64).min
_DIGIT_BITS = {
    **{format(digit, "x"): [digit >> bit & 1 for bit in range(4)] for digit in range(16)},
    **{unknown: [2, 2, 2, 2] for unknown in "xzXZ"},
}


@dataclass(frozen=True)
class StreamComparison:
    """What the comparison of one layer's streams came to.

    Attributes
    ----------
    bits : int
        Values that were compared, of all signals, cycles and vectors.
    vectors, cycles : int
        How many vectors, and how many cycles of each.
    signals : tuple of str
        What was compared.
    differences : int
        Values that differ.
    first : str
        Where the first of them is, and both values; empty if there is none.
    """

    bits: int
    vectors: int
    cycles: int
    signals: tuple[str, ...]
    differences: int
    first: str


@dataclass(frozen=True)
class _Signal:
    """A word of the probe: its name, its Verilog, and how to read its bits.

    `registered` words show in a cycle what the cycle before left. `axes` name what the columns are:
    ``lane``, ``neuron`` or both, lane major. Bit p of column c stands at ``p * columns + c``.
    """

    name: str
    verilog: str
    axes: tuple[str, ...]
    columns: int
    width: int = 1
    signed: bool = False
    registered: bool = False
    first_neuron: int = 0
    bit_major: bool = True


def write_stream_probe(design: Design, folder: Path) -> Path:
    """Write the probe module of a design.

    Parameters
    ----------
    design : Design
        The design.
    folder : pathlib.Path
        An existing folder.

    Returns
    -------
    pathlib.Path
        The Verilog file.
    """
    layers = [
        [signal.verilog for signal in _signals(design, index)]
        for index in range(len(design.manifest.layers))
    ]
    text = render_template(f"{PROBE_MODULE}.v.j2", layers=layers)
    path = folder / f"{PROBE_MODULE}.v"
    write_bytes_atomically(path, text.encode())
    return path


def compare_streams(
    design: Design, inputs: NDArray[np.integer], folder: Path
) -> list[StreamComparison]:
    """Hold what the probe recorded to the slow model.

    Parameters
    ----------
    design : Design
        The design.
    inputs : numpy.ndarray
        Shape (vectors, fan_in), signed magnitudes: what was played.
    folder : pathlib.Path
        The run's working folder, with the probe's files.

    Returns
    -------
    list of StreamComparison
        One a layer.

    Raises
    ------
    SignoffError
        If a recording is missing or incomplete.
    """
    manifest, parameters = design.manifest, design.parameters
    expected = [
        evaluate_network(
            manifest.layers,
            parameters.weights,
            parameters.biases,
            vector,
            manifest.operand_width,
        )
        for vector in inputs
    ]
    comparisons = []
    for index, layer in enumerate(manifest.layers):
        signals = _signals(design, index)
        recorded = _read(folder / f"probe_{index}.hex", signals, layer, len(inputs))
        # What layers hand on has no sign.
        negative = inputs < 0 if index == 0 else np.zeros((len(inputs), layer.fan_in), np.bool_)
        own = [vector[index] for vector in expected]
        comparisons.append(_compare(design, index, signals, recorded, own, negative))
    return comparisons


def _signals(design: Design, index: int) -> list[_Signal]:
    """Return what the probe writes of a layer."""
    layers = design.manifest.layers
    layer = layers[index]
    lanes, neurons = layer.fan_in, layer.outputs
    x = _Signal("x bit", "@.x_bit", ("lane",), lanes)
    if not works_by_cycles(layer, streamed=index > 0 and layers[index - 1].streams):
        return [x, *_bank_signals(design, index)]
    both = ("lane", "neuron")
    signals = [
        x,
        _Signal("weight bit", "@.w_bit", both, lanes * neurons),
        _Signal("product", "@.product", both, lanes * neurons),
        _Signal(
            "increment", "@.increment", ("neuron",), neurons, increment_width(layer), signed=True
        ),
    ]
    if layer.encoding != "bipolar":
        signals.append(_Signal("sign of product", "@.negative", both, lanes * neurons))
    acc = layer.accumulator_width
    signed = layer.lif is None
    signals.append(_Signal("count", "@.acc", ("neuron",), neurons, acc, signed, registered=True))
    if layer.lif is not None:
        signals.append(_Signal("spike", "@.spike", ("neuron",), neurons))
        width = layer.lif.width
        # Neuron by neuron, not plane by plane.
        signals.append(
            _Signal(
                "membrane",
                "@.voltage",
                ("neuron",),
                neurons,
                width,
                signed=True,
                registered=True,
                bit_major=False,
            )
        )
    return signals


def _bank_signals(design: Design, index: int) -> Iterator[_Signal]:
    """Yield what the dense banks of a layer show."""
    layer, weights = design.manifest.layers[index], design.parameters.weights[index]
    source = layer.w_source
    shared = source.sharing == "layer" and len(source.xor_constants) == len(source.rotations) == 1
    for bank, first in enumerate(range(0, layer.outputs, BANK_NEURONS)):
        part = weights[first : first + BANK_NEURONS]
        neurons = len(part)
        path = f"@.u_bank_{bank}.lane_count"
        if shared:
            both = ("lane", "neuron")
            yield _Signal(
                "weight bit",
                f"{path}.w",
                both,
                layer.fan_in * neurons,
                registered=True,
                first_neuron=first,
            )
        slots = max(1, int(np.count_nonzero(part, axis=1).max()))
        queue = ", ".join(f"{path}.queue[{slot}]" for slot in reversed(range(slots)))
        yield _Signal(
            "product",
            f"{{{queue}}}",
            ("slot", "neuron"),
            slots * neurons,
            registered=True,
            first_neuron=first,
        )
        yield _Signal(
            "count",
            f"@.acc_{bank}",
            ("neuron",),
            neurons,
            layer.accumulator_width,
            signed=True,
            registered=True,
            first_neuron=first,
        )


def _read(
    path: Path, signals: list[_Signal], layer: Layer, vectors: int
) -> dict[int, NDArray[np.int64]]:
    """Read a recording: for each signal, shape (vectors, L, columns)."""
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
    except OSError as error:
        raise SignoffError(
            f"cannot read the probe's recording: {error.strerror}", str(path), "simulate again"
        ) from None
    counting = [place for place, line in enumerate(lines) if line[0] == "1"]
    wanted = vectors * layer.bitstream_length
    after = [place + 1 for place in counting]
    if len(counting) != wanted or after[-1] >= len(lines):
        raise SignoffError(
            f"the probe saw {len(counting)} counted cycles of {wanted}",
            str(path),
            "the design hung, or counts too long or too short: see its log",
        )
    found = {}
    for place, signal in enumerate(signals, start=1):
        rows = after if signal.registered else counting
        words = [lines[row][place] for row in rows]
        width = signal.width
        bits = _bits(words, path)[:, : width * signal.columns]
        if signal.bit_major:
            planes = bits.reshape(len(bits), width, signal.columns)
        else:
            planes = bits.reshape(len(bits), signal.columns, width).transpose(0, 2, 1)
        values = np.zeros((len(bits), signal.columns), dtype=np.int64)
        for plane in range(width):
            values += planes[:, plane].astype(np.int64) << plane
        if signal.signed:
            values -= planes[:, width - 1].astype(np.int64) << width
        # Unknown bits are no bits: they differ from whatever is expected.
        values[(planes > 1).any(axis=1)] = _UNKNOWN
        found[place - 1] = values.reshape(vectors, layer.bitstream_length, signal.columns)
    return found


def _bits(words: list[str], path: Path) -> NDArray[np.uint8]:
    """Return the bits of hexadecimal words, bit 0 first; 2 where they are unknown."""
    table = np.full((256, 4), 3, dtype=np.uint8)
    for digit, digit_bits in _DIGIT_BITS.items():
        table[ord(digit)] = digit_bits
    raw = np.frombuffer("".join(words).encode(), dtype=np.uint8)
    bits: NDArray[np.uint8] = table[raw.reshape(len(words), -1)[:, ::-1]]
    if (bits == 3).any():
        raise SignoffError("the probe's recording is not whole", str(path), "simulate again")
    return bits.reshape(len(words), -1)


def _compare(
    design: Design,
    index: int,
    signals: list[_Signal],
    recorded: dict[int, NDArray[np.int64]],
    expected: list[LayerStreams],
    negative: NDArray[np.bool_],
) -> StreamComparison:
    """Compare all signals of a layer; the earliest difference is the one that is told."""
    layer = design.manifest.layers[index]
    differing = values = 0
    first: tuple[tuple[int, ...], str] | None = None
    for place, signal in enumerate(signals):
        model, lanes = _expected(design, index, signal, expected, negative)
        measured = recorded[place]
        values += measured.size
        wrong = np.argwhere(measured != model)
        differing += len(wrong)
        if not len(wrong):
            continue
        vector, cycle, column = (int(position) for position in wrong[0])
        key = (vector, cycle, place)
        if first is not None and first[0] < key:
            continue
        where = [f"vector {vector}", f"cycle {cycle}", signal.name]
        neurons = signal.columns
        if len(signal.axes) == 2:
            neurons = len(lanes)
            where.append(f"neuron {signal.first_neuron + column % neurons}")
            where.append(f"lane {lanes[column % neurons][column // neurons]}")
        elif signal.axes == ("neuron",):
            where.append(f"neuron {signal.first_neuron + column}")
        else:
            where.append(f"lane {column}")
        told = measured[vector, cycle, column]
        shown = "X" if told == _UNKNOWN else str(told)
        first = (
            key,
            f"layer {layer.name}, {', '.join(where)}: RTL {shown}, model"
            f" {model[vector, cycle, column]}",
        )
    return StreamComparison(
        bits=values,
        vectors=len(expected),
        cycles=layer.bitstream_length,
        signals=tuple(dict.fromkeys(signal.name for signal in signals)),
        differences=differing,
        first="" if first is None else first[1],
    )


def _expected(
    design: Design,
    index: int,
    signal: _Signal,
    streams: list[LayerStreams],
    negative_inputs: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], list[list[int]]]:
    """Return what a signal has to be, shape (vectors, L, columns), and the lanes of its columns."""
    layer = design.manifest.layers[index]
    dense = not works_by_cycles(
        layer, streamed=index > 0 and design.manifest.layers[index - 1].streams
    )
    last = signal.first_neuron + (
        min(BANK_NEURONS, layer.outputs - signal.first_neuron) if dense else layer.outputs
    )
    neurons = slice(signal.first_neuron, last)
    weights = design.parameters.weights[index][neurons]
    biases = design.parameters.biases[index][neurons].astype(np.int64)
    # Lane i of neuron j stands in column i * neurons + j.
    lanes = [list(range(layer.fan_in)) for _ in weights]

    def flat(bits: NDArray[Any]) -> NDArray[np.int64]:
        return bits.transpose(0, 2, 1).reshape(len(bits), -1).astype(np.int64)

    rows = []
    for part, minus in zip(streams, negative_inputs, strict=True):
        products = part.products[:, neurons].astype(np.int64)
        if signal.name == "x bit":
            rows.append(part.x_bits.astype(np.int64))
        elif signal.name == "weight bit":
            every = np.broadcast_to(part.w_bits, (len(products), layer.outputs, layer.fan_in))
            rows.append(flat(every[:, neurons]))
        elif signal.name == "sign of product":
            negative = minus ^ (weights < 0)
            rows.append(flat(np.broadcast_to(negative, products.shape)))
        elif signal.name == "product" and not dense:
            rows.append(flat(products > 0 if layer.encoding == "bipolar" else products != 0))
        elif signal.name == "product":
            # A product of negative sign is counted as its complement, and synapses close ranks.
            negative = minus ^ (weights < 0)
            counted = np.where(negative, 1 - np.abs(products), products)
            lanes = [np.flatnonzero(row).tolist() for row in weights]
            slots = max(1, max(len(row) for row in lanes))
            columns = np.zeros((len(products), len(weights), slots), dtype=np.int64)
            for neuron, present in enumerate(lanes):
                columns[:, neuron, : len(present)] = counted[:, neuron, present]
            lanes = [row + [-1] * (slots - len(row)) for row in lanes]
            rows.append(flat(columns))
        elif signal.name == "increment":
            rows.append(part.increments)
        elif signal.name == "spike":
            assert part.spikes is not None
            rows.append(part.spikes.astype(np.int64))
        elif signal.name == "membrane":
            assert part.voltages is not None
            rows.append(part.voltages)
        elif layer.lif is not None:
            assert part.spikes is not None
            rows.append(part.spikes.cumsum(axis=0, dtype=np.int64))
        else:
            sums = biases + part.increments[:, neurons].cumsum(axis=0)
            if dense:
                # Complements count one too many each cycle; it is taken off at the start.
                negative = (minus ^ (weights < 0)) & (weights != 0)
                cycles = np.arange(1, len(sums) + 1) - layer.bitstream_length
                sums = sums + cycles[:, None] * negative.sum(axis=1)
            rows.append(sums)
    return np.stack(rows), lanes
