"""From a trained network to a design: quantise, choose sources, certify, write a manifest."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.certificate import LayerCertificate
from model.compression import compress_network
from model.design_bounds import bound_layers, certificate_of, largest_increment
from model.deviation import trained_deviations
from model.errors import InputError, ManifestError
from model.files import npz_bytes, read_npz, write_bytes_atomically
from model.forward import IntegerWeights
from model.intervals import activation_intervals
from model.lif import check_neuron
from model.limits import MAX_ACCUMULATOR_WIDTH, MAX_DIVISOR, MAX_LENGTH
from model.manifest import (
    Compression,
    CompressionRecord,
    DataFile,
    LayerStructure,
    LifNeuron,
    Manifest,
    PlannedLayer,
    PrecisionRecord,
    save_manifest,
)
from model.network import LayerDescription, Network
from model.precision import PrecisionPlan
from model.quantise import quantise_biases, quantise_weights
from model.sequences import check_counter_length
from model.source_certificate import require_certified
from model.source_choice import SourceKind, choose_sources

WEIGHTS_FILE = "weights.npz"
TEST_DATA_FILE = "test.npz"


@dataclass(frozen=True)
class Design:
    """A manifest with the arrays that its files hold.

    Attributes
    ----------
    manifest : Manifest
        The manifest.
    parameters : IntegerWeights
        What the weight file holds.
    features : numpy.ndarray
        Shape (vectors, fan_in of the first layer), int16: test features.
    labels : numpy.ndarray
        Shape (vectors,), int64: test labels.
    """

    manifest: Manifest
    parameters: IntegerWeights
    features: NDArray[np.int16]
    labels: NDArray[np.int64]
    _certificates: dict[int, LayerCertificate] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def certificate(self, layer_index: int) -> LayerCertificate:
        """Compute the certificate of every neuron of a layer, with all witnesses; once."""
        if layer_index not in self._certificates:
            self._certificates[layer_index] = self._certify(layer_index)
        return self._certificates[layer_index]

    def _certify(self, layer_index: int) -> LayerCertificate:
        return certificate_of(
            self.manifest.layers[layer_index],
            self.parameters.weights[layer_index],
            self.manifest.operand_width,
            self.parameters.biases[layer_index],
            streamed=layer_index > 0 and self.manifest.layers[layer_index - 1].streams,
        )


def plan_design(
    network: Network,
    lengths: Sequence[int] | None = None,
    source: SourceKind = "counter",
    seed: int = 1,
    *,
    compression: Compression | None = None,
    widths: Sequence[NDArray[np.integer]] | None = None,
    precision: PrecisionPlan | None = None,
) -> Design:
    """Plan a design of a network.

    Parameters
    ----------
    network : Network
        The trained network.
    lengths : sequence of int, optional
        Bitstream length of each layer; a single one serves all. Default: what the network's
        description says.
    source : str
        Kind of number sources; see `model.source_choice.choose_sources`.
    seed : int
        From which the seeds of LFSRs are drawn.
    compression : Compression, optional
        What to leave out of the network first. All bounds against the trained network include it.
    widths : sequence of numpy.ndarray, optional
        Bits of each weight, where the recipe says that they are given; see
        `model.compression.compress_network`.
    precision : PrecisionPlan, optional
        The plan that the lengths are from, for the manifest.

    Returns
    -------
    Design
        The design; the same arguments give the same manifest, byte for byte.

    Raises
    ------
    InputError
        If a length does not fit the source or the accumulator, or a layer's gates do not fit the
        network: `check_styles`.
    """
    description = network.description
    check_styles(network)
    compressed = compress_network(network, compression or Compression(), widths)
    if compression is not None and compression.remove_neurons:
        _check_removal(description.layers)
    smaller = compressed.network
    chosen = _lengths(network, lengths)
    _check_stream_lengths(description.layers, chosen)
    operand_width = description.operand_bits
    weights = tuple(quantise_weights(weight, operand_width) for weight in smaller.weights)
    generator = np.random.default_rng(seed)
    biases = []
    structures: list[LayerStructure] = []
    for index, (part, weight, length) in enumerate(
        zip(description.layers, weights, chosen, strict=True)
    ):
        _check_length(part.name, source, length)
        _check_divisor(part, length, operand_width)
        _check_count_range(part.name, smaller.biases[index], length)
        neuron = _neuron(part, weight, smaller.biases[index], length)
        bias = quantise_biases(smaller.biases[index], length if neuron is None else neuron.gain)
        accumulator = _accumulator_width(part, weight, bias, length)
        biases.append(bias)
        sources = choose_sources(
            source,
            weight,
            length,
            operand_width,
            input_signed=index == 0 and description.input_signed,
            generator=generator,
            encoding=part.encoding,
            adder=part.adder,
        )
        structures.append(
            LayerStructure(
                name=part.name,
                fan_in=weight.shape[1],
                outputs=weight.shape[0],
                bitstream_length=length,
                input_signed=index == 0 and description.input_signed,
                encoding=part.encoding,
                adder=part.adder,
                activation=part.activation,
                # What spikes are counted as is a rate: the scale is the neuron's.
                scale_exponent=part.scale_exponent if neuron is None else 0,
                accumulator_width=accumulator,
                x_source=sources.x,
                w_source=sources.w,
                select_source=sources.select,
                lif=neuron,
                streams=part.streams,
            )
        )
    # From here on the trained network has the neurons that were chosen for it.
    trained = replace(network, description=description.restyled(structures))
    deviations = trained_deviations(
        trained, weights, biases, [part.bias_unit for part in structures], compressed.kept
    )
    layers = bound_layers(
        structures,
        weights,
        biases,
        deviations,
        operand_width,
        description.confidence,
        len(network.features),
    )
    require_certified(layers)
    parameters = IntegerWeights(weights, tuple(biases), compressed.widths)
    manifest = Manifest(
        network=description.name,
        operand_width=operand_width,
        confidence=description.confidence,
        vectors=len(network.features),
        features_per_beat=description.features_per_beat,
        weights=_data_file(WEIGHTS_FILE, _weight_arrays(parameters)),
        test_data=_data_file(
            TEST_DATA_FILE, {"features": network.features, "labels": network.labels}
        ),
        compression=None
        if compression is None
        else CompressionRecord(recipe=compression, kept=list(compressed.kept)),
        precision=None if precision is None else _precision_record(precision),
        layers=layers,
        end_to_end_bound=layers[-1].propagated_bound,
        trained_bound=layers[-1].trained_bound,
    )
    return Design(manifest, parameters, network.features, network.labels)


def save_design(design: Design, folder: Path) -> Path:
    """Write a design's files and, last, its manifest.

    Parameters
    ----------
    design : Design
        What to write.
    folder : pathlib.Path
        Created where it does not exist.

    Returns
    -------
    pathlib.Path
        The manifest's path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes_atomically(folder / WEIGHTS_FILE, npz_bytes(_weight_arrays(design.parameters)))
    write_bytes_atomically(
        folder / TEST_DATA_FILE,
        npz_bytes({"features": design.features, "labels": design.labels}),
    )
    return save_manifest(design.manifest, folder)


