"""Quantisation: weights, biases and delays as the hardware holds them."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from model.argument_checks import checked_integer
from model.bounds import perturbation_bounds
from model.layer_checks import (
    MAX_MAGNITUDE,
    checked_flag,
    checked_matrices,
    checked_values,
    in_the_shape_of,
    refusal,
)

MAX_BITS = 16
MAX_DELAY = 1 << 53


def quantise_weights(weights: NDArray[np.float64], operand_width: int) -> NDArray[np.int32]:
    """Round weights to sign and magnitude, halves away from zero.

    Parameters
    ----------
    weights : numpy.ndarray
        Any shape, within +-1.
    operand_width : int
        Magnitude width K in bits.

    Returns
    -------
    numpy.ndarray
        The same shape, int32, from ``-2**K`` to ``2**K``; off by at most half a step. Zero stays
        exactly zero.
    """
    magnitude = _nearest(np.abs(weights) * (1 << operand_width)).astype(np.int32)
    return np.where(weights < 0, -magnitude, magnitude).astype(np.int32)


def quantise_to_widths(
    weights: NDArray[np.float64], widths: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Round each weight to the symmetric grid of its own width, halves away from zero.

    Parameters
    ----------
    weights : numpy.ndarray
        Any shape, within +-1.
    widths : numpy.ndarray
        The same shape: bits b of each weight's magnitude, 1 or more.

    Returns
    -------
    numpy.ndarray
        The same shape, float64: multiples of ``2**-b``, off by at most half a step.
    """
    steps = np.ldexp(1.0, -widths.astype(np.int64))
    rounded: NDArray[np.float64] = np.copysign(_nearest(np.abs(weights) / steps) * steps, weights)
    return rounded + 0.0  # no negative zeros


def quantise_biases(biases: NDArray[np.float64], length: int) -> NDArray[np.int64]:
    """Round biases to counts: ``floor(b L + 1/2)``.

    Parameters
    ----------
    biases : numpy.ndarray
        Any shape, in units of the layer's weighted sum.
    length : int
        Bitstream length L.

    Returns
    -------
    numpy.ndarray
        The same shape, int64; off by at most half a count.
    """
    counts: NDArray[np.int64] = np.floor(biases * length + 0.5).astype(np.int64)
    return counts


