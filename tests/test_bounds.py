"""Hoeffding radii by Monte Carlo with independent sources, and the propagation of bounds."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.bounds import hoeffding_half_width, propagate, simultaneous_radius
from model.errors import InputError
from model.forward import GoldenNetwork, quantised_forward
from model.plan import Design
from model.sequences import source_sequence
from model.source_choice import choose_sources
from tests.builders import check_message, random_design


@pytest.mark.parametrize(
    ("length", "figure"),
    [(16, 0.340), (64, 0.170), (256, 0.0849), (1024, 0.0424), (4096, 0.0212)],
)
def test_known_radii(length: int, figure: float) -> None:
    assert hoeffding_half_width(length, 0.05) == pytest.approx(figure, abs=5e-4)
    assert hoeffding_half_width(length, 0.05) == math.sqrt(math.log(40) / (2 * length))


def test_the_family_shares_the_failure_probability() -> None:
    alone = hoeffding_half_width(256, 0.05 / 1280)
    assert simultaneous_radius(256, 7.0, 0.95, 1280) == pytest.approx(7 * alone, rel=1e-12)
    assert simultaneous_radius(256, 1.0, 0.95, 1) == pytest.approx(0.0849, abs=5e-5)


@pytest.mark.parametrize("length", [0, -1])
def test_impossible_lengths(length: int) -> None:
    with pytest.raises(InputError) as caught:
        hoeffding_half_width(length, 0.05)
    check_message(caught.value, str(length), "1 or more")


@pytest.mark.parametrize("probability", [0.0, 1.0, -0.1, 1.5, math.nan, math.inf])
def test_impossible_probabilities(probability: float) -> None:
    with pytest.raises(InputError) as caught:
        hoeffding_half_width(256, probability)
    check_message(caught.value, "failure probability", "(0, 1)")


FAN_IN, LENGTH, TRIALS, LEVELS = 24, 64, 3000, 256


def sums_of_streams(*, own_sources: bool) -> NDArray[np.float64]:
    """Return the error of a weighted sum in many trials with truly independent numbers.

    Operands are near sqrt(1/2), where products vary most; weights have both signs if every lane has
    its own sources, for with shared sources errors of one sign add up.
    """
    rng = np.random.default_rng(2026)
    x = rng.integers(160, 200, FAN_IN)
    w = rng.integers(160, 200, FAN_IN)
    signs = rng.choice([-1, 1], FAN_IN) if own_sources else np.ones(FAN_IN, dtype=np.int64)
    exact = float((signs * x * w).sum()) / LEVELS**2
    sums = np.zeros(TRIALS)
    for _ in range(LENGTH):
        shape = (TRIALS, FAN_IN if own_sources else 1)
        x_bits = rng.integers(0, LEVELS, shape, dtype=np.uint8) < x
        w_bits = rng.integers(0, LEVELS, shape, dtype=np.uint8) < w
        sums += (x_bits & w_bits) @ signs
    return sums / LENGTH - exact


def test_norm2_covers_lanes_with_sources_of_their_own() -> None:
    errors = np.abs(sums_of_streams(own_sources=True))
    radius = math.sqrt(FAN_IN) * hoeffding_half_width(LENGTH, 0.05)
    assert (errors > radius).mean() <= 0.05
    # The check can fail: a third of the radius is exceeded far too often.
    assert (errors > radius / 3).mean() > 0.05


def test_norm1_covers_shared_sources_and_norm2_does_not() -> None:
    errors = np.abs(sums_of_streams(own_sources=False))
    half_width = hoeffding_half_width(LENGTH, 0.05)
    assert (errors > FAN_IN * half_width).mean() <= 0.05
    assert (errors > math.sqrt(FAN_IN) * half_width).mean() > 0.4


def test_the_family_holds_together() -> None:
    """Batches of ten outcomes: the union bound keeps whole batches inside."""
    batches = np.abs(sums_of_streams(own_sources=True)).reshape(-1, 10).max(axis=1)
    radius = simultaneous_radius(LENGTH, math.sqrt(FAN_IN), 0.95, 10)
    assert (batches > radius).mean() <= 0.05


def exact_bounds(design: Design) -> list[list[Fraction]]:
    """THEORY 5 with rational numbers, neuron by neuron."""
    levels = 1 << design.manifest.operand_width
    arriving: list[Fraction] = []
    bounds: list[list[Fraction]] = []
    for index, layer in enumerate(design.manifest.layers):
        certificate = design.certificate(index)
        bounds.append([])
        for output, row in enumerate(design.parameters.weights[index].tolist()):
            own = Fraction(int(certificate.numerators[:, output].max()), certificate.denominator)
            pairs = zip(row, arriving, strict=True) if index else ()
            arrived = sum((Fraction(abs(w), levels) * e for w, e in pairs), Fraction())
            bounds[-1].append(own + arrived)
        scale = Fraction(2) ** layer.scale_exponent
        arriving = [min(b * scale + Fraction(1, 2 * levels), Fraction(1)) for b in bounds[-1]]
    return bounds


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    st.lists(st.integers(1, 6), min_size=2, max_size=5),
    st.integers(1, 6),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_no_error_above_the_propagated_bound(
    sizes: list[int], operand_width: int, signed: bool, seed: int
) -> None:
    """Random inputs, the extremes, and the witnesses of every neuron of the first layer."""
    design = random_design(
        np.random.default_rng(seed), sizes, operand_width=operand_width, vectors=30, signed=signed
    )
    witnesses = design.certificate(0).witnesses.reshape(-1, sizes[0])
    inputs = np.concatenate([design.features, witnesses])
    counts = GoldenNetwork(design.manifest, design.parameters).counts(inputs)
    real = quantised_forward(design.manifest, design.parameters, inputs)
    bounds = exact_bounds(design)
    for layer, count, expected, bound in zip(
        design.manifest.layers, counts, real, bounds, strict=True
    ):
        error = np.abs(count / layer.bitstream_length - expected).max(axis=0)
        assert (error <= np.array([float(part) for part in bound]) + 1e-9).all()
        assert layer.propagated_bound == pytest.approx(float(max(bound)), rel=1e-12)
    assert design.manifest.end_to_end_bound == design.manifest.layers[-1].propagated_bound


def test_the_bound_is_attained_by_one_layer_alone() -> None:
    """Without a layer before it the bound is the certificate, and the witness reaches it."""
    design = random_design(np.random.default_rng(4), [5, 3], operand_width=4)
    layer = design.manifest.layers[0]
    witness = np.array([layer.certificate.witness])
    counts = GoldenNetwork(design.manifest, design.parameters).counts(witness)[0]
    real = quantised_forward(design.manifest, design.parameters, witness)[0]
    error = np.abs(counts / layer.bitstream_length - real).max()
    assert error == pytest.approx(layer.propagated_bound, abs=1e-12)
    assert layer.propagated_bound == layer.certificate.value > 0


def test_propagation_by_hand() -> None:
    bounds = propagate(
        [np.array([[0.5], [1.0]]), np.array([[0.5, 0.25]]), np.array([[1.0]])],
        [np.array([0.1, 0.2]), np.array([0.05]), np.array([0.01])],
        [1, 4, 0],
        0.03125,
    )
    # Layer 1: |W| (2 (0.1, 0.2) + rounding) + 0.05; layer 2: the scale of 16 ends at the clip.
    assert bounds[0].tolist() == [0.1, 0.2]
    assert bounds[1][0] == pytest.approx(0.5 * 0.23125 + 0.25 * 0.43125 + 0.05)
    assert bounds[2][0] == pytest.approx(1.0 + 0.01)


@pytest.mark.slow
def test_planned_lanes_of_lfsrs_are_as_independent_as_norm2_needs() -> None:
    """Registers that follow each other on a short cycle of states would be delayed copies."""
    lanes, length, operand_width, draws = 64, 256, 8, 80
    generator = np.random.default_rng(5)
    totals = []
    for _ in range(draws):
        x_source, w_source, _ = choose_sources(
            "lfsr-lane",
            np.ones((1, lanes), dtype=np.int32),
            length,
            operand_width,
            input_signed=True,
            generator=generator,
        )
        x_bits = source_sequence(x_source, length, operand_width) < 128
        w_bits = source_sequence(w_source, length, operand_width) < 128
        totals.append(int((x_bits & w_bits).sum()))
    independent = lanes * length * 0.25 * 0.75
    # A variance from 80 draws is off by 16 % (one standard deviation); 16-bit registers give 6.
    assert np.var(totals) / independent < 1.8
