"""Quantisation: errors in exact arithmetic against half a step, and refused inputs."""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import FrozenInstanceError, asdict
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from model import QuantizationReport, quantize_delays, quantize_weights
from model.errors import InputError
from model.quantise import quantise_weights
from tests.builders import check_message
from tests.test_pruning import BAD_ARRAYS, BAD_WEIGHTS, GOOD, exact_worst, layers_of, refused

Array = NDArray[np.float64]

BITS = st.integers(1, 16)
SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=4)
WEIGHTS = hnp.arrays(np.float64, SHAPES, elements=st.floats(-1, 1, allow_subnormal=False))
WIDE_WEIGHTS = hnp.arrays(np.float64, SHAPES, elements=st.floats(-1000, 1000))


def errors(old: Array, new: Array) -> list[Fraction]:
    return [
        abs(Fraction(a) - Fraction(b))
        for a, b in zip(old.ravel().tolist(), new.ravel().tolist(), strict=True)
    ]


# --- symmetric ------------------------------------------------------------------------------------


@given(weights=st.one_of(WEIGHTS, WIDE_WEIGHTS), bits=BITS)
@example(weights=np.array([[np.nextafter(2.0**-9, 0), -np.nextafter(2.0**-9, 0)]]), bits=8)
@example(weights=np.array([[1.0, -1.0, 0.5, 2.0**-9]]), bits=8)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_symmetric_errors_are_half_a_step_at_most(weights: Array, bits: int) -> None:
    quantised, report = quantize_weights(weights, bits)
    (step,), (bound,) = report.steps, report.error_bounds
    assert bound == step / 2
    assert max(errors(weights, quantised)) <= Fraction(step) / 2
    assert (quantised[weights == 0] == 0).all()
    assert (quantised * weights >= 0).all()
    codes = quantised / step
    assert np.array_equal(codes, np.round(codes))
    assert np.abs(codes).max() <= 2**bits
    assert report.offsets == (0,)


@given(weights=WEIGHTS, bits=BITS)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_the_symmetric_grid_is_the_hardware_s(weights: Array, bits: int) -> None:
    """Within +-1 it is what the plan holds: multiples of 2**-bits, which planning leaves alone."""
    quantised, report = quantize_weights(weights, bits)
    assert report.steps == (2.0**-bits,)
    assert np.array_equal(quantised, quantise_weights(weights, bits) / 2**bits)
    assert np.array_equal(quantise_weights(quantised, 16) / 2**16, quantised)
    assert np.array_equal(quantize_weights(quantised, bits)[0], quantised)


@pytest.mark.parametrize(
    ("largest", "step"), [(1.0, 1 / 16), (1.0001, 1 / 8), (2, 1 / 8), (2.5, 1 / 4), (0.01, 1 / 16)]
)
def test_the_symmetric_range_is_a_power_of_two(largest: float, step: float) -> None:
    _, report = quantize_weights(np.array([[largest, -0.001]]), 4)
    assert report.steps == (step,)


def test_halves_go_away_from_zero() -> None:
    quantised, _ = quantize_weights(np.array([[0.125, -0.125, 0.375, -0.375]]), 2)
    assert quantised.tolist() == [[0.25, -0.25, 0.5, -0.5]]


def test_the_number_below_one_half_goes_down() -> None:
    """floor(v + 1/2) would send it up, to an error of more than half a step."""
    below = np.nextafter(0.5, 0)
    assert quantise_weights(np.array([below, -below, 0.5, -0.5]) / 256, 8).tolist() == [0, 0, 1, -1]


# --- asymmetric -----------------------------------------------------------------------------------


@given(weights=st.one_of(WEIGHTS, WIDE_WEIGHTS), bits=BITS)
# Half way between two grid points, where rounding makes the error larger than half a step.
@example(weights=np.array([[-0.98, 0.6821428571428572, 0.81]]), bits=3)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_asymmetric_errors_are_half_a_step_at_most(weights: Array, bits: int) -> None:
    """Half a step, and the rounding of float64, which the bound states."""
    quantised, report = quantize_weights(weights, bits, symmetric=False)
    (step,), (bound,), (offset,) = report.steps, report.error_bounds, report.offsets
    assert max(errors(weights, quantised)) <= Fraction(bound)
    assert bound <= step / 2 + 1e-14 * np.abs(weights).max()
    assert offset == weights.min()
    assert quantised.min() >= weights.min()
    assert quantised.max() <= weights.max()
    assert len(np.unique(quantised)) <= 2**bits


