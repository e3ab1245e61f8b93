"""Linear-feedback shift registers: periods, and stepping by matrix powers."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.errors import InputError
from model.lfsr import MAXIMAL_TAPS, Form, advance, is_maximal, maximal_taps, shift, shift_galois
from tests.builders import check_message

FORMS: list[Form] = ["fibonacci", "galois"]
SHIFTS = {"fibonacci": shift, "galois": shift_galois}


def period(width: int, taps: tuple[int, ...], form: Form = "fibonacci") -> int:
    """Shifts until the state 1 comes back; 0 if it never does."""
    state = 1
    for count in range(1, 1 << width):
        state = SHIFTS[form](state, width, taps)
        if state == 1:
            return count
    return 0


def test_the_table_covers_every_width() -> None:
    assert sorted(MAXIMAL_TAPS) == list(range(3, 33))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("width", sorted(MAXIMAL_TAPS))
def test_every_tabled_tap_set_is_maximal(width: int, form: Form) -> None:
    assert maximal_taps(width)[0] == width
    assert is_maximal(width, maximal_taps(width), form)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("width", range(3, 15))
def test_period_counted_one_by_one(width: int, form: Form) -> None:
    assert period(width, maximal_taps(width), form) == (1 << width) - 1


# The number of primitive polynomials of degree n is phi(2**n - 1) / n (OEIS A011260).
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("width", "primitive"), [(3, 2), (4, 2), (5, 6), (6, 6), (7, 18), (8, 16)])
def test_is_maximal_decides_as_counting_does_for_every_tap_set(
    width: int, primitive: int, form: Form
) -> None:
    maximal = 0
    for size in range(1, width + 1):
        for taps in combinations(range(1, width + 1), size):
            counted = period(width, taps, form) == (1 << width) - 1
            assert is_maximal(width, taps, form) == counted
            maximal += counted
    assert maximal == primitive


@pytest.mark.parametrize(
    ("width", "taps"),
    [
        (16, (16, 15)),
        (16, (16, 15, 13, 5)),
        (16, (15, 13, 4)),
        (32, (32, 22, 2)),
        (31, (31, 27)),
        (24, (24, 23)),
    ],
)
def test_wide_tap_sets_of_short_period_are_found_out(width: int, taps: tuple[int, ...]) -> None:
    assert not is_maximal(width, taps)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.data())
def test_advance_is_repeated_shift(data: st.DataObject) -> None:
    width = data.draw(st.integers(3, 32))
    state = data.draw(st.integers(0, (1 << width) - 1))
    steps = data.draw(st.integers(0, 300))
    form = data.draw(st.sampled_from(FORMS))
    stepped = state
    for _ in range(steps):
        stepped = SHIFTS[form](stepped, width, maximal_taps(width))
    assert advance(state, steps, width, maximal_taps(width), form) == stepped


@pytest.mark.parametrize("width", sorted(MAXIMAL_TAPS))
def test_both_forms_have_the_same_polynomial(width: int) -> None:
    """The top bits of the Galois form obey the recurrence of the Fibonacci form."""
    taps = maximal_taps(width)
    state = 1
    leaving = []
    for _ in range(3 * width):
        leaving.append(state >> (width - 1) & 1)
        state = shift_galois(state, width, taps)
    assert 0 < sum(leaving) < len(leaving)
    for place in range(width, len(leaving)):
        assert leaving[place] == sum(leaving[place - tap] for tap in taps) % 2


def test_galois_shift_as_the_convention_says() -> None:
    # Taps 4 and 3: x**4 = x + 1, so the bit that leaves inverts bits 0 and 1.
    assert shift_galois(0b1000, 4, (4, 3)) == 0b0011
    assert shift_galois(0b1011, 4, (4, 3)) == 0b0101
    assert shift_galois(0b0101, 4, (4, 3)) == 0b1010
    assert shift_galois(0, 4, (4, 3)) == 0


def test_a_full_period_comes_back_and_one_less_does_not() -> None:
    for width, taps in MAXIMAL_TAPS.items():
        whole = (1 << width) - 1
        assert advance(1, whole, width, taps) == 1
        assert advance(1, whole - 1, width, taps) != 1


def test_shift_as_the_convention_says() -> None:
    # Taps 4 and 3 of 0b1000: bit 3 is set, bit 2 is not, so a 1 enters at bit 0.
    assert shift(0b1000, 4, (4, 3)) == 0b0001
    assert shift(0b1100, 4, (4, 3)) == 0b1000
    assert shift(0, 4, (4, 3)) == 0


@pytest.mark.parametrize("width", [-1, 0, 2, 33])
def test_widths_without_taps_are_refused(width: int) -> None:
    with pytest.raises(InputError) as caught:
        maximal_taps(width)
    check_message(caught.value, f"width {width}", "3 to 32")
