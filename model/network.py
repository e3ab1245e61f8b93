"""A trained network as its folder holds it: weights, quantised test features and labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from model.errors import InputError
from model.files import npz_bytes, read_bytes, read_npz, write_bytes_atomically
from model.manifest import LifNeuron

NETWORK_FILE = "network.json"
MAX_WIDTH = 65_535
_MEND = "see docs/networks.md for what a network folder holds"


class LayerDescription(BaseModel):
    """What a network's description says of one layer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=64)
    activation: Literal["clip", "relu", "step", "lif", "none"]
    scale_exponent: int = Field(ge=-16, le=16)
    bitstream_length: int
    encoding: Literal["unipolar", "bipolar", "sign-magnitude"] = "sign-magnitude"
    adder: Literal["parallel-counter", "mux"] = "parallel-counter"
    lif: LifNeuron | None = Field(
        default=None, description="of activation lif; absent: integrate and fire, as wide as needed"
    )
    streams: bool = Field(
        default=False, description="whether its spikes are the next layer's input streams"
    )
    accumulator_width: int | None = Field(
        default=None, ge=2, le=32, description="bits; absent: the fewest that cannot overflow"
    )


class NetworkDescription(BaseModel):
    """The file ``network.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=64)
    description: str = ""
    attribution: str = ""
    # Exact tables have 4**K entries, and the scan of the constants computes 2**K of them.
    operand_bits: int = Field(ge=1, le=10)
    confidence: float = Field(gt=0, lt=1)
    features_per_beat: int = Field(default=4, ge=1, le=32)
    input_signed: bool = Field(
        default=True, description="whether the first layer's inputs may be negative"
    )
    # axil_registers describes so many.
    layers: list[LayerDescription] = Field(min_length=1, max_length=240)
    weights: str = "weights.npz"
    test_data: str = "test.npz"
    calibration: str | None = Field(
        default=None, description="file of features that firing rates are measured on"
    )

    @field_validator("layers")
    @classmethod
    def _names_differ(cls, layers: list[LayerDescription]) -> list[LayerDescription]:
        names = [layer.name for layer in layers]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two layers are called {name}")
        return layers

    def restyled(self, style: Sequence[Style]) -> NetworkDescription:
        """Return the description with other gates, the same network otherwise.

        Parameters
        ----------
        style : sequence of Style
            For each layer.
        """
        layers = [
            layer.model_copy(
                update={
                    "encoding": part.encoding,
                    "adder": part.adder,
                    "activation": part.activation,
                    "lif": part.lif,
                    "streams": part.streams,
                }
            )
            for layer, part in zip(self.layers, style, strict=True)
        ]
        return self.model_copy(update={"layers": layers})


class Style(Protocol):
    """Which gates a layer is made of: a layer of a description or of a manifest has one."""

    @property
    def encoding(self) -> Literal["unipolar", "bipolar", "sign-magnitude"]:
        """Encoding of the operands."""

    @property
    def adder(self) -> Literal["parallel-counter", "mux"]:
        """What adds the products of a cycle."""

    @property
    def activation(self) -> Literal["clip", "relu", "step", "lif", "none"]:
        """What follows."""

    @property
    def lif(self) -> LifNeuron | None:
        """Parameters of neurons that spike."""

    @property
    def streams(self) -> bool:
        """Whether spikes are the next layer's input streams."""


@dataclass(frozen=True)
class Network:
    """A checked network.

    Attributes
    ----------
    description : NetworkDescription
        The network's ``network.json``.
    weights : tuple of numpy.ndarray
        For each layer, shape (outputs, fan_in), float64, magnitudes up to 1.
    biases : tuple of numpy.ndarray
        For each layer, shape (outputs,), float64, in units of the layer's weighted sum.
    features : numpy.ndarray
        Shape (vectors, fan_in of the first layer), int16: signed magnitudes up to ``2**K - 1``.
    labels : numpy.ndarray
        Shape (vectors,), int64.
    calibration : numpy.ndarray or None
        Shape (samples, fan_in of the first layer), int16: features of data that are neither
        training nor test data, for firing rates.
    """

    description: NetworkDescription
    weights: tuple[NDArray[np.float64], ...]
    biases: tuple[NDArray[np.float64], ...]
    features: NDArray[np.int16]
    labels: NDArray[np.int64]
    calibration: NDArray[np.int16] | None = None


