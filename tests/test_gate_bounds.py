"""Radii of single blocks: their order, and exact binomial probabilities of keeping them."""

from __future__ import annotations

import math
from dataclasses import fields
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from model.bounds import hoeffding_half_width
from model.errors import InputError
from model.gate_bounds import (
    Radii,
    and_radii,
    bernoulli_radii,
    bernstein_radius,
    binomial_coverage,
    binomial_failure,
    chebyshev_radius,
    kl_chernoff_radius,
    mux_radii,
    or_radii,
    parallel_counter_radii,
    xnor_radii,
)
from model.gates import mux_add, or_add, parallel_count
from tests.builders import check_message

LENGTHS = st.one_of(st.integers(1, 300), st.sampled_from([512, 1024, 4096, 10_000]))
FAILURES = st.one_of(st.floats(1e-12, 0.999), st.sampled_from([0.05, 0.5, 1e-4, 0.05 / 65792]))
# Variances of the smallest floats of all would underflow.
MEANS = st.one_of(
    st.floats(1e-200, 1), st.sampled_from([0.0, 1.0, 0.5, 1 / 65536, 1 - 1 / 65536, 1e-12])
)


def kl(a: float, p: float) -> float:
    """Return the divergence of Bernoulli variables, term by term."""
    return sum(
        0.0 if x == 0 else x * math.log(x / y) for x, y in ((a, p), (1 - a, 1 - p)) if x or y
    )


@given(MEANS, LENGTHS, FAILURES)
@example(0.5, 10_000, 0.999)
def test_kl_is_never_above_hoeffding_nor_bernstein(p: float, length: int, d: float) -> None:
    radii = bernoulli_radii(p, length, d)
    for kl_radius in (radii.kl_below, radii.kl_above):
        assert kl_radius <= radii.hoeffding
        assert kl_radius <= radii.bernstein


@given(MEANS, LENGTHS, FAILURES)
@example(0.5, 1, 0.5)
@example(0.20666759220391, 1, 0.25)  # of which 1 - p is rounded down
@example(1 / 65536, 4096, 0.05)
@settings(deadline=None)
def test_exact_probabilities_keep_the_promise(p: float, length: int, d: float) -> None:
    radii = bernoulli_radii(p, length, d)
    for radius in (radii.hoeffding, radii.bernstein, radii.chebyshev):
        assert binomial_failure(p, length, float(radius), float(radius)) <= d
    below, above = float(radii.kl_below), float(radii.kl_above)
    # Either side by itself, too.
    assert binomial_failure(p, length, below, 1) <= d / 2
    assert binomial_failure(p, length, 1, above) <= d / 2


@given(st.floats(0.001, 0.999), LENGTHS, FAILURES)
def test_kl_is_no_wider_than_it_must(p: float, length: int, d: float) -> None:
    share = math.log(2 / d) / length
    for radius, mean in zip(kl_chernoff_radius(p, length, d), (1 - p, p), strict=True):
        top = float(radius)
        if top < 1 - mean - 1e-12:
            assert kl(mean + top, mean) == pytest.approx(share, rel=1e-6, abs=1e-12)
        else:
            assert kl(1.0, mean) <= share * (1 + 1e-9)


@given(st.floats(0, 0.25), LENGTHS, FAILURES)
def test_bernstein_beats_hoeffding_as_the_theory_says(var: float, length: int, d: float) -> None:
    hoeffding = hoeffding_half_width(length, d)
    radius = float(bernstein_radius(var, length, d))
    assume(abs(var + radius / 3 - 0.25) > 1e-12)
    assert (radius < hoeffding) == (var + radius / 3 < 0.25)
    # The radius solves its own inequality.
    exponent = -length * radius**2 / (2 * (var + radius / 3))
    assert 2 * math.exp(exponent) == pytest.approx(d, rel=1e-9)


@given(st.floats(0, 0.25), LENGTHS, FAILURES)
def test_chebyshev_beats_hoeffding_as_the_theory_says(var: float, length: int, d: float) -> None:
    threshold = d * math.log(2 / d) / 2
    assume(abs(var / threshold - 1) > 1e-12)
    beats = chebyshev_radius(var, length, d) < hoeffding_half_width(length, d)
    assert beats == (var < threshold)


