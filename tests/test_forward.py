"""The forward passes, the split of the error into its causes, and the accuracy."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.forward import (
    GoldenNetwork,
    accuracy,
    float_forward,
    layer_errors,
    quantised_forward,
)
from model.plan import plan_design
from model.streams import reencode
from tests.builders import random_design, small_network

SEEDS = st.integers(0, 2**32 - 1)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 4), min_size=2, max_size=4), st.integers(1, 8), st.booleans(), SEEDS)
def test_layer_errors_are_exact(
    sizes: list[int], operand_width: int, signed: bool, seed: int
) -> None:
    """Against rational arithmetic, on the inputs that each layer really saw."""
    design = random_design(
        np.random.default_rng(seed), sizes, operand_width=operand_width, vectors=3, signed=signed
    )
    counts = GoldenNetwork(design.manifest, design.parameters).counts(design.features)
    found = layer_errors(design.manifest, design.parameters, design.features, counts)
    for vector in range(3):
        inputs = design.features[vector].tolist()
        for index, layer in enumerate(design.manifest.layers):
            for output in range(layer.outputs):
                weights = design.parameters.weights[index][output].tolist()
                products = sum(x * w for x, w in zip(inputs, weights, strict=True))
                bias = int(design.parameters.biases[index][output])
                exact = Fraction(products, 4**operand_width)
                exact += Fraction(bias, layer.bitstream_length)
                count = int(counts[index][vector, output])
                error = Fraction(count, layer.bitstream_length) - exact
                assert found[index][vector, output] == float(error)
                assert abs(error) <= Fraction(
                    layer.certificate.numerator, layer.certificate.denominator
                )
            inputs = reencode(
                counts[index][vector], layer.bitstream_length, operand_width, layer.scale_exponent
            )


def test_layer_errors_follow_the_counts_that_they_are_given() -> None:
    """Measured counts that differ change this layer's error and the next layer's inputs."""
    design = random_design(np.random.default_rng(8), [4, 3, 2], operand_width=4, exponents=(0, 0))
    counts = GoldenNetwork(design.manifest, design.parameters).counts(design.features)
    arguments = (design.manifest, design.parameters, design.features)
    golden = layer_errors(*arguments, counts)
    length = design.manifest.layers[0].bitstream_length
    measured = layer_errors(*arguments, [counts[0] + length, counts[1]])
    assert measured[0] - golden[0] == pytest.approx(np.ones(counts[0].shape))
    assert np.abs(measured[1] - golden[1]).max() > 0.01


def test_forward_passes_by_hand() -> None:
    network = small_network(np.random.default_rng(0), [1, 1, 1], operand_bits=4, scale_exponent=1)
    exact = type(network)(
        network.description,
        (np.array([[0.5]]), np.array([[-1.0]])),
        (np.array([0.25]), np.array([0.125])),
        np.array([[15], [-15], [3]], dtype=np.int16),
        np.array([0, 0, 0]),
    )
    first = [15 / 32 + 0.25, -15 / 32 + 0.25, 3 / 32 + 0.25]
    sums = float_forward(exact, exact.features)
    assert sums[0][:, 0].tolist() == first
    assert sums[1][:, 0].tolist() == [0.125 - 1, 0.125, 0.125 - 2 * first[2]]
    design = plan_design(exact)
    quantised = quantised_forward(design.manifest, design.parameters, exact.features)
    assert quantised[1][:, 0].tolist() == [0.125 - 15 / 16, 0.125, 0.125 - 2 * first[2]]


def test_ties_go_to_the_first_output() -> None:
    sums = np.array([[3, 3, 1], [0, 5, 5], [2, 2, 2], [-1, -4, -1]])
    assert accuracy(sums, np.array([0, 1, 0, 0])) == 1.0
    assert accuracy(sums, np.array([1, 2, 2, 2])) == 0.0
    assert accuracy(sums, np.array([0, 1, 1, 1])) == 0.5
    assert accuracy(sums / 16, np.array([0, 1, 0, 0])) == 1.0
