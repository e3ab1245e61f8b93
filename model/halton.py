"""Halton sequences: the radical inverse of the cycle number.

J. H. Halton, "On the efficiency of certain quasi-random sequences of points in evaluating
multi-dimensional integrals", Numerische Mathematik 2, 1960.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model.errors import InputError


def halton_sequence(base: int, length: int, word_width: int) -> NDArray[np.int32]:
    """Return ``floor(2**word_width * radical inverse of t)`` for t = 0, 1, ..., exactly.

    Parameters
    ----------
    base : int
        The base, 2 to 1024; a prime for a Halton sequence.
    length : int
        Number of cycles, 1 to ``2**20``.
    word_width : int
        Bits of a word, 1 to 31.

    Returns
    -------
    numpy.ndarray
        Shape (length,), dtype int32, values 0 to ``2**word_width - 1``.

    Raises
    ------
    InputError
        If an argument is out of range.
    """
    if not 2 <= base <= 1024 or not 1 <= length <= 1 << 20 or not 1 <= word_width <= 31:
        raise InputError(
            f"no Halton sequence of base {base}, {length} cycles and {word_width}-bit words",
            "source",
            "use a base from 2 to 1024, 1 to 2**20 cycles and words of 1 to 31 bits",
        )
    # The numerators over base**digits of all numbers of so many digits: one digit more puts as many
    # copies behind each other as it has values, and makes the denominator that much larger.
    numerators = np.zeros(1, dtype=np.int64)
    denominator = 1
    while denominator < length:
        # No more copies than reach the length.
        leading = np.arange(min(base, -(-length // denominator)), dtype=np.int64)
        numerators = (numerators * base + leading[:, None]).ravel()
        denominator *= base
    # Below 2**10 * 2**20 * 2**31, which 64 bits hold.
    words: NDArray[np.int32] = ((numerators[:length] << word_width) // denominator).astype(np.int32)
    return words