def test_radii_by_hand() -> None:
    assert bernstein_radius(0.25, 256, 0.05) == pytest.approx(0.0898, abs=5e-5)
    assert chebyshev_radius(0.25, 256, 0.05) == pytest.approx(0.5 / math.sqrt(256 * 0.05))
    below, above = kl_chernoff_radius([0.25, 0.5, 0.0, 1.0], 256, 0.05)
    # Wider towards the middle, and the same about one half.
    assert below[0] < above[0] < hoeffding_half_width(256, 0.05)
    assert below[1] == above[1]
    # A constant stream is where it is; from 0 or 1 there is no way out of the range.
    assert above[3] == below[2] == 0
    assert max(above[2], below[3]) < 1e-15
    # Nothing is unlikely enough in three cycles: the whole range.
    whole = [float(side) for side in kl_chernoff_radius(0.5, 3, 0.01)]
    assert whole == pytest.approx([0.5, 0.5], abs=1e-15)
    assert min(whole) >= 0.5


@given(st.integers(1, 12), st.fractions(0, 1, max_denominator=64), st.data())
def test_binomial_probabilities_against_exact_fractions(
    length: int, p: Fraction, data: st.DataObject
) -> None:
    # Multiples of 1/64, so that counts stand exactly on the ends of the interval.
    p = Fraction(round(64 * p), 64)
    below, above = (Fraction(data.draw(st.integers(0, 64)), 64) for _ in range(2))
    inside = sum(
        math.comb(length, ones) * p**ones * (1 - p) ** (length - ones)
        for ones in range(length + 1)
        if p - below <= Fraction(ones, length) <= p + above
    )
    found = binomial_failure(float(p), length, float(below), float(above))
    assert found == pytest.approx(float(1 - inside), rel=1e-10)
    coverage = binomial_coverage(float(p), length, float(below), float(above))
    assert coverage == pytest.approx(float(inside), abs=1e-12)


def test_a_radius_that_is_too_small_is_found_out() -> None:
    radius = hoeffding_half_width(256, 0.05)
    assert binomial_failure(0.5, 256, radius, radius) <= 0.05
    assert binomial_failure(0.5, 256, radius / 2, radius / 2) > 0.05
    below, above = (float(side) for side in kl_chernoff_radius(0.1, 256, 0.05))
    assert below < above
    # The sides are not exchangeable.
    assert binomial_failure(0.1, 256, 1, below * 0.7) > 0.025


def same(left: Radii, right: Radii, factor: float = 1.0) -> None:
    for field in fields(Radii):
        np.testing.assert_allclose(
            getattr(left, field.name), factor * getattr(right, field.name), rtol=1e-12
        )


def test_blocks_are_bernoulli_variables_of_their_expectation() -> None:
    x, w = np.array([0.1, 0.5, 0.9]), np.array([0.3, 0.5, 1.0])
    same(and_radii(x, w, 64, 0.1), bernoulli_radii(x * w, 64, 0.1))
    same(or_radii([0.5, 0.25], 64, 0.1), bernoulli_radii(0.625, 64, 0.1))
    same(mux_radii([0.5, 0.25], 64, 0.1), bernoulli_radii(0.375, 64, 0.1))
    same(mux_radii([0.5, 0.25], 64, 0.1, 4), bernoulli_radii(0.1875, 64, 0.1))
    # Bipolar: half the product about one half, and all radii doubled.
    same(xnor_radii(-0.5, 0.25, 64, 0.1), bernoulli_radii(0.4375, 64, 0.1), 2)
    assert xnor_radii(0.3, 0.3, 256, 0.05).hoeffding == 2 * hoeffding_half_width(256, 0.05)


def test_a_parallel_counter_of_dependent_inputs_has_n_times_the_radius() -> None:
    p = [0.1, 0.3, 0.8]
    same(parallel_counter_radii(p, 64, 0.1, independent=False), bernoulli_radii(0.4, 64, 0.1), 3)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9), LENGTHS, FAILURES)
def test_a_parallel_counter_of_independent_inputs(p: list[float], length: int, d: float) -> None:
    apart = parallel_counter_radii(p, length, d, independent=True)
    together = parallel_counter_radii(p, length, d, independent=False)
    n = len(p)
    assert apart.hoeffding == pytest.approx(math.sqrt(n) * hoeffding_half_width(length, d))
    variance = sum(q * (1 - q) for q in p)
    radius = float(apart.bernstein)
    exponent = -length * radius**2 / (2 * (variance + radius / 3))
    assert 2 * math.exp(exponent) == pytest.approx(d, rel=1e-9)
    assert apart.chebyshev == pytest.approx(math.sqrt(variance / (length * d)))
    for field in fields(Radii):
        # To a rounding or two: for one input they are the same.
        wide = getattr(together, field.name) * (1 + 1e-9) + 1e-12
        assert getattr(apart, field.name) <= wide
    assert max(apart.kl_below, apart.kl_above) <= apart.hoeffding


