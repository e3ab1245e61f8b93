"""Sobol sequences: direction numbers of the first dimensions.

I. M. Sobol, "On the distribution of points in a cube and the approximate evaluation of integrals",
USSR Computational Mathematics and Mathematical Physics 7(4), 1967; in natural order, that is
without the Gray code of most implementations: word t is the XOR of the direction numbers of the
bits that are set in t.
"""

from __future__ import annotations

from model.errors import InputError

# For dimensions 2, 3, ...: degree s and inner coefficients a of a primitive polynomial, and the
# first s numbers m. S. Joe and F. Y. Kuo, "Constructing Sobol sequences with better two-dimensional
# projections", SIAM Journal on Scientific Computing 30, 2008: the head of new-joe-kuo-6.21201.
_JOE_KUO: tuple[tuple[int, int, tuple[int, ...]], ...] = (
    (1, 0, (1,)),
    (2, 1, (1, 3)),
    (3, 1, (1, 3, 1)),
    (3, 2, (1, 1, 1)),
    (4, 1, (1, 1, 3, 3)),
    (4, 4, (1, 3, 5, 13)),
    (5, 2, (1, 1, 5, 5, 17)),
    (5, 4, (1, 1, 5, 5, 5)),
    (5, 7, (1, 1, 7, 11, 19)),
    (5, 11, (1, 1, 5, 1, 1)),
    (5, 13, (1, 1, 1, 3, 11)),
    (5, 14, (1, 3, 5, 5, 31)),
    (6, 1, (1, 3, 3, 9, 7, 49)),
    (6, 13, (1, 1, 1, 15, 21, 21)),
    (6, 16, (1, 3, 1, 13, 27, 49)),
    (6, 19, (1, 1, 1, 15, 7, 5)),
    (6, 22, (1, 3, 1, 15, 13, 25)),
    (6, 25, (1, 1, 5, 5, 19, 61)),
    (7, 1, (1, 3, 7, 11, 23, 15, 103)),
)

SOBOL_DIMENSIONS = len(_JOE_KUO) + 1


def sobol_directions(dimension: int, count: int, word_width: int) -> list[int]:
    """Return the direction numbers of a dimension, as words.

    That of bit b is ``floor(2**word_width * m / 2**(b + 1))``, m the dimension's number b + 1. An
    XOR never carries, so that dropping bits before it is as good as dropping them after it: words
    are ``floor(2**word_width * u)`` of the exact numbers u of the sequence.

    Parameters
    ----------
    dimension : int
        1 to `SOBOL_DIMENSIONS`; 1 is the van der Corput sequence.
    count : int
        How many direction numbers: one for each bit of the cycle number.
    word_width : int
        Bits of a word.

    Returns
    -------
    list of int
        That of bit 0 first, each 0 to ``2**word_width - 1``.

    Raises
    ------
    InputError
        If the dimension is not tabled, or a size is not positive.
    """
    if not 1 <= dimension <= SOBOL_DIMENSIONS:
        raise InputError(
            f"no direction numbers of Sobol dimension {dimension}",
            "dimension",
            f"choose one from 1 to {SOBOL_DIMENSIONS}",
        )
    if count < 1 or word_width < 1:
        raise InputError(
            f"{count} direction numbers of {word_width} bits", "source", "ask for 1 or more of each"
        )
    if dimension == 1:
        numbers = [1] * count
    else:
        degree, inner, first = _JOE_KUO[dimension - 2]
        numbers = list(first[:count])
        # Bratley and Fox, Algorithm 659, ACM Transactions on Mathematical Software 14, 1988:
        # m_k = 2 a_1 m_(k-1) ^ 4 a_2 m_(k-2) ^ ... ^ 2**s m_(k-s) ^ m_(k-s).
        for index in range(degree, count):
            number = numbers[index - degree] << degree ^ numbers[index - degree]
            for lag in range(1, degree):
                if inner >> (degree - 1 - lag) & 1:
                    number ^= numbers[index - lag] << lag
            numbers.append(number)
    return [(number << word_width) >> (bit + 1) for bit, number in enumerate(numbers)]