def load_design(manifest: Manifest, folder: Path) -> Design:
    """Read the arrays of a manifest that `model.manifest.load_manifest` has checked.

    Parameters
    ----------
    manifest : Manifest
        The manifest.
    folder : pathlib.Path
        Its folder.

    Raises
    ------
    ManifestError
        If an array is missing or does not have the shape that the manifest says.
    """
    again = "run the plan step again (make)"
    names = {}
    for index, layer in enumerate(manifest.layers):
        names[f"layer_{index}_weights"] = f"weights of layer {layer.name}"
        names[f"layer_{index}_biases"] = f"biases of layer {layer.name}"
        names[f"layer_{index}_widths"] = f"widths of layer {layer.name}"
    path = folder / manifest.weights.file
    arrays = read_npz(path, names, ManifestError, again)
    weights, biases, widths = [], [], []
    for index, layer in enumerate(manifest.layers):
        weight, bias = arrays[f"layer_{index}_weights"], arrays[f"layer_{index}_biases"]
        width = arrays[f"layer_{index}_widths"]
        shape = (layer.outputs, layer.fan_in)
        if weight.shape != shape or width.shape != shape or bias.shape != (layer.outputs,):
            raise ManifestError(
                f"weights of layer {layer.name} have shape {weight.shape}", str(path), again
            )
        steps = 1 << np.clip(manifest.operand_width - width.astype(np.int64), 0, None)
        if (width < 1).any() or (weight % steps != 0).any():
            raise ManifestError(
                f"a weight of layer {layer.name} needs more bits than its width", str(path), again
            )
        weights.append(weight)
        biases.append(bias)
        widths.append(width)
    test = read_npz(
        folder / manifest.test_data.file,
        {"features": "test features", "labels": "test labels"},
        ManifestError,
        again,
    )
    return Design(
        manifest,
        IntegerWeights(tuple(weights), tuple(biases), tuple(widths)),
        test["features"],
        test["labels"],
    )


