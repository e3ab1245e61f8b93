"""The two golden models, explicit bitstreams and counting tables, agree bit for bit."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.counting import LayerCounter, counting_table, lane_counts, layer_inputs
from model.errors import InputError
from model.forward import GoldenNetwork, reencode_counts
from model.manifest import LfsrSource
from model.sequences import counter_sequence, source_sequence
from model.streams import evaluate_layer, reencode, written_out_lane_counts
from tests.builders import (
    SOURCE_SHAPES,
    SourceShape,
    check_message,
    random_design,
    random_inputs,
    random_structure,
    random_weights,
)


def draw_length(data: st.DataObject, *shapes: SourceShape) -> int:
    """Powers of two where a counter asks for one; the longest exceed 2**K of every K drawn."""
    if all(shape.kind == "lfsr" for shape in shapes):
        return data.draw(st.integers(2, 70), label="length")
    longest = 6 if any(shape.kind == "lfsr" for shape in shapes) else 10
    return 1 << data.draw(st.integers(1, longest), label="log2 of the length")


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.data())
def test_streams_and_tables_agree_bit_for_bit(data: st.DataObject) -> None:
    x_shape = data.draw(st.sampled_from(SOURCE_SHAPES), label="x source")
    w_shape = data.draw(st.sampled_from(SOURCE_SHAPES), label="w source")
    length = draw_length(data, x_shape, w_shape)
    operand_width = data.draw(st.integers(1, 8), label="K")
    fan_in = data.draw(st.integers(1, 6), label="fan-in")
    outputs = data.draw(st.integers(1, 4), label="outputs")
    signed = data.draw(st.booleans(), label="signed")
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), label="seed"))
    layer = random_structure(
        rng,
        fan_in=fan_in,
        outputs=outputs,
        operand_width=operand_width,
        length=length,
        x_shape=x_shape,
        w_shape=w_shape,
        input_signed=signed,
    )
    weights = random_weights(rng, outputs, fan_in, operand_width)
    biases = rng.integers(-length, length + 1, outputs)
    inputs = random_inputs(rng, 3, fan_in, operand_width, signed=signed)
    fast = LayerCounter(layer, weights, biases, operand_width).counts(inputs)
    for vector, counts in zip(inputs, fast, strict=True):
        slow = evaluate_layer(layer, weights, biases, vector, operand_width)
        assert slow.counts.tolist() == counts.tolist()


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.data())
def test_tables_from_written_out_bitstreams_are_the_same(data: st.DataObject) -> None:
    x_shape = data.draw(st.sampled_from(SOURCE_SHAPES), label="x source")
    w_shape = data.draw(st.sampled_from(SOURCE_SHAPES), label="w source")
    operand_width = data.draw(st.integers(1, 6), label="K")
    layer = random_structure(
        np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), label="seed")),
        fan_in=data.draw(st.integers(1, 5), label="fan-in"),
        outputs=1,
        operand_width=operand_width,
        length=draw_length(data, x_shape, w_shape),
        x_shape=x_shape,
        w_shape=w_shape,
        input_signed=False,
    )
    # Every weight is a neuron of its own.
    levels = 1 << operand_width
    weights = np.tile(np.arange(levels + 1)[:, None], layer.fan_in)
    layer = layer.model_copy(update={"outputs": levels + 1})
    inputs = layer_inputs(layer, operand_width)
    counted = lane_counts(layer, weights, operand_width)
    written = written_out_lane_counts(layer, inputs, weights, operand_width)
    for one, other in zip(counted, written, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("x_shape", SOURCE_SHAPES, ids=str)
@pytest.mark.parametrize("w_shape", SOURCE_SHAPES, ids=str)
def test_streams_and_tables_agree_for_every_pair_of_sources(
    x_shape: SourceShape, w_shape: SourceShape
) -> None:
    """What the property above may miss by chance: each pair once, with the constant gates."""
    rng = np.random.default_rng([SOURCE_SHAPES.index(x_shape), SOURCE_SHAPES.index(w_shape)])
    layer = random_structure(
        rng,
        fan_in=4,
        outputs=3,
        operand_width=4,
        length=32,
        x_shape=x_shape,
        w_shape=w_shape,
        input_signed=True,
    )
    weights = random_weights(rng, 3, 4, 4)
    weights[0] = (16, -16, 0, 1)
    biases = np.array([5, 0, -7])
    inputs = random_inputs(rng, 4, 4, 4, signed=True)
    counter = LayerCounter(layer, weights, biases, 4)
    slow = [evaluate_layer(layer, weights, biases, vector, 4).counts for vector in inputs]
    assert np.array_equal(counter.counts(inputs), slow)


def test_counters_by_hand() -> None:
    """L = 8 on 3 bits; L below 2**K is aligned at the top, L above drops the low bits."""
    plain = [0, 1, 2, 3, 4, 5, 6, 7]
    mirrored = [0, 4, 2, 6, 1, 5, 3, 7]
    assert counter_sequence(8, 3, reverse=False).tolist() == plain
    assert counter_sequence(8, 3, reverse=True).tolist() == mirrored
    assert counter_sequence(8, 5, reverse=True).tolist() == [4 * word for word in mirrored]
    assert counter_sequence(8, 2, reverse=False).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert counter_sequence(8, 2, reverse=True).tolist() == [0, 2, 1, 3, 0, 2, 1, 3]


def test_an_lfsr_by_hand() -> None:
    """Taps 3 and 2 from 0b001: 001 010 101 011 111 110 100, then again."""
    source = LfsrSource(width=3, taps=[3, 2], step=1, sharing="layer", seeds=[1], xor_constants=[0])
    assert source_sequence(source, 9, 3).tolist() == [[1, 2, 5, 3, 7, 6, 4, 1, 2]]
    leap = source.model_copy(update={"step": 2})
    assert source_sequence(leap, 5, 3).tolist() == [[1, 5, 7, 4, 2]]
    assert source_sequence(leap, 5, 2).tolist() == [[0, 2, 3, 2, 1]]


def test_the_comparator_is_strict() -> None:
    """Magnitude a gives exactly a ones in a full counter period; 0 gives none, 2**K gives all."""
    layer = random_structure(
        np.random.default_rng(0),
        fan_in=1,
        outputs=9,
        operand_width=3,
        length=8,
        x_shape=SourceShape("counter"),
        w_shape=SourceShape("reversed"),
    )
    weights = np.arange(9, dtype=np.int32)[:, None]
    for magnitude in range(8):
        streams = evaluate_layer(layer, weights, np.zeros(9, int), np.array([magnitude]), 3)
        assert streams.x_bits.sum() == magnitude
        assert streams.w_bits.sum(axis=0)[:, 0].tolist() == list(range(9))
        assert streams.counts[8] == magnitude


def test_internal_bits_add_up_to_the_counts() -> None:
    rng = np.random.default_rng(7)
    layer = random_structure(
        rng,
        fan_in=3,
        outputs=2,
        operand_width=3,
        length=16,
        x_shape=SourceShape("lfsr", own_seeds=True),
        w_shape=SourceShape("reversed", own_constants=True),
        input_signed=True,
    )
    weights = random_weights(rng, 2, 3, 3)
    biases = np.array([3, -4])
    vector = np.array([-5, 0, 7])
    streams = evaluate_layer(layer, weights, biases, vector, 3)
    for output in range(2):
        expected = int(biases[output])
        for cycle in range(16):
            step = 0
            for lane in range(3):
                product = int(streams.x_bits[cycle, lane] & streams.w_bits[cycle, output, lane])
                if (vector[lane] < 0) != (weights[output, lane] < 0):
                    product = -product
                assert streams.products[cycle, output, lane] == product
                step += product
            assert streams.increments[cycle, output] == step
            expected += step
        assert streams.counts[output] == expected


def test_counting_table_is_the_count_of_its_definition() -> None:
    rng = np.random.default_rng(3)
    u, v = rng.integers(0, 8, (2, 23)).astype(np.int32)
    table = counting_table(u, v, 3)
    assert table.shape == (8, 9)
    for x in range(8):
        for w in range(9):
            assert table[x, w] == ((u < x) & (v < w)).sum()


def test_batches_are_seamless(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(11)
    design = random_design(rng, [4, 3], vectors=10)
    layer, parameters = design.manifest.layers[0], design.parameters
    counter = LayerCounter(layer, parameters.weights[0], parameters.biases[0], 3)
    whole = counter.counts(design.features)
    monkeypatch.setattr(counter, "_batch", 3)
    assert np.array_equal(counter.counts(design.features), whole)
    assert counter.counts(design.features[:0]).shape == (0, 3)


def fraction_reencode(count: int, length: int, operand_width: int, exponent: int) -> int:
    """THEORY's formula, with rational numbers."""
    value = Fraction(count, length) * Fraction(2) ** (operand_width + exponent)
    return min(max(math.floor(value + Fraction(1, 2)), 0), (1 << operand_width) - 1)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    st.lists(st.integers(-(2**31) + 1, 2**31 - 1), min_size=1, max_size=5),
    st.integers(2, 2**30),
    st.integers(1, 15),
    st.integers(-16, 16),
)
def test_reencoding_agrees_at_any_scale(
    counts: list[int], length: int, operand_width: int, exponent: int
) -> None:
    slow = reencode(np.array(counts), length, operand_width, exponent)
    fast = reencode_counts(np.array(counts), length, operand_width, exponent)
    assert fast.tolist() == slow
    assert slow == [fraction_reencode(c, length, operand_width, exponent) for c in counts]


