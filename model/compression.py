"""Compression of a trained network by a recipe that stands in the manifest.

The recipe says what is left out and on how many bits the rest stands; the same network and recipe
give the same weights, so whoever has both can check where a design came from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from model.errors import InputError
from model.forward import float_forward
from model.manifest import Compression
from model.network import Network
from model.precision import SynapsePrecision
from model.pruning import PruningReport, prune_neurons, prune_stochastic, prune_weights
from model.quantise import quantise_to_widths
from model.synapse_precision import assign_synapse_precisions

# `prune_stochastic` takes a margin as expected bits of a stream; any length gives the same cut.
_LENGTH = 1 << 20


@dataclass(frozen=True)
class CompressedNetwork:
    """A network after compression.

    Attributes
    ----------
    network : Network
        The remaining neurons and synapses; weights stand on the grids of their widths.
    widths : tuple of numpy.ndarray
        For each layer, shape (outputs, fan_in), uint8: bits of each weight's magnitude.
    kept : tuple of list of int
        For each layer, the neurons of the trained network that remain.
    reports : tuple of PruningReport
        What each step of pruning did, in order.
    """

    network: Network
    widths: tuple[NDArray[np.uint8], ...]
    kept: tuple[list[int], ...]
    reports: tuple[PruningReport, ...]


def compression_recipe(**choices: Any) -> Compression:
    """Make a recipe; a value outside its range is told in one line.

    Parameters
    ----------
    **choices
        Attributes of `Compression`.

    Raises
    ------
    InputError
        If a value is outside its range, or choices exclude each other.
    """
    try:
        return Compression(**choices)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"])) or "compression"
        value = "" if not first["loc"] else f" is {choices.get(str(first['loc'][0]))!r}"
        message = first["msg"].removeprefix("Value error, ")
        raise InputError(f"{name}{value}: {message}", name, "see docs/compression.md") from None


def compress_network(
    network: Network,
    recipe: Compression,
    widths: Sequence[NDArray[np.integer]] | None = None,
) -> CompressedNetwork:
    """Compress a trained network.

    Parameters
    ----------
    network : Network
        The trained network; it is not modified.
    recipe : Compression
        What to do.
    widths : sequence of numpy.ndarray, optional
        For each layer, shape (outputs, fan_in) of the remaining neurons: bits of each weight, 1 to
        K. Only with a recipe of given widths.

    Returns
    -------
    CompressedNetwork
        What is left.

    Raises
    ------
    InputError
        If a threshold removes a whole layer, calibration data are needed and missing, or widths are
        missing, of another shape or beyond K.
    """
    kept = [list(range(len(weight))) for weight in network.weights]
    reports: list[PruningReport] = []
    smaller = network
    if recipe.remove_neurons:
        rates = None
        threshold = 0.0
        if recipe.activity_threshold is not None:
            rates, threshold = firing_rates(network), recipe.activity_threshold
        smaller, kept = _without_neurons(smaller, kept, reports, rates, threshold)
    if recipe.prune_threshold:
        weights, report = prune_weights(
            smaller.weights, recipe.prune_threshold, recipe.prune_method
        )
        reports.append(report)
        smaller = replace(smaller, weights=tuple(weights))
    if recipe.constant_margin:
        weights, report = prune_stochastic(
            smaller.weights, _LENGTH, recipe.constant_margin * _LENGTH
        )
        reports.append(report)
        smaller = replace(smaller, weights=tuple(weights))
    if recipe.remove_neurons and len(reports) > 1:
        smaller, kept = _without_neurons(smaller, kept, reports, None, 0.0)
    bits = _widths(smaller, recipe, widths)
    rounded = tuple(map(quantise_to_widths, smaller.weights, bits))
    return CompressedNetwork(replace(smaller, weights=rounded), bits, tuple(kept), tuple(reports))


def firing_rates(network: Network) -> list[NDArray[np.float64]]:
    """Return the mean activation of every hidden neuron on the calibration data.

    Parameters
    ----------
    network : Network
        The network.

    Raises
    ------
    InputError
        If the network has no calibration data.
    """
    if network.calibration is None:
        raise InputError(
            "the network has no calibration data to measure firing rates on",
            "activity_threshold",
            'name a file of features in network.json: "calibration": "calibration.npz"',
        )
    sums = float_forward(network, network.calibration)[:-1]
    return [
        np.clip(part * 2.0**layer.scale_exponent, 0, 1).mean(axis=0)
        for part, layer in zip(sums, network.description.layers, strict=False)
    ]


def synapse_widths(plan: Sequence[SynapsePrecision]) -> list[NDArray[np.uint8]]:
    """Return the bit widths of a plan as arrays, for `compress_network`.

    Parameters
    ----------
    plan : sequence of SynapsePrecision
        A plan of all synapses of all layers.

    Returns
    -------
    list of numpy.ndarray
        For each layer, shape (outputs, fan_in), uint8.

    Raises
    ------
    InputError
        If a synapse is missing.
    """
    layers = 1 + max((entry.layer_index for entry in plan), default=-1)
    arrays = []
    for index in range(layers):
        own = [entry for entry in plan if entry.layer_index == index]
        shape = (
            1 + max((entry.output_index for entry in own), default=-1),
            1 + max((entry.input_index for entry in own), default=-1),
        )
        array = np.zeros(shape, dtype=np.uint8)
        for entry in own:
            array[entry.output_index, entry.input_index] = entry.bit_width
        if len(own) != array.size or not array.all():
            raise InputError(
                f"plan has {len(own)} synapses of layer {index}, whose shape is {shape}",
                "plan",
                "give every synapse of every layer once",
            )
        arrays.append(array)
    if not arrays:
        raise InputError("plan is empty", "plan", "give every synapse of every layer once")
    return arrays


def _without_neurons(
    network: Network,
    kept: list[list[int]],
    reports: list[PruningReport],
    rates: list[NDArray[np.float64]] | None,
    threshold: float,
) -> tuple[Network, list[list[int]]]:
    """Return a network without its removable neurons, and which of the trained ones remain."""
    description = network.description
    weights, biases, report = prune_neurons(
        network.weights,
        rates,
        threshold,
        biases=network.biases,
        scale_exponents=[layer.scale_exponent for layer in description.layers],
        input_signed=description.input_signed,
    )
    reports.append(report)
    gone = {(part.layer, part.neuron) for part in report.removed}
    left = [
        [neuron for place, neuron in enumerate(layer) if (index, place) not in gone]
        for index, layer in enumerate(kept)
    ]
    return replace(network, weights=tuple(weights), biases=tuple(biases)), left


def _widths(
    network: Network, recipe: Compression, given: Sequence[NDArray[np.integer]] | None
) -> tuple[NDArray[np.uint8], ...]:
    """Return the bits of every weight."""
    largest = network.description.operand_bits
    shapes = [weight.shape for weight in network.weights]
    if recipe.given_widths != (given is not None):
        raise InputError(
            "widths of the weights are missing"
            if recipe.given_widths
            else "widths were given, but the recipe has widths of its own",
            "widths",
            "give widths together with a recipe of given_widths",
        )
    if given is not None:
        if [np.shape(part) for part in given] != shapes:
            raise InputError(
                f"widths have shapes {[np.shape(part) for part in given]}",
                "widths",
                f"give one array for each layer, of shapes {shapes}",
            )
        arrays = [np.asarray(part) for part in given]
        for index, array in enumerate(arrays):
            whole = np.issubdtype(array.dtype, np.integer)
            if not whole or array.min() < 1 or array.max() > largest:
                raise InputError(
                    f"widths[{index}] holds {array.min()} to {array.max()} ({array.dtype})",
                    f"widths[{index}]",
                    f"use integers from 1 to {largest}, the network's operand_bits",
                )
        return tuple(array.astype(np.uint8) for array in arrays)
    if recipe.synapse_error is not None:
        least = min(4, largest)
        plan = assign_synapse_precisions(
            list(network.weights),
            [layer.name for layer in network.description.layers],
            target_error=recipe.synapse_error,
            min_bits=least,
            max_bits=largest,
            max_length=1 << 20,
            strict=True,
        )
        return tuple(synapse_widths(plan))
    bits = [largest] if recipe.weight_bits is None else recipe.weight_bits
    if len(bits) == 1:
        bits = bits * len(shapes)
    if len(bits) != len(shapes):
        raise InputError(
            f"weight_bits has {len(bits)} numbers for {len(shapes)} layers",
            "weight_bits",
            "give one, or one for each layer",
        )
    for part in bits:
        if not 1 <= part <= largest:
            raise InputError(
                f"weight_bits is {part}",
                "weight_bits",
                f"use 1 to {largest}, the network's operand_bits",
            )
    return tuple(
        np.full(shape, part, dtype=np.uint8) for shape, part in zip(shapes, bits, strict=True)
    )
