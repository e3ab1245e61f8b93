"""Values to levels, counts to values."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.encodings import (
    bipolar_level,
    bipolar_value,
    sign_magnitude_level,
    sign_magnitude_value,
    unipolar_level,
    unipolar_value,
)
from model.errors import InputError
from tests.builders import check_message

WIDTHS = st.integers(1, 16)


@given(WIDTHS, st.data())
def test_every_level_comes_back_from_a_whole_period(width: int, data: st.DataObject) -> None:
    length = 1 << width
    level = data.draw(st.integers(0, length))
    assert unipolar_level(unipolar_value(level, length), width) == level
    assert bipolar_level(bipolar_value(level, length), width) == level
    negative = data.draw(st.booleans())
    value = sign_magnitude_value(level, negative, length)
    back, sign = sign_magnitude_level(value, width)
    assert back == level
    assert sign == (negative and level > 0)


@given(st.floats(0, 1), WIDTHS)
def test_levels_are_the_nearest(value: float, width: int) -> None:
    step = Fraction(1, 1 << width)
    assert abs(Fraction(value) - int(unipolar_level(value, width)) * step) <= step / 2
    signed, negative = sign_magnitude_level(-value, width)
    assert signed == unipolar_level(value, width)
    assert negative == (signed > 0)
    # Here the sum with 1 may round.
    bipolar = Fraction(2 * value - 1)
    level = int(bipolar_level(2 * value - 1, width))
    assert abs((bipolar + 1) / 2 - level * step) <= step / 2 + Fraction(1, 2**52)


def test_by_hand() -> None:
    assert unipolar_level([0, 0.5, 0.499, 0.125, 1], 2).tolist() == [0, 2, 2, 1, 4]
    assert bipolar_level([-1, 0, 0.5, 1], 2).tolist() == [0, 2, 3, 4]
    levels, negative = sign_magnitude_level([-1, -0.5, -0.01, 0, 0.3], 2)
    assert levels.tolist() == [4, 2, 0, 0, 1]
    assert negative.tolist() == [True, True, False, False, False]
    assert unipolar_value([0, 3, 8], 8).tolist() == [0, 0.375, 1]
    assert bipolar_value([0, 2, 8], 8).tolist() == [-1, -0.5, 1]
    assert sign_magnitude_value([2, 2, 8], [True, False, True], 8).tolist() == [-0.25, 0.25, -1]


def test_what_is_refused() -> None:
    for bad in (-0.001, 1.001):
        with pytest.raises(InputError) as caught:
            unipolar_level([0.5, bad], 8)
        check_message(caught.value, f"value is {bad:g}", "0 to 1")
    for encode in (bipolar_level, sign_magnitude_level):
        for bad in (-1.5, 1.5):
            with pytest.raises(InputError) as caught:
                encode(bad, 8)
            check_message(caught.value, f"value is {bad:g}", "-1 to 1")
    for count in (-1, 9):
        with pytest.raises(InputError) as caught:
            unipolar_value(count, 8)
        check_message(caught.value, f"count is {count}", "0 to 8")
        with pytest.raises(InputError):
            bipolar_value(count, 8)
        with pytest.raises(InputError):
            sign_magnitude_value(np.array([1, count]), False, 8)
    with pytest.raises(InputError) as caught:
        unipolar_level(float("nan"), 8)
    check_message(caught.value, "finite")
    with pytest.raises(InputError):
        unipolar_level(0.5, 0)
    with pytest.raises(InputError):
        unipolar_value(0, 0)
