"""Checks of what the compressors are given: weights, biases, and what there is one a layer of.

Arrays come back as copies, so nothing that the caller owns is ever modified.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.argument_checks import checked_array, shown
from model.errors import InputError

# Integers up to here are exact in float64, and no sum of them overflows.
MAX_MAGNITUDE = 2.0**53


def refusal(name: str, problem: str, legal: str) -> InputError:
    """Return the error of an argument.

    Parameters
    ----------
    name : str
        The argument, with an index where only a part of it is wrong.
    problem : str
        What it is, as a predicate: ``is -1``.
    legal : str
        The legal range.
    """
    return InputError(f"{name} {problem}", name.partition("[")[0], f"use {legal}")


def checked_within(
    name: str, value: object, low: float, high: float = math.inf, *, below: bool = False
) -> float:
    """Return a finite real argument, or refuse it.

    Parameters
    ----------
    name : str
        The argument's name.
    value : object
        What the caller gave.
    low, high : float
        The legal range, both ends included.
    below : bool
        Whether `high` itself is not legal.

    Raises
    ------
    InputError
        If it is no finite real number, or outside the range.
    """
    legal = f"a finite number, {low:g} or more"
    if high < math.inf:
        legal = f"a number from {low:g} to {'below ' if below else ''}{high:g}"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise refusal(name, f"is {shown(value)}", legal)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not (math.isfinite(number) and low <= number <= high) or (below and number == high):
        raise refusal(name, f"is {shown(value)}", legal)
    return number


def checked_flag(name: str, value: object) -> bool:
    """Return True or False, or refuse what is neither."""
    if not isinstance(value, bool | np.bool_):
        raise refusal(name, f"is {shown(value)}", "True or False")
    return bool(value)


def checked_values(
    name: str, values: ArrayLike, low: float = -MAX_MAGNITUDE, high: float = MAX_MAGNITUDE
) -> NDArray[np.float64]:
    """Return a copy of an array of finite numbers, none of them outside the range.

    Parameters
    ----------
    name : str
        The argument's name.
    values : array_like
        What the caller gave.
    low, high : float
        The legal range, both ends included.

    Raises
    ------
    InputError
        If it is no array of finite real numbers, or one is outside; the first one is named.
    """
    array = checked_array(name, values)
    beyond = np.argwhere((array < low) | (array > high))
    if len(beyond):
        at = tuple(int(position) for position in beyond[0])
        place = f"{name}{list(at)}" if at else name
        raise refusal(place, f"is {array[at]:.6g}", f"numbers from {low:g} to {high:g}")
    return array


def checked_matrix(
    name: str, values: ArrayLike, limit: float = MAX_MAGNITUDE
) -> NDArray[np.float64]:
    """Return a copy of one layer's weights as a matrix; a 1-d array is a single output's.

    Parameters
    ----------
    name : str
        The argument's name.
    values : array_like
        What the caller gave.
    limit : float
        Largest legal magnitude.

    Raises
    ------
    InputError
        If it is neither 1-d nor 2-d, is empty, or as `checked_values` says.
    """
    array = checked_values(name, values, -limit, limit)
    if array.ndim not in (1, 2) or array.size == 0:
        raise refusal(
            name,
            f"has shape {array.shape}",
            "a 2-d array (outputs, fan_in) with at least one of each, or one row",
        )
    return np.atleast_2d(array)


def checked_matrices(
    name: str, weights: object, limit: float = MAX_MAGNITUDE, *, single: bool = False
) -> list[NDArray[np.float64]]:
    """Return copies of the weights of one or more layers.

    Parameters
    ----------
    name : str
        The argument's name.
    weights : object
        What the caller gave.
    limit : float
        Largest legal magnitude.
    single : bool
        Whether an array stands for a single layer; it is refused otherwise.

    Raises
    ------
    InputError
        If there is no layer, or as `checked_matrix` says.
    """
    if isinstance(weights, np.ndarray):
        if single:
            return [checked_matrix(name, weights, limit)]
        raise refusal(
            name,
            f"is one array of shape {weights.shape}",
            "a list with one 2-d array (outputs, fan_in) for each layer",
        )
    return [
        checked_matrix(f"{name}[{index}]", part, limit)
        for index, part in enumerate(checked_one_each(name, weights, None))
    ]


def checked_vectors(
    name: str,
    values: object,
    layers: Sequence[NDArray[np.float64]],
    low: float = -MAX_MAGNITUDE,
    high: float = MAX_MAGNITUDE,
) -> list[NDArray[np.float64] | None]:
    """Return copies of arrays with one number for each output of each layer.

    Parameters
    ----------
    name : str
        The argument's name.
    values : object
        What the caller gave: for each layer an array, or None.
    layers : sequence of numpy.ndarray
        The layers' weights.
    low, high : float
        The legal range, both ends included.

    Raises
    ------
    InputError
        If a shape does not fit, or as `checked_values` says.
    """
    vectors: list[NDArray[np.float64] | None] = []
    for index, part in enumerate(checked_one_each(name, values, len(layers))):
        vectors.append(
            None
            if part is None
            else checked_vector(f"{name}[{index}]", part, len(layers[index]), low, high)
        )
    return vectors


def checked_vector(
    name: str,
    values: ArrayLike,
    outputs: int,
    low: float = -MAX_MAGNITUDE,
    high: float = MAX_MAGNITUDE,
) -> NDArray[np.float64]:
    """Return a copy of an array with one number for each output, as `checked_vectors` does."""
    array = checked_values(name, values, low, high)
    if array.shape != (outputs,):
        raise refusal(name, f"has shape {array.shape}", f"shape ({outputs},), one for each output")
    return array


def checked_one_each(name: str, values: object, layers: int | None) -> list[ArrayLike]:
    """Return the items of an argument that has one for each layer.

    Parameters
    ----------
    name : str
        The argument's name.
    values : object
        What the caller gave.
    layers : int or None
        How many there must be; None: at least one.

    Raises
    ------
    InputError
        If it is no sequence, or has too many or too few items.
    """
    legal = "a list with one entry for each layer" + (f", {layers}" if layers is not None else "")
    if isinstance(values, str | bytes) or not isinstance(values, Sequence):
        raise refusal(name, f"is {shown(values)}", legal)
    if len(values) == 0:
        raise refusal(name, "is empty", legal)
    if layers is not None and len(values) != layers:
        raise refusal(name, f"has {len(values)} entries", legal)
    return list(values)


def in_the_shape_of(
    weights: NDArray[Any] | Sequence[NDArray[Any]], results: list[NDArray[np.float64]]
) -> NDArray[np.float64] | list[NDArray[np.float64]]:
    """Return new weights in the shapes, and the kind of container, of those that were given."""
    if isinstance(weights, np.ndarray):
        return results[0].reshape(weights.shape)
    return [result.reshape(np.shape(given)) for given, result in zip(weights, results, strict=True)]
