"""SCC of streams and of all operand pairs, and the check that names the worst pair."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.correlation import check_uncorrelated, level_counts, scc, scc_table
from model.counting import counting_table
from model.errors import InputError
from model.sequences import counter_sequence
from tests.builders import check_message

WIDTH, LENGTH = 4, 16


def stream(text: str) -> NDArray[np.bool_]:
    return np.array([digit == "1" for digit in text])


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        # The examples of Alaghi and Hayes: overlap as much, as little, and as by chance.
        ("11110000", "11110000", 1.0),
        ("11111100", "11110000", 1.0),
        ("11110000", "00001111", -1.0),
        ("11111100", "00111111", -1.0),
        ("11110000", "11001100", 0.0),
        ("11110000", "11100001", 0.5),
        ("11111111", "11001100", 0.0),
        ("00000000", "11001100", 0.0),
    ],
)
def test_scc_by_hand(x: str, y: str, expected: float) -> None:
    assert scc(stream(x), stream(y)) == expected


@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
def test_scc_against_its_definition(seed: int, length: int) -> None:
    x, y = np.random.default_rng(seed).integers(0, 2, (2, length)).astype(np.bool_)
    a, b, c, d = (int((p & q).sum()) for p in (x, ~x) for q in (y, ~y))
    covariance = a * d - b * c
    if covariance > 0:
        size = length * min(a + b, a + c) - (a + b) * (a + c)
    else:
        size = (a + b) * (a + c) - length * max(a - d, 0)
    expected = covariance / size if size else 0.0
    assert scc(x, y) == pytest.approx(expected, abs=1e-12)
    assert scc(y, x) == pytest.approx(expected, abs=1e-12)


def tables(
    x: NDArray[np.int32], w: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    return counting_table(x, w, WIDTH), level_counts(w, WIDTH)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_the_table_holds_the_scc_of_every_pair(seed: int, length: int) -> None:
    x, w = np.random.default_rng(seed).integers(0, 1 << WIDTH, (2, length), dtype=np.int32)
    levels = np.arange((1 << WIDTH) + 1)
    x_streams = x < levels[:-1, None, None]
    w_streams = w < levels[:, None]
    np.testing.assert_array_equal(scc_table(*tables(x, w)), scc(x_streams, w_streams))


def test_one_source_for_both_is_correlated_at_every_pair_and_refused() -> None:
    u = counter_sequence(LENGTH, WIDTH, reverse=False)
    correlation = scc_table(*tables(u, u))
    assert (correlation[1:, 1:-1] == 1).all()
    with pytest.raises(InputError) as caught:
        check_uncorrelated(*tables(u, u), limit=0.5, tolerance=1 / LENGTH, where="layer 3")
    # min(x, w) is farthest from the product at one half.
    check_message(caught.value, "input 8 and weight 8", "+1.000", "+0.25000", "layer 3")


def test_a_counter_and_its_reverse_pass() -> None:
    u = counter_sequence(LENGTH, WIDTH, reverse=False)
    v = counter_sequence(LENGTH, WIDTH, reverse=True)
    check_uncorrelated(*tables(u, v), limit=0.1, tolerance=2 / LENGTH)
    # No correlation limit alone would let them: two ones may meet or miss.
    with pytest.raises(InputError):
        check_uncorrelated(*tables(u, v), limit=0.5, tolerance=0)


def test_both_limits_must_be_broken() -> None:
    x, w = np.random.default_rng(3).integers(0, 1 << WIDTH, (2, 200), dtype=np.int32)
    table, ones = tables(x, w)
    error = np.abs(table / 200 - table[:, -1:] / 200 * (ones / 200))
    largest = np.abs(scc_table(table, ones))[error > 0.02].max()
    assert 0 < largest < np.abs(scc_table(table, ones)).max()
    check_uncorrelated(table, ones, limit=largest, tolerance=0.02)
    with pytest.raises(InputError):
        check_uncorrelated(table, ones, limit=largest * 0.999, tolerance=0.02)


def test_a_pair_that_only_a_scan_finds() -> None:
    # At one half both streams are as if independent; elsewhere they are not.
    u = counter_sequence(LENGTH, WIDTH, reverse=False)
    w = np.where(u < 8, 2 * (u % 8) % 16, (2 * (u % 8) + 1) % 16).astype(np.int32)
    correlation = scc_table(*tables(u, w))
    assert correlation[8, 8] == 0
    with pytest.raises(InputError) as caught:
        check_uncorrelated(*tables(u, w), limit=0.3, tolerance=0.05)
    check_message(caught.value, "input 4 and weight 7", "+1.000")


def test_what_is_refused() -> None:
    u = counter_sequence(LENGTH, WIDTH, reverse=False)
    table, ones = tables(u, u)
    with pytest.raises(InputError) as caught:
        scc_table(table[:, :-1], ones)
    check_message(caught.value, "(16, 16)", "2**K + 1")
    with pytest.raises(InputError):
        scc_table(table, ones[:-1])
    for limit in (-0.1, 1.0):
        with pytest.raises(InputError) as caught:
            check_uncorrelated(table, ones, limit, 0.1)
        check_message(caught.value, f"limit is {limit:g}", "0 to below 1")
    with pytest.raises(InputError) as caught:
        check_uncorrelated(table, ones, 0.1, -0.5)
    check_message(caught.value, "tolerance is -0.5")