def check_styles(network: Network) -> None:
    """Refuse layers whose gates do not go with what they have to compute.

    Parameters
    ----------
    network : Network
        The trained network.

    Raises
    ------
    InputError
        If a layer that feeds another has no activation, or the last one has; if a unipolar layer
        has signs; if streams go to a layer that cannot take them; if a ReLU can reach 1.
    """
    layers = network.description.layers
    if layers[-1].activation != "none":
        raise InputError(
            f"the last layer has the activation {layers[-1].activation}, but the output stream"
            " carries counts",
            f"layer {layers[-1].name}",
            'set its activation to "none"',
        )
    for index, (part, weight) in enumerate(zip(layers, network.weights, strict=True)):
        where = f"layer {part.name}"
        if index < len(layers) - 1 and part.activation == "none":
            raise InputError(
                "the layer has no activation, but feeds another, which takes magnitudes",
                where,
                'set its activation to "clip"',
            )
        if part.encoding == "unipolar":
            signed_inputs = index == 0 and network.description.input_signed
            if signed_inputs or (weight < 0).any():
                raise InputError(
                    f"unipolar streams have no sign, the {'inputs' if signed_inputs else 'weights'}"
                    " have",
                    where,
                    "use the encoding bipolar or sign-magnitude",
                )
        if part.lif is not None and part.activation != "lif":
            raise InputError(
                "parameters of neurons that spike, but another activation",
                where,
                'set its activation to "lif"',
            )
        if part.lif is not None and part.lif.noise_bits:
            raise InputError(
                "neurons with noise have no source for it in a layer",
                where,
                "set noise_bits to 0",
            )
        if part.lif is not None:
            try:
                check_neuron(part.lif)
            except InputError as error:
                raise InputError(error.what, f"{where}, {error.where}", error.what_to_do) from None
        if part.streams and (part.activation != "lif" or layers[index + 1].encoding == "bipolar"):
            raise InputError(
                "only spikes are streams, and only to a layer that is not bipolar",
                where,
                'set its activation to "lif", or its "streams" to false',
            )
    _check_relu(network)


