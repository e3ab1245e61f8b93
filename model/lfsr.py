"""Linear-feedback shift registers: maximal taps, stepping, and the proof that a tap set is maximal.

Convention, the same in the manifest and in the RTL: Fibonacci form, shifting towards the most
significant bit. Tap ``t`` (1 to width) names bit ``t - 1`` of the state; the feedback bit is the
XOR of all tapped bits and enters at bit 0. A maximal register visits every state but 0, so its
period is ``2**width - 1``.
"""

from __future__ import annotations

from collections.abc import Sequence

from model.errors import InputError

# One maximal tap set a width (P. Alfke, "Efficient Shift Registers, LFSR Counters, and Long
# Pseudo-Random Sequence Generators", Xilinx XAPP 052, 1996). tests/test_lfsr.py proves each of them
# maximal with `is_maximal`.
MAXIMAL_TAPS: dict[int, tuple[int, ...]] = {
    3: (3, 2),
    4: (4, 3),
    5: (5, 3),
    6: (6, 5),
    7: (7, 6),
    8: (8, 6, 5, 4),
    9: (9, 5),
    10: (10, 7),
    11: (11, 9),
    12: (12, 6, 4, 1),
    13: (13, 4, 3, 1),
    14: (14, 5, 3, 1),
    15: (15, 14),
    16: (16, 15, 13, 4),
    17: (17, 14),
    18: (18, 11),
    19: (19, 6, 2, 1),
    20: (20, 17),
    21: (21, 19),
    22: (22, 21),
    23: (23, 18),
    24: (24, 23, 22, 17),
    25: (25, 22),
    26: (26, 6, 2, 1),
    27: (27, 5, 2, 1),
    28: (28, 25),
    29: (29, 27),
    30: (30, 6, 4, 1),
    31: (31, 28),
    32: (32, 22, 2, 1),
}


def maximal_taps(width: int) -> tuple[int, ...]:
    """Return a maximal tap set for a register width.

    Parameters
    ----------
    width : int
        Register width in bits, 3 to 32.

    Returns
    -------
    tuple of int
        Tap positions, 1 to `width`, the largest first.

    Raises
    ------
    InputError
        If no tap set of that width is tabled.
    """
    if width not in MAXIMAL_TAPS:
        raise InputError(f"no LFSR of width {width}", "width", "choose a width from 3 to 32")
    return MAXIMAL_TAPS[width]


def shift(state: int, width: int, taps: Sequence[int]) -> int:
    """Return the state after one shift.

    Parameters
    ----------
    state : int
        Present state, 0 to ``2**width - 1``.
    width : int
        Register width in bits.
    taps : sequence of int
        Tap positions, 1 to `width`.
    """
    feedback = 0
    for tap in taps:
        feedback ^= state >> (tap - 1) & 1
    return (state << 1 | feedback) & (1 << width) - 1


def is_maximal(width: int, taps: Sequence[int]) -> bool:
    """Decide exactly whether a tap set has the full period ``2**width - 1``.

    The state map is a matrix M over GF(2). Its order is ``2**width - 1`` iff M to that power is the
    identity and M to that power divided by each of its prime factors is not (Golomb, "Shift
    Register Sequences", 1967, chapter 3).

    Parameters
    ----------
    width : int
        Register width in bits.
    taps : sequence of int
        Tap positions, 1 to `width`.
    """
    columns = [shift(1 << bit, width, taps) for bit in range(width)]
    identity = [1 << bit for bit in range(width)]
    period = (1 << width) - 1
    if _matrix_power(columns, period) != identity:
        return False
    return all(_matrix_power(columns, period // p) != identity for p in _prime_factors(period))


def advance(state: int, steps: int, width: int, taps: Sequence[int]) -> int:
    """Return the state after any number of shifts, in ``O(log(steps))`` matrix products.

    Parameters
    ----------
    state : int
        Present state.
    steps : int
        Number of shifts, 0 or more.
    width : int
        Register width in bits.
    taps : sequence of int
        Tap positions, 1 to `width`.
    """
    columns = [shift(1 << bit, width, taps) for bit in range(width)]
    return _matrix_apply(_matrix_power(columns, steps), state)


def _matrix_apply(columns: Sequence[int], vector: int) -> int:
    """Multiply a GF(2) matrix, given by its columns as integers, with a vector."""
    result = 0
    for bit, column in enumerate(columns):
        if vector >> bit & 1:
            result ^= column
    return result


def _matrix_power(columns: Sequence[int], exponent: int) -> list[int]:
    """Raise a GF(2) matrix to a power by repeated squaring."""
    result = [1 << bit for bit in range(len(columns))]
    base = list(columns)
    while exponent:
        if exponent & 1:
            result = [_matrix_apply(base, column) for column in result]
        base = [_matrix_apply(base, column) for column in base]
        exponent >>= 1
    return result


def _prime_factors(number: int) -> list[int]:
    """Return the distinct prime factors of a number below 2**32 by trial division."""
    factors = []
    divisor = 2
    while divisor * divisor <= number:
        if number % divisor == 0:
            factors.append(divisor)
            while number % divisor == 0:
                number //= divisor
        divisor += 1
    if number > 1:
        factors.append(number)
    return factors
