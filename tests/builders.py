"""Random layers, designs and networks that the tests of the golden model share.

Every builder draws from the generator that it is given, so a test's seed fixes all of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from model.design_bounds import bound_layers
from model.errors import CertibitError
from model.files import npz_bytes
from model.forward import IntegerWeights
from model.lfsr import maximal_taps
from model.manifest import (
    CounterSource,
    DataFile,
    HaltonSource,
    LayerStructure,
    LfsrSource,
    Manifest,
    SobolSource,
    Source,
)
from model.network import LayerDescription, Network, NetworkDescription
from model.plan import Design
from model.sobol import SOBOL_DIMENSIONS, sobol_directions

MNIST = Path(__file__).parents[1] / "networks" / "mnist_pca50"


@dataclass(frozen=True)
class SourceShape:
    """Which kind of source, and what each lane has of its own."""

    kind: Literal["counter", "reversed", "lfsr"]
    own_seeds: bool = False
    own_constants: bool = False


COUNTER_SHAPES = [
    SourceShape(kind, own_constants=own)
    for kind in ("counter", "reversed")
    for own in (False, True)
]
LFSR_SHAPES = [
    SourceShape("lfsr", seeds, constants) for seeds in (False, True) for constants in (False, True)
]
SOURCE_SHAPES = COUNTER_SHAPES + LFSR_SHAPES


def random_source(
    rng: np.random.Generator, shape: SourceShape, operand_width: int, length: int, fan_in: int
) -> Source:
    """Draw a source; the length must be a power of two for a counter."""
    constants = rng.integers(
        0, 1 << operand_width, fan_in if shape.own_constants else 1, endpoint=False
    ).tolist()
    own = shape.own_seeds or shape.own_constants
    sharing: Literal["layer", "lane"] = "lane" if own else "layer"
    if shape.kind != "lfsr":
        return CounterSource(
            reversed=shape.kind == "reversed",
            width=length.bit_length() - 1,
            sharing=sharing,
            xor_constants=constants,
        )
    width = int(rng.integers(max(3, operand_width), 18))
    return LfsrSource(
        width=width,
        taps=list(maximal_taps(width)),
        step=int(rng.integers(1, width + 1)),
        sharing=sharing,
        seeds=rng.integers(1, 1 << width, fan_in if shape.own_seeds else 1).tolist(),
        xor_constants=constants,
    )


SOURCE_KINDS = ("counter", "reversed", "sobol", "halton", "fibonacci", "galois")


def random_lane_source(
    rng: np.random.Generator,
    kind: str,
    sharing: Literal["layer", "lane", "sng"],
    lanes: int,
    word_width: int,
    length: int,
) -> Source:
    """Draw a source of any kind, with or without rotations, constants and seeds for each lane."""

    def entries(low: int, high: int) -> list[int]:
        drawn: list[int] = rng.integers(low, high, lanes if rng.random() < 0.5 else 1).tolist()
        return drawn

    common: dict[str, Any] = {
        "sharing": sharing,
        "xor_constants": entries(0, 1 << word_width),
        "rotations": entries(0, 40) if rng.random() < 0.6 else [0],
    }
    bits = (length - 1).bit_length()
    if kind in ("counter", "reversed"):
        return CounterSource(reversed=kind == "reversed", width=bits, **common)
    if kind == "sobol":
        dimension = int(rng.integers(1, SOBOL_DIMENSIONS + 1))
        count = max(bits, 1) + int(rng.integers(0, 2))
        directions = sobol_directions(dimension, count, word_width)
        return SobolSource(dimension=dimension, directions=directions, **common)
    if kind == "halton":
        base = (2, 3, 5)[rng.integers(0, 3)]
        digits = next(digits for digits in range(1, 21) if base**digits >= length)
        return HaltonSource(base=base, digits=digits + int(rng.integers(0, 2)), **common)
    width = int(rng.integers(max(3, word_width), 33))
    return LfsrSource(
        form="galois" if kind == "galois" else "fibonacci",
        width=width,
        taps=list(maximal_taps(width)),
        step=int(rng.integers(1, width + 9)),
        seeds=entries(1, 1 << width),
        **common,
    )


def random_weights(
    rng: np.random.Generator, outputs: int, fan_in: int, operand_width: int
) -> NDArray[np.int32]:
    """Draw integer weights; 0, the constant gates +-2**K and their neighbours come often."""
    top = 1 << operand_width
    weights = rng.integers(-top, top + 1, (outputs, fan_in))
    special = rng.choice([0, top, -top, top - 1, 1 - top, 1, -1], weights.shape)
    return np.where(rng.random(weights.shape) < 0.3, special, weights).astype(np.int32)


def random_inputs(
    rng: np.random.Generator, vectors: int, fan_in: int, operand_width: int, *, signed: bool
) -> NDArray[np.int16]:
    """Draw signed or unsigned magnitudes; the first two vectors are the extremes."""
    top = (1 << operand_width) - 1
    low = -top if signed else 0
    inputs = rng.integers(low, top + 1, (vectors, fan_in)).astype(np.int16)
    inputs[:1] = top
    inputs[1:2] = low
    return inputs


def random_structure(
    rng: np.random.Generator,
    *,
    fan_in: int,
    outputs: int,
    operand_width: int,
    length: int,
    x_shape: SourceShape,
    w_shape: SourceShape,
    input_signed: bool = False,
    activation: Literal["clip", "none"] = "none",
    scale_exponent: int = 0,
    name: str = "layer",
) -> LayerStructure:
    """Draw the sources of a layer."""
    return LayerStructure(
        name=name,
        fan_in=fan_in,
        outputs=outputs,
        bitstream_length=length,
        input_signed=input_signed,
        activation=activation,
        scale_exponent=scale_exponent,
        accumulator_width=32,
        x_source=random_source(rng, x_shape, operand_width, length, fan_in),
        w_source=random_source(rng, w_shape, operand_width, length, fan_in),
    )


def random_design(
    rng: np.random.Generator,
    sizes: Sequence[int],
    *,
    operand_width: int = 3,
    vectors: int = 6,
    signed: bool = True,
    shapes: Sequence[SourceShape] = tuple(SOURCE_SHAPES),
    exponents: tuple[int, int] = (-2, 2),
) -> Design:
    """Draw a whole design: every layer with sources, length and scale of its own."""
    structures, weights, biases = [], [], []
    for index, (fan_in, outputs) in enumerate(pairwise(sizes)):
        x_shape, w_shape = (shapes[i] for i in rng.integers(0, len(shapes), 2))
        if "lfsr" in (x_shape.kind, w_shape.kind) and x_shape.kind == w_shape.kind:
            length = int(rng.integers(2, 40))
        else:
            length = 1 << int(rng.integers(1, 6))
        last = index == len(sizes) - 2
        structures.append(
            random_structure(
                rng,
                fan_in=fan_in,
                outputs=outputs,
                operand_width=operand_width,
                length=length,
                x_shape=x_shape,
                w_shape=w_shape,
                input_signed=signed and index == 0,
                activation="none" if last else "clip",
                scale_exponent=int(rng.integers(exponents[0], exponents[1] + 1)),
                name=f"layer_{index}",
            )
        )
        weights.append(random_weights(rng, outputs, fan_in, operand_width))
        biases.append(rng.integers(-2 * length, 2 * length + 1, outputs))
    features = random_inputs(rng, vectors, sizes[0], operand_width, signed=signed)
    labels = rng.integers(0, sizes[-1], vectors)
    return make_design(structures, weights, biases, features, labels, operand_width)


def with_sources(
    design: Design,
    rng: np.random.Generator,
    kinds: Sequence[str],
    sharing: Literal["layer", "lane"],
) -> Design:
    """Exchange the sources of all layers for others, of these kinds in turn, and nothing else."""
    layers = []
    turn = cycle(kinds)
    width = design.manifest.operand_width
    for layer in design.manifest.layers:
        lanes = 1 if sharing == "layer" else layer.fan_in
        x_source, w_source = (
            random_lane_source(rng, kind, sharing, lanes, width, layer.bitstream_length)
            for kind in (next(turn), next(turn))
        )
        layers.append(layer.model_copy(update={"x_source": x_source, "w_source": w_source}))
    manifest = design.manifest.model_copy(update={"layers": layers})
    return replace(design, manifest=manifest)


def make_design(
    structures: Sequence[LayerStructure],
    weights: Sequence[NDArray[np.int32]],
    biases: Sequence[NDArray[np.int64]],
    features: NDArray[np.int16],
    labels: NDArray[np.int64],
    operand_width: int,
) -> Design:
    """Bound layers and put them into a manifest."""
    nowhere = [np.zeros(len(weight)) for weight in weights]
    layers = bound_layers(structures, weights, biases, nowhere, operand_width, 0.95, len(features))
    widths = tuple(np.full(weight.shape, operand_width, dtype=np.uint8) for weight in weights)
    arrays: dict[str, NDArray[Any]] = {}
    for index, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        arrays[f"layer_{index}_weights"] = weight
        arrays[f"layer_{index}_biases"] = bias
        arrays[f"layer_{index}_widths"] = widths[index]
    manifest = Manifest(
        network="random",
        operand_width=operand_width,
        confidence=0.95,
        vectors=len(features),
        features_per_beat=4,
        weights=_data_file("weights.npz", arrays),
        test_data=_data_file("test.npz", {"features": features, "labels": labels}),
        layers=layers,
        end_to_end_bound=layers[-1].propagated_bound,
        trained_bound=layers[-1].trained_bound,
    )
    parameters = IntegerWeights(tuple(weights), tuple(biases), widths)
    return Design(manifest, parameters, features, labels)


def _data_file(name: str, arrays: dict[str, NDArray[Any]]) -> DataFile:
    return DataFile(
        file=name,
        sha256=hashlib.sha256(npz_bytes(arrays)).hexdigest(),
        arrays={key: f"{array.dtype} {list(array.shape)}" for key, array in arrays.items()},
    )


def small_network(
    rng: np.random.Generator,
    sizes: Sequence[int] = (5, 4, 3),
    *,
    operand_bits: int = 4,
    length: int = 16,
    accumulator_width: int | None = None,
    scale_exponent: int = 0,
    vectors: int = 7,
    signed: bool = True,
    bias: float = 0.5,
) -> Network:
    """Draw a small network with real weights."""
    weights = tuple(rng.uniform(-1, 1, (outputs, fan_in)) for fan_in, outputs in pairwise(sizes))
    description = NetworkDescription(
        name="small",
        operand_bits=operand_bits,
        confidence=0.95,
        input_signed=signed,
        layers=[
            LayerDescription(
                name=f"layer_{index}",
                activation="none" if index == len(weights) - 1 else "clip",
                scale_exponent=scale_exponent,
                bitstream_length=length,
                accumulator_width=accumulator_width,
            )
            for index in range(len(weights))
        ],
    )
    return Network(
        description,
        weights,
        tuple(rng.uniform(-bias, bias, len(weight)) for weight in weights),
        random_inputs(rng, vectors, sizes[0], operand_bits, signed=signed),
        rng.integers(0, sizes[-1], vectors),
    )


@dataclass
class NetworkFolder:
    """What a network folder is written from; tests spoil a part and write it."""

    description: dict[str, Any]
    weights: dict[str, NDArray[Any]]
    test: dict[str, NDArray[Any]]

    @classmethod
    def of(cls, network: Network) -> NetworkFolder:
        """Take a network apart."""
        weights: dict[str, NDArray[Any]] = {}
        for index, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
            weights[f"layer_{index}_weights"] = weight
            weights[f"layer_{index}_biases"] = bias
        return cls(
            network.description.model_dump(mode="json"),
            weights,
            {"features": network.features, "labels": network.labels},
        )

    def write(self, folder: Path) -> Path:
        """Write ``network.json``, ``weights.npz`` and ``test.npz``."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "network.json").write_text(json.dumps(self.description))
        (folder / "weights.npz").write_bytes(npz_bytes(self.weights))
        (folder / "test.npz").write_bytes(npz_bytes(self.test))
        return folder


def check_message(error: CertibitError, *words: str) -> None:
    """Hold an error's text against the rule: what, where, what to do, in one line."""
    text = str(error)
    assert "\n" not in text
    assert text == f"{error.what} ({error.where}): {error.what_to_do}"
    assert all(part.strip() for part in (error.what, error.where, error.what_to_do))
    for word in words:
        assert word in text, f"{word!r} is not in {text!r}"


def snapshot(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder with its content."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