@given(st.integers(1, 3), st.integers(1, 12), FAILURES, st.data())
@settings(deadline=None)
def test_exact_probabilities_of_a_parallel_counter(
    inputs: int, length: int, d: float, data: st.DataObject
) -> None:
    p = [data.draw(st.sampled_from([0.0, 0.1, 0.5, 0.75, 1.0])) for _ in range(inputs)]
    counts = np.ones(1)
    for q in p:
        for _ in range(length):
            counts = np.convolve(counts, [1 - q, q])
    error = np.arange(len(counts)) / length - sum(p)
    radii = parallel_counter_radii(p, length, d, independent=True)
    # Against rounding of the sum of p.
    slack = 1e-12
    for below, above in (
        (radii.hoeffding, radii.hoeffding),
        (radii.bernstein, radii.bernstein),
        (radii.chebyshev, radii.chebyshev),
        (radii.kl_below, radii.kl_above),
    ):
        outside = (error < -below - slack) | (error > above + slack)
        assert counts[outside].sum() <= d * (1 + 1e-9)


def test_streams_of_blocks_keep_their_radii() -> None:
    rng = np.random.default_rng(11)
    p, length, d, trials = np.array([0.1, 0.2, 0.3, 0.15]), 64, 0.1, 4000
    streams = rng.random((trials, 4, length)) < p[:, None]
    means = {
        "or": (or_add(streams).mean(-1), 1 - np.prod(1 - p), or_radii(p, length, d)),
        "mux": (
            mux_add(streams, rng.integers(0, 4, (trials, length))).mean(-1),
            p.mean(),
            mux_radii(p, length, d),
        ),
        "counter": (
            parallel_count(streams).mean(-1),
            p.sum(),
            parallel_counter_radii(p, length, d, independent=True),
        ),
    }
    for name, (found, expected, radii) in means.items():
        error = found - expected
        for below, above in (
            (radii.hoeffding, radii.hoeffding),
            (radii.bernstein, radii.bernstein),
            (radii.kl_below, radii.kl_above),
        ):
            outside = ((error < -below) | (error > above)).mean()
            # Five standard deviations of the share of failures.
            assert outside <= d + 5 * math.sqrt(d / trials), name


def test_the_sum_over_dependent_inputs_breaks_the_radius_of_independent_ones() -> None:
    rng = np.random.default_rng(12)
    p, length, d = np.full(16, 0.5), 64, 0.05
    shared = np.broadcast_to((rng.random((1000, 1, length)) < 0.5), (1000, 16, length))
    error = np.abs(parallel_count(shared).mean(-1) - p.sum())
    assert (error > parallel_counter_radii(p, length, d, independent=True).hoeffding).mean() > 0.2
    assert (error > parallel_counter_radii(p, length, d, independent=False).hoeffding).mean() < 0.07


@pytest.mark.parametrize("bad", [-0.1, 1.1, math.nan])
def test_impossible_means(bad: float) -> None:
    for radii in (bernoulli_radii, mux_radii, or_radii):
        with pytest.raises(InputError) as caught:
            radii([0.5, bad], 64, 0.05)
        check_message(caught.value, f"p is {bad:g}")
    with pytest.raises(InputError):
        binomial_failure(bad, 64, 0.1, 0.1)


def test_other_impossible_arguments() -> None:
    for length, d in ((0, 0.05), (64, 0.0), (64, 1.0), (64, math.nan)):
        with pytest.raises(InputError):
            kl_chernoff_radius(0.5, length, d)
        with pytest.raises(InputError):
            bernstein_radius(0.1, length, d)
        with pytest.raises(InputError):
            chebyshev_radius(0.1, length, d)
    with pytest.raises(InputError) as caught:
        bernstein_radius(-0.1, 64, 0.05)
    check_message(caught.value, "variance is -0.1")
    with pytest.raises(InputError) as caught:
        xnor_radii(1.5, 0.5, 64, 0.05)
    check_message(caught.value, "x is 1.5", "-1 to 1")
