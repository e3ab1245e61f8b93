"""Number sources: the fast sequences against the state machines, periods, and refusals."""

from __future__ import annotations

from itertools import islice
from math import gcd
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.errors import InputError
from model.lfsr import is_maximal, maximal_taps
from model.manifest import CounterSource, HaltonSource, LfsrSource, SobolSource, Source
from model.sequences import counter_sequence, source_sequence
from model.source_facts import source_period, start_words
from model.streams import source_words
from tests.builders import SOURCE_KINDS, check_message, random_lane_source

SHARINGS: list[Literal["layer", "lane", "sng"]] = ["layer", "lane", "sng"]


@settings(derandomize=True, deadline=None, max_examples=400)
@given(st.data())
def test_source_words_are_the_source_sequence(data: st.DataObject) -> None:
    """Every kind, form, rotation and sharing, against the machines that step like the hardware."""
    kind = data.draw(st.sampled_from(SOURCE_KINDS))
    sharing: Literal["layer", "lane", "sng"] = data.draw(st.sampled_from(SHARINGS))
    fan_in, outputs = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 4))
    lanes = {"layer": 1, "lane": fan_in, "sng": fan_in * outputs}[sharing]
    log_length = data.draw(st.integers(0, 6))
    counts = kind in ("counter", "reversed")
    length = 1 << log_length if counts else data.draw(st.integers(1, 1 << log_length))
    word_width = data.draw(st.integers(1, 11))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    source = random_lane_source(rng, kind, sharing, lanes, word_width, length)
    fast = source_sequence(source, length, word_width)
    slow = np.array(list(source_words(source, length, word_width, lanes))).T
    assert fast.shape == (source.lanes, length)
    assert source.lanes in (1, lanes)
    assert np.array_equal(np.broadcast_to(fast, (lanes, length)), slow)
    assert fast.dtype == np.int32
    assert 0 <= fast.min() <= fast.max() < 1 << word_width
    assert start_words(source, word_width) == fast[:, 0].tolist()


def test_what_is_drawn_covers_what_there_is() -> None:
    rng = np.random.default_rng(0)
    drawn = [random_lane_source(rng, kind, "sng", 6, 5, 32) for kind in SOURCE_KINDS * 40]
    for kind in (CounterSource, SobolSource, HaltonSource, LfsrSource):
        some = [source for source in drawn if isinstance(source, kind)]
        assert {len(source.xor_constants) for source in some} == {1, 6}
        assert {len(source.rotations) for source in some} == {1, 6}
        assert any(max(source.rotations) > 5 for source in some)
        assert any(source.rotations == [0] for source in some)
    registers = [source for source in drawn if isinstance(source, LfsrSource)]
    assert {(source.form, len(source.seeds)) for source in registers} == {
        (form, seeds) for form in ("fibonacci", "galois") for seeds in (1, 6)
    }


def lfsr(**changes: object) -> LfsrSource:
    """A legal source of 8 bits, then changed."""
    legal: dict[str, object] = {
        "width": 8,
        "taps": list(maximal_taps(8)),
        "step": 8,
        "sharing": "layer",
        "seeds": [1],
        "xor_constants": [0],
    }
    return LfsrSource.model_validate(legal | changes)


def counter(**changes: object) -> CounterSource:
    legal = {"reversed": True, "width": 3, "sharing": "layer", "xor_constants": [0]}
    return CounterSource.model_validate(legal | changes)


def sobol(**changes: object) -> SobolSource:
    """Dimension 2 on 4 bits."""
    legal = {"dimension": 2, "directions": [8, 12, 10], "sharing": "layer", "xor_constants": [0]}
    return SobolSource.model_validate(legal | changes)


def halton(**changes: object) -> HaltonSource:
    legal = {"base": 3, "digits": 2, "sharing": "layer", "xor_constants": [0]}
    return HaltonSource.model_validate(legal | changes)


