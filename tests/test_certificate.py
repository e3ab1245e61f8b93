"""The exact certificate against brute force over all inputs, and the choice of XOR constants."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.certificate import error_table
from model.counting import counting_table
from model.design_bounds import certificate_of
from model.manifest import CounterSource, LayerStructure
from model.sequences import counter_sequence
from model.streams import evaluate_layer, source_words
from model.xor_constants import CertificateScan, scan_constants
from tests.builders import (
    LFSR_SHAPES,
    SOURCE_SHAPES,
    SourceShape,
    random_structure,
    random_weights,
)


def brute_force(
    layer: LayerStructure, weights: NDArray[np.int32], operand_width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return all inputs of a layer and every output's error on each, times L 4**K.

    Bits are compared here, with the words of `model.streams`; no table, no separation.
    """
    top = (1 << operand_width) - 1
    values = range(-top if layer.input_signed else 0, top + 1)
    inputs = np.array(list(product(values, repeat=layer.fan_in)))
    length = layer.bitstream_length
    counts = np.zeros((len(inputs), layer.outputs), dtype=np.int64)
    signs = np.sign(weights)
    for x_words, w_words in zip(
        source_words(layer.x_source, length, operand_width, layer.fan_in),
        source_words(layer.w_source, length, operand_width, layer.fan_in),
        strict=True,
    ):
        x_bits = np.where(np.array(x_words) < np.abs(inputs), np.sign(inputs), 0)
        w_bits = np.where(np.array(w_words) < np.abs(weights), signs, 0)
        counts += x_bits @ w_bits.T
    return inputs, counts * 4**operand_width - length * (inputs @ weights.T)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.data())
def test_the_certificate_is_the_maximum_over_all_inputs(data: st.DataObject) -> None:
    x_shape = data.draw(st.sampled_from(SOURCE_SHAPES))
    w_shape = data.draw(st.sampled_from(SOURCE_SHAPES))
    random = x_shape.kind == w_shape.kind == "lfsr"
    length = data.draw(st.integers(2, 33) if random else st.sampled_from([2, 4, 8, 16, 32]))
    operand_width = data.draw(st.integers(1, 3))
    signed = data.draw(st.booleans())
    fan_in = data.draw(st.integers(1, 2 if signed and operand_width == 3 else 3))
    outputs = data.draw(st.integers(1, 3))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
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
    certificate = certificate_of(layer, weights, operand_width)
    _, errors = brute_force(layer, weights, operand_width)
    assert certificate.denominator == length * 4**operand_width
    assert certificate.numerators[0].tolist() == errors.max(axis=0).tolist()
    assert certificate.numerators[1].tolist() == (-errors).max(axis=0).tolist()
    assert certificate.bound == Fraction(int(np.abs(errors).max()), certificate.denominator)
    check_witnesses(layer, weights, operand_width)


def check_witnesses(
    layer: LayerStructure, weights: NDArray[np.int32], operand_width: int
) -> Fraction:
    """Run every witness, bit by bit: it is a legal input and reaches its bound exactly."""
    certificate = certificate_of(layer, weights, operand_width)
    top = (1 << operand_width) - 1
    reached: dict[tuple[int, int], Fraction] = {}
    for direction, sign in enumerate((1, -1)):
        for output in range(layer.outputs):
            witness = certificate.witnesses[direction, output]
            assert (-top if layer.input_signed else 0) <= witness.min()
            assert witness.max() <= top
            counts = evaluate_layer(
                layer, weights, np.zeros(layer.outputs, int), witness, operand_width
            ).counts
            exact = Fraction(int(weights[output].astype(int) @ witness), 4**operand_width)
            error = Fraction(int(counts[output]), layer.bitstream_length) - exact
            numerator = int(certificate.numerators[direction, output])
            assert sign * error == Fraction(numerator, certificate.denominator)
            reached[direction, output] = sign * error
    assert reached[certificate.worst] == max(reached.values()) == certificate.bound
    return certificate.bound


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    ("x_shape", "w_shape", "length"),
    [
        (SourceShape("counter"), SourceShape("reversed"), 64),
        (SourceShape("counter"), SourceShape("reversed", own_constants=True), 256),
        (LFSR_SHAPES[0], LFSR_SHAPES[0], 50),
        (LFSR_SHAPES[2], LFSR_SHAPES[3], 33),
    ],
)
def test_witnesses_of_a_wide_layer(
    x_shape: SourceShape, w_shape: SourceShape, length: int, signed: bool
) -> None:
    rng = np.random.default_rng(5)
    layer = random_structure(
        rng,
        fan_in=20,
        outputs=3,
        operand_width=8,
        length=length,
        x_shape=x_shape,
        w_shape=w_shape,
        input_signed=signed,
    )
    assert check_witnesses(layer, random_weights(rng, 3, 20, 8), 8) > 0


