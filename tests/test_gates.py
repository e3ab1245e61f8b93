"""Gates on bitstreams: against loops over single bits, and against what they should give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.errors import InputError
from model.gates import (
    and_expected,
    and_multiply,
    delay,
    mux_add,
    mux_expected,
    or_add,
    or_expected,
    parallel_count,
    parallel_expected,
    saturating_counter,
    saturating_expected,
    stochastic_count,
    xnor_expected,
    xnor_multiply,
)
from tests.builders import check_message

Stream = NDArray[np.bool_]

SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 9))
SEEDS = st.integers(0, 2**32 - 1)


def draw(seed: int, *shape: int) -> Stream:
    return np.random.default_rng(seed).integers(0, 2, shape).astype(np.bool_)


@given(SHAPES, SEEDS)
def test_gates_of_many_inputs_against_single_bits(shape: tuple[int, int, int], seed: int) -> None:
    batch, inputs, length = shape
    streams = draw(seed, *shape)
    select = np.random.default_rng(seed + 1).integers(0, inputs + 2, (batch, length))
    counts, ors, chosen = parallel_count(streams), or_add(streams), mux_add(streams, select)
    shared = mux_add(streams, select[0])
    for b in range(batch):
        for t in range(length):
            bits = [bool(bit) for bit in streams[b, :, t]]
            assert counts[b, t] == sum(bits)
            assert ors[b, t] == any(bits)
            padded = [*bits, False, False]
            assert chosen[b, t] == padded[select[b, t]]
            assert shared[b, t] == padded[select[0, t]]


@given(SEEDS)
def test_multipliers_by_their_truth_tables(seed: int) -> None:
    x, w = draw(seed, 3, 1, 20), draw(seed + 1, 4, 20)
    both, same = and_multiply(x, w), xnor_multiply(x, w)
    assert both.shape == same.shape == (3, 4, 20)
    for i, j, t in np.ndindex(3, 4, 20):
        a, b = int(x[i, 0, t]), int(w[j, t])
        assert int(both[i, j, t]) == a * b
        # Read as -1 and +1, an XNOR gate multiplies.
        assert 2 * int(same[i, j, t]) - 1 == (2 * a - 1) * (2 * b - 1)


@given(st.integers(1, 4), st.integers(1, 80), SEEDS)
def test_saturating_counter_against_a_walk(width: int, length: int, seed: int) -> None:
    # Long runs, so that the ends are met.
    stream = np.repeat(draw(seed, 2, length), 3, axis=-1)
    bits, states = saturating_counter(stream, width)
    for row, row_bits, row_states in zip(stream, bits, states, strict=True):
        state = 2 ** (width - 1)
        for bit, out, seen in zip(row, row_bits, row_states, strict=True):
            assert seen == state
            assert out == (state >= 2 ** (width - 1))
            state = min(state + 1, 2**width - 1) if bit else max(state - 1, 0)


@given(st.integers(0, 12), SEEDS)
def test_a_delay_moves_ones_and_puts_zeros_first(cycles: int, seed: int) -> None:
    stream = draw(seed, 2, 9)
    late = delay(stream, cycles)
    for row, late_row in zip(stream.tolist(), late.tolist(), strict=True):
        assert late_row == ([False] * cycles + row)[:9]


def test_counting_a_stream() -> None:
    stream = np.array([[True, False, True], [False, False, False], [True, True, True]])
    assert stochastic_count(stream).tolist() == [2, 0, 3]


P = np.array([[0.1, 0.5, 0.25], [0.0, 1.0, 0.9]])


def independent(p: NDArray[np.float64], length: int = 200_000) -> Stream:
    return np.random.default_rng(5).random((*p.shape, length)) < p[..., None]


def test_expected_values_are_those_of_long_independent_streams() -> None:
    streams = independent(P)
    # Five standard deviations of a mean of bits; the parallel counter adds three of them.
    off = 5 * 0.5 / np.sqrt(streams.shape[-1])
    np.testing.assert_allclose(or_add(streams).mean(-1), or_expected(P), atol=off)
    np.testing.assert_allclose(parallel_count(streams).mean(-1), parallel_expected(P), atol=2 * off)
    for choices in (3, 4):
        select = np.random.default_rng(6).integers(0, choices, (1, streams.shape[-1]))
        np.testing.assert_allclose(
            mux_add(streams, select).mean(-1), mux_expected(P, choices), atol=off
        )
    x, w = streams[:, 0], streams[:, 1]
    np.testing.assert_allclose(
        and_multiply(x, w).mean(-1), and_expected(P[:, 0], P[:, 1]), atol=off
    )
    np.testing.assert_allclose(
        xnor_multiply(x, w).mean(-1), xnor_expected(P[:, 0], P[:, 1]), atol=off
    )


def test_expected_values_by_hand() -> None:
    assert or_expected([0.5, 0.5]) == 0.75
    assert mux_expected([0.25, 0.75]) == 0.5
    assert mux_expected([0.25, 0.75, 0.5], 4) == 0.375
    assert parallel_expected([0.25, 0.75, 1]) == 2
    assert and_expected(0.5, 0.25) == 0.125
    x, w = np.array([-1, -0.5, 0, 0.25, 1]), np.array([0.5, -0.5, 0.5, 1, -1])
    np.testing.assert_allclose(2 * xnor_expected((x + 1) / 2, (w + 1) / 2) - 1, x * w, atol=1e-15)


@pytest.mark.parametrize("width", [1, 2, 4])
def test_a_saturating_counter_comes_to_rest_at_its_expected_value(width: int) -> None:
    p = np.array([0.0, 0.3, 0.45, 0.5, 0.6, 1.0])
    streams = np.random.default_rng(7).random((400, len(p), 800)) < p[:, None]
    bits, _ = saturating_counter(streams, width)
    # Counted late, so that the walks have forgotten their start; walks are independent, bits of one
    # walk are not.
    means = bits[..., 400:].mean(axis=-1)
    off = 5 * means.std(axis=0) / np.sqrt(len(means)) + 1e-12
    assert (np.abs(means.mean(axis=0) - saturating_expected(p, width)) <= off).all()


@given(st.floats(-0.999, 0.999), st.integers(1, 6))
def test_a_saturating_counter_is_a_tanh(x: float, width: int) -> None:
    value = 2 * saturating_expected((x + 1) / 2, width) - 1
    assert value == pytest.approx(np.tanh(2 ** (width - 1) * np.arctanh(x)), abs=1e-9)


def test_what_is_refused() -> None:
    streams = draw(1, 3, 8)
    with pytest.raises(InputError) as caught:
        mux_add(streams, np.array([0, 1, 2, 0, -1, 0, 0, 0]))
    check_message(caught.value, "select is -1", "0 or more")
    with pytest.raises(InputError) as caught:
        delay(streams, -1)
    check_message(caught.value, "cycles is -1", "0 or more")
    with pytest.raises(InputError) as caught:
        saturating_counter(streams, 0)
    check_message(caught.value, "state_width is 0", "1 to 62")
    with pytest.raises(InputError) as caught:
        mux_expected([0.5, 0.5, 0.5], 2)
    check_message(caught.value, "choices is 2", "3 or more")
    for bad in (-0.1, 1.1, float("nan")):
        with pytest.raises(InputError) as caught:
            or_expected([0.5, bad])
        check_message(caught.value, f"p is {bad:g}", "0 to 1")