def with_gates(
    network: Network,
    encoding: Literal["unipolar", "bipolar", "sign-magnitude"] | None = None,
    adder: Literal["parallel-counter", "mux"] | None = None,
    activation: Literal["clip", "relu", "step", "lif"] | None = None,
    *,
    streams: bool | None = None,
) -> Network:
    """Return a network with other gates in all of its layers.

    Parameters
    ----------
    network : Network
        The network.
    encoding, adder : str, optional
        Of all layers; default: what the network's description says.
    activation : str, optional
        Of all layers but the last, whose counts leave the design.
    streams : bool, optional
        Whether spikes are the next layer's input streams.
    """
    layers = []
    for layer in network.description.layers[:-1]:
        update: dict[str, object] = {}
        if activation is not None and activation != layer.activation:
            # Parameters of neurons stay where neurons do.
            update |= {"activation": activation, "lif": None}
        if streams is not None:
            update["streams"] = streams
        layers.append(layer.model_copy(update=update))
    layers.append(network.description.layers[-1])
    gates = {"encoding": encoding, "adder": adder}
    chosen = {name: value for name, value in gates.items() if value is not None}
    layers = [layer.model_copy(update=chosen) for layer in layers]
    description = network.description.model_copy(update={"layers": layers})
    return replace(network, description=description)


def load_network(folder: Path) -> Network:
    """Read a network folder and check all of it.

    Parameters
    ----------
    folder : pathlib.Path
        Folder with ``network.json``, the weights and the test data that it names.

    Returns
    -------
    Network
        The network.

    Raises
    ------
    InputError
        If a file is missing or damaged, an array is missing, holds NaN or infinity, has a shape
        that does not chain, or a value outside its range.
    """
    path = folder / NETWORK_FILE
    data = read_bytes(path, InputError, "point NET at a network folder, " + _MEND)
    try:
        description = NetworkDescription.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = "/".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(f"{place}: {first['msg']}", str(path), _MEND) from None
    weights_path = folder / description.weights
    names = {}
    for index, layer in enumerate(description.layers):
        names[f"layer_{index}_weights"] = f"weights of layer {layer.name}"
        names[f"layer_{index}_biases"] = f"biases of layer {layer.name}"
    arrays = read_npz(weights_path, names, InputError, _MEND)
    weights = [arrays[f"layer_{i}_weights"] for i in range(len(description.layers))]
    biases = [arrays[f"layer_{i}_biases"] for i in range(len(description.layers))]
    test_path = folder / description.test_data
    test = read_npz(
        test_path, {"features": "test features", "labels": "test labels"}, InputError, _MEND
    )
    check_layers([layer.name for layer in description.layers], weights, biases, str(weights_path))
    features = _checked_features(test["features"], weights[0].shape[1], description, str(test_path))
    labels = test["labels"]
    if labels.shape != (len(features),) or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(
            f"labels have shape {labels.shape} and type {labels.dtype}",
            str(test_path),
            f"give one integer for each of the {len(features)} vectors",
        )
    outputs = weights[-1].shape[0]
    beyond = np.argwhere((labels < 0) | (labels >= outputs))
    if len(beyond):
        row = int(beyond[0, 0])
        raise InputError(
            f"label of vector {row} is {labels[row]}, which no output stands for",
            str(test_path),
            f"use 0 to {outputs - 1}",
        )
    calibration = None
    if description.calibration is not None:
        path = folder / description.calibration
        samples = read_npz(path, {"features": "calibration features"}, InputError, _MEND)
        calibration = _checked_features(
            samples["features"], weights[0].shape[1], description, str(path)
        )
    return Network(
        description,
        tuple(part.astype(np.float64) for part in weights),
        tuple(part.astype(np.float64) for part in biases),
        features,
        labels.astype(np.int64),
        calibration,
    )


