"""Where the error of each layer comes from: parts that add up to what was measured.

A layer's value is what it hands on: its estimate S / L behind the activation, or its rate of
spikes. Its error against the trained network is split along the way that a number takes:

- inherited: the error of the layer before, through this layer's weights;
- re-encoding: the estimate rounded and clipped to an operand of K bits;
- quantisation: weights and biases rounded to integers, and whatever compression left out;
- stochastic: streams whose own shares of ones are not their operands, and how often a MUX selects
  each lane: what would be left if the streams that meet were independent;
- correlation: what is counted beyond the product of these shares, since streams that meet are not
  independent of each other. Of fixed sources it is nearly all of the error;
- activation: what the activation adds; clipping takes errors away, a spiking neuron adds its own.

All parts come from the model and the manifest; the total comes from measured counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.activations import activate
from model.counting import LayerCounter, select_sequence, select_width
from model.forward import IntegerWeights, float_forward, next_operands
from model.manifest import LayerStructure, Manifest
from model.network import Network
from model.sequences import source_sequence
from model.spiking import CycleLayer


@dataclass(frozen=True)
class LayerParts:
    """The error of one layer's values, by cause.

    Attributes
    ----------
    inherited, reencoding, quantisation, stochastic, correlation, activation : numpy.ndarray
        Shape (vectors, outputs), float64, in units of the layer's weighted sum.
    """

    inherited: NDArray[np.float64]
    reencoding: NDArray[np.float64]
    quantisation: NDArray[np.float64]
    stochastic: NDArray[np.float64]
    correlation: NDArray[np.float64]
    activation: NDArray[np.float64]

    @property
    def total(self) -> NDArray[np.float64]:
        """The sum of the parts."""
        whole: NDArray[np.float64] = sum(
            (getattr(self, part.name) for part in fields(self)), np.zeros(())
        )
        return whole


@dataclass(frozen=True)
class Attribution:
    """One layer's parts, and the error that was measured.

    Attributes
    ----------
    parts : LayerParts
        From the model.
    measured : numpy.ndarray
        Shape (vectors, outputs): the measured value minus that of the trained network.
    """

    parts: LayerParts
    measured: NDArray[np.float64]

    @property
    def gap(self) -> float:
        """By how much the parts miss the measured error, at most."""
        return float(np.abs(self.parts.total - self.measured).max(initial=0.0))


def attribute_errors(
    network: Network,
    manifest: Manifest,
    parameters: IntegerWeights,
    features: NDArray[np.integer],
    counts: Sequence[NDArray[np.int64]],
) -> list[Attribution]:
    """Split the errors of all layers.

    Parameters
    ----------
    network : Network
        The trained network, with the neurons that the design has (`restyled`).
    manifest : Manifest
        The design.
    parameters : IntegerWeights
        Its weights.
    features : numpy.ndarray
        Shape (vectors, fan_in), signed magnitudes.
    counts : sequence of numpy.ndarray
        For each layer, shape (vectors, outputs): measured counts.

    Returns
    -------
    list of Attribution
        One a layer.
    """
    levels = 1 << manifest.operand_width
    real_sums = float_forward(network, features)
    kept = (
        [list(range(layer.outputs)) for layer in manifest.layers]
        if manifest.compression is None
        else manifest.compression.kept
    )
    found = []
    # What a layer is given: trained values, values that were estimated, operands.
    trained: NDArray[np.float64] = features / levels
    estimated, operand = trained, trained
    inputs: NDArray[Any] = features
    streamed = False
    for index, (layer, weight, bias, measured) in enumerate(
        zip(manifest.layers, parameters.weights, parameters.biases, counts, strict=True)
    ):
        matrix, constant = (weight / levels).T, bias / layer.bias_unit
        real = real_sums[index][:, kept[index]]
        shares, golden_sums, golden_counts, spikes = _inside(
            layer, weight, bias, inputs, manifest.operand_width, streamed=streamed
        )
        own = real if layer.activation == "none" else activate(layer, real)
        value = _handed_on(layer, measured)
        parts = LayerParts(
            inherited=(estimated - trained) @ matrix,
            reencoding=(operand - estimated) @ matrix,
            quantisation=trained @ matrix + constant - real,
            stochastic=shares - operand @ matrix,
            correlation=golden_sums - shares,
            activation=(_handed_on(layer, golden_counts) - own) - (golden_sums + constant - real),
        )
        found.append(Attribution(parts, value - own))
        trained, estimated = own, value
        streamed = layer.streams
        if streamed:
            assert spikes is not None
            inputs, operand = spikes, value
        else:
            inputs = next_operands(layer, measured, manifest.operand_width)
            operand = inputs / levels
    return found


def _handed_on(layer: LayerStructure, counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the value of counts: behind the activation, which spiking neurons are already."""
    estimate: NDArray[np.float64] = counts / layer.bitstream_length
    if layer.lif is not None or layer.activation == "none":
        return estimate
    return activate(layer, estimate)


def _inside(
    layer: LayerStructure,
    weights: NDArray[np.integer],
    biases: NDArray[np.integer],
    inputs: NDArray[Any],
    operand_width: int,
    *,
    streamed: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_] | None]:
    """Return weighted sums of independent streams and of the real ones, counts, and spikes."""
    length, width = layer.bitstream_length, layer.word_width(operand_width)
    bipolar = layer.encoding == "bipolar"
    offset = 1 << operand_width if bipolar else 0
    w_levels = weights + offset if bipolar else np.abs(weights)
    below = _ones(layer.w_source, length, width)
    lanes = np.arange(layer.fan_in)
    if len(below) > layer.fan_in:
        places = lanes * layer.outputs + np.arange(layer.outputs)[:, None]
    else:
        places = np.broadcast_to(lanes if len(below) > 1 else 0 * lanes, weights.shape)
    w_share = below[places, w_levels] / length
    w_value = 2 * w_share - 1 if bipolar else w_share * np.sign(weights)
    if streamed:
        x_value = inputs.mean(axis=1)
    else:
        x_ones = _ones(layer.x_source, length, width)
        x_levels = inputs.astype(np.int64) + offset if bipolar else np.abs(inputs.astype(np.int64))
        x_share = x_ones[lanes if len(x_ones) > 1 else 0 * lanes, x_levels] / length
        x_value = 2 * x_share - 1 if bipolar else x_share * np.sign(inputs)
    if layer.select_source is not None:
        selected = np.bincount(select_sequence(layer), minlength=layer.fan_in)[: layer.fan_in]
        x_value = x_value * (selected * (1 << select_width(layer.fan_in)) / length)
    shares: NDArray[np.float64] = x_value @ w_value.T
    if layer.lif is None and not streamed:
        counts = LayerCounter(layer, weights, biases, operand_width).counts(inputs)
        return shares, (counts - biases) / length, counts, None
    model = CycleLayer(layer, weights, biases, operand_width)
    sums = model.sums(inputs) / length
    spikes = None if layer.lif is None else model.spikes(inputs)
    counts = model.counts(inputs) if spikes is None else spikes.sum(axis=1, dtype=np.int64)
    return shares, sums, counts, spikes


def _ones(source: Any, length: int, width: int) -> NDArray[np.int64]:
    """Return, for each word and level, the number of words below: shape (words, 2**width + 1)."""
    words = source_sequence(source, length, width)
    levels = 1 << width
    ones = np.zeros((len(words), levels + 1), dtype=np.int64)
    for row, word in zip(ones, words, strict=True):
        row[1:] = np.bincount(word, minlength=levels).cumsum()
    return ones
