"""Sobol sequences: the table, exactness, and how evenly the points are spread."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from model.errors import InputError
from model.lfsr import is_maximal
from model.sequences import sobol_sequence
from model.sobol import _JOE_KUO, SOBOL_DIMENSIONS, sobol_directions
from tests.builders import check_message

DIMENSIONS = range(1, SOBOL_DIMENSIONS + 1)

# The head of the authors' file, in its own layout: d, s, a, m_i.
PUBLISHED = """
2 1 0 1
3 2 1 1 3
4 3 1 1 3 1
5 3 2 1 1 1
6 4 1 1 1 3 3
7 4 4 1 3 5 13
8 5 2 1 1 5 5 17
9 5 4 1 1 5 5 5
10 5 7 1 1 7 11 19
11 5 11 1 1 5 1 1
12 5 13 1 1 1 3 11
13 5 14 1 3 5 5 31
14 6 1 1 3 3 9 7 49
15 6 13 1 1 1 15 21 21
16 6 16 1 3 1 13 27 49
17 6 19 1 1 1 15 7 5
18 6 22 1 3 1 15 13 25
19 6 25 1 1 5 5 19 61
20 7 1 1 3 7 11 23 15 103
"""


def exact_directions(dimension: int, count: int) -> list[Fraction]:
    """The direction numbers as fractions, by the recurrence of the fractions themselves.

    v_k = a_1 v_(k-1) ^ ... ^ a_(s-1) v_(k-s+1) ^ v_(k-s) ^ v_(k-s) / 2**s, on 64 places.
    """
    if dimension == 1:
        return [Fraction(1, 2 << bit) for bit in range(count)]
    degree, inner, first = _JOE_KUO[dimension - 2]
    coefficients = [int(digit) for digit in format(inner, f"0{degree}b")[1:]]
    places = 64
    v = [number << (places - 1 - bit) for bit, number in enumerate(first)]
    while len(v) < count:
        oldest = v[-degree]
        v.append(oldest ^ oldest >> degree)
        for lag, coefficient in enumerate(coefficients, 1):
            v[-1] ^= coefficient * v[-1 - lag]
    return [Fraction(number, 1 << places) for number in v[:count]]


def exact_value(directions: list[Fraction], t: int) -> Fraction:
    total = 0
    for bit, direction in enumerate(directions):
        if t >> bit & 1:
            total ^= int(direction * 2**64)
    return Fraction(total, 2**64)


def test_the_table_holds_different_primitive_polynomials_and_possible_numbers() -> None:
    polynomials = []
    for degree, inner, first in _JOE_KUO:
        assert len(first) == degree
        for bit, number in enumerate(first):
            assert number % 2 == 1
            assert number < 2 << bit
        # x**s + a_1 x**(s-1) + ... + 1: tap t for the coefficient of x**(s-t).
        taps = [t for t in range(1, degree) if inner >> (degree - 1 - t) & 1] + [degree]
        assert is_maximal(degree, taps)
        polynomials.append((degree, inner))
    assert sorted(set(polynomials)) == polynomials
    assert SOBOL_DIMENSIONS >= 16


def test_the_table_is_the_published_one() -> None:
    rows = [tuple(map(int, line.split())) for line in PUBLISHED.split("\n") if line]
    assert rows == [
        (dimension, degree, inner, *first)
        for dimension, (degree, inner, first) in enumerate(_JOE_KUO, start=2)
    ]


@pytest.mark.parametrize("dimensions", DIMENSIONS)
def test_property_a(dimensions: int) -> None:
    """2**d points fall into the 2**d halves-of-every-axis, one each: the numbers' own criterion.

    Joe and Kuo promise it for the first 1111 dimensions. The halves that a point falls into are a
    linear map of its number's bits, so that it is about a matrix over GF(2) having full rank.
    """
    halves = [sobol_directions(dimension, dimensions, 1) for dimension in range(1, dimensions + 1)]
    rows = [int("".join(map(str, row)), 2) for row in halves]
    rank = 0
    while rows:
        pivot = rows.pop()
        if pivot:
            rank += 1
            lowest = pivot & -pivot
            rows = [row ^ pivot if row & lowest else row for row in rows]
    assert rank == dimensions


@pytest.mark.parametrize(
    ("dimension", "eighths"),
    [
        (1, [0, 4, 2, 6, 1, 5, 3, 7]),
        (2, [0, 4, 6, 2, 5, 1, 3, 7]),
        (3, [0, 4, 6, 2, 3, 7, 5, 1]),
        (4, [0, 4, 6, 2, 1, 5, 7, 3]),
    ],
)
def test_first_points_as_published(dimension: int, eighths: list[int]) -> None:
    """The authors' own example of ten points, put from Gray code into natural order."""
    assert sobol_sequence(sobol_directions(dimension, 3, 3), 8).tolist() == eighths


@pytest.mark.parametrize("dimension", DIMENSIONS)
@pytest.mark.parametrize("word_width", [1, 3, 8, 11, 16])
def test_words_are_the_exact_numbers_rounded_down(dimension: int, word_width: int) -> None:
    exact = exact_directions(dimension, 20)
    directions = sobol_directions(dimension, 20, word_width)
    assert all(0 <= direction < 1 << word_width for direction in directions)
    words = sobol_sequence(directions, 1000)
    for t in [*range(40), *range(500, 1000, 37)]:
        assert words[t] == int(exact_value(exact, t) * 2**word_width)
    for t in (2**19 + 12345, 2**20 - 1):
        word = 0
        for bit, direction in enumerate(directions):
            word ^= direction if t >> bit & 1 else 0
        assert word == int(exact_value(exact, t) * 2**word_width)


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_every_prefix_visits_every_dyadic_interval_once(dimension: int) -> None:
    words = sobol_sequence(sobol_directions(dimension, 12, 12), 1 << 12)
    for log_length in range(13):
        prefix = words[: 1 << log_length] >> (12 - log_length)
        assert sorted(prefix.tolist()) == list(range(1 << log_length))


def test_the_first_two_dimensions_are_a_net() -> None:
    """Each elementary interval of area 2**-m holds one of any aligned 2**m points."""
    x, y = (sobol_sequence(sobol_directions(dimension, 10, 10), 1 << 10) for dimension in (1, 2))
    for m in range(11):
        for start in range(0, 1 << 10, 1 << m):
            part = slice(start, start + (1 << m))
            for left in range(m + 1):
                cell = (x[part] >> (10 - left)).astype(np.int64) << (m - left)
                cell |= y[part] >> (10 - (m - left))
                assert len(set(cell.tolist())) == 1 << m


def test_a_prefix_of_any_length() -> None:
    directions = sobol_directions(7, 8, 6)
    whole = sobol_sequence(directions, 256)
    for length in range(1, 257):
        assert np.array_equal(sobol_sequence(directions, length), whole[:length])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0, 8, 8), "Sobol dimension 0"),
        ((SOBOL_DIMENSIONS + 1, 8, 8), f"from 1 to {SOBOL_DIMENSIONS}"),
        ((1, 0, 8), "0 direction numbers"),
        ((1, 8, 0), "of 0 bits"),
    ],
)
def test_what_is_not_tabled_is_refused(arguments: tuple[int, int, int], words: str) -> None:
    with pytest.raises(InputError) as caught:
        sobol_directions(*arguments)
    check_message(caught.value, words)