# THEORY 3: the largest error of one lane over all pairs of 8-bit operands.
@pytest.mark.parametrize(
    ("length", "best", "plain", "constant"),
    [
        (16, 0.0880126953125, 0.167, None),
        (64, 0.02490234375, 0.0486, None),
        (256, 0.005615234375, 0.0108, 15),
        (1024, 0.0010986328125, 0.0021, None),
    ],
)
def test_known_figures_of_one_lane(
    length: int, best: float, plain: float, constant: int | None
) -> None:
    up, down = scan_constants(length, 8)
    worst = np.maximum(up, down).max(axis=1)
    assert worst.min() == best * length * 4**8
    assert worst[0] / (length * 4**8) == pytest.approx(plain, abs=5e-4)
    if constant is not None:
        assert worst.argmin() == constant


def test_constant_15_has_no_mean_bias() -> None:
    x = counter_sequence(256, 8, reverse=False)
    w = counter_sequence(256, 8, reverse=True)
    means = {}
    for constant in (0, 15):
        table = counting_table(x, w ^ np.int32(constant), 8)
        errors = error_table(table, 256, 8)[:, :256]
        means[constant] = Fraction(int(errors.sum()), 256 * 4**8 * 65536)
    assert means[15] == 0
    assert float(means[0]) == pytest.approx(0.0039, abs=5e-5)


def test_the_lane_of_theory_as_a_layer() -> None:
    """The same figure from a layer of one input, for every weight at once."""
    layer = random_structure(
        np.random.default_rng(0),
        fan_in=1,
        outputs=257,
        operand_width=8,
        length=256,
        x_shape=SourceShape("counter"),
        w_shape=SourceShape("reversed"),
    )
    layer = with_constants(layer, [15])
    weights = np.arange(257, dtype=np.int32)[:, None]
    assert certificate_of(layer, weights, 8).bound == Fraction(0.005615234375)
    # A weight of 0 or 2**K is no stream: its lane counts exactly what the input's stream holds.
    assert certificate_of(layer, weights[[0, 256]], 8).bound == 0


def with_constants(layer: LayerStructure, constants: list[int]) -> LayerStructure:
    """Return the layer with other XOR constants: x counts from 0, w is reversed."""
    width = layer.bitstream_length.bit_length() - 1
    plain = CounterSource(reversed=False, width=width, sharing="layer", xor_constants=[0])
    reverse = CounterSource(reversed=True, width=width, sharing="lane", xor_constants=constants)
    return layer.model_copy(update={"x_source": plain, "w_source": reverse})


def counter_layer(
    rng: np.random.Generator, fan_in: int, outputs: int, operand_width: int, length: int
) -> LayerStructure:
    return random_structure(
        rng,
        fan_in=fan_in,
        outputs=outputs,
        operand_width=operand_width,
        length=length,
        x_shape=SourceShape("counter"),
        w_shape=SourceShape("reversed"),
    )


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    st.integers(1, 4),
    st.integers(1, 5),
    st.integers(1, 3),
    st.integers(1, 6),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_the_scan_agrees_with_the_certificate(
    operand_width: int, fan_in: int, outputs: int, log_length: int, signed: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    length = 1 << log_length
    weights = random_weights(rng, outputs, fan_in, operand_width)
    scan = CertificateScan(weights, length, operand_width, input_signed=signed)
    layer = counter_layer(rng, fan_in, outputs, operand_width, length)
    layer = layer.model_copy(update={"input_signed": signed})

    def certified(constants: list[int]) -> int:
        found = certificate_of(with_constants(layer, constants), weights, operand_width)
        return int(found.numerators.max())

    constants = rng.integers(0, 1 << operand_width, fan_in).tolist()
    assert scan.certificate(constants) == certified(constants)
    shared = [certified([constant] * fan_in) for constant in range(1 << operand_width)]
    assert scan.best_shared() == shared.index(min(shared))
    lanes = scan.best_per_lane()
    assert len(lanes) == fan_in
    assert scan.certificate(lanes) == certified(lanes) <= min(shared)


def test_constants_for_each_lane_do_help() -> None:
    """Coordinate descent ends where no single lane can improve, below the shared constant."""
    weights = random_weights(np.random.default_rng(2), 4, 10, 4)
    scan = CertificateScan(weights, 16, 4, input_signed=False)
    lanes = scan.best_per_lane(sweeps=50)
    reached = scan.certificate(lanes)
    assert reached < scan.certificate([scan.best_shared()] * 10)
    for lane in range(10):
        for constant in range(16):
            other = [*lanes[:lane], constant, *lanes[lane + 1 :]]
            assert scan.certificate(other) >= reached
    assert scan.best_per_lane(sweeps=50) == lanes