def _check_relu(network: Network) -> None:
    """Refuse a ReLU that can reach the largest operand: beyond it would be a clip."""
    description = network.description
    fan_in = network.weights[0].shape[1]
    low = np.full(fan_in, -1.0 if description.input_signed else 0.0)
    high = np.ones(fan_in)
    for part, weight, bias in zip(description.layers, network.weights, network.biases, strict=True):
        ((low, high),) = activation_intervals([weight], [bias], [part.scale_exponent], (low, high))
        if part.activation == "relu" and high.max() >= 1:
            raise InputError(
                "a neuron can reach 1, the end of what the next layer's operands hold",
                f"layer {part.name}",
                "use a smaller scale_exponent, or the activation clip",
            )
        if part.activation in ("step", "lif"):
            low, high = np.zeros_like(low), np.ones_like(high)


def _check_removal(layers: Sequence[LayerDescription]) -> None:
    """Refuse to remove neurons by what they would do if they clipped."""
    for part in layers[:-1]:
        if part.activation not in ("clip", "relu"):
            raise InputError(
                f"which neurons are constant is known of a clip, not of {part.activation}",
                f"layer {part.name}",
                "leave the neurons in",
            )


def _check_length(name: str, source: SourceKind, length: int) -> None:
    """Refuse a bitstream length before anything is computed with it."""
    if length > MAX_LENGTH:
        raise InputError(f"bitstream length {length}", f"layer {name}", f"use at most {MAX_LENGTH}")
    if source in ("counter", "counter-lane"):
        check_counter_length(length, f"layer {name}")
    elif length < 1:
        raise InputError(f"bitstream length {length}", f"layer {name}", "use a length of 1 or more")


def _neuron(
    layer: LayerDescription,
    weights: NDArray[np.int32],
    biases: NDArray[np.float64],
    length: int,
) -> LifNeuron | None:
    """Return the parameters of a layer's neurons; without any, they integrate and fire.

    Such a neuron has the layer's clip for its rate: gain / threshold is the power-of-two scale. It
    is as wide as it takes never to saturate, with as many bits of fraction as that leaves, 8 of the
    gain at most.
    """
    if layer.activation != "lif" or layer.lif is not None:
        return layer.lif
    most = largest_increment(layer, weights)
    bias = float(np.abs(biases).max())
    for gain_bits in range(8, -1, -1):
        fraction = gain_bits - min(layer.scale_exponent, 0)
        gain = 1 << (fraction + layer.scale_exponent)
        reach = length * (gain * most + math.ceil(gain * bias) + 1)
        width = max(reach, 1 << fraction).bit_length() + 1
        if fraction <= 30 and width <= MAX_ACCUMULATOR_WIDTH:
            return LifNeuron(
                width=width,
                fraction_bits=fraction,
                gain=gain,
                leak=0,
                leak_shift=0,
                threshold=1 << fraction,
                reset="subtract",
                reset_value=0,
                refractory=0,
                floor=-(1 << (width - 1)),
            )
    raise InputError(
        f"a membrane that never saturates needs more than {MAX_ACCUMULATOR_WIDTH} bits",
        f"layer {layer.name}",
        "use a shorter bitstream",
    )


def _check_divisor(layer: LayerDescription, length: int, operand_width: int) -> None:
    """Refuse a scale whose re-encoding divides by more than the hardware can."""
    divisor = length << max(-(operand_width + layer.scale_exponent), 0)
    if layer.activation in ("clip", "relu") and divisor >= MAX_DIVISOR:
        raise InputError(
            f"scale exponent {layer.scale_exponent} with bitstream length {length}",
            f"layer {layer.name}",
            "use a larger exponent or a shorter bitstream: nothing but zeros would come out",
        )


def _lengths(network: Network, lengths: Sequence[int] | None) -> list[int]:
    """Return one length for each layer."""
    layers = network.description.layers
    if lengths is None:
        return [layer.bitstream_length for layer in layers]
    if len(lengths) == 1:
        return list(lengths) * len(layers)
    if len(lengths) != len(layers):
        raise InputError(
            f"{len(lengths)} bitstream lengths for {len(layers)} layers",
            "LENGTH",
            "give one length, or one for each layer, separated by commas",
        )
    return list(lengths)


