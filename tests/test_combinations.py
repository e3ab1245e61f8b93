"""The page of all combinations: its rows, its text, and what the golden model says of some."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from benchmarks import combinations
from benchmarks.combinations import Row, rows
from model.errors import SignoffError
from model.network import load_network, save_network
from model.source_choice import SourceKind
from networks.digits import train as digits
from tests.builders import check_message

# Their certificates take no longer than a second.
AGAIN = (
    Row("unipolar", "parallel-counter", "clip", "counter"),
    Row("bipolar", "mux", "clip", "lfsr"),
    Row("sign-magnitude", "parallel-counter", "LIF", "sobol"),
    Row("sign-magnitude", "parallel-counter", "LIF, streamed", "lfsr"),
)


def recorded() -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = json.loads(combinations.RESULTS.read_text())
    return results


def test_all_combinations_are_rows() -> None:
    found = [(row.encoding, row.adder, row.neuron, row.source) for row in rows()]
    asked = itertools.product(
        ("unipolar", "bipolar", "sign-magnitude"),
        ("parallel-counter", "mux"),
        ("clip", "LIF"),
        ("counter", "sobol", "lfsr"),
    )
    assert set(asked) <= set(found)
    assert len(set(found)) == len(found)
    assert {row.source for row in rows()} == set(get_args(SourceKind))
    assert len({row.name for row in rows()}) == len(found)


def test_the_page_shows_the_recorded_results_of_all_rows() -> None:
    results = recorded()
    parts = ("encoding", "adder", "neuron", "source")
    assert [tuple(result[part] for part in parts) for result in results] == [
        tuple(getattr(row, part) for part in parts) for row in rows()
    ], "run make combinations"
    page = combinations.PAGE.read_text()
    assert combinations.with_table(page, combinations.table(results)) == page


def test_every_recorded_row_was_signed_off() -> None:
    for row, result in zip(rows(), recorded(), strict=True):
        assert result["verdict"] == "PASS", row
        assert result["failed"] == [], row
        assert result["accuracy_rtl"] == result["accuracy_golden"], row
        assert result["lengths"] == [row.length] * 2, row
        assert result["images"] == digits.TEST_IMAGES, row
        assert result["images_icarus"] > 0, row
        assert result["hidden_error"] <= result["hidden_certificate"], row
        assert result["output_error"] <= result["end_to_end_bound"], row


@pytest.mark.parametrize("row", AGAIN, ids=lambda row: row.name)
def test_recorded_numbers_are_the_golden_models(row: Row) -> None:
    result = recorded()[rows().index(row)]
    for name, value in combinations.predict(row).items():
        assert result[name] == (pytest.approx(value) if isinstance(value, float) else value), (
            f"{name}: run make combinations"
        )


def test_bounds_that_bound_nothing_are_in_parentheses() -> None:
    result = recorded()[0] | {"hidden_certificate": 1.0, "end_to_end_bound": 2.0, "output_range": 3}
    cells = combinations.table([result]).splitlines()[2].split(" | ")
    assert "(1.00)" in cells
    assert "2.000" in cells
    wrong = combinations.table([result | {"accuracy_golden": 0.5, "accuracy_rtl": 0.25}])
    assert "50.0%, RTL 25.0%" in wrong


def test_a_page_without_marks_is_refused() -> None:
    page = f"a\n{combinations.BEGIN}\nold\n{combinations.END}\nb\n"
    assert combinations.with_table(page, "new\n") == page.replace("old", "new")
    with pytest.raises(SignoffError) as caught:
        combinations.with_table("no marks", "new\n")
    check_message(caught.value, combinations.BEGIN)


@pytest.mark.parametrize("signed", [True, False])
def test_training_is_exact_and_the_network_legal(signed: bool, tmp_path: Path) -> None:
    """Every weight is on the grid on which sums do not depend on their order."""
    network = digits.train(signed=signed)
    for values in (*network.weights, *network.biases):
        assert np.array_equal(values * 2**20, np.rint(values * 2**20))
        # Sums of 64 products of 40 bits of fraction stay exact in float64.
        assert np.abs(values).max() < 2**6
    assert all(weight.min() >= (-1 if signed else 0) for weight in network.weights)
    save_network(network, tmp_path)
    loaded = load_network(tmp_path)
    assert loaded.description == network.description
    for ours, theirs in zip(network.weights, loaded.weights, strict=True):
        assert np.array_equal(ours, theirs)
    assert np.array_equal(network.features, loaded.features)


def test_training_again_gives_the_same_network() -> None:
    brief = digits.Settings(hidden=5, epochs=3)
    first = digits.train(signed=True, settings=brief)
    digits.train.cache_clear()
    second = digits.train(signed=True, settings=brief)
    assert second is not first
    for one, other in zip(first.weights, second.weights, strict=True):
        assert np.array_equal(one, other)


def test_the_images_are_what_the_hardware_takes() -> None:
    data = digits.load_data()
    assert len(data.train_labels) + len(data.test_labels) == 1797
    assert len(data.test_labels) == digits.TEST_IMAGES
    assert set(data.test_labels) == set(range(10))
    assert data.test_features.min() == 0
    assert data.test_features.max() == 63