def test_the_asymmetric_step_is_the_finer_one_off_centre() -> None:
    weights = np.linspace(0.25, 0.5, 11).reshape(1, 11)
    _, symmetric = quantize_weights(weights, 4)
    quantised, asymmetric = quantize_weights(weights, 4, symmetric=False)
    assert asymmetric.steps[0] == pytest.approx(0.25 / 15)
    assert asymmetric.steps[0] < symmetric.steps[0]
    assert quantised[0, 0] == 0.25
    assert quantised[0, -1] == pytest.approx(0.5, abs=1e-15)


def test_the_asymmetric_grid_may_miss_zero() -> None:
    """What the documentation warns of."""
    quantised, _ = quantize_weights(np.array([[-1.0, 0, 0.9]]), 2, symmetric=False)
    assert quantised[0, 1] != 0


# --- both -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [1, 8, 16])
def test_all_zero_layers_survive(bits: int, symmetric: bool) -> None:
    zero, other = np.zeros((3, 2)), np.full((2, 3), -0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quantised, report = quantize_weights([zero, other], bits, symmetric)
    assert np.array_equal(quantised[0], zero)
    assert np.array_equal(quantised[1], other)
    assert report.layer_bounds == (0, 0)
    assert math.isfinite(report.steps[0])


@pytest.mark.parametrize("symmetric", [True, False])
@given(seed=st.integers(0, 2**32), bits=BITS)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_output_bounds_are_the_exact_worst_case(symmetric: bool, seed: int, bits: int) -> None:
    layers = layers_of(seed)
    quantised, report = quantize_weights(layers, bits, symmetric)
    for old, new, bounds in zip(layers, quantised, report.output_bounds, strict=True):
        for bound, worst in zip(bounds, exact_worst(old, new), strict=True):
            assert worst <= Fraction(bound) <= worst * (1 + Fraction(1, 10**14))


@pytest.mark.parametrize("symmetric", [True, False])
def test_inputs_are_not_modified_nor_shared(symmetric: bool) -> None:
    layers = [*layers_of(1, sizes=(5, 4)), np.full((2, 4), 0.5)]
    before = [layer.tobytes() for layer in layers]
    for array in (
        *quantize_weights(layers, 4, symmetric)[0],
        quantize_weights(layers[0], 4, symmetric)[0],
    ):
        assert not any(np.shares_memory(array, layer) for layer in layers)
        array[...] = 9
    assert [layer.tobytes() for layer in layers] == before


def test_one_array_is_one_layer() -> None:
    alone, report = quantize_weights(GOOD, 3)
    listed, same = quantize_weights([GOOD], 3)
    assert isinstance(alone, np.ndarray)
    assert isinstance(listed, list)
    assert np.array_equal(alone, listed[0])
    assert report == same
    assert quantize_weights([GOOD])[1].bits == 8


@pytest.mark.parametrize(("weights", "words"), BAD_WEIGHTS + BAD_ARRAYS)
def test_bad_weights(weights: Any, words: tuple[str, ...]) -> None:
    refused(lambda: quantize_weights(weights), *words)


@pytest.mark.parametrize("bits", [0, -1, 17, 8.0, math.nan, "8", None, True])
def test_bad_bits(bits: Any) -> None:
    refused(lambda: quantize_weights([GOOD], bits), "bits", repr(bits), "1 to 16")


@pytest.mark.parametrize("symmetric", [1, None, "yes"])
def test_bad_symmetric(symmetric: Any) -> None:
    refused(lambda: quantize_weights([GOOD], 8, symmetric), "symmetric", repr(symmetric))


def report_of(**changes: Any) -> QuantizationReport:
    fields: dict[str, Any] = {
        "bits": 8,
        "symmetric": True,
        "steps": (0.25, 0.5),
        "offsets": (0.0, 0.0),
        "error_bounds": (0.125, 0.25),
        "output_bounds": ((0.0,), (0.5, 0.25)),
    }
    return QuantizationReport(**(fields | changes))


def test_a_report_is_frozen_and_goes_into_json() -> None:
    report = report_of()
    with pytest.raises(FrozenInstanceError):
        report.bits = 4  # type: ignore[misc]
    assert json.loads(json.dumps(report.to_dict())) == json.loads(json.dumps(asdict(report)))
    assert report.layer_bounds == (0, 0.5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bits": 0}, ("bits", "0", "1 to 16")),
        ({"symmetric": None}, ("symmetric", "None")),
        ({"steps": ()}, ("steps", "empty")),
        ({"steps": (-0.25, 0.5)}, ("steps[0]", "-0.25")),
        ({"offsets": (0.0,)}, ("offsets", "1 entries", "2")),
        ({"offsets": (0.0, math.nan)}, ("offsets[1]", "nan")),
        ({"error_bounds": (0.1, 0.25)}, ("error_bounds[0]", "0.1", "half of the step")),
        ({"error_bounds": (0.125, math.inf)}, ("error_bounds[1]", "inf")),
        ({"output_bounds": ((0.0,), (-0.5,))}, ("output_bounds[1][0]", "-0.5")),
    ],
)
def test_a_report_that_contradicts_itself(changes: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as caught:
        report_of(**changes)
    check_message(caught.value, *words)


# --- delays ---------------------------------------------------------------------------------------

DELAYS = st.one_of(
    st.floats(0, 100),
    st.integers(0, 200).map(lambda half: half / 2),
    st.floats(0, 2.0**53),
)


@given(
    delays=st.lists(DELAYS, min_size=1, max_size=6),
    resolution=st.one_of(st.integers(1, 9), st.integers(1, 2**53)),
)
@example(delays=[0.49999999999999994, 0.5, 2.5], resolution=1)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_delays_are_off_by_half_the_resolution_at_most(
    delays: list[float], resolution: int
) -> None:
    quantised = quantize_delays(delays, resolution)
    assert quantised.dtype == np.int64
    for before, after in zip(delays, quantised.tolist(), strict=True):
        assert after % resolution == 0
        error = after - Fraction(before)
        assert -Fraction(resolution, 2) < error <= Fraction(resolution, 2)


@given(
    delays=st.lists(st.floats(0, 50), min_size=1, max_size=6),
    resolution=st.integers(1, 9),
    most=st.integers(0, 60),
)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_a_cut_delay_never_passes_in_silence(
    delays: list[float], resolution: int, most: int
) -> None:
    free = quantize_delays(delays, resolution)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        quantised = quantize_delays(delays, resolution, most)
    cap = most // resolution * resolution
    assert np.array_equal(quantised, np.minimum(free, cap))
    cut = int((free > cap).sum())
    assert len(caught) == (cut > 0)
    if cut:
        assert caught[0].category is UserWarning
        assert caught[0].filename == __file__
        text = str(caught[0].message)
        assert text.startswith(f"max_delay {most} cuts {cut} of {len(delays)} delays to {cap}, by")
        worst = max(d - cap for d, f in zip(delays, free.tolist(), strict=True) if f > cap)
        assert text.endswith(f"by up to {worst:g} cycles")


def test_delays_keep_their_shape_and_are_not_modified() -> None:
    delays = np.array([[0, 1.4], [1.5, 7]])
    quantised = quantize_delays(delays)
    assert quantised.tolist() == [[0, 1], [2, 7]]
    whole = np.array([1, 2, 3])
    result = quantize_delays(whole)
    assert not np.shares_memory(result, whole)
    result[:] = 9
    quantised[:] = 9
    assert whole.tolist() == [1, 2, 3]
    assert delays.tolist() == [[0, 1.4], [1.5, 7]]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([],), ("delays", "(0,)")),
        ((np.array(1.0),), ("delays", "()")),
        ((np.ones((2, 2, 2)),), ("delays", "(2, 2, 2)")),
        (([1, -0.5],), ("delays[1]", "-0.5", "0 to")),
        (([1, math.nan],), ("delays[1]", "nan")),
        (([1, math.inf],), ("delays[1]", "inf")),
        (([1, 1e17],), ("delays[1]", "1e+17")),
        ((["1"],), ("delays", "<U1")),
        (([1], 0), ("resolution", "0", "1 to")),
        (([1], -2), ("resolution", "-2", "1 to")),
        (([1], 0.5), ("resolution", "0.5", "integer")),
        (([1], True), ("resolution", "True", "integer")),
        (([1], 1, -1), ("max_delay", "-1", "0 to")),
        (([1], 1, 2.5), ("max_delay", "2.5", "integer")),
    ],
)
def test_bad_delays(arguments: tuple[Any, ...], words: tuple[str, ...]) -> None:
    refused(lambda: quantize_delays(*arguments), *words)
