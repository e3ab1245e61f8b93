"""Bit-planes, against ones laid out by hand."""

from __future__ import annotations

import random

import pytest

from tb.planes import from_planes, literal, to_planes


def test_planes_laid_out_by_hand() -> None:
    # Elements 1, 2, 3: plane 0 is 1, 0, 1 and plane 1 is 0, 1, 1, element 0 rightmost.
    assert to_planes([1, 2, 3], 2) == 0b110_101
    assert from_planes(0b110_101, 3, 2) == [1, 2, 3]
    assert from_planes(0b110_101, 3, 2, signed=True) == [1, -2, -1]
    assert to_planes([1, -2, -1], 2) == 0b110_101


@pytest.mark.parametrize(("count", "width"), [(1, 1), (5, 3), (64, 17)])
def test_numbers_come_back(count: int, width: int) -> None:
    rng = random.Random(count)
    half = 1 << width - 1
    values = [rng.randrange(-half, half) for _ in range(count)]
    assert from_planes(to_planes(values, width), count, width, signed=True) == values
    assert from_planes(0, count, width) == [0] * count


def test_higher_bits_are_dropped() -> None:
    assert to_planes([7, 8], 3) == to_planes([7, 0], 3)


@pytest.mark.parametrize(
    ("value", "width", "text"),
    [(15, 8, "8'h0f"), (-1, 5, "5'h1f"), (1 << 40, 41, "41'h10000000000")],
)
def test_literals(value: int, width: int, text: str) -> None:
    assert literal(value, width) == text