def _check_stream_lengths(layers: Sequence[LayerDescription], lengths: Sequence[int]) -> None:
    """Refuse a layer that takes streams of another length than it counts."""
    for part, following, own, next_length in zip(
        layers, layers[1:], lengths, lengths[1:], strict=False
    ):
        if part.streams and own != next_length:
            raise InputError(
                f"layer {part.name} streams {own} cycles to layer {following.name}, which counts"
                f" {next_length}",
                "LENGTH",
                "give both the same length",
            )


def _check_count_range(name: str, biases: NDArray[np.float64], length: int) -> None:
    """Refuse counts beyond any accumulator before numpy's integers wrap or its memory ends."""
    bias = float(np.abs(biases).max())
    largest = Fraction(bias) * length + length
    if largest >= 1 << (MAX_ACCUMULATOR_WIDTH - 1):
        raise InputError(
            f"bitstream length {length} with a bias of {bias:.6g} needs an accumulator of"
            f" {int(largest).bit_length() + 1} bits, there are {MAX_ACCUMULATOR_WIDTH}",
            f"layer {name}",
            "use a shorter bitstream or smaller biases",
        )


def _accumulator_width(
    layer: LayerDescription, weights: NDArray[np.int32], biases: NDArray[np.int64], length: int
) -> int:
    """Return the accumulator width of a layer, or refuse a length that overflows it."""
    wanted = layer.accumulator_width
    if layer.activation == "lif":
        largest = length
    else:
        # The hardware counts product XOR sign and corrects by the number of negative lanes, so any
        # partial sum stays within bias +- increment * L; a weight of zero is no synapse.
        largest = int(np.abs(biases).max()) + largest_increment(layer, weights) * length
    needed = largest.bit_length() + 1
    available = MAX_ACCUMULATOR_WIDTH if wanted is None else wanted
    if needed > available:
        raise InputError(
            f"bitstream length {length} needs an accumulator of {needed} bits,"
            f" there are {available}",
            f"layer {layer.name}",
            "use a shorter bitstream" + ("" if wanted is None else " or a wider accumulator"),
        )
    return needed if wanted is None else wanted


def _precision_record(plan: PrecisionPlan) -> PrecisionRecord:
    """Return the part of a precision plan that the manifest holds."""
    return PrecisionRecord(
        method=plan.method,
        source=plan.source,
        target=plan.target,
        target_error=plan.target_error,
        total_budget=plan.total_budget,
        vectors=plan.vectors,
        confidence=plan.confidence,
        end_to_end_bound=plan.end_to_end_bound,
        end_to_end_theorem=plan.end_to_end_theorem,
        shortfalls=list(plan.shortfalls),
        layers=[
            PlannedLayer(
                error_bound=layer.error_bound,
                theorem=layer.theorem,
                confidence=layer.confidence,
                meets_target=layer.meets_target,
                sensitivity=layer.sensitivity,
                cost_per_cycle=layer.cost_per_cycle,
            )
            for layer in plan.layers
        ],
    )


def _weight_arrays(parameters: IntegerWeights) -> dict[str, NDArray[np.integer]]:
    """Return the arrays of the weight file."""
    arrays: dict[str, NDArray[np.integer]] = {}
    for index, (weight, bias) in enumerate(zip(parameters.weights, parameters.biases, strict=True)):
        arrays[f"layer_{index}_weights"] = weight
        arrays[f"layer_{index}_biases"] = bias
        arrays[f"layer_{index}_widths"] = parameters.widths[index]
    return arrays


def _data_file(name: str, arrays: dict[str, NDArray[np.integer]]) -> DataFile:
    """Return a data file's record for the manifest."""
    return DataFile(
        file=name,
        sha256=hashlib.sha256(npz_bytes(arrays)).hexdigest(),
        arrays={key: f"{array.dtype} {list(array.shape)}" for key, array in arrays.items()},
    )
