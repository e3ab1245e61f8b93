"""Number sequences of the sources, vectorised over a whole bitstream."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model.errors import InputError
from model.halton import halton_sequence
from model.lfsr import matrix_power, step_matrix
from model.manifest import CounterSource, HaltonSource, LfsrSource, SobolSource, Source


def source_sequence(source: Source, length: int, word_width: int) -> NDArray[np.int32]:
    """Return the numbers r(t) that each lane's comparators see.

    Parameters
    ----------
    source : Source
        The source.
    length : int
        Bitstream length L, cycles; that of a counter is ``2**width``.
    word_width : int
        Bits of a word: the operand width K, one more in bipolar encoding.

    Returns
    -------
    numpy.ndarray
        Shape (lanes, length), dtype int32, values 0 to ``2**word_width - 1``; `lanes` is 1 for a
        source without anything of its own for each lane.

    Raises
    ------
    InputError
        If the source has a part that is out of range, or too few bits or digits for the length.
    """
    check_source(source, word_width, length)
    if isinstance(source, CounterSource):
        base = counter_sequence(length, word_width, reverse=source.reversed)[None, :]
    elif isinstance(source, SobolSource):
        base = sobol_sequence(source.directions, length)[None, :]
    elif isinstance(source, HaltonSource):
        base = halton_sequence(source.base, length, word_width)[None, :]
    else:
        return lane_words(source, lfsr_states(source, length), word_width)
    return lane_words(source, base, word_width)


def lane_words(source: Source, base: NDArray[np.integer], word_width: int) -> NDArray[np.int32]:
    """Spread base words over the lanes: rotate, cut, and XOR with the constants.

    Parameters
    ----------
    source : Source
        The source.
    base : numpy.ndarray
        Shape (1 or lanes, cycles): base words, of an LFSR all bits of the register.
    word_width : int
        Bits of a word.

    Returns
    -------
    numpy.ndarray
        Shape (lanes, cycles), dtype int32.
    """
    base_width = source.width if isinstance(source, LfsrSource) else word_width
    rotations = np.asarray(source.rotations, dtype=np.int64)[:, None] % base_width
    if rotations.any():
        whole = base.astype(np.int64)
        base = (whole << rotations | whole >> (base_width - rotations)) & (1 << base_width) - 1
    words = (base >> (base_width - word_width)).astype(np.int32)
    sequence: NDArray[np.int32] = words ^ np.asarray(source.xor_constants, dtype=np.int32)[:, None]
    return np.broadcast_to(sequence, (source.lanes, sequence.shape[1]))


def check_source(source: Source, word_width: int, length: int) -> None:
    """Refuse a source that cannot be built, or not for a bitstream of that length.

    Parameters
    ----------
    source : Source
        The source.
    word_width : int
        Bits of a word.
    length : int
        Bitstream length L, cycles.

    Raises
    ------
    InputError
        If a list has neither one entry nor one for each lane; a constant, rotation, direction
        number or seed is out of range; a register is narrower than a word or its taps are not a
        set of its bits with the last one; or the source repeats itself within the length.
    """
    lists = [source.xor_constants, source.rotations]
    if isinstance(source, LfsrSource):
        lists.append(source.seeds)
    for part in lists:
        if len(part) not in (1, source.lanes):
            raise InputError(
                f"{len(part)} entries for {source.lanes} lanes",
                "source",
                "give every list one entry, or one for each lane",
            )
    _check_range("an XOR constant", source.xor_constants, 0, (1 << word_width) - 1)
    if min(source.rotations) < 0:
        raise InputError(
            f"a rotation of {min(source.rotations)}", "source", "rotate to the left, by 0 or more"
        )
    if length < 1:
        raise InputError(f"a bitstream of {length} cycles", "source", "use 1 cycle or more")
    if isinstance(source, CounterSource):
        check_counter_length(length, "bitstream_length")
        if length != 1 << source.width:
            raise InputError(
                f"a counter of {source.width} bits does not count {length} cycles",
                "source",
                f"use a counter of {length.bit_length() - 1} bits",
            )
    elif isinstance(source, SobolSource):
        _check_range("a direction number", source.directions, 0, (1 << word_width) - 1)
        if length > 1 << len(source.directions):
            raise InputError(
                f"{len(source.directions)} direction numbers are too few for {length} cycles",
                "source",
                f"use {(length - 1).bit_length()}",
            )
    elif isinstance(source, HaltonSource):
        if length > source.base**source.digits:
            raise InputError(
                f"{source.digits} digits in base {source.base} do not count {length} cycles",
                "source",
                "use more digits",
            )
    else:
        _check_register(source, word_width)


def _check_range(what: str, numbers: Sequence[int], lowest: int, highest: int) -> None:
    """Refuse numbers that have more bits than they may have."""
    if min(numbers) < lowest or max(numbers) > highest:
        raise InputError(
            f"{what} has more bits than the operands", "source", f"use {lowest} to {highest}"
        )


def _check_register(source: LfsrSource, word_width: int) -> None:
    """Refuse a register that cannot be built."""
    width = source.width
    for seed in source.seeds:
        if not 0 < seed < 1 << width:
            raise InputError(
                f"an LFSR of width {width} cannot start at {seed}",
                "seed",
                f"use a seed from 1 to {(1 << width) - 1}; the all-zero state never leaves zero",
            )
    if word_width > width:
        raise InputError(
            f"an LFSR of width {width} cannot drive operands of {word_width} bits",
            "width",
            f"use a register of at least {word_width} bits",
        )
    if not all(1 <= tap <= width for tap in source.taps):
        raise InputError(f"taps {source.taps} are not all in the register", "taps", f"1 to {width}")
    if len(set(source.taps)) < len(source.taps) or width not in source.taps:
        raise InputError(
            f"taps {source.taps} are not a set of bits with the last one",
            "taps",
            f"name each tap once, and {width}: without it the register forgets its seed",
        )


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
        If `length` is not a power of two.
    """
    if length < 1 or length & (length - 1):
        raise InputError(
            f"a counter source cannot have a bitstream length of {length}",
            where,
            "use a power of two, or an LFSR source",
        )


