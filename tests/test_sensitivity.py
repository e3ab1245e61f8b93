"""Sensitivity of layers to their length: what it measures, and what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest

from model.errors import InputError
from model.sensitivity import analyze_sensitivity, power_of_two_scale
from tests.builders import check_message


def layers(seed: int = 3) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.uniform(-1, 1, (6, 9)), rng.uniform(-1, 1, (4, 6))]


def test_the_same_seed_gives_the_same_result_and_another_layer_changes_nothing() -> None:
    first = analyze_sensitivity(layers())
    assert first == analyze_sensitivity(layers())
    assert first != analyze_sensitivity(layers(), seed=43)
    changed = analyze_sensitivity([layers()[0], layers(4)[1]])
    assert changed[0] == first[0]
    assert changed[1] != first[1]


def test_a_layer_of_zeros_has_none_and_inputs_stay() -> None:
    weights = [np.zeros((2, 3)), np.full((2, 2), 0.5)]
    copies = [part.copy() for part in weights]
    measured = analyze_sensitivity(weights)
    assert measured[0] == 0.0
    assert measured[1] > 0.0
    assert all((a == b).all() for a, b in zip(weights, copies, strict=True))


def test_it_is_the_deviation_that_independent_streams_have() -> None:
    """One product with w = 1: the distance is nearly normal, and its variance known."""
    short, long = 64, 1024
    [measured] = analyze_sensitivity([[[1.0]]], [short, 256, long], n_trials=40_000)
    # Mean over x of sqrt(x (1 - x)) is pi / 8; of a normal, the mean magnitude is sqrt(2 / pi) sd.
    expected = math.pi / 8 * math.sqrt(1 / short - 1 / long) * math.sqrt(2 / math.pi)
    assert measured == pytest.approx(expected, rel=0.03)


def test_slow_loops_agree() -> None:
    """The same draws, summed output by output."""
    [weights] = layers()[:1]
    rng = np.random.default_rng([42, 0])
    x = rng.random((20, 1, 9))
    first = rng.binomial(32, x * np.abs(weights))
    rest = rng.binomial(1024 - 32, x * np.abs(weights))
    distances = [
        abs(
            sum(
                math.copysign(1, weights[j, i])
                * (first[t, j, i] / 32 - (first[t, j, i] + rest[t, j, i]) / 1024)
                for i in range(9)
            )
        )
        for t in range(20)
        for j in range(6)
    ]
    assert analyze_sensitivity([weights], n_trials=20)[0] == pytest.approx(np.mean(distances))


def test_shorter_streams_and_more_inputs_are_more_sensitive() -> None:
    weights = [np.full((4, n), 0.7) for n in (2, 8, 32)]
    measured = analyze_sensitivity(weights)
    assert measured == sorted(measured)
    assert measured[0] < analyze_sensitivity(weights, [8, 1024])[0]


@pytest.mark.parametrize(
    ("value", "scale"), [(0.0, 1), (0.3, 1), (1.0, 1), (1.01, 2), (2.0, 2), (-3.0, 4)]
)
def test_scale(value: float, scale: float) -> None:
    assert power_of_two_scale(np.array([[value, 0.0]])) == scale
    if scale > 1:
        one, scaled = analyze_sensitivity([[[value / scale]]]), analyze_sensitivity([[[value]]])
        assert scaled[0] == pytest.approx(scale * one[0])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"layer_weights": []}, ("layer_weights", "at least one")),
        ({"layer_weights": [np.float64(1.0)]}, ("layer_weights[0]", "shape ()", "matrix")),
        ({"layer_weights": [np.zeros((2, 2, 2))]}, ("layer_weights[0]", "(2, 2, 2)")),
        ({"layer_weights": [np.zeros((0, 2))]}, ("layer_weights[0]", "(0, 2)")),
        ({"layer_weights": [[[0.0, math.nan]]]}, ("layer_weights[0][0, 1]", "nan", "finite")),
        ({"layer_weights": [[["a"]]]}, ("layer_weights[0]", "real numbers")),
        ({"layer_weights": [[[1.0], [1.0, 2.0]]]}, ("layer_weights[0]", "ragged")),
        ({"layer_weights": np.zeros((2, 2))}, ("layer_weights", "ndarray", "list")),
        ({"lengths": [32]}, ("lengths", "[32]", "two different")),
        ({"lengths": [32, 32]}, ("lengths", "two different")),
        ({"lengths": [0, 32]}, ("lengths[0]", "0", "1 to 1048576")),
        ({"lengths": [32, 64.5]}, ("lengths[1]", "64.5", "integer")),
        ({"lengths": 32}, ("lengths", "32", "list")),
        ({"n_trials": 0}, ("n_trials", "0", "1 or more")),
        ({"n_trials": True}, ("n_trials", "True", "integer")),
        ({"seed": -1}, ("seed", "-1", "0 or more")),
    ],
)
def test_refused(arguments: dict[str, object], words: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as caught:
        analyze_sensitivity(**({"layer_weights": [np.ones((2, 2))]} | arguments))  # type: ignore[arg-type]
    check_message(caught.value, *words)
