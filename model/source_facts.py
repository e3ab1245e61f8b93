"""What is known of a number source without running it: its period and its first words."""

from __future__ import annotations

from math import gcd, lcm

import numpy as np

from model.lfsr import is_maximal, matrix_apply, matrix_power, prime_factors, step_matrix
from model.manifest import CounterSource, HaltonSource, LfsrSource, SobolSource, Source
from model.sequences import check_source, lane_words


def source_period(source: Source, word_width: int) -> int:
    """Return after how many cycles the state of a source comes back for the first time.

    Parameters
    ----------
    source : Source
        The source.
    word_width : int
        Bits of a word.

    Returns
    -------
    int
        Cycles, 1 or more; of registers with different periods, until all come back together.

    Raises
    ------
    InputError
        If the source has a part that is out of range.
    """
    check_source(source, word_width, _whole_count(source))
    if isinstance(source, LfsrSource):
        return _lfsr_period(source)
    return _whole_count(source)


def start_words(source: Source, word_width: int) -> list[int]:
    """Return the word of each lane in cycle 0.

    Parameters
    ----------
    source : Source
        The source.
    word_width : int
        Bits of a word.

    Returns
    -------
    list of int
        One for each lane that has anything of its own.

    Raises
    ------
    InputError
        If the source has a part that is out of range.
    """
    check_source(source, word_width, _whole_count(source))
    first = source.seeds if isinstance(source, LfsrSource) else [0]
    words: list[int] = lane_words(source, np.array(first)[:, None], word_width)[:, 0].tolist()
    return words


def _whole_count(source: Source) -> int:
    """Return how many cycles a source counts, or 1 for one that does not count."""
    if isinstance(source, CounterSource):
        return 1 << source.width
    if isinstance(source, SobolSource):
        return 1 << len(source.directions)
    if isinstance(source, HaltonSource):
        return int(source.base**source.digits)
    return 1


def _lfsr_period(source: LfsrSource) -> int:
    """Return the period of registers, `step` shifts a cycle."""
    if is_maximal(source.width, source.taps, source.form):
        shifts = (1 << source.width) - 1
    else:
        shifts = _shifts_until_return(source)
    return shifts // gcd(shifts, source.step)


def _shifts_until_return(source: LfsrSource) -> int:
    """Return after how many single shifts all registers are at their seeds again.

    The order of any polynomial of degree n that x does not divide divides the product of a power of
    2 that is n or more and of all ``2**d - 1`` for d up to n (Lidl and Niederreiter, "Finite
    Fields", corollary 3.4, theorems 3.8 and 3.9). From this multiple of every period, prime factors
    are taken off for as long as the state still comes back.
    """
    width = source.width
    factors = [2]
    multiple = 1 << width.bit_length()
    for degree in range(2, width + 1):
        multiple = lcm(multiple, (1 << degree) - 1)
        factors += prime_factors((1 << degree) - 1)
    # Powers with exponents 1, 2, 4, ... of the matrix of one shift.
    powers = [step_matrix(width, source.taps, 1, source.form)]
    while 1 << len(powers) <= multiple:
        powers.append(matrix_power(powers[-1], 2))

    def returns(seed: int, shifts: int) -> bool:
        state = seed
        for bit, columns in enumerate(powers):
            if shifts >> bit & 1:
                state = matrix_apply(columns, state)
        return state == seed

    together = 1
    for seed in set(source.seeds):
        period = multiple
        for factor in sorted(set(factors)):
            while period % factor == 0 and returns(seed, period // factor):
                period //= factor
        together = lcm(together, period)
    return together
