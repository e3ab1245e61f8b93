"""The formats between Python and the harnesses, against a parser that reads bit by bit."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from model.errors import DesignFailure, SignoffError
from model.manifest import Layer
from model.plan import Design, plan_design
from tb.harness import (
    STIMULUS_FILE,
    beats_per_packet,
    feature_beats,
    read_network_counts,
    read_results,
    read_stream_counts,
    read_trace,
    write_layer_harness,
    write_layer_stimulus,
    write_network_harness,
    write_network_stimulus,
)
from tests.builders import check_message, small_network

BANK = 64


def design_of(
    sizes: tuple[int, ...], operand_bits: int = 4, features_per_beat: int = 4, *, signed: bool
) -> Design:
    rng = np.random.default_rng(11)
    network = small_network(rng, sizes, operand_bits=operand_bits, vectors=5, signed=signed)
    description = network.description.model_copy(update={"input_signed": signed})
    design = plan_design(replace(network, description=description))
    manifest = design.manifest.model_copy(update={"features_per_beat": features_per_beat})
    return Design(manifest, design.parameters, design.features, design.labels)


def hex_word(value: int, bits: int) -> str:
    """Print a word as %h does: all digits of its width, leading zeros included."""
    return f"{value:0{-(-bits // 4)}x}"


def plane_word(values: list[int], width: int) -> int:
    """Put bit k of element i of M at k * M + i, one bit at a time."""
    word = 0
    for element, value in enumerate(values):
        for bit in range(width):
            word |= (value >> bit & 1) << (bit * len(values) + element)
    return word


def trace_word(values: list[int], width: int) -> int:
    """Put banks of 64 neurons side by side, the first one lowest."""
    word, shift = 0, 0
    for first in range(0, len(values), BANK):
        bank = values[first : first + BANK]
        word |= plane_word(bank, width) << shift
        shift += len(bank) * width
    return word


def wide_counts(vectors: int, outputs: int, width: int) -> NDArray[np.int64]:
    """Draw counts over all of the accumulator's range, its two ends included."""
    top = 1 << (width - 1)
    counts = np.random.default_rng(outputs).integers(-top, top, (vectors, outputs))
    counts[0], counts[-1] = -top, top - 1
    return counts


def resized(layer: Layer, outputs: int, width: int) -> Layer:
    return layer.model_copy(update={"outputs": outputs, "accumulator_width": width})


@pytest.mark.parametrize("features", [1, 4, 6, 9])
@pytest.mark.parametrize("per_beat", [1, 3, 4, 32])
def test_network_stimulus(features: int, per_beat: int, tmp_path: Path) -> None:
    design = design_of((features, 3), features_per_beat=per_beat, signed=True)
    write_network_stimulus(design.manifest, design.features, tmp_path)
    lines = (tmp_path / STIMULUS_FILE).read_text().splitlines()
    beats = -(-features // per_beat)
    assert beats_per_packet(design.manifest) == beats
    assert len(lines) == beats * len(design.features)
    assert {len(line) for line in lines} == {4 * per_beat}
    for vector, expected in enumerate(design.features.tolist()):
        fields = [
            int(line, 16) >> (16 * place) & 0xFFFF
            for line in lines[vector * beats : (vector + 1) * beats]
            for place in range(per_beat)
        ]
        read = [-(field & 0x7FFF) if field >> 15 else field for field in fields[:features]]
        assert read == expected
        assert fields[features:] == [0] * (beats * per_beat - features)


def test_extremes_of_15_bit_features() -> None:
    design = design_of((2, 1), signed=True)
    features = np.array([[32767, -32767], [-1, 0]], dtype=np.int16)
    assert feature_beats(design.manifest, features)[:, 0, :2].tolist() == [
        [0x7FFF, 0xFFFF],
        [0x8001, 0x0000],
    ]


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("fan_in", "width"), [(1, 1), (3, 4), (8, 8), (65, 5)])
def test_layer_stimulus(fan_in: int, width: int, signed: bool, tmp_path: Path) -> None:
    design = design_of((fan_in, 2), operand_bits=width, signed=signed)
    layer = design.manifest.layers[0]
    assert layer.input_signed is signed
    write_layer_stimulus(layer, width, design.features, tmp_path)
    lines = (tmp_path / STIMULUS_FILE).read_text().splitlines()
    assert len(lines) == len(design.features)
    for line, expected in zip(lines, design.features.tolist(), strict=True):
        word = int(line, 16)
        planes = [abs(value) for value in expected]
        assert word & ((1 << fan_in * width) - 1) == plane_word(planes, width)
        signs = [int(value < 0) for value in expected]
        assert word >> (fan_in * width) == (plane_word(signs, 1) if signed else 0)


