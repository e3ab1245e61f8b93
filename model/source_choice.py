"""Which number sources a layer gets: kinds by name, with their seeds, constants and rotations."""

from __future__ import annotations

from math import gcd
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.counting import select_width
from model.lfsr import advance, maximal_taps
from model.manifest import CounterSource, HaltonSource, LfsrSource, SobolSource, Source
from model.sobol import sobol_directions
from model.xor_constants import CertificateScan, best_pair_constant

SourceKind = Literal[
    "counter",
    "counter-lane",
    "sobol",
    "sobol-lane",
    "halton",
    "lfsr",
    "lfsr-lane",
    "lfsr-sng",
    "lfsr-galois",
    "lfsr-rotated",
    "lfsr-shift",
]
Encoding = Literal["unipolar", "bipolar", "sign-magnitude"]
Adder = Literal["parallel-counter", "mux"]

# Maximal taps of registers that leap by their width, found by search: the words of neighbouring
# cycles, of up to 10 bits, have no linear relation that the register is wide enough to avoid
# (tests/test_lfsr_places.py). With the usual taps (20, 17) words of 8 bits have 5 such relations,
# and Hoeffding's radius is broken far more often than it may be (docs/shift-registers.md).
LEAP_TAPS = {
    16: (16, 15, 7, 2),
    20: (20, 19, 15, 10),
    24: (24, 23, 21, 11),
    28: (28, 27, 26, 16),
    32: (32, 22, 2, 1),
}
_LFSR_WIDTHS = tuple(LEAP_TAPS)


class Sources(NamedTuple):
    """The sources of one layer.

    Attributes
    ----------
    x, w : Source
        Of the inputs' and of the weights' comparators.
    select : Source or None
        Of the MUX adder, where there is one.
    """

    x: Source
    w: Source
    select: Source | None


def choose_sources(
    kind: SourceKind,
    weights: NDArray[np.int32],
    length: int,
    operand_width: int,
    *,
    input_signed: bool,
    generator: np.random.Generator,
    encoding: Encoding = "sign-magnitude",
    adder: Adder = "parallel-counter",
) -> Sources:
    """Choose the sources of a layer.

    Parameters
    ----------
    kind : str
        ``counter``: a counter and its bit-reversal, with the XOR constant whose certificate is the
        smallest; ``counter-lane``: with such a constant for each lane. ``sobol``: two dimensions;
        ``sobol-lane``: with an XOR constant for each lane. ``halton``: bases 2 and 3. ``lfsr``: a
        pair of leap-ahead registers for the layer; ``lfsr-lane``: a pair for each lane;
        ``lfsr-sng``: a register for each input and each weight; ``lfsr-galois``: the pair in Galois
        form; ``lfsr-rotated``: the pair, rotated by another number of bits in each lane;
        ``lfsr-shift``: the pair, which shifts one bit a cycle.
    weights : numpy.ndarray
        Shape (outputs, fan_in), integers from ``-2**K`` to ``2**K``; a counter's XOR constants are
        chosen for them.
    length : int
        Bitstream length L.
    operand_width : int
        Operand width K in bits.
    input_signed : bool
        Whether inputs may be negative.
    generator : numpy.random.Generator
        From which the place of an LFSR's seed, and constants of lanes, are drawn.
    encoding : {'unipolar', 'bipolar', 'sign-magnitude'}
        The layer's encoding.
    adder : {'parallel-counter', 'mux'}
        The layer's adder; a MUX adder needs a third source.

    Returns
    -------
    Sources
        The sources.
    """
    word_width = operand_width + (encoding == "bipolar")
    selects = select_width(weights.shape[1]) if adder == "mux" else None
    if kind in ("counter", "counter-lane"):
        return _counters(
            kind == "counter-lane",
            weights,
            length,
            operand_width,
            input_signed=input_signed,
            # The scan speaks of lanes whose counts are added up in sign and magnitude.
            scanned=encoding != "bipolar" and adder == "parallel-counter",
            word_width=word_width,
            selects=selects,
        )
    if kind in ("sobol", "sobol-lane"):
        of_lanes: list[int] | None = None
        if kind == "sobol-lane":
            of_lanes = [int(generator.integers(1 << word_width)) for _ in range(weights.shape[1])]
        return Sources(
            sobol_source(1, length, word_width),
            sobol_source(2, length, word_width, of_lanes),
            None if selects is None else sobol_source(3, length, selects),
        )
    if kind == "halton":
        return Sources(
            _halton(2, length), _halton(3, length), None if selects is None else _halton(5, length)
        )
    return _lfsrs(kind, weights.shape, length, word_width, selects, generator)