@pytest.mark.parametrize("length", [2, 7, 16, 100])
@pytest.mark.parametrize("exponent", [-6, -1, 0, 1, 3])
def test_reencoding_agrees_on_every_count_near_the_range(length: int, exponent: int) -> None:
    """All halves, both ends of the clamp."""
    counts = np.arange(-length, (length << max(-exponent, 0)) + length)
    fast = reencode_counts(counts, length, 4, exponent).tolist()
    assert fast == reencode(counts, length, 4, exponent)
    assert fast == [fraction_reencode(c, length, 4, exponent) for c in counts.tolist()]
    assert {0, 15} <= set(fast)


def test_halves_round_up() -> None:
    assert reencode_counts(np.array([1, 3, 5, 7, -1]), 16, 3, 0).tolist() == [1, 2, 3, 4, 0]


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    st.lists(st.integers(1, 5), min_size=3, max_size=5),
    st.integers(1, 5),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_whole_networks_agree(
    sizes: list[int], operand_width: int, signed: bool, seed: int
) -> None:
    """Two to four layers, each with its own sources, length and scale."""
    rng = np.random.default_rng(seed)
    design = random_design(rng, sizes, operand_width=operand_width, vectors=3, signed=signed)
    fast = GoldenNetwork(design.manifest, design.parameters).counts(design.features)
    for vector in range(3):
        inputs: NDArray[np.integer] = design.features[vector]
        for index, layer in enumerate(design.manifest.layers):
            streams = evaluate_layer(
                layer,
                design.parameters.weights[index],
                design.parameters.biases[index],
                inputs,
                operand_width,
            )
            assert streams.counts.tolist() == fast[index][vector].tolist()
            length, exponent = layer.bitstream_length, layer.scale_exponent
            inputs = np.array(reencode(streams.counts, length, operand_width, exponent))


@pytest.mark.parametrize("length", [-8, -1, 0, 3, 12, 255, 2**40 + 1])
def test_a_counter_needs_a_power_of_two(length: int) -> None:
    with pytest.raises(InputError) as caught:
        counter_sequence(length, 4, reverse=False)
    check_message(caught.value, str(length), "power of two")


def test_reencoding_at_the_largest_counts_and_scales() -> None:
    """The widest accumulator, operand and scale: 64 bits are just enough."""
    counts = np.array([2**31 - 1, 2**30, 1, 0, -1, 1 - 2**31])
    for length in (2, 3, 2**16, 2**30):
        fast = reencode_counts(counts, length, 15, 16).tolist()
        assert fast == [fraction_reencode(c, length, 15, 16) for c in counts.tolist()]
