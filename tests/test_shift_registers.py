"""The study of shift registers: what it counts, what it finds, and the page that shows it."""

from __future__ import annotations

import math
from collections import Counter
from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks import shift_registers as study
from benchmarks.shift_registers import BITS, SETTINGS, Setting
from model.errors import SignoffError
from model.lfsr import Form
from model.sequences import source_sequence
from tests.builders import check_message

ONE_BIT = next(setting for setting in SETTINGS if setting.step == 1)


def small(step: int, form: Form = "fibonacci", width: int = 9) -> Setting:
    """Return a register whose seeds are few enough to play one by one."""
    return Setting("small", tuple(range(width - 1, width - 1 - BITS, -1)), 1, step, width, form)


@pytest.mark.parametrize("setting", [small(1), small(7), small(9, "galois"), small(6, width=8)])
@pytest.mark.parametrize("length", [1, 20])
def test_every_seed_is_counted_once(setting: Setting, length: int) -> None:
    """Against the layers' own sequences, seed by seed; 7 and 6 shifts split the cycle in rings."""
    seeds = list(range(1, setting.period + 1))
    source = setting.source().model_copy(update={"seeds": seeds, "sharing": "lane"})
    words = source_sequence(source, length, BITS)
    found = study.stream_counts(setting, length)
    for operand in (1, 100, 171, 255):
        counts = Counter((words < operand).sum(axis=1).tolist())
        assert dict(enumerate(found[operand - 1].tolist())) == {
            ones: counts[ones] for ones in range(length + 1)
        }


def test_words_are_what_their_places_say() -> None:
    for setting in SETTINGS:
        if setting.title.endswith("rotated by 12"):
            source = setting.source().model_copy(update={"rotations": [12]})
            assert np.array_equal(setting.words()[:99], source_sequence(source, 99, BITS)[0])
    reversed_words = next(setting for setting in SETTINGS if "reversed" in setting.title).words()
    mirrored = [int(format(word, "08b")[::-1], 2) for word in ONE_BIT.words()[:999].tolist()]
    assert mirrored == reversed_words[:999].tolist()


def test_products_are_those_of_two_registers() -> None:
    """Their mean and spread; and every count is the count of some pair of seeds."""
    setting, pair, length = small(9), (200, 150), 12
    counts = study.product_counts(setting, pair, length)
    seeds = list(range(1, setting.period + 1))
    source = setting.source().model_copy(update={"seeds": seeds, "sharing": "lane"})
    words = source_sequence(source, length, BITS)
    x, w = ((words < operand).astype(np.float32) for operand in pair)
    every = np.rint(x @ w.T).astype(np.int64).ravel()
    shares = np.bincount(every, minlength=length + 1) / every.size
    found = np.bincount(counts, minlength=length + 1) / len(counts)
    # Four standard deviations.
    assert (np.abs(found - shares) <= 4 * np.sqrt(shares / len(counts))).all()


def test_independent_bits_are_binomial() -> None:
    shares = study.independent_counts(20)
    for operand in (1, 77, 255):
        p = operand / 256
        exact = [math.comb(20, ones) * p**ones * (1 - p) ** (20 - ones) for ones in range(21)]
        assert shares[operand - 1] == pytest.approx(exact, rel=1e-10)
    assert study.variance_ratio(shares, np.arange(1, 256) / 256) == pytest.approx(1, rel=1e-9)


def test_the_variance_is_that_of_windows_of_fair_coins() -> None:
    """What overlap alone does, written out: all coins of two windows that overlap are tried."""
    length = 256
    shares = study.stream_counts(ONE_BIT, length) / ONE_BIT.period
    measured = study.variance_ratio(shares, np.arange(1, 256) / 256)
    for operand in (85, 128, 171, 200):
        p = operand / 256
        ratio = 1.0
        for lag in range(1, BITS):
            coins = np.arange(1 << (BITS + lag))
            both = ((coins >> lag) < operand) & ((coins & 255) < operand)
            ratio += 2 * (1 - lag / length) * (both.mean() - p * p) / (p * (1 - p))
        # A register of 16 bits is not made of coins: farther words are dependent, too.
        assert measured[operand - 1] == pytest.approx(ratio, rel=0.03)


def test_the_inflated_radius_holds_where_the_plain_one_fails() -> None:
    """No seed of any one-bit shift breaks it; the plain one is broken more often than it may be."""
    for setting in SETTINGS:
        if setting.step > 1:
            continue
        row = study.stream_row(setting.title, study.stream_counts(setting, 256) / setting.period, 8)
        assert row.cycles == 32
        assert row.inflated == (0, 0, 0)
        assert row.plain[0] > study.PROBABILITIES[0]
        assert row.plain[2] > 5 * study.PROBABILITIES[2]


def test_the_known_rates_are_those_of_other_taps() -> None:
    """6.5 % and .37 %, as they were first measured."""
    setting = next(setting for setting in SETTINGS if setting.taps == (16, 14, 13, 11))
    row = study.stream_row("", study.stream_counts(setting, 256) / setting.period, setting.apart)
    assert f"{row.plain[0]:.3f} {row.plain[2]:.4f}" == "0.065 0.0037"


def test_the_page_shows_the_exact_ranks() -> None:
    page = study.PAGE.read_text()
    assert study.with_part(page, "ranks", study.rank_table()) == page, "run make registers"


@pytest.mark.slow
def test_the_page_shows_what_is_measured() -> None:
    content, drawn = study.parts()
    page = expected = study.PAGE.read_text()
    for name, part in content.items():
        expected = study.with_part(expected, name, part)
    assert page == expected, "run make registers"
    assert page.count("<!-- make registers: ") == 2 * len(content)
    assert study.PICTURE.read_text() == drawn, "run make registers"
    assert len(ElementTree.fromstring(drawn)) > 20


def test_a_page_without_marks_is_refused() -> None:
    marks = [f"<!-- make registers: one: {edge} -->" for edge in ("begin", "end")]
    assert study.with_part("a{}b{}c".format(*marks), "one", "new\n") == (
        "a{}\nnew\n{}c".format(*marks)
    )
    for page in ("none", marks[0], marks[1]):
        with pytest.raises(SignoffError) as caught:
            study.with_part(page, "one", "new\n")
        check_message(caught.value, "one: begin")
