"""The transfer curve of the spiking neuron: the page is what is measured, the curve the formula."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks import neurons
from model.errors import SignoffError
from tests.builders import check_message


@pytest.mark.slow
def test_the_page_shows_what_the_golden_model_counts() -> None:
    """`make neurons` holds the RTL to these counts, so that it writes the same."""
    measured = {}
    for fan_in in neurons.FAN_INS:
        series = neurons.all_series(fan_in)
        measured[fan_in] = (series, neurons.golden_counts(fan_in, series))
        knee = measured[fan_in][1][-1] / neurons.LENGTH
        spread = knee.std(ddof=1) / math.sqrt(len(knee))
        assert series[-1].title == neurons.KNEE
        assert abs(knee.mean() - neurons.independent_rate(fan_in)) < 4 * spread
    table, picture = neurons.summary(measured)
    page = neurons.PAGE.read_text()
    assert neurons.with_table(page, table) == page, "run make neurons"
    assert neurons.PICTURE.read_text() == picture, "run make neurons"
    ElementTree.fromstring(picture)


@pytest.mark.slow
@pytest.mark.parametrize("simulator", ["icarus"])
def test_constant_rates_meet_the_formula_in_rtl(simulator: str, tmp_path: Path) -> None:
    """Each count is what the formula has reached after L cycles, rounded down."""
    assert simulator == "icarus", "the benchmark runs in no other"
    fan_in = 16
    constant = neurons.all_series(fan_in)[0]
    assert constant.title == neurons.CONSTANT
    (counts,) = neurons.rtl_counts(fan_in, [constant], tmp_path)
    line = [Fraction(5, 2) * (Fraction(number, fan_in) - Fraction(1, 10)) for number in range(17)]
    ideal = [neurons.LENGTH * min(max(rate, Fraction(0)), Fraction(1)) for rate in line]
    assert counts.tolist() == [math.floor(count) for count in ideal]
    assert np.allclose(neurons.formula(constant.rates) * neurons.LENGTH, [float(c) for c in ideal])


@pytest.mark.parametrize("simulator", ["icarus"])
def test_a_count_that_differs_from_the_golden_models_is_refused(
    simulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert simulator == "icarus", "the benchmark runs in no other"
    series = neurons.all_series(1)[:1]
    wrong = [neurons.golden_counts(1, series)[0] + [0, 1]]
    monkeypatch.setattr(neurons, "golden_counts", lambda *_: wrong)
    with pytest.raises(SignoffError) as caught:
        neurons.rtl_counts(1, series, tmp_path)
    check_message(caught.value, "256", "257", "neuron 1")


def test_streams_have_the_mean_that_they_stand_for() -> None:
    """Counter pairs to within their discrepancy, LFSRs to within Hoeffding's radius for all."""
    for fan_in in (1, 4):
        for part in neurons.all_series(fan_in):
            mean = part.increments.mean(axis=0) / fan_in
            radius = {neurons.CONSTANT: 1e-12, neurons.COUNTERS: 0.012, neurons.LANES: 0.012}.get(
                part.title, math.sqrt(math.log(2e6) / (2 * neurons.LENGTH * fan_in))
            )
            assert np.abs(mean - part.rates).max() <= radius, part.title


def test_a_page_without_marks_is_refused() -> None:
    assert neurons.with_table(f"a\n{neurons.BEGIN}\nold\n{neurons.END}\nb\n", "new\n") == (
        f"a\n{neurons.BEGIN}\nnew\n{neurons.END}\nb\n"
    )
    with pytest.raises(SignoffError) as caught:
        neurons.with_table("no marks", "new\n")
    check_message(caught.value, neurons.BEGIN)
