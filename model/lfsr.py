"""Linear-feedback shift registers: maximal taps, stepping, and the proof that a tap set is maximal.

Convention, the same in the manifest and in the RTL: both forms shift towards the most significant
bit. In the Fibonacci form, tap ``t`` (1 to width) names bit ``t - 1`` of the state; the feedback
bit is the XOR of all tapped bits and enters at bit 0. In the Galois form the bit that leaves
inverts, if it is 1, bit ``width - t`` of the shifted state for every tap. The characteristic
polynomial of both is ``x**width + sum of x**(width - t)``. A maximal register visits every state
but 0, so its period is ``2**width - 1``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from model.errors import InputError

Form = Literal["fibonacci", "galois"]

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
    """Return the state of a Fibonacci register after one shift.

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


def shift_galois(state: int, width: int, taps: Sequence[int]) -> int:
    """Return the state of a Galois register after one shift.

    The state is a polynomial over GF(2), and a shift multiplies it by x modulo the characteristic
    polynomial (Golomb, "Shift Register Sequences", 1967, chapter 2).

    Parameters
    ----------
    state : int
        Present state, 0 to ``2**width - 1``.
    width : int
        Register width in bits.
    taps : sequence of int
        Tap positions, 1 to `width`.
    """
    shifted = state << 1 & (1 << width) - 1
    if state >> (width - 1) & 1:
        for tap in taps:
            shifted ^= 1 << (width - tap)
    return shifted


def step_matrix(width: int, taps: Sequence[int], steps: int, form: Form = "fibonacci") -> list[int]:
    """Return the columns, as integers, of the GF(2) matrix of any number of shifts.

    Parameters
    ----------
    width : int
        Register width in bits.
    taps : sequence of int
        Tap positions, 1 to `width`.
    steps : int
        Number of shifts, 0 or more.
    form : {'fibonacci', 'galois'}
        Form of the register.
    """
    shift_once = shift if form == "fibonacci" else shift_galois
    return matrix_power([shift_once(1 << bit, width, taps) for bit in range(width)], steps)


def is_maximal(width: int, taps: Sequence[int], form: Form = "fibonacci") -> bool:
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
    form : {'fibonacci', 'galois'}
        Form of the register; the answer is the same for both.
    """
    columns = step_matrix(width, taps, 1, form)
    identity = [1 << bit for bit in range(width)]
    period = (1 << width) - 1
    if matrix_power(columns, period) != identity:
        return False
    return all(matrix_power(columns, period // p) != identity for p in prime_factors(period))


def advance(
    state: int, steps: int, width: int, taps: Sequence[int], form: Form = "fibonacci"
) -> int:
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
    form : {'fibonacci', 'galois'}
        Form of the register.
    """
    return matrix_apply(step_matrix(width, taps, steps, form), state)


def matrix_apply(columns: Sequence[int], vector: int) -> int:
    """Multiply a GF(2) matrix, given by its columns as integers, with a vector."""
    result = 0
    for bit, column in enumerate(columns):
        if vector >> bit & 1:
            result ^= column
    return result


def matrix_power(columns: Sequence[int], exponent: int) -> list[int]:
    """Raise a GF(2) matrix to a power by repeated squaring."""
    result = [1 << bit for bit in range(len(columns))]
    base = list(columns)
    while exponent:
        if exponent & 1:
            result = [matrix_apply(base, column) for column in result]
        base = [matrix_apply(base, column) for column in base]
        exponent >>= 1
    return result


def prime_factors(number: int) -> list[int]:
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
