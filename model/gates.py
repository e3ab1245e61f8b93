"""Gates and small machines that compute on bitstreams, a whole stream at once.

Streams are arrays of bool with time on the last axis; the axes before it are a batch and
broadcast. Where a gate has many inputs, these are the second axis from the end. Every function is
the golden model of the module of hdl/ that it names, cycle by cycle; the ``*_expected`` ones give
the mean that independent streams lead to (B. R. Gaines, "Stochastic computing systems", Advances in
Information Systems Science 2, 1969).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.argument_checks import checked_integer
from model.errors import InputError

Stream = NDArray[np.bool_]


def and_multiply(x: Stream, w: Stream) -> Stream:
    """Multiply unipolar streams, or magnitudes, by an AND gate (sc_multiplier_bank, Bipolar 0).

    Parameters
    ----------
    x, w : numpy.ndarray
        Streams.
    """
    product: Stream = x & w
    return product


def xnor_multiply(x: Stream, w: Stream) -> Stream:
    """Multiply bipolar streams by an XNOR gate (sc_multiplier_bank, Bipolar 1).

    Parameters
    ----------
    x, w : numpy.ndarray
        Streams.
    """
    product: Stream = ~(x ^ w)
    return product


def parallel_count(streams: Stream) -> NDArray[np.int64]:
    """Count the ones of each cycle over all inputs (sc_parallel_counter).

    Parameters
    ----------
    streams : numpy.ndarray
        Shape (..., inputs, L).

    Returns
    -------
    numpy.ndarray
        Shape (..., L), 0 to `inputs`.
    """
    return np.asarray(streams.sum(axis=-2, dtype=np.int64))


def mux_add(streams: Stream, select: NDArray[np.integer]) -> Stream:
    """Pass on, in each cycle, the bit of the selected input (sc_mux_adder).

    Parameters
    ----------
    streams : numpy.ndarray
        Shape (..., inputs, L).
    select : numpy.ndarray
        Shape (..., L), 0 or more; where it is `inputs` or more, the bit is 0.

    Returns
    -------
    numpy.ndarray
        Shape (..., L).

    Raises
    ------
    InputError
        If a select is negative.
    """
    if select.size and select.min() < 0:
        raise InputError(f"select is {select.min()}", "select", "use integers, 0 or more")
    inputs = streams.shape[-2]
    used = select < inputs
    shape = np.broadcast_shapes(streams.shape[:-2], select.shape[:-1])
    index = np.broadcast_to(np.where(used, select, 0), (*shape, streams.shape[-1]))
    chosen = np.take_along_axis(
        np.broadcast_to(streams, (*shape, *streams.shape[-2:])), index[..., None, :], axis=-2
    )
    return np.asarray(chosen[..., 0, :] & used)


def or_add(streams: Stream) -> Stream:
    """Join all inputs by an OR gate (sc_or_adder).

    Parameters
    ----------
    streams : numpy.ndarray
        Shape (..., inputs, L).

    Returns
    -------
    numpy.ndarray
        Shape (..., L).
    """
    return np.asarray(streams.any(axis=-2))


def saturating_counter(stream: Stream, state_width: int) -> tuple[Stream, NDArray[np.int64]]:
    """Run the up/down counter of a stochastic tanh (sc_saturating_counter).

    States are 0 to ``2**state_width - 1``, the first is ``2**(state_width - 1)``; a one moves up, a
    zero down, an end holds. As in the module, what comes out in a cycle does not depend on the bit
    of that cycle yet.

    Parameters
    ----------
    stream : numpy.ndarray
        Shape (..., L).
    state_width : int
        Bits of the state, 1 or more.

    Returns
    -------
    bits : numpy.ndarray
        Shape (..., L): whether the state is in its upper half.
    states : numpy.ndarray
        Shape (..., L): the state of each cycle.

    References
    ----------
    B. D. Brown and H. C. Card, "Stochastic neural computation I: computational elements", IEEE
    Trans. Computers 50 (2001).
    """
    checked_integer("state_width", state_width, 1, 62)
    half, top = 1 << (state_width - 1), (1 << state_width) - 1
    states = np.empty(stream.shape, dtype=np.int64)
    state = np.full(stream.shape[:-1], half, dtype=np.int64)
    for cycle in range(stream.shape[-1]):
        states[..., cycle] = state
        state = np.clip(state + np.where(stream[..., cycle], 1, -1), 0, top)
    return states >= half, states


def stochastic_count(stream: Stream) -> NDArray[np.int64]:
    """Count the ones of a stream (sc_stochastic_counter).

    Parameters
    ----------
    stream : numpy.ndarray
        Shape (..., L).

    Returns
    -------
    numpy.ndarray
        Shape (...), 0 to L.
    """
    return np.asarray(stream.sum(axis=-1, dtype=np.int64))


def delay(stream: Stream, cycles: int) -> Stream:
    """Delay a stream; zeros come first and the last bits are lost (sc_delay_line).

    Parameters
    ----------
    stream : numpy.ndarray
        Shape (..., L).
    cycles : int
        0 or more; beyond L nothing is left of the stream.
    """
    checked_integer("cycles", cycles, 0)
    delayed = np.zeros_like(stream)
    kept = stream.shape[-1] - cycles
    if kept > 0:
        delayed[..., cycles:] = stream[..., :kept]
    return delayed


def and_expected(x: ArrayLike, w: ArrayLike) -> NDArray[np.float64]:
    """Return the mean of an AND gate: ``x w``.

    Parameters
    ----------
    x, w : array_like
        Probabilities of a one.
    """
    return np.asarray(checked_probabilities("x", x) * checked_probabilities("w", w))


def xnor_expected(x: ArrayLike, w: ArrayLike) -> NDArray[np.float64]:
    """Return the mean of an XNOR gate: ``x w + (1 - x)(1 - w)``.

    Read as bipolar values, ``2 p - 1``, it is the product of the two.

    Parameters
    ----------
    x, w : array_like
        Probabilities of a one.
    """
    x, w = checked_probabilities("x", x), checked_probabilities("w", w)
    return np.asarray(x * w + (1 - x) * (1 - w))


def parallel_expected(p: ArrayLike) -> NDArray[np.float64]:
    """Return what a parallel counter counts in a cycle, on average: the sum.

    Parameters
    ----------
    p : array_like
        Shape (..., inputs): probabilities of a one.
    """
    return np.asarray(checked_probabilities("p", p).sum(axis=-1))


def mux_expected(p: ArrayLike, choices: int | None = None) -> NDArray[np.float64]:
    """Return the mean of a multiplexer whose select is uniform and independent.

    Parameters
    ----------
    p : array_like
        Shape (..., inputs): probabilities of a one.
    choices : int, optional
        Values that the select takes; beyond the inputs the bit is 0. Unset: `inputs`.

    Raises
    ------
    InputError
        If an input is never selected.
    """
    p = checked_probabilities("p", p)
    inputs = p.shape[-1]
    divisor = inputs if choices is None else checked_integer("choices", choices, inputs)
    return np.asarray(p.sum(axis=-1) / divisor)


def or_expected(p: ArrayLike) -> NDArray[np.float64]:
    """Return the mean of an OR gate: ``1 - prod(1 - p)``.

    Parameters
    ----------
    p : array_like
        Shape (..., inputs): probabilities of a one.
    """
    return np.asarray(1 - np.prod(1 - checked_probabilities("p", p), axis=-1))


def saturating_expected(p: ArrayLike, state_width: int) -> NDArray[np.float64]:
    """Return the mean of a saturating counter's bit once it has forgotten where it began.

    The states' long-run probabilities are a geometric sequence of ratio ``p / (1 - p)``, whose
    upper half holds ``p**h / (p**h + (1 - p)**h)``, ``h = 2**(state_width - 1)``: for a bipolar
    input x the output is ``tanh(h atanh(x))``, and about ``tanh(h x)`` where x is small.

    Parameters
    ----------
    p : array_like
        Probabilities of a one, independent from cycle to cycle.
    state_width : int
        Bits of the state, 1 or more.
    """
    p = checked_probabilities("p", p)
    half = 1 << (checked_integer("state_width", state_width, 1, 62) - 1)
    with np.errstate(divide="ignore", over="ignore"):
        odds = half * (np.log1p(-p) - np.log(p))
        return np.asarray(1 / (1 + np.exp(odds)))


def checked_probabilities(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return probabilities as an array, or refuse them.

    Parameters
    ----------
    name : str
        What to call them in an error.
    values : array_like
        What the caller gave.

    Raises
    ------
    InputError
        If one is outside 0 to 1, or no number.
    """
    array = np.asarray(values, dtype=np.float64)
    bad = ~((array >= 0) & (array <= 1))
    if bad.any():
        raise InputError(f"{name} is {array[bad].flat[0]:g}", name, "use numbers from 0 to 1")
    return array
