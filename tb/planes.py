"""Vectors of numbers as bit-planes: bit k of element i of M elements stands at ``k * M + i``."""

from __future__ import annotations

from collections.abc import Sequence


def to_planes(values: Sequence[int], width: int) -> int:
    """Lay numbers out as bit-planes.

    Parameters
    ----------
    values : Sequence[int]
        The elements; of a negative one, the bits of its two's complement.
    width : int
        Bits of an element; higher ones are dropped.

    Returns
    -------
    int
        Of ``width * len(values)`` bits.
    """
    word = 0
    for bit in reversed(range(width)):
        for value in reversed(values):
            word = word << 1 | (value >> bit & 1)
    return word


def from_planes(word: int, count: int, width: int, *, signed: bool = False) -> list[int]:
    """Read numbers from bit-planes.

    Parameters
    ----------
    word : int
        The planes.
    count : int
        Number of elements.
    width : int
        Bits of an element.
    signed : bool
        Whether elements are in two's complement.

    Returns
    -------
    list[int]
        The elements.
    """
    digits = format(word, f"0{width * count}b")[::-1]
    values = [int(digits[index::count][::-1], 2) for index in range(count)]
    if signed:
        values = [value - (value >> (width - 1) << width) for value in values]
    return values


def literal(value: int, width: int) -> str:
    """Write a number as a sized Verilog literal.

    Parameters
    ----------
    value : int
        Of a negative one, the two's complement.
    width : int
        Bits of the literal; higher bits of the value are dropped.

    Returns
    -------
    str
        For instance ``8'h0f``.
    """
    return f"{width}'h{value % (1 << width):0{-(-width // 4)}x}"
