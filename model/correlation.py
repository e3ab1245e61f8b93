"""Stochastic-computing correlation: how far two streams are from what a gate takes them for.

SCC is +1 where the ones of two streams overlap as much as they can, -1 where as little, and 0 where
as independent streams would (A. Alaghi and J. P. Hayes, "Exploiting correlation in stochastic
circuit design", ICCD 2013). It depends on the operands: two sources may look perfect at one pair
and be hazardous at another, so tables cover all pairs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model.argument_checks import checked_real
from model.errors import InputError


def scc(x: NDArray[np.bool_], y: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the correlation of streams; 0 where one of them is constant.

    Parameters
    ----------
    x, y : numpy.ndarray
        Shape (..., L), bool; they broadcast.

    Returns
    -------
    numpy.ndarray
        Shape (...), -1 to +1.
    """
    both = (x & y).sum(axis=-1, dtype=np.int64)
    return _scc(both, x.sum(axis=-1, dtype=np.int64), y.sum(axis=-1, dtype=np.int64), x.shape[-1])


def level_counts(sequence: NDArray[np.integer], operand_width: int) -> NDArray[np.int64]:
    """Return how many ones the stream of each level has.

    Parameters
    ----------
    sequence : numpy.ndarray
        Shape (L,), values 0 to ``2**K - 1``: what the comparator sees.
    operand_width : int
        Operand width K in bits.

    Returns
    -------
    numpy.ndarray
        Shape (``2**K + 1``,): ``#{t : r(t) < level}``, L in the end.
    """
    counts = np.zeros((1 << operand_width) + 1, dtype=np.int64)
    counts[1:] = np.bincount(sequence, minlength=1 << operand_width).cumsum()
    return counts


def scc_table(table: NDArray[np.integer], w_counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the correlation of every pair of operands of a lane.

    Parameters
    ----------
    table : numpy.ndarray
        Shape (``2**K``, ``2**K + 1``): T[x, w] of `model.counting.counting_table`. Its last column
        is the ones of the inputs' streams.
    w_counts : numpy.ndarray
        Shape (``2**K + 1``,): the ones of the weights' streams, which no row of the table has, from
        `level_counts`. The last one is L.

    Returns
    -------
    numpy.ndarray
        Shape of `table`, -1 to +1; 0 where a stream is constant.
    """
    _check_shapes(table, w_counts)
    return _scc(table.astype(np.int64), table[:, -1:], w_counts, int(w_counts[-1]))


def check_uncorrelated(
    table: NDArray[np.integer],
    w_counts: NDArray[np.integer],
    limit: float,
    tolerance: float,
    where: str = "sources",
) -> None:
    """Refuse sources whose streams are correlated at any pair of operands.

    SCC alone would refuse every pair of sources: two streams with a single one each are at -1 or +1
    whatever one does, and off by less than one count. So a pair is refused that exceeds both a
    correlation and an error of the AND gate's mean.

    Parameters
    ----------
    table, w_counts : numpy.ndarray
        As `scc_table` takes them.
    limit : float
        Largest legal magnitude of SCC, 0 to 1.
    tolerance : float
        Distance of the mean from the product of the streams' means up to which a pair is legal
        whatever its correlation: ``1 / L`` is one count.
    where : str
        What to name as the place of the error.

    Raises
    ------
    InputError
        With the pair of operands that is farthest off.
    """
    checked_real("limit", limit, above=-1e-300, below=1, legal="use a number from 0 to below 1")
    checked_real("tolerance", tolerance, above=-1e-300, legal="use a number, 0 or more")
    correlation = scc_table(table, w_counts)
    length = int(w_counts[-1])
    error = table / length - (table[:, -1:] / length) * (w_counts / length)
    off = np.where((np.abs(correlation) > limit) & (np.abs(error) > tolerance), np.abs(error), 0)
    if off.any():
        x, w = np.unravel_index(np.argmax(off), off.shape)
        raise InputError(
            f"the streams of input {x} and weight {w} have a correlation of "
            f"{correlation[x, w]:+.3f}, their product is off by {error[x, w]:+.5f}",
            where,
            f"choose sources with correlations within {limit:g} or products within {tolerance:g}",
        )


def _check_shapes(table: NDArray[np.integer], w_counts: NDArray[np.integer]) -> None:
    """Refuse a table that is none, and ones of another width."""
    levels = len(table)
    if table.shape != (levels, levels + 1) or w_counts.shape != (levels + 1,):
        raise InputError(
            f"a counting table of shape {table.shape} with {w_counts.shape} ones of weights",
            "table",
            "give shapes (2**K, 2**K + 1) and (2**K + 1,)",
        )


def _scc(
    both: NDArray[np.int64], x: NDArray[np.integer], y: NDArray[np.integer], length: int
) -> NDArray[np.float64]:
    """Return SCC from the ones in both streams and in each: covariance over its largest size."""
    x, y = np.asarray(x, dtype=np.int64), np.asarray(y, dtype=np.int64)
    covariance = both * length - x * y
    most = np.minimum(x, y) * length - x * y
    least = x * y - np.maximum(x + y - length, 0) * length
    size = np.where(covariance > 0, most, least)
    return np.asarray(np.divide(covariance, size, out=np.zeros(size.shape), where=size != 0))
