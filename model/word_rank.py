"""How many bits of an LFSR's words are independent: exact linear algebra over GF(2).

Every bit of every word is a sum, over GF(2), of bits of the seed. Over a uniformly random seed,
zero included, the words of some cycles are therefore uniform together if, and only if, the rank of
all these sums is the number of the words' bits. (R. Lidl and H. Niederreiter, "Finite Fields",
Cambridge 1997, chapter 8.) XOR constants change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from model.argument_checks import checked_integer
from model.lfsr import step_matrix
from model.manifest import LfsrSource
from model.sequences import check_source


def word_rank(source: LfsrSource, word_width: int, cycles: Sequence[int], rotation: int = 0) -> int:
    """Return the rank of one lane's words in some cycles, as functions of the register's seed.

    Parameters
    ----------
    source : LfsrSource
        Form, width, taps and step; seeds, constants and rotations are not looked at.
    word_width : int
        Bits of a word.
    cycles : sequence of int
        The cycles, 0 or more.
    rotation : int
        By how many bits the lane's word is rotated to the left.

    Returns
    -------
    int
        At most ``len(cycles) word_width``, which it is where the words are uniform together; and at
        most the register's width.

    Examples
    --------
    >>> from model.manifest import LfsrSource
    >>> source = LfsrSource(
    ...     sharing="layer", xor_constants=[0], width=16, taps=[16, 15, 13, 4], step=1, seeds=[1]
    ... )
    >>> [word_rank(source, 8, (0, apart)) for apart in (1, 4, 8)]
    [9, 12, 16]
    """
    return gf2_rank(word_rows(source, word_width, cycles, rotation))


def word_rows(
    source: LfsrSource, word_width: int, cycles: Sequence[int], rotation: int = 0
) -> list[int]:
    """Return, for each bit of one lane's words, which bits of the seed it is the sum of.

    Parameters
    ----------
    source, word_width, cycles, rotation
        As `word_rank` takes them.

    Returns
    -------
    list of int
        Word by word, the most significant bit first; bit b stands for that of the seed.
    """
    check_source(source, word_width, 1)
    checked_integer("rotation", rotation, 0)
    width = source.width
    places = [(width - 1 - rotation - bit) % width for bit in range(word_width)]
    rows = []
    for cycle in cycles:
        checked_integer("cycles", cycle, 0)
        columns = step_matrix(width, source.taps, source.step * cycle, source.form)
        rows += [
            sum((column >> place & 1) << bit for bit, column in enumerate(columns))
            for place in places
        ]
    return rows


def gf2_rank(rows: Sequence[int]) -> int:
    """Return the rank over GF(2) of a matrix whose rows are the bits of integers."""
    leading: dict[int, int] = {}
    for row in rows:
        rest = row
        while rest and rest.bit_length() in leading:
            rest ^= leading[rest.bit_length()]
        if rest:
            leading[rest.bit_length()] = rest
    return len(leading)
