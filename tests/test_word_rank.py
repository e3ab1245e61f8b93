"""Which words of a shift register are independent, exactly, over a uniformly random seed."""

from __future__ import annotations

import doctest
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import model.word_rank
from model.errors import InputError
from model.lfsr import Form, maximal_taps
from model.manifest import LfsrSource
from model.sequences import source_sequence
from model.source_certificate import cycles_apart
from model.word_rank import gf2_rank, word_rank, word_rows
from tests.builders import check_message

WIDTHS = range(3, 33)
FORMS: tuple[Form, ...] = ("fibonacci", "galois")


def register(
    width: int,
    step: int,
    form: Form = "fibonacci",
    seeds: tuple[int, ...] = (1,),
    rotation: int = 0,
) -> LfsrSource:
    return LfsrSource(
        form=form,
        sharing="lane",
        xor_constants=[0],
        rotations=[rotation],
        width=width,
        taps=list(maximal_taps(width)),
        step=step,
        seeds=list(seeds),
    )


@settings(derandomize=True, deadline=None, max_examples=120)
@given(st.data())
def test_the_rank_is_that_of_all_seeds_played(data: st.DataObject) -> None:
    """Tuples of words are uniform over ``2**rank`` values: all seeds are tried."""
    width = data.draw(st.integers(3, 10))
    step, rotation = data.draw(st.integers(1, 2 * width)), data.draw(st.integers(0, 2 * width))
    form = data.draw(st.sampled_from(FORMS))
    word_width = data.draw(st.integers(1, width))
    cycles = data.draw(st.lists(st.integers(0, 12), min_size=1, max_size=4))
    source = register(width, step, form, tuple(range(1, 1 << width)), rotation)
    words = source_sequence(source, 13, word_width)[:, cycles]
    # The zero seed, which no register may have, gives zeros.
    tuples, found = np.unique(
        np.concatenate([words, np.zeros((1, len(cycles)), dtype=np.int32)]),
        axis=0,
        return_counts=True,
    )
    rank = word_rank(source, word_width, cycles, rotation)
    assert len(tuples) == 1 << rank
    assert (found == 1 << (width - rank)).all()


@pytest.mark.parametrize("form", FORMS)
def test_words_without_common_bits_are_independent_up_to_the_width(form: Form) -> None:
    """All words of a class of cycles, as long as their windows lie within `width` bits.

    In the Galois form, too: there the upper K bits of the state are what decides the next K bits
    that leave, so that a word is a window of the register's output in other coordinates.
    """
    tried = 0
    for width in WIDTHS:
        for word_width, step in product(range(1, width // 2 + 1), range(1, width + 1)):
            source = register(width, step, form)
            apart = -(-word_width // step)
            words = (width - word_width) // (apart * step) + 1
            if words < 2:
                continue
            tried += 1
            cycles = [apart * place for place in range(words)]
            assert word_rank(source, word_width, cycles) == words * word_width
            if apart > 1:
                assert word_rank(source, word_width, (0, apart - 1)) < 2 * word_width
    assert tried > 3000


@pytest.mark.parametrize("form", FORMS)
def test_galois_words_are_windows_of_the_output_in_other_coordinates(form: Form) -> None:
    """A word and the K bits that leave from then on are functions of each other."""
    for width in WIDTHS:
        bits = register(width, 1, form)
        for word_width in range(1, width + 1):
            window = word_rank(bits, 1, range(word_width))
            assert window == word_width == word_rank(bits, word_width, [0])
            # No rank is added by the word to the window: one-bit words are the bits that leave.
            both = gf2_rank(
                word_rows(bits, 1, range(word_width)) + word_rows(bits, word_width, [0])
            )
            assert both == word_width


def test_rotated_words_that_do_not_wrap_are_windows() -> None:
    for width, word_width in ((16, 8), (20, 8), (24, 8), (32, 8), (32, 9), (13, 4)):
        for rotation in range(width - word_width + 1):
            source = register(width, 1)
            words = width // word_width
            cycles = [word_width * place for place in range(words)]
            assert word_rank(source, word_width, cycles, rotation) == words * word_width


def test_rotated_words_that_wrap_share_bits_again_before_the_width() -> None:
    """At every distance from width - K + 1 to width - 1; K apart is too near if one is a multiple.

    K = 8 in 20 bits has the multiple 16. In 16, 24 and 32 bits none is in the way.
    """
    for width, word_width in product((16, 20, 24, 28, 32), (3, 5, 8)):
        for rotation in range(width - word_width + 1, width):
            source = register(width, 1)
            for distance in range(width - word_width + 1, width):
                rank = word_rank(source, word_width, (0, distance), rotation)
                assert rank < 2 * word_width
    assert word_rank(register(20, 1), 8, (0, 16), 14) < 16


def test_no_more_than_the_width_is_independent() -> None:
    """Nine-bit words of bipolar operands do not fit into 16 bits twice, whatever their distance."""
    for distance in range(1, 400):
        assert word_rank(register(16, 1), 9, (0, distance)) <= 16
    for form, width in product(FORMS, (16, 32)):
        cycles = [8 * place for place in range(width // 8 + 1)]
        assert word_rank(register(width, 1, form), 8, cycles) == width < 8 * len(cycles)


def test_leap_ahead_words_share_no_bits_but_are_not_independent() -> None:
    """Taps close to the width make bits of the next word of bits of this one; 32 bits are clean.

    From 20 bits with the taps 20 and 17: a bit of the next word is the sum of two bits, three
    apart, of this one. A step that leaves room for both words in the register is exact.
    """
    ranks = {
        (form, width): word_rank(register(width, width, form), 8, (0, 1))
        for form, width in product(FORMS, (16, 20, 24, 28, 32))
    }
    for form in FORMS:
        assert [ranks[form, width] for width in (16, 20, 24, 28, 32)] == [15, 11, 15, 11, 16]
    for width in (16, 20, 24, 28, 32):
        for step in range(8, width - 7):
            assert word_rank(register(width, step), 8, (0, 1)) == 16


def test_what_is_asked_must_be_there() -> None:
    for word_width, cycle, rotation, words in (
        (9, 0, 0, ("9 bits",)),
        (4, -1, 0, ("cycles", "-1")),
        (4, 0, -1, ("rotation", "-1")),
    ):
        with pytest.raises(InputError) as caught:
            word_rank(register(8, 1), word_width, [cycle], rotation)
        check_message(caught.value, *words)


def test_the_planners_distance_is_never_too_short() -> None:
    """`cycles_apart` lets no pair of a class share bits while both fit into the register."""
    for form, width, step in product(FORMS, (16, 20, 24, 32), (1, 2, 3, 5, 8)):
        for rotation in range(0, width, 3):
            source = register(width, step, form, rotation=rotation)
            apart = cycles_apart(source, 8)
            if apart * step + 8 > width or rotation > width - 8:
                continue
            assert word_rank(source, 8, (0, apart), rotation) == 16


def test_examples_run() -> None:
    failed, run = doctest.testmod(model.word_rank)
    assert (failed, run) == (0, 3)
