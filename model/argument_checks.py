"""Checks of the planners' arguments: every refusal names the argument, its value and the range."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.errors import InputError


def shown(value: object) -> str:
    """Return a value as an error message shows it: one short line."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:
        # Python refuses to write out integers of thousands of digits.
        text = "a number of thousands of digits"
    return text if len(text) <= 60 else text[:57] + "..."


def checked_integer(name: str, value: object, low: int, high: int | None = None) -> int:
    """Return an integer argument, or refuse it.

    Parameters
    ----------
    name : str
        The argument's name.
    value : object
        What the caller gave.
    low, high : int
        The legal range, both ends included; no `high`: no upper end.

    Raises
    ------
    InputError
        If it is no integer, or outside the range.
    """
    legal = f"use an integer, {low} or more" if high is None else f"use an integer, {low} to {high}"
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise InputError(f"{name} is {shown(value)}", name, legal)
    number = int(value)
    if number < low or (high is not None and number > high):
        raise InputError(f"{name} is {shown(number)}", name, legal)
    return number


def checked_real(
    name: str, value: object, *, above: float, below: float = math.inf, legal: str
) -> float:
    """Return a real argument strictly between two ends, or refuse it.

    Parameters
    ----------
    name : str
        The argument's name.
    value : object
        What the caller gave.
    above, below : float
        The open range.
    legal : str
        The range in words, as an instruction.

    Raises
    ------
    InputError
        If it is no finite real number, or outside the range.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise InputError(f"{name} is {shown(value)}", name, legal)
    try:
        number = float(value)
    except OverflowError:
        raise InputError(f"{name} is {shown(value)}", name, legal) from None
    if not math.isfinite(number) or not above < number < below:
        raise InputError(f"{name} is {number:g}", name, legal)
    return number


def checked_confidence(value: object) -> float:
    """Return a confidence level, strictly between 0 and 1."""
    return checked_real("confidence", value, above=0, below=1, legal="use a number in (0, 1)")


def checked_choice(name: str, value: object, choices: Sequence[str]) -> str:
    """Return one of several words, or refuse it."""
    if not isinstance(value, str) or value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise InputError(f"{name} is {shown(value)}", name, f"use one of {listed}")
    return value


def checked_range(
    low_name: str, low: object, high_name: str, high: object, least: int, most: int
) -> tuple[int, int]:
    """Return the two ends of a range of integers, in the right order.

    Parameters
    ----------
    low_name, high_name : str
        The arguments' names.
    low, high : object
        What the caller gave.
    least, most : int
        What both must lie between.
    """
    bottom = checked_integer(low_name, low, least, most)
    top = checked_integer(high_name, high, least, most)
    if bottom > top:
        raise InputError(
            f"{low_name} is {bottom}, above {high_name}, which is {top}",
            low_name,
            f"use {least} <= {low_name} <= {high_name} <= {most}",
        )
    return bottom, top


def checked_array(name: str, value: ArrayLike) -> NDArray[np.float64]:
    """Return a copy of an array of finite real numbers.

    Parameters
    ----------
    name : str
        What to call it.
    value : array_like
        What the caller gave; never modified, never kept.

    Raises
    ------
    InputError
        If it is ragged, not numeric, or holds NaN or infinity.
    """
    try:
        given = np.asarray(value)
    except ValueError:
        raise InputError(f"{name} is ragged", name, "give rows of equal length") from None
    if given.dtype.kind not in "iuf":
        raise InputError(f"{name} has type {given.dtype}", name, "give real numbers")
    array = np.array(given, dtype=np.float64)
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        at = tuple(int(position) for position in bad[0])
        raise InputError(f"{name}{list(at)} is {array[at]}", name, "use finite numbers")
    return array


def checked_layers(
    layer_weights: Sequence[ArrayLike], layer_names: Sequence[str] | None
) -> tuple[list[NDArray[np.float64]], list[str]]:
    """Return copies of every layer's weights, and the layers' names.

    Parameters
    ----------
    layer_weights : sequence of array_like
        For each layer, shape (outputs, fan_in), or (fan_in,) for a single output.
    layer_names : sequence of str, optional
        Default: ``layer_0``, ``layer_1``, ...

    Raises
    ------
    InputError
        For an empty list, an array that is no matrix, NaN or infinity, or names that do not fit.
    """
    if isinstance(layer_weights, str | bytes) or not isinstance(layer_weights, Sequence):
        raise InputError(
            f"layer_weights is of type {type(layer_weights).__name__}",
            "layer_weights",
            "give a list with one matrix (outputs, fan_in) for each layer",
        )
    if len(layer_weights) == 0:
        raise InputError("layer_weights is empty", "layer_weights", "give at least one layer")
    matrices = []
    for index, given in enumerate(layer_weights):
        name = f"layer_weights[{index}]"
        array = checked_array(name, given)
        if array.ndim not in (1, 2) or array.size == 0:
            raise InputError(
                f"{name} has shape {array.shape}",
                name,
                "give a matrix (outputs, fan_in) with at least one of each, or one row",
            )
        matrices.append(array.reshape(1, -1) if array.ndim == 1 else array)
    return matrices, checked_names(layer_names, len(matrices))


def checked_names(layer_names: Sequence[str] | None, layers: int) -> list[str]:
    """Return one name for each layer, all different."""
    if layer_names is None:
        return [f"layer_{index}" for index in range(layers)]
    if isinstance(layer_names, str | bytes) or not isinstance(layer_names, Sequence):
        raise InputError(f"layer_names is {layer_names!r}", "layer_names", "give a list of names")
    names = list(layer_names)
    if len(names) != layers:
        raise InputError(
            f"layer_names has {len(names)} names for {layers} layers",
            "layer_names",
            f"give exactly {layers}",
        )
    for name in names:
        if not isinstance(name, str) or not name.strip():
            raise InputError(
                f"layer name {name!r}", "layer_names", "use strings that are not empty"
            )
        if names.count(name) > 1:
            raise InputError(f"two layers are called {name!r}", "layer_names", "use each name once")
    return names


def checked_list(
    name: str, values: ArrayLike, layers: int, *, positive: bool
) -> NDArray[np.float64]:
    """Return one number for each layer, all positive or all not negative.

    Parameters
    ----------
    name : str
        The argument's name.
    values : array_like
        What the caller gave.
    layers : int
        How many there must be.
    positive : bool
        Whether zero is refused, too.
    """
    array = checked_array(name, values)
    if array.shape != (layers,):
        raise InputError(
            f"{name} has shape {array.shape}", name, f"give one number for each of {layers} layers"
        )
    bad = np.flatnonzero(array <= 0 if positive else array < 0)
    if len(bad):
        raise InputError(
            f"{name}[{bad[0]}] is {array[bad[0]]:g}",
            name,
            "use numbers above 0" if positive else "use numbers of 0 or more",
        )
    return array