def check_layers(
    names: Sequence[str],
    weights: Sequence[NDArray[np.floating]],
    biases: Sequence[NDArray[np.floating]],
    where: str,
) -> None:
    """Refuse weights that no hardware can be made of.

    Parameters
    ----------
    names : sequence of str
        Layer names, for the messages.
    weights : sequence of numpy.ndarray
        For each layer, shape (outputs, fan_in).
    biases : sequence of numpy.ndarray
        For each layer, shape (outputs,).
    where : str
        What to name as the place of an error.

    Raises
    ------
    InputError
        For an empty network, NaN or infinity, shapes that do not chain, or weights beyond +-1.
    """
    if not weights:
        raise InputError("the network has no layers", where, "give at least one layer")
    for index, (name, weight, bias) in enumerate(zip(names, weights, biases, strict=True)):
        if weight.ndim != 2 or 0 in weight.shape:
            raise InputError(
                f"weights of layer {name} have shape {weight.shape}",
                where,
                "give a matrix (outputs, fan_in) with at least one of each",
            )
        if max(weight.shape) > MAX_WIDTH:
            raise InputError(
                f"weights of layer {name} have shape {weight.shape}",
                where,
                f"use at most {MAX_WIDTH} inputs and outputs: the registers hold no more",
            )
        if bias.shape != (weight.shape[0],):
            raise InputError(
                f"biases of layer {name} have shape {bias.shape}",
                where,
                f"give one for each of the {weight.shape[0]} outputs",
            )
        if index and weight.shape[1] != weights[index - 1].shape[0]:
            raise InputError(
                f"layer {name} takes {weight.shape[1]} inputs, but layer {names[index - 1]} has"
                f" {weights[index - 1].shape[0]} outputs",
                where,
                "make the shapes chain",
            )
        for kind, values in (("weight", weight), ("bias", bias)):
            if not np.issubdtype(values.dtype, np.floating):
                raise InputError(
                    f"{kind} array of layer {name} has type {values.dtype}",
                    where,
                    "store real numbers (float32 or float64)",
                )
            bad = np.argwhere(~np.isfinite(values))
            if len(bad):
                at = tuple(int(position) for position in bad[0])
                raise InputError(
                    f"{kind} {at} of layer {name} is {values[at]}", where, "train it again"
                )
        beyond = np.argwhere(np.abs(weight) > 1)
        if len(beyond):
            at = tuple(int(position) for position in beyond[0])
            raise InputError(
                f"weight {at} of layer {name} is {weight[at]:.6g}, beyond the scale",
                where,
                "divide the layer's weights and biases by a power of two until all weights"
                " are within +-1, and raise its scale_exponent by as much",
            )


def _checked_features(
    features: NDArray[np.integer], fan_in: int, description: NetworkDescription, where: str
) -> NDArray[np.int16]:
    """Return the test features as int16, or say what is wrong with them."""
    if features.ndim != 2 or features.shape[1] != fan_in or len(features) == 0:
        raise InputError(
            f"features have shape {features.shape}",
            where,
            f"give (vectors, {fan_in}) with at least one vector",
        )
    if not np.issubdtype(features.dtype, np.integer):
        raise InputError(
            f"features have type {features.dtype}", where, "store signed integer magnitudes"
        )
    top = (1 << description.operand_bits) - 1
    bottom = -top if description.input_signed else 0
    beyond = np.argwhere((features > top) | (features < bottom))
    if len(beyond):
        row, column = (int(position) for position in beyond[0])
        raise InputError(
            f"feature {column} of vector {row} is {features[row, column]}, out of range",
            where,
            f"use {bottom} to {top} for {description.operand_bits}-bit magnitudes"
            + ("" if description.input_signed else " without sign (input_signed is false)"),
        )
    return features.astype(np.int16)


def save_network(network: Network, folder: Path) -> None:
    """Write a network as a folder that `load_network` reads.

    Parameters
    ----------
    network : Network
        The network.
    folder : pathlib.Path
        Created where it does not exist.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, NDArray[Any]] = {}
    for index, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        arrays |= {f"layer_{index}_weights": weight, f"layer_{index}_biases": bias}
    test: dict[str, NDArray[Any]] = {"features": network.features, "labels": network.labels}
    description = network.description
    write_bytes_atomically(folder / description.weights, npz_bytes(arrays))
    write_bytes_atomically(folder / description.test_data, npz_bytes(test))
    text = description.model_dump_json(indent=2, exclude_defaults=True) + "\n"
    write_bytes_atomically(folder / NETWORK_FILE, text.encode())
