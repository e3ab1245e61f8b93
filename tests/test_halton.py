"""Halton sequences against their definition in fractions."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.errors import InputError
from model.halton import halton_sequence
from tests.builders import check_message


def radical_inverse(number: int, base: int) -> Fraction:
    value, weight = Fraction(0), Fraction(1, base)
    while number:
        value += number % base * weight
        number //= base
        weight /= base
    return value


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.sampled_from([2, 3, 5]), st.integers(1, 400), st.integers(1, 31))
def test_words_are_the_radical_inverse_rounded_down(
    base: int, length: int, word_width: int
) -> None:
    words = halton_sequence(base, length, word_width)
    assert words.tolist() == [
        floor(radical_inverse(t, base) * 2**word_width) for t in range(length)
    ]


def test_thirds_and_ninths() -> None:
    """0 3 6 1 4 7 2 5 8 ninths, on 4 bits."""
    assert halton_sequence(3, 9, 4).tolist() == [0, 5, 10, 1, 7, 12, 3, 8, 14]


@pytest.mark.parametrize("base", [2, 3, 5, 1021])
def test_the_longest_sequence(base: int) -> None:
    words = halton_sequence(base, 1 << 20, 31)
    for t in (1, base, 3**7 + 11, (1 << 20) - 1):
        assert words[t] == floor(radical_inverse(t, base) * 2**31)


@pytest.mark.parametrize(
    "arguments", [(1, 8, 8), (1025, 8, 8), (3, 0, 8), (3, 2**20 + 1, 8), (3, 8, 0), (3, 8, 32)]
)
def test_what_is_out_of_range_is_refused(arguments: tuple[int, int, int]) -> None:
    with pytest.raises(InputError) as caught:
        halton_sequence(*arguments)
    check_message(caught.value, f"base {arguments[0]}")
