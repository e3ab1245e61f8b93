"""Number sequences of the sources, vectorised over a whole bitstream."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model.errors import InputError
from model.manifest import CounterSource, LfsrSource


def source_sequence(
    source: CounterSource | LfsrSource, length: int, operand_width: int
) -> NDArray[np.int32]:
    """Return the numbers r(t) that each lane's comparators see.

    Parameters
    ----------
    source : CounterSource or LfsrSource
        The source.
    length : int
        Bitstream length L, cycles; a power of two for a counter.
    operand_width : int
        Operand width K in bits.

    Returns
    -------
    numpy.ndarray
        Shape (lanes, length), dtype int32, values 0 to ``2**K - 1``; `lanes` is 1 for a source
        without anything of its own for each lane.

    Raises
    ------
    InputError
        If the length is not a power of two (counter) or a seed is zero or too wide (LFSR).
    """
    if isinstance(source, CounterSource):
        base = counter_sequence(length, operand_width, reverse=source.reversed)[None, :]
    else:
        base = np.stack(
            [lfsr_sequence(source, seed, length, operand_width) for seed in source.seeds]
        )
    constants = np.asarray(source.xor_constants, dtype=np.int32)[:, None]
    if constants.min() < 0 or constants.max() >= 1 << operand_width:
        raise InputError(
            "an XOR constant has more bits than the operands",
            "source",
            f"use constants from 0 to {(1 << operand_width) - 1}",
        )
    sequence: NDArray[np.int32] = base ^ constants
    return sequence


def check_counter_length(length: int, where: str) -> None:
    """Refuse a bitstream length that a counter cannot have.

    Parameters
    ----------
    length : int
        Bitstream length L, cycles.
    where : str
        What to name as the place of the error.

    Raises
    ------
    InputError
        If `length` is not a power of two of at least 2.
    """
    if length < 2 or length & (length - 1):
        raise InputError(
            f"a counter source cannot have a bitstream length of {length}",
            where,
            "use a power of two, 2 or more, or an LFSR source",
        )


def counter_sequence(length: int, operand_width: int, *, reverse: bool) -> NDArray[np.int32]:
    """Return a counter's values, or its bit-reversed values, aligned to the operand width.

    The reversed counter is the van der Corput sequence in base 2.

    Parameters
    ----------
    length : int
        Number of cycles, a power of two, 2 or more.
    operand_width : int
        Word width K in bits.
    reverse : bool
        Whether to reverse the counter's bits.

    Returns
    -------
    numpy.ndarray
        Shape (length,), dtype int32, values 0 to ``2**K - 1``.

    Raises
    ------
    InputError
        If `length` is not a power of two of at least 2.
    """
    check_counter_length(length, "bitstream_length")
    width = length.bit_length() - 1
    count = np.arange(length, dtype=np.int32)
    if reverse:
        bits = count[:, None] >> np.arange(width, dtype=np.int32) & 1
        count = (bits << np.arange(width - 1, -1, -1, dtype=np.int32)).sum(axis=1, dtype=np.int32)
    if width <= operand_width:
        return count << np.int32(operand_width - width)
    return count >> np.int32(width - operand_width)


def lfsr_sequence(
    source: LfsrSource, seed: int, length: int, operand_width: int
) -> NDArray[np.int32]:
    """Return the most significant bits of an LFSR's states, `step` shifts apart.

    The register is treated as its linear recurrence: bit n + width of the output stream is the XOR
    of the tapped earlier bits, and a state is a window of `width` consecutive bits.

    Parameters
    ----------
    source : LfsrSource
        Width, taps and step.
    seed : int
        State in cycle 0, 1 to ``2**width - 1``.
    length : int
        Number of cycles.
    operand_width : int
        Word width K in bits, at most the register's.

    Returns
    -------
    numpy.ndarray
        Shape (length,), dtype int32.

    Raises
    ------
    InputError
        If the seed is zero or too wide, a tap is outside the register, or the register is narrower
        than an operand.
    """
    width = source.width
    if not 0 < seed < 1 << width:
        raise InputError(
            f"an LFSR of width {width} cannot start at {seed}",
            "seed",
            f"use a seed from 1 to {(1 << width) - 1}; the all-zero state never leaves zero",
        )
    if operand_width > width:
        raise InputError(
            f"an LFSR of width {width} cannot drive operands of {operand_width} bits",
            "width",
            f"use a register of at least {operand_width} bits",
        )
    if not all(1 <= tap <= width for tap in source.taps):
        raise InputError(f"taps {source.taps} are not all in the register", "taps", f"1 to {width}")
    total = width + source.step * (length - 1)
    # stream[k]: bit (width - 1 - k) of the seed for k < width, then the bits shifted in, in time
    # order.
    stream = np.empty(total, dtype=np.uint8)
    stream[:width] = seed >> np.arange(width - 1, -1, -1, dtype=np.int64) & 1
    shortest = min(source.taps)
    position = width
    stretch = 1
    while position < total:
        # Squaring a polynomial over GF(2) doubles its exponents: the recurrence also holds with all
        # taps times a power of two, once that many bits are known.
        while 2 * stretch * width <= position:
            stretch *= 2
        # Bits up to the nearest tap ahead depend on known bits only: a block at a time.
        end = min(position + shortest * stretch, total)
        block = np.zeros(end - position, dtype=np.uint8)
        for tap in source.taps:
            block ^= stream[position - tap * stretch : end - tap * stretch]
        stream[position:end] = block
        position = end
    starts = np.arange(length) * source.step
    windows = stream[starts[:, None] + np.arange(operand_width)]
    weights = 1 << np.arange(operand_width - 1, -1, -1)
    words: NDArray[np.int32] = (windows * weights).sum(axis=1).astype(np.int32)
    return words