@dataclass(frozen=True)
class QuantizationReport:
    """What `quantize_weights` did to each layer.

    Attributes
    ----------
    bits : int
        Bits of a weight; where `symmetric`, of its magnitude.
    symmetric : bool
        Which grid.
    steps : tuple of float
        For each layer, the distance of neighbouring grid points; 0 where all weights are equal and
        none was moved.
    offsets : tuple of float
        For each layer, the grid point of code 0: 0 where `symmetric`, otherwise the smallest
        weight.
    error_bounds : tuple of float
        For each layer, the most that a weight can have moved: half a step. Where not `symmetric`
        the grid is not exact in float64, and 2**-49 of the largest magnitude is added for it.
    output_bounds : tuple of tuple of float
        For each layer and output, the most that the weighted sum moves over all inputs within
        +-1: the sum of what this output's weights really moved. `model.bounds.propagate` takes
        these.

    Raises
    ------
    InputError
        If the numbers contradict each other.
    """

    bits: int
    symmetric: bool
    steps: tuple[float, ...]
    offsets: tuple[float, ...]
    error_bounds: tuple[float, ...]
    output_bounds: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        checked_integer("bits", self.bits, 1, MAX_BITS)
        checked_flag("symmetric", self.symmetric)
        layers = len(self.steps)
        if layers == 0:
            raise refusal("steps", "is empty", "one step for each layer")
        for name in ("offsets", "error_bounds", "output_bounds"):
            if len(getattr(self, name)) != layers:
                raise refusal(
                    name, f"has {len(getattr(self, name))} entries", f"{layers}, one a layer"
                )
        checked_values("steps", self.steps, 0)
        checked_values("offsets", self.offsets)
        checked_values("error_bounds", self.error_bounds, 0)
        for index, bounds in enumerate(self.output_bounds):
            checked_values(f"output_bounds[{index}]", bounds, 0, sys.float_info.max)
            if self.error_bounds[index] < self.steps[index] / 2:
                raise refusal(
                    f"error_bounds[{index}]",
                    f"is {self.error_bounds[index]:.6g}",
                    f"half of the step {self.steps[index]:.6g} or more",
                )

    @property
    def layer_bounds(self) -> tuple[float, ...]:
        """For each layer, the largest of its `output_bounds`."""
        return tuple(max(bounds) for bounds in self.output_bounds)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as a JSON-ready dictionary."""
        return {
            "bits": self.bits,
            "symmetric": self.symmetric,
            "steps": list(self.steps),
            "offsets": list(self.offsets),
            "error_bounds": list(self.error_bounds),
            "output_bounds": [list(bounds) for bounds in self.output_bounds],
        }


@overload
def quantize_weights(
    weights: NDArray[Any], bits: int = ..., symmetric: bool = ...
) -> tuple[NDArray[np.float64], QuantizationReport]: ...


@overload
def quantize_weights(
    weights: Sequence[NDArray[Any]], bits: int = ..., symmetric: bool = ...
) -> tuple[list[NDArray[np.float64]], QuantizationReport]: ...


def quantize_weights(
    weights: NDArray[Any] | Sequence[NDArray[Any]], bits: int = 8, symmetric: bool = True
) -> tuple[NDArray[np.float64] | list[NDArray[np.float64]], QuantizationReport]:
    """Round every weight to a grid of `bits` bits; no weight moves by more than half a step.

    The symmetric grid is the hardware's own: multiples of ``2**(e - bits)``, sign and magnitude,
    from ``-2**e`` to ``2**e``, halves away from zero. e is 0 for weights within +-1, otherwise the
    smallest integer that holds the layer's largest one (the scaling rule of docs/networks.md).
    Zero stays exactly 0, and a design with an operand width of `bits` or more holds the result
    exactly.

    The asymmetric grid has ``2**bits`` points at equal distances from the layer's smallest weight
    to its largest one, halves towards the largest. Its step is finer where the weights are not
    centred. But 0 need not be a grid point, so a pruned synapse can come back, and the points are
    no binary fractions, so the plan rounds them once more.

    Parameters
    ----------
    weights : sequence of numpy.ndarray
        For each layer, shape (outputs, fan_in), magnitudes up to 2**53. An array is one layer.
    bits : int
        Bits of a weight, 1 to 16; the sign of the symmetric grid is extra.
    symmetric : bool
        Which grid.

    Returns
    -------
    quantised : list of numpy.ndarray
        New float64 arrays of the same shapes, in the units of the weights; an array where an array
        was given.
    report : QuantizationReport
        Steps, and bounds of the errors.

    Raises
    ------
    InputError
        If there is no layer, an array is not 2-d or holds anything but finite numbers, or `bits` is
        out of range.
    """
    layers = checked_matrices("weights", weights, single=True)
    bits = checked_integer("bits", bits, 1, MAX_BITS)
    symmetric = checked_flag("symmetric", symmetric)
    parts = [_symmetric(layer, bits) if symmetric else _asymmetric(layer, bits) for layer in layers]
    quantised = [part[0] for part in parts]
    report = QuantizationReport(
        bits=bits,
        symmetric=symmetric,
        steps=tuple(part[1] for part in parts),
        offsets=tuple(0.0 if symmetric else float(layer.min()) for layer in layers),
        error_bounds=tuple(
            step / 2 + (0.0 if symmetric or step == 0 else 2.0**-49 * float(np.abs(layer).max()))
            for (_, step), layer in zip(parts, layers, strict=True)
        ),
        output_bounds=tuple(map(perturbation_bounds, layers, quantised)),
    )
    return in_the_shape_of(weights, quantised), report


def quantize_delays(
    delays: NDArray[Any] | Sequence[float], resolution: int = 1, max_delay: int | None = None
) -> NDArray[np.int64]:
    """Round delays to multiples of the resolution, halves up.

    Parameters
    ----------
    delays : numpy.ndarray
        Delays in clock cycles, 1-d or 2-d, 0 to 2**53.
    resolution : int
        Cycles between neighbouring legal delays, 1 or more.
    max_delay : int, optional
        The longest legal delay, 0 or more. Where it is no multiple of the resolution, the largest
        multiple below it counts.

    Returns
    -------
    numpy.ndarray
        A new int64 array of the same shape. A delay that `max_delay` does not cut is off by at most
        half the resolution.

    Warns
    -----
    UserWarning
        If `max_delay` cut delays: how many, and the largest error that this made.

    Raises
    ------
    InputError
        If a delay is negative or no finite number, there is none, or an argument is out of range.
    """
    values = checked_values("delays", delays, 0, MAX_MAGNITUDE)
    if values.ndim not in (1, 2) or values.size == 0:
        raise refusal("delays", f"has shape {values.shape}", "a 1-d or 2-d array that is not empty")
    resolution = checked_integer("resolution", resolution, 1, MAX_DELAY)
    # Whole cycles and the rest apart: exact, which a division in float64 is not.
    whole = np.floor(values).astype(np.int64)
    below = whole - whole % resolution
    above_half = 2 * ((whole - below) + (values - whole)) >= resolution
    quantised: NDArray[np.int64] = below + resolution * above_half.astype(np.int64)
    if max_delay is not None:
        cap = checked_integer("max_delay", max_delay, 0, MAX_DELAY)
        cap -= cap % resolution
        cut = quantised > cap
        if cut.any():
            quantised = np.minimum(quantised, cap)
            worst = float((values - cap)[cut].max())
            warnings.warn(
                f"max_delay {max_delay} cuts {int(cut.sum())} of {cut.size} delays to {cap},"
                f" by up to {worst:g} cycles",
                UserWarning,
                stacklevel=2,
            )
    return quantised


def _nearest(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round numbers that are not negative, halves up.

    ``floor(v + 1/2)`` would round the number just below one half up, as the sum is rounded first.
    """
    whole = np.floor(values)
    return whole + (values - whole >= 0.5)


def _symmetric(weights: NDArray[np.float64], bits: int) -> tuple[NDArray[np.float64], float]:
    """Return the weights on the symmetric grid, and its step. Every operation is exact."""
    fraction, exponent = math.frexp(float(np.abs(weights).max()))
    exponent = max(0, exponent - (fraction == 0.5))
    step = 2.0 ** (exponent - bits)
    codes = quantise_weights(weights * 2.0**-exponent, bits).astype(np.float64)
    return codes * step, step


def _asymmetric(weights: NDArray[np.float64], bits: int) -> tuple[NDArray[np.float64], float]:
    """Return the weights on the asymmetric grid, and its step."""
    low, high = float(weights.min()), float(weights.max())
    step = (high - low) / ((1 << bits) - 1)
    if step == 0:
        return weights.copy(), 0.0
    codes = np.minimum(_nearest((weights - low) / step), (1 << bits) - 1)
    values: NDArray[np.float64] = np.minimum(low + codes * step, high)
    return values, step