def sobol_source(
    dimension: int, length: int, word_width: int, constants: list[int] | None = None
) -> SobolSource:
    """Return a dimension of the Sobol sequence as a source.

    Parameters
    ----------
    dimension : int
        1 or more; see `model.sobol`.
    length : int
        Bitstream length L.
    word_width : int
        Bits of the words.
    constants : list of int, optional
        XOR constant of each lane.
    """
    return SobolSource(
        dimension=dimension,
        directions=sobol_directions(dimension, max(1, (length - 1).bit_length()), word_width),
        sharing="layer" if constants is None else "lane",
        xor_constants=[0] if constants is None else constants,
    )


def _counters(
    lane: bool,
    weights: NDArray[np.int32],
    length: int,
    operand_width: int,
    *,
    input_signed: bool,
    scanned: bool,
    word_width: int,
    selects: int | None,
) -> Sources:
    """Return a counter and its bit-reversal; the second dimension of Sobol's completes a net."""
    width = length.bit_length() - 1
    if scanned:
        scan = CertificateScan(weights, length, operand_width, input_signed=input_signed)
        constants = scan.best_per_lane() if lane else [scan.best_shared()]
    else:
        constants = [best_pair_constant(length, word_width)] * (weights.shape[1] if lane else 1)
    return Sources(
        CounterSource(reversed=False, width=width, sharing="layer", xor_constants=[0]),
        CounterSource(
            reversed=True,
            width=width,
            sharing="lane" if lane else "layer",
            xor_constants=constants,
        ),
        None if selects is None else sobol_source(2, length, selects),
    )


def _halton(base: Literal[2, 3, 5], length: int) -> HaltonSource:
    """Return a radical inverse with as many digits as the cycles have."""
    digits = 1
    while base**digits < length:
        digits += 1
    return HaltonSource(base=base, digits=digits, sharing="layer", xor_constants=[0])


def _lfsrs(
    kind: SourceKind,
    shape: tuple[int, ...],
    length: int,
    word_width: int,
    selects: int | None,
    generator: np.random.Generator,
) -> Sources:
    """Return LFSRs that run through stretches of one cycle of states."""
    outputs, fan_in = shape
    x_lanes = fan_in if kind in ("lfsr-lane", "lfsr-sng") else 1
    w_lanes = fan_in * outputs if kind == "lfsr-sng" else x_lanes
    registers = x_lanes + w_lanes + (selects is not None)
    # Registers move in step, so that the state of one tells those of all: with fewer bits than the
    # words of a multiplier have together, some of these would be sums of others.
    needed = 2 * word_width + (selects or 0)
    # The cycle of states is made so long that the stretches do not overlap: registers that follow
    # each other closely are not independent.
    width = next(
        width
        for width in _LFSR_WIDTHS
        if (width >= needed and registers * (length + 1) * width < 1 << width)
        or width == _LFSR_WIDTHS[-1]
    )
    taps = maximal_taps(width) if kind == "lfsr-shift" else LEAP_TAPS[width]
    form: Literal["fibonacci", "galois"] = "galois" if kind == "lfsr-galois" else "fibonacci"
    period = (1 << width) - 1
    first = int(generator.integers(1, period + 1))
    # Coprime to the period: three registers at thirds of the cycle would add up to zero, always,
    # and the select word of a MUX adder would be the sum of the two words that it selects.
    apart = period // registers
    while gcd(apart, period) > 1:
        apart -= 1
    seeds = [advance(first, place * apart, width, taps, form) for place in range(registers)]
    sharing: Literal["layer", "lane", "sng"] = "layer"
    if kind in ("lfsr-lane", "lfsr-sng"):
        sharing = "lane"

    def source(part: list[int], shared: Literal["layer", "lane", "sng"]) -> LfsrSource:
        rotated = kind == "lfsr-rotated" and shared == "layer"
        return LfsrSource(
            form=form,
            width=width,
            taps=list(taps),
            step=1 if kind == "lfsr-shift" else width,
            sharing="lane" if rotated else shared,
            seeds=part,
            xor_constants=[0],
            rotations=[lane % width for lane in range(fan_in)] if rotated else [0],
        )

    pairs = seeds[: 2 * x_lanes] if w_lanes == x_lanes else []
    x_seeds = pairs[0::2] if pairs else seeds[:x_lanes]
    w_seeds = pairs[1::2] if pairs else seeds[x_lanes : x_lanes + w_lanes]
    select = None
    if selects is not None:
        select = source(seeds[-1:], "layer").model_copy(
            update={"sharing": "layer", "rotations": [0]}
        )
    return Sources(
        source(x_seeds, sharing),
        source(w_seeds, "sng" if kind == "lfsr-sng" else sharing),
        select,
    )