def test_rotation_by_hand() -> None:
    """Register states 001 010 101 011 111 110 100; rotated left by one, its upper two bits."""
    source = lfsr(width=3, taps=[3, 2], step=1)
    rotated = source.model_copy(update={"rotations": [1]})
    assert source_sequence(rotated, 7, 3).tolist() == [[2, 4, 3, 6, 7, 5, 1]]
    assert source_sequence(rotated, 7, 2).tolist() == [[1, 2, 1, 3, 3, 2, 0]]
    lanes = source.model_copy(update={"rotations": [0, 4, 2], "xor_constants": [0, 0, 3]})
    assert source_sequence(lanes, 2, 2).tolist() == [[0, 1], [1, 2], [2 ^ 3, 0 ^ 3]]
    word = sobol(rotations=[1, 3])
    assert source_sequence(word, 4, 4).tolist() == [[0, 1, 9, 8], [0, 4, 6, 2]]


def test_a_galois_register_by_hand() -> None:
    """x**3 = x + 1: 001 010 100 011 110 111 101, then again."""
    source = lfsr(form="galois", width=3, taps=[3, 2], step=1)
    assert source_sequence(source, 8, 3).tolist() == [[1, 2, 4, 3, 6, 7, 5, 1]]
    leap = source.model_copy(update={"step": 2})
    assert source_sequence(leap, 4, 3).tolist() == [[1, 4, 6, 5]]


def test_sobol_and_halton_words_by_hand() -> None:
    assert source_sequence(sobol(), 8, 4).tolist() == [[0, 8, 12, 4, 10, 2, 6, 14]]
    # Ninths: 0 3 6 1 4 7 2 5 8, times 16, rounded down.
    assert source_sequence(halton(), 9, 4).tolist() == [[0, 5, 10, 1, 7, 12, 3, 8, 14]]


def test_a_counter_of_no_bits_gives_one_word() -> None:
    for backwards in (False, True):
        assert counter_sequence(1, 4, reverse=backwards).tolist() == [0]
        source = counter(reversed=backwards, width=0, xor_constants=[5])
        assert source_sequence(source, 1, 4).tolist() == [[5]]
        assert list(source_words(source, 1, 4, 2)) == [[5, 5]]
        assert source_period(source, 4) == 1