def counter_sequence(length: int, operand_width: int, *, reverse: bool) -> NDArray[np.int32]:
    """Return a counter's values, or its bit-reversed values, aligned to the operand width.

    The reversed counter is the van der Corput sequence in base 2.

    Parameters
    ----------
    length : int
        Number of cycles, a power of two.
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
        If `length` is not a power of two.
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


def sobol_sequence(directions: Sequence[int], length: int) -> NDArray[np.int32]:
    """Return the XOR of the direction numbers of the bits that are set in t, for t = 0, 1, ...

    Parameters
    ----------
    directions : sequence of int
        That of bit 0 first, one for each bit of ``length - 1``.
    length : int
        Number of cycles.

    Returns
    -------
    numpy.ndarray
        Shape (length,), dtype int32.
    """
    words = np.zeros(length, dtype=np.int32)
    known = 1
    for direction in directions:
        # Cycles with this bit set repeat those without it.
        words[known : 2 * known] = words[: max(min(known, length - known), 0)] ^ direction
        known *= 2
    return words


def lfsr_states(source: LfsrSource, length: int) -> NDArray[np.uint32]:
    """Return the registers' states, `step` shifts apart.

    The states of cycles n to 2n - 1 are a matrix over GF(2), that of n cycles, times the states of
    cycles 0 to n - 1: each doubling costs one look-up for each byte of a state, whatever the step
    and whichever the form.

    Parameters
    ----------
    source : LfsrSource
        Form, width, taps, step and seeds.
    length : int
        Number of cycles.

    Returns
    -------
    numpy.ndarray
        Shape (seeds, length), dtype uint32.
    """
    columns = step_matrix(source.width, source.taps, source.step, source.form)
    states = np.empty((len(source.seeds), length), dtype=np.uint32)
    states[:, 0] = source.seeds
    known = 1
    while known < length:
        block = states[:, : min(known, length - known)]
        following = np.zeros_like(block)
        for first in range(0, source.width, 8):
            following ^= _byte_table(columns[first : first + 8])[block >> np.uint32(first) & 0xFF]
        states[:, known : 2 * known] = following
        columns = matrix_power(columns, 2)
        known *= 2
    return states


def _byte_table(columns: Sequence[int]) -> NDArray[np.uint32]:
    """Return the sum over GF(2) of at most 8 columns for every byte that chooses among them."""
    table = np.zeros(256, dtype=np.uint32)
    for bit, column in enumerate(columns):
        table[1 << bit : 2 << bit] = table[: 1 << bit] ^ np.uint32(column)
    return table
