"""The same network as an 8-bit multiply-accumulate design, to compare faults with.

Its operands, weights and biases are the stochastic design's own integers, its streams, registers
and re-encoding the same modules; only the layers are plain binary arithmetic, and exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.errors import InputError
from model.files import write_bytes_atomically
from model.forward import reencode_counts
from model.plan import Design
from tb.harness import AXIL_INPUTS, AXIL_OUTPUTS
from tb.rendering import render_template

BINARY_TOP = "binary_top"
BINARY_LAYER_SOURCE = Path(__file__).resolve().parent / "verilog" / "binary_layer.v"


@dataclass(frozen=True)
class _BinaryLayer:
    """What the template needs of a layer; numbers that are wider than 32 bits as sized literals."""

    fan_in: int
    outputs: int
    width: int
    acc_width: int
    index_width: int
    shift: int
    magnitude: str
    sign: str
    preload: str


def check_comparable(design: Design) -> None:
    """Refuse networks that have no such binary counterpart.

    Raises
    ------
    InputError
        If layers do more than clip, have one input, or the last one does not give sums.
    """
    layers = design.manifest.layers
    inner = {layer.activation for layer in layers[:-1]}
    if not inner <= {"clip"} or layers[-1].activation != "none":
        raise InputError(
            "the binary design that faults are compared with knows clipped neurons and sums as"
            " outputs only",
            design.manifest.network,
            "leave it out with --no-binary",
        )
    if min(layer.fan_in for layer in layers) < 2:
        raise InputError(
            "the binary design that faults are compared with needs layers of two inputs or more",
            design.manifest.network,
            "leave it out with --no-binary",
        )


def binary_biases(design: Design, index: int) -> NDArray[np.int64]:
    """Return a layer's biases in units of the binary sums, 2**-(2K)."""
    layer = design.manifest.layers[index]
    unit = 1 << 2 * design.manifest.operand_width
    biases = design.parameters.biases[index].astype(np.int64)
    rounded: NDArray[np.int64] = (2 * biases * unit + layer.bitstream_length) // (
        2 * layer.bitstream_length
    )
    return rounded


def binary_counts(design: Design, features: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the output sums of the binary design, in integer arithmetic.

    Parameters
    ----------
    design : Design
        The design.
    features : numpy.ndarray
        Shape (vectors, fan_in), signed magnitudes.

    Returns
    -------
    numpy.ndarray
        Shape (vectors, outputs), in units of 2**-(2K).
    """
    width = design.manifest.operand_width
    operands = features.astype(np.int64)
    for index, layer in enumerate(design.manifest.layers):
        weights = design.parameters.weights[index].astype(np.int64)
        sums: NDArray[np.int64] = operands @ weights.T + binary_biases(design, index)
        operands = reencode_counts(sums, 1 << 2 * width, width, layer.scale_exponent)
    return sums


def write_binary_design(design: Design, folder: Path) -> Path:
    """Write the top module of a network's binary design.

    Parameters
    ----------
    design : Design
        The design.
    folder : pathlib.Path
        An existing folder.

    Returns
    -------
    pathlib.Path
        The Verilog file.
    """
    check_comparable(design)
    text = render_template(
        "binary_top.v.j2",
        module=BINARY_TOP,
        layers=[_layer(design, index) for index in range(len(design.manifest.layers))],
        beat_width=16 * design.manifest.features_per_beat,
        features_per_beat=design.manifest.features_per_beat,
        axil_inputs=AXIL_INPUTS,
        axil_outputs=AXIL_OUTPUTS,
    )
    path = folder / f"{BINARY_TOP}.v"
    write_bytes_atomically(path, text.encode())
    return path


def _layer(design: Design, index: int) -> _BinaryLayer:
    layer = design.manifest.layers[index]
    width = design.manifest.operand_width
    weights = design.parameters.weights[index].astype(np.int64)
    biases = binary_biases(design, index)
    largest = int((np.abs(weights).sum(axis=1) * ((1 << width) - 1) + np.abs(biases)).max())
    acc_width = max(largest.bit_length() + 1, 2 * width + 2)
    by_lane = weights.T.reshape(-1)
    return _BinaryLayer(
        fan_in=layer.fan_in,
        outputs=layer.outputs,
        width=width,
        acc_width=acc_width,
        index_width=max((layer.fan_in - 1).bit_length(), 1),
        shift=width - layer.scale_exponent,
        magnitude=_literal([abs(int(w)) for w in by_lane], width + 1),
        sign=_literal([int(w < 0) for w in by_lane], 1),
        preload=_literal([int(b) % (1 << acc_width) for b in biases], acc_width),
    )


def _literal(words: Sequence[int], width: int) -> str:
    """Return words side by side, the first one lowest, as one sized literal."""
    bits = "".join(f"{word:0{width}b}" for word in reversed(words))
    return f"{len(bits)}'h{int(bits, 2):x}"
