"""Forward passes: real, quantised, and bit-true.

Each pass gives the weighted sums of every layer, in units of the scaled weights. What lies between
them is split into its causes by `model.attribution`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.activations import activate
from model.counting import LayerCounter
from model.manifest import LayerStructure, Manifest
from model.network import Network
from model.spiking import CycleLayer


@dataclass(frozen=True)
class IntegerWeights:
    """The weights and biases that the hardware holds.

    Attributes
    ----------
    weights : tuple of numpy.ndarray
        For each layer, shape (outputs, fan_in), int32, from ``-2**K`` to ``2**K``.
    biases : tuple of numpy.ndarray
        For each layer, shape (outputs,), int64: counts; where neurons spike, currents.
    widths : tuple of numpy.ndarray
        For each layer, shape (outputs, fan_in), uint8: bits b of each weight's magnitude, which is
        a multiple of ``2**(K - b)``.
    """

    weights: tuple[NDArray[np.int32], ...]
    biases: tuple[NDArray[np.int64], ...]
    widths: tuple[NDArray[np.uint8], ...]


def float_forward(network: Network, features: NDArray[np.integer]) -> list[NDArray[np.float64]]:
    """Return the weighted sums of every layer with unquantised weights and exact activations.

    Parameters
    ----------
    network : Network
        The network.
    features : numpy.ndarray
        Shape (vectors, fan_in), signed magnitudes.

    Returns
    -------
    list of numpy.ndarray
        For each layer, shape (vectors, outputs).
    """
    activation = features / (1 << network.description.operand_bits)
    sums = []
    for layer, weight, bias in zip(
        network.description.layers, network.weights, network.biases, strict=True
    ):
        sums.append(activation @ weight.T + bias)
        activation = activate(layer, sums[-1])
    return sums


def quantised_forward(
    manifest: Manifest,
    parameters: IntegerWeights,
    features: NDArray[np.integer],
) -> list[NDArray[np.float64]]:
    """Return the weighted sums of every layer with quantised operands and real arithmetic.

    Activations clip to what an operand can hold, [0, 1 - 2**-K].

    Parameters
    ----------
    manifest : Manifest
        The design.
    parameters : IntegerWeights
        Its weights.
    features : numpy.ndarray
        Shape (vectors, fan_in), signed magnitudes.

    Returns
    -------
    list of numpy.ndarray
        For each layer, shape (vectors, outputs).
    """
    levels = 1 << manifest.operand_width
    activation = features / levels
    sums = []
    for layer, weight, bias in zip(
        manifest.layers, parameters.weights, parameters.biases, strict=True
    ):
        sums.append(activation @ (weight / levels).T + bias / layer.bias_unit)
        activation = activate(layer, sums[-1], 1 if layer.streams else 1 - 1 / levels)
    return sums


class GoldenNetwork:
    """The bit-true network: exact hardware counts of every layer.

    Parameters
    ----------
    manifest : Manifest
        The design.
    parameters : IntegerWeights
        Its weights.
    """

    def __init__(self, manifest: Manifest, parameters: IntegerWeights) -> None:
        self._manifest = manifest
        streamed = [False, *(layer.streams for layer in manifest.layers[:-1])]
        self._counters: list[LayerCounter | CycleLayer] = [
            # Without state and streams, counts are sums of look-ups.
            (CycleLayer if layer.lif is not None or stream else LayerCounter)(
                layer, weight, bias, manifest.operand_width
            )
            for layer, weight, bias, stream in zip(
                manifest.layers, parameters.weights, parameters.biases, streamed, strict=True
            )
        ]

    def counts(self, features: NDArray[np.integer]) -> list[NDArray[np.int64]]:
        """Return the signed counts of every layer; of neurons that spike, the numbers of spikes.

        Parameters
        ----------
        features : numpy.ndarray
            Shape (vectors, fan_in), signed magnitudes.

        Returns
        -------
        list of numpy.ndarray
            For each layer, shape (vectors, outputs), int64.
        """
        counts = []
        inputs: NDArray[Any] = features
        for layer, counter in zip(self._manifest.layers, self._counters, strict=True):
            if layer.streams:
                assert isinstance(counter, CycleLayer)
                inputs = counter.spikes(inputs)
                counts.append(inputs.sum(axis=1, dtype=np.int64))
                continue
            counts.append(counter.counts(inputs))
            inputs = next_operands(layer, counts[-1], self._manifest.operand_width)
        return counts


def next_operands(
    layer: LayerStructure, counts: NDArray[np.int64], operand_width: int
) -> NDArray[np.int64]:
    """Return the magnitudes that the next layer takes for a layer's counts.

    Parameters
    ----------
    layer : LayerStructure
        The layer that counted.
    counts : numpy.ndarray
        Any shape.
    operand_width : int
        Operand width K in bits.
    """
    if layer.activation == "step":
        return np.where(counts >= 0, (1 << operand_width) - 1, 0)
    return reencode_counts(counts, layer.bitstream_length, operand_width, layer.scale_exponent)


def reencode_counts(
    counts: NDArray[np.int64], length: int, operand_width: int, scale_exponent: int
) -> NDArray[np.int64]:
    """Re-encode signed counts as the next layer's magnitudes.

    ``clamp(floor(S 2**(K + e) / L + 1/2), 0, 2**K - 1)`` in integers.

    Parameters
    ----------
    counts : numpy.ndarray
        Any shape.
    length : int
        Bitstream length L of the layer that counted.
    operand_width : int
        Operand width K in bits.
    scale_exponent : int
        The layer's power-of-two scale e.

    Returns
    -------
    numpy.ndarray
        The same shape, int64.
    """
    exponent = operand_width + scale_exponent
    doubled = counts * 2 << max(exponent, 0)
    divisor = 2 * length << max(-exponent, 0)
    magnitudes: NDArray[np.int64] = np.clip(
        (doubled + divisor // 2) // divisor, 0, (1 << operand_width) - 1
    )
    return magnitudes


def layer_errors(
    manifest: Manifest,
    parameters: IntegerWeights,
    features: NDArray[np.integer],
    counts: Sequence[NDArray[np.int64]],
) -> list[NDArray[np.float64]]:
    """Return each layer's own error.

    Its estimate minus real arithmetic of its quantised operands on the inputs that it really saw.

    Parameters
    ----------
    manifest : Manifest
        The design.
    parameters : IntegerWeights
        Its weights.
    features : numpy.ndarray
        Shape (vectors, fan_in), signed magnitudes.
    counts : sequence of numpy.ndarray
        For each layer, shape (vectors, outputs): counts, golden or measured. Inputs of later layers
        are re-encoded from these same counts.

    Returns
    -------
    list of numpy.ndarray
        For each layer, shape (vectors, outputs): of the weighted sum, exact, since numerators are
        integers below 2**53; where neurons spike, of the rate.
    """
    errors = []
    levels = 1 << manifest.operand_width
    inputs = features.astype(np.int64)
    # What an input of 1 is: the operands' levels, or the cycles of a stream.
    unit = levels
    for layer, weight, bias, count in zip(
        manifest.layers, parameters.weights, parameters.biases, counts, strict=True
    ):
        length = layer.bitstream_length
        products = inputs @ weight.astype(np.int64).T
        if layer.lif is None:
            numerator = (count - bias) * (levels * unit) - products * length
            errors.append(numerator / (length * levels * unit))
        else:
            sums = products / (levels * unit) + bias / layer.lif.gain
            errors.append(count / length - activate(layer, sums))
        unit = length if layer.streams else levels
        inputs = count if layer.streams else next_operands(layer, count, manifest.operand_width)
    return errors


def accuracy(sums: NDArray[np.floating | np.integer], labels: NDArray[np.int64]) -> float:
    """Return the share of vectors whose first largest output is the label.

    Parameters
    ----------
    sums : numpy.ndarray
        Shape (vectors, outputs).
    labels : numpy.ndarray
        Shape (vectors,).
    """
    return float((sums.argmax(axis=1) == labels).mean())
