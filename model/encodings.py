"""Values as bitstreams and back: unipolar, bipolar, and sign with magnitude.

A stream is made by comparing numbers of K bits with a level from 0 to ``2**K``; the highest makes a
constant stream. It is read by counting its ones over L cycles. Levels are rounded to the nearest,
halves upwards in magnitude.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.argument_checks import checked_array, checked_integer
from model.errors import InputError


def unipolar_level(value: ArrayLike, operand_width: int) -> NDArray[np.int64]:
    """Return the level whose stream has a mean of `value`.

    Parameters
    ----------
    value : array_like
        From 0 to 1.
    operand_width : int
        Operand width K in bits.

    Returns
    -------
    numpy.ndarray
        Same shape, ``floor(value 2**K + 1/2)``.

    Raises
    ------
    InputError
        If a value is out of range.
    """
    return _level(_within("value", value, 0, 1), operand_width)


def unipolar_value(count: ArrayLike, length: int) -> NDArray[np.float64]:
    """Return the value of a unipolar stream: ``count / L``.

    Parameters
    ----------
    count : array_like
        Ones in the stream, 0 to L.
    length : int
        Bitstream length L, cycles.

    Raises
    ------
    InputError
        If a count is out of range.
    """
    checked_integer("length", length, 1)
    return np.asarray(_within("count", count, 0, length) / length)


def bipolar_level(value: ArrayLike, operand_width: int) -> NDArray[np.int64]:
    """Return the level whose stream has a mean of ``(value + 1) / 2``.

    Parameters
    ----------
    value : array_like
        From -1 to 1.
    operand_width : int
        Operand width K in bits.

    Returns
    -------
    numpy.ndarray
        Same shape, 0 to ``2**K``.

    Raises
    ------
    InputError
        If a value is out of range.
    """
    return _level((_within("value", value, -1, 1) + 1) / 2, operand_width)


def bipolar_value(count: ArrayLike, length: int) -> NDArray[np.float64]:
    """Return the value of a bipolar stream: ``2 count / L - 1``.

    Parameters
    ----------
    count : array_like
        Ones in the stream, 0 to L.
    length : int
        Bitstream length L, cycles.

    Raises
    ------
    InputError
        If a count is out of range.
    """
    return np.asarray(2 * unipolar_value(count, length) - 1)


def sign_magnitude_level(
    value: ArrayLike, operand_width: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the level whose stream has a mean of ``|value|``, and the sign beside it.

    Parameters
    ----------
    value : array_like
        From -1 to 1.
    operand_width : int
        Operand width K in bits.

    Returns
    -------
    levels : numpy.ndarray
        Same shape, 0 to ``2**K``.
    negative : numpy.ndarray
        Same shape: true for a negative value whose level is not 0.

    Raises
    ------
    InputError
        If a value is out of range.
    """
    values = _within("value", value, -1, 1)
    levels = _level(np.abs(values), operand_width)
    return levels, (values < 0) & (levels > 0)


def sign_magnitude_value(count: ArrayLike, negative: ArrayLike, length: int) -> NDArray[np.float64]:
    """Return the value of a stream of magnitudes and its sign.

    Parameters
    ----------
    count : array_like
        Ones in the stream, 0 to L.
    negative : array_like
        The sign.
    length : int
        Bitstream length L, cycles.

    Raises
    ------
    InputError
        If a count is out of range.
    """
    magnitude = unipolar_value(count, length)
    return np.where(np.asarray(negative, dtype=np.bool_), -magnitude, magnitude)


def _level(probability: NDArray[np.float64], operand_width: int) -> NDArray[np.int64]:
    """Round a probability to a level."""
    levels = 1 << checked_integer("operand_width", operand_width, 1, 52)
    return np.asarray(np.floor(probability * levels + 0.5).astype(np.int64))


def _within(name: str, values: ArrayLike, low: float, high: float) -> NDArray[np.float64]:
    """Return numbers as an array, or refuse them."""
    array = checked_array(name, values)
    bad = (array < low) | (array > high)
    if bad.any():
        raise InputError(
            f"{name} is {array[bad].flat[0]:g}", name, f"use numbers from {low:g} to {high:g}"
        )
    return array
