"""How far a design's integer weights are from the trained network's, over all inputs.

Rounding and compression are treated alike: whatever was done to a layer, its neurons now compute
with other weights and biases and without some inputs. The *deviation* of a neuron is the largest
distance of what it computes from the trained neuron's weighted sum, both on the inputs of the
trained network: ``max over x of |sum_i (w_i - w'_i) x_i + b - b'|``, with ``w'_i = 0`` for an input
that was removed, and x within the interval that the trained network's own neurons can reach. A
removed constant that was folded into a bias is thereby compared with what it replaced.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model.intervals import activation_intervals
from model.network import Network


def trained_deviations(
    network: Network,
    weights: Sequence[NDArray[np.integer]],
    biases: Sequence[NDArray[np.integer]],
    bias_units: Sequence[int],
    kept: Sequence[Sequence[int]],
) -> list[NDArray[np.float64]]:
    """Bound how far each neuron's weights and bias move its weighted sum.

    Parameters
    ----------
    network : Network
        The trained network.
    weights : sequence of numpy.ndarray
        For each layer, shape (remaining outputs, remaining inputs), integers in steps of 2**-K.
    biases : sequence of numpy.ndarray
        For each layer, shape (remaining outputs,), in `bias_units`.
    bias_units : sequence of int
        For each layer, the integer that stands for a bias of 1: its bitstream length L, or the gain
        where neurons spike.
    kept : sequence of sequence of int
        For each layer, the trained network's neurons that remain, rising.

    Returns
    -------
    list of numpy.ndarray
        For each layer, shape (remaining outputs,), in units of the weighted sum. Rounded up, and
        the same on every machine.
    """
    description = network.description
    levels = 1 << description.operand_bits
    top = 1 - 1 / levels
    fan_in = network.weights[0].shape[1]
    inputs = (np.full(fan_in, -top if description.input_signed else 0.0), np.full(fan_in, top))
    deviations = []
    columns: Sequence[int] = range(fan_in)
    low, high = inputs
    for index, (weight, bias, unit) in enumerate(zip(weights, biases, bias_units, strict=True)):
        rows = list(kept[index])
        moved = network.weights[index][rows]
        moved[:, list(columns)] -= weight / levels
        offset = network.biases[index][rows] - bias / unit
        up = np.where(moved > 0, moved * high, moved * low)
        down = np.where(moved > 0, moved * low, moved * high)
        deviations.append(
            np.array(
                [
                    _largest(*part)
                    for part in zip(up.tolist(), down.tolist(), offset.tolist(), strict=True)
                ]
            )
        )
        layer = description.layers[index]
        if layer.activation in ("step", "lif"):
            outputs = len(network.weights[index])
            low, high = np.zeros(outputs), np.ones(outputs)
        else:
            ((low, high),) = activation_intervals(
                network.weights[index : index + 1],
                network.biases[index : index + 1],
                [layer.scale_exponent],
                (low, high),
            )
        columns = rows
    return deviations


def _largest(up: list[float], down: list[float], offset: float) -> float:
    """Return the larger magnitude of two ends, rounded up."""
    top, bottom = math.fsum([*up, offset]), math.fsum([*down, offset])
    # Each term is off by at most three roundings, each sum by one.
    size = math.fsum(map(abs, up)) + math.fsum(map(abs, down)) + abs(offset)
    largest = max(top, -bottom)
    if size == 0:
        return 0.0
    return max(largest, 0.0) + size * 2.0**-49