@pytest.mark.parametrize(("outputs", "width"), [(1, 2), (3, 7), (64, 9), (65, 8), (130, 32)])
def test_trace(outputs: int, width: int, tmp_path: Path) -> None:
    layer = resized(design_of((4, 3), signed=True).manifest.layers[0], outputs, width)
    counts = wide_counts(6, outputs, width)
    path = tmp_path / "layer_0.hex"
    words = [hex_word(trace_word(row, width), outputs * width) for row in counts.tolist()]
    path.write_text("".join(f"{word}\n" for word in words))
    read = read_trace(path, 6, layer)
    assert read.dtype == np.int64
    assert read.tolist() == counts.tolist()


@pytest.mark.parametrize("activation", ["clip", "none"])
@pytest.mark.parametrize(("outputs", "width"), [(1, 1), (5, 4), (67, 8)])
def test_results(activation: str, outputs: int, width: int, tmp_path: Path) -> None:
    layer = design_of((4, 3), signed=True).manifest.layers[0]
    layer = resized(layer, outputs, 11).model_copy(update={"activation": activation})
    # Results are one plane vector, whatever the banks are.
    bits = 11 if activation == "none" else width
    values = wide_counts(4, outputs, bits) + (0 if activation == "none" else 1 << (bits - 1))
    path = tmp_path / "results.hex"
    words = [hex_word(plane_word(row, bits), outputs * bits) for row in values.tolist()]
    path.write_text("".join(f"{word}\n" for word in words))
    assert read_results(path, 4, layer, width).tolist() == values.tolist()


def stream_lines(counts: NDArray[np.int64]) -> list[str]:
    return [
        f"{int(output == len(row) - 1)} {count & 0xFFFFFFFF:08x}"
        for row in counts.tolist()
        for output, count in enumerate(row)
    ]