@pytest.mark.parametrize("form", ["fibonacci", "galois"])
def test_long_sequences(form: str) -> None:
    """Whole periods and more, and the widest register, beyond what the property above reaches."""
    for source in (
        lfsr(form=form, width=12, taps=list(maximal_taps(12)), step=11, seeds=[1234]),
        lfsr(form=form, width=32, taps=list(maximal_taps(32)), step=45, seeds=[0xDEADBEEF]),
    ):
        fast = source_sequence(source, 5000, 8)[0]
        slow = [words[0] for words in source_words(source, 5000, 8, 1)]
        assert fast.tolist() == slow


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (lfsr(seeds=[0]), ("cannot start at 0", "never leaves zero")),
        (lfsr(seeds=[256]), ("cannot start at 256", "1 to 255")),
        (lfsr(seeds=[-1]), ("cannot start at -1",)),
        (lfsr(seeds=[1, 2, 0]), ("cannot start at 0",)),
        (lfsr(width=3, taps=[3, 2]), ("cannot drive operands of 4 bits",)),
        (lfsr(taps=[9, 5]), ("not all in the register",)),
        (lfsr(taps=[8, 0]), ("not all in the register",)),
        (lfsr(taps=[7, 6]), ("with the last one",)),
        (lfsr(taps=[8, 6, 6]), ("name each tap once",)),
        (lfsr(xor_constants=[16]), ("XOR constant", "0 to 15")),
        (lfsr(xor_constants=[-1]), ("XOR constant",)),
        (lfsr(rotations=[-1]), ("rotation of -1", "0 or more")),
        (lfsr(rotations=[0, 1], seeds=[1, 2, 3]), ("2 entries for 3 lanes",)),
        (counter(xor_constants=[0, 1, 2], rotations=[0, 1]), ("2 entries for 3 lanes",)),
        (counter(xor_constants=[16]), ("XOR constant", "0 to 15")),
        (counter(width=4), ("4 bits does not count 8", "3 bits")),
        (sobol(directions=[8, 12]), ("too few for 8 cycles", "use 3")),
        (sobol(directions=[16, 8, 4]), ("direction number", "0 to 15")),
        (sobol(directions=[-1, 8, 4]), ("direction number",)),
        (sobol(xor_constants=[16]), ("XOR constant",)),
        (halton(digits=1), ("1 digits in base 3", "8 cycles")),
        (halton(rotations=[0, -2]), ("rotation of -2",)),
    ],
)
def test_impossible_sources_are_refused(source: Source, words: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as caught:
        source_sequence(source, 8, 4)
    check_message(caught.value, *words)


@pytest.mark.parametrize("source", [lfsr(), sobol(), halton()])
def test_a_stream_has_cycles(source: Source) -> None:
    with pytest.raises(InputError) as caught:
        source_sequence(source, 0, 4)
    check_message(caught.value, "0 cycles")


@pytest.mark.parametrize("facts", [source_period, start_words])
def test_there_are_no_facts_of_impossible_sources(facts: Any) -> None:
    for source in (lfsr(seeds=[0]), counter(xor_constants=[16]), sobol(rotations=[-1])):
        with pytest.raises(InputError):
            facts(source, 4)


@pytest.mark.parametrize(
    ("source", "period"),
    [
        (counter(width=6), 64),
        (sobol(), 8),
        (halton(), 9),
        (halton(base=5, digits=4), 625),
        (lfsr(), 255),
        (lfsr(step=5), 51),
        (lfsr(form="galois", step=85), 3),
        (lfsr(step=255), 1),
        (lfsr(width=32, taps=list(maximal_taps(32)), step=32), 2**32 - 1),
        # x**31 + x**3 + 1 reversed and x**32 + x: known periods far beyond counting.
        (lfsr(width=31, taps=[31, 3], step=1), 2**31 - 1),
        (lfsr(width=32, taps=[32], step=1), 32),
        # x**5 + x**4 + 1 = (x**3 + x + 1)(x**2 + x + 1): multiples of either have the other's.
        (lfsr(form="galois", width=5, taps=[5, 1], step=1, seeds=[0b01011]), 3),
        (lfsr(form="galois", width=5, taps=[5, 1], step=1, seeds=[0b00111]), 7),
        (lfsr(form="galois", width=5, taps=[5, 1], step=1, seeds=[0b01011, 0b00111]), 21),
    ],
)
def test_periods(source: Source, period: int) -> None:
    assert source_period(source, 3 if isinstance(source, LfsrSource) else 4) == period


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.data())
def test_the_period_is_counted(data: st.DataObject) -> None:
    """Any taps, most of them not maximal, and seeds whose periods differ."""
    width = data.draw(st.integers(3, 9))
    others = data.draw(st.sets(st.integers(1, width - 1), max_size=width - 1))
    source = lfsr(
        form=data.draw(st.sampled_from(["fibonacci", "galois"])),
        width=width,
        taps=[width, *others],
        step=data.draw(st.integers(1, 2 * width)),
        seeds=data.draw(st.lists(st.integers(1, (1 << width) - 1), min_size=1, max_size=3)),
    )
    period = source_period(source, 3)
    limit = 4000
    states = [tuple(words) for words in islice(_states(source), min(period, limit) + 1)]
    assert states[0] not in states[1:-1]
    if period <= limit:
        assert states[-1] == states[0]
    if is_maximal(width, source.taps):
        whole = (1 << width) - 1
        assert period == whole // gcd(whole, source.step)


def _states(source: LfsrSource) -> Any:
    return source_words(source, 5000, source.width, len(source.seeds))