def write_lines(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.mark.parametrize("outputs", [1, 2, 10])
def test_stream(outputs: int, tmp_path: Path) -> None:
    counts = wide_counts(5, outputs, 32)
    path = write_lines(tmp_path / "layer_1.hex", stream_lines(counts))
    assert read_stream_counts(path, 5, outputs).tolist() == counts.tolist()


def test_counts_of_a_whole_network(tmp_path: Path) -> None:
    design = design_of((4, 66, 3), signed=True)
    hidden, output = design.manifest.layers
    first = wide_counts(5, 66, hidden.accumulator_width)
    last = wide_counts(5, 3, output.accumulator_width)
    words = [trace_word(row, hidden.accumulator_width) for row in first.tolist()]
    bits = 66 * hidden.accumulator_width
    write_lines(tmp_path / "layer_0.hex", [hex_word(word, bits) for word in words])
    write_lines(tmp_path / "layer_1.hex", stream_lines(last))
    read = read_network_counts(design.manifest, tmp_path, 5)
    assert [part.tolist() for part in read] == [first.tolist(), last.tolist()]


def test_a_harness_has_room_for_all_vectors_and_witnesses(tmp_path: Path) -> None:
    design = design_of((6, 5, 3), features_per_beat=4, signed=True)
    text = write_network_harness(design.manifest, tmp_path).read_text()
    assert re.search(r"localparam Beats = 2;", text)
    # Five test vectors, but a witness in each direction for each of five neurons.
    assert re.search(r"localparam Depth = 10;", text)
    assert re.search(r"localparam BeatWidth = 64;", text)
    text = write_layer_harness(design.manifest.layers[1], 1, 4, 8, tmp_path).read_text()
    assert "certibit_layer_1 dut (" in text
    assert ".sign_i" not in text
    text = write_layer_harness(design.manifest.layers[0], 0, 4, 8, tmp_path).read_text()
    assert ".sign_i(word[WordWidth-1:MagnitudeWidth])" in text


def spoiled_trace(tmp_path: Path, spoil: str) -> tuple[Path, Layer]:
    """Write a recording of three vectors, spoiled."""
    layer = resized(design_of((4, 3), signed=True).manifest.layers[0], 5, 9)
    words = [hex_word(trace_word(row, 9), 45) for row in wide_counts(3, 5, 9).tolist()]
    path = tmp_path / "layer_0.hex"
    if spoil == "missing":
        return path, layer
    if spoil == "fewer":
        words.pop()
    elif spoil == "more":
        words.append(words[0])
    elif spoil in ("x", "z", "X", "Z"):
        words[1] = words[1][:3] + spoil + words[1][4:]
    elif spoil == "short":
        words[2] = words[2][:-1]
    elif spoil == "long":
        words[0] += "0"
    elif spoil == "blank":
        words[1] = ""
    elif spoil == "junk":
        words[1] = words[1][:3] + "g" + words[1][4:]
    path.write_bytes("".join(f"{word}\n" for word in words).encode())
    if spoil == "binary":
        path.write_bytes(b"\xff\xfe\n" * 3)
    return path, layer


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        ("missing", "cannot read what the simulation recorded: No such file"),
        ("fewer", "recorded 2 of 3 words"),
        ("more", "recorded 4 of 3 words"),
        ("x", "unknown values (X)"),
        ("X", "unknown values (X)"),
        ("z", "unknown values (X)"),
        ("Z", "unknown values (X)"),
        ("short", "line 3 of what the simulation recorded is not a whole word"),
        ("long", "line 1 of what the simulation recorded is not a whole word"),
        ("blank", "line 2 of what the simulation recorded is not a whole word"),
        ("junk", "line 2 of what the simulation recorded is not a whole word"),
        ("binary", "line 1 of what the simulation recorded is not a whole word"),
    ],
)
def test_a_spoiled_trace_is_refused(spoil: str, told: str, tmp_path: Path) -> None:
    path, layer = spoiled_trace(tmp_path, spoil)
    with pytest.raises(SignoffError) as error:
        read_trace(path, 3, layer)
    check_message(error.value, told, str(path))
    # What is missing may be the disk's fault, what is too much or unknown is the design's.
    assert isinstance(error.value, DesignFailure) == (spoil in ("more", *"xXzZ"))


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        ("early", "TLAST is 1 at beat 1 of packet 2"),
        ("late", "TLAST is 0 at beat 3 of packet 1"),
        ("unknown last", "TLAST is x at beat 3 of packet 0"),
        ("unknown data", "unknown values (X)"),
        ("fewer", "recorded 11 of 12 words"),
        ("short", "line 12 of what the simulation recorded is not a whole word"),
        ("only last", "line 5 of what the simulation recorded is not a whole word"),
        ("blank", "line 1 of what the simulation recorded is not a whole word"),
    ],
)
def test_a_spoiled_stream_is_refused(spoil: str, told: str, tmp_path: Path) -> None:
    lines = stream_lines(wide_counts(3, 4, 12))
    if spoil == "early":
        lines[9] = "1" + lines[9][1:]
    elif spoil == "late":
        lines[7] = "0" + lines[7][1:]
    elif spoil == "unknown last":
        lines[3] = "x" + lines[3][1:]
    elif spoil == "unknown data":
        lines[6] = lines[6][:-1] + "x"
    elif spoil == "fewer":
        lines.pop()
    elif spoil == "short":
        lines[11] = lines[11][:-1]
    elif spoil == "only last":
        lines[4] = "0"
    elif spoil == "blank":
        lines[0] = ""
    path = write_lines(tmp_path / "layer_1.hex", lines)
    with pytest.raises(SignoffError) as error:
        read_stream_counts(path, 3, 4)
    check_message(error.value, told, str(path))
    at_fault = spoil in ("early", "late", "unknown last", "unknown data")
    assert isinstance(error.value, DesignFailure) == at_fault
