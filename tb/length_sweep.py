"""Error against bitstream length: what each layer would be worth at every other length.

By the golden model, which S1 shows to be the RTL bit for bit. Each layer stands alone, on the
inputs that it has in the design, with sources of its own kind chosen anew for every length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.counting import LayerCounter
from model.design_bounds import certificate_of
from model.errors import CertibitError
from model.forward import GoldenNetwork, next_operands
from model.manifest import CounterSource, HaltonSource, Layer, LayerStructure, SobolSource
from model.plan import Design
from model.source_choice import SourceKind, choose_sources

LENGTHS = tuple(1 << power for power in range(1, 13))
SWEPT_VECTORS = 300
# Of more words than these, the tables of a dozen lengths would take minutes.
_MOST_LANES = 1024


@dataclass(frozen=True)
class LengthPoint:
    """One layer at one length, errors in units of its weighted sum.

    Attributes
    ----------
    length : int
        Bitstream length L.
    error : float
        Largest error of the golden model on the vectors of the sweep.
    certificate : float
        The exact certificate, computed anew.
    radius : float
        The design's Hoeffding radius, carried over to this length.
    """

    length: int
    error: float
    certificate: float
    radius: float


@dataclass(frozen=True)
class LengthCurve:
    """One layer at all lengths that its kind of sources permits.

    Attributes
    ----------
    layer : str
        Its name.
    own : int
        The design's own length.
    vectors : int
        How many vectors the errors are of.
    points : tuple of LengthPoint
        By rising length; empty if there is nothing to show.
    why_not : str
        Why there is nothing to show.
    """

    layer: str
    own: int
    vectors: int
    points: tuple[LengthPoint, ...]
    why_not: str = ""


def source_kind(layer: LayerStructure) -> SourceKind:
    """Return the kind that `model.source_choice.choose_sources` calls a layer's sources.

    Parameters
    ----------
    layer : LayerStructure
        The layer.
    """
    x, w = layer.x_source, layer.w_source
    if isinstance(x, HaltonSource):
        return "halton"
    lanes = max(x.lanes, w.lanes) > 1
    if isinstance(x, CounterSource):
        return "counter-lane" if lanes else "counter"
    if isinstance(x, SobolSource):
        return "sobol-lane" if lanes else "sobol"
    if x.form == "galois":
        return "lfsr-galois"
    if x.step == 1:
        return "lfsr-shift"
    if "sng" in (x.sharing, w.sharing):
        return "lfsr-sng"
    if max(len(x.rotations), len(w.rotations)) > 1:
        return "lfsr-rotated"
    return "lfsr-lane" if lanes else "lfsr"


def sweep_lengths(design: Design, vectors: int = SWEPT_VECTORS) -> list[LengthCurve]:
    """Compute the largest error of every layer against its length.

    Parameters
    ----------
    design : Design
        The design.
    vectors : int
        How many of the first test vectors.
    """
    features = design.features[:vectors]
    counts = GoldenNetwork(design.manifest, design.parameters).counts(features)
    width = design.manifest.operand_width
    inputs: NDArray[Any] = features
    curves = []
    streamed = False
    for index, layer in enumerate(design.manifest.layers):
        why_not = ""
        if layer.lif is not None:
            why_not = "its neurons spike: their error is that of a rate, which follows no such law"
        elif streamed:
            why_not = "its inputs are the spikes of the layer before, of that layer's length"
        elif max(layer.x_source.lanes, layer.w_source.lanes) > _MOST_LANES:
            why_not = "it has a source for every synapse: certificates of all lengths take minutes"
        points: list[LengthPoint] = []
        if not why_not:
            for length in sorted({*LENGTHS, layer.bitstream_length}):
                point = _point(layer, design.parameters.weights[index], inputs, length, width)
                points += [] if point is None else [point]
        curves.append(
            LengthCurve(layer.name, layer.bitstream_length, len(features), tuple(points), why_not)
        )
        streamed = layer.streams
        if not streamed and layer.activation != "none":
            inputs = next_operands(layer, counts[index], width)
    return curves


def _point(
    layer: Layer,
    weights: NDArray[np.int32],
    inputs: NDArray[np.integer],
    length: int,
    operand_width: int,
) -> LengthPoint | None:
    """Evaluate a layer at a length; None if its kind of sources does not permit it."""
    resized: LayerStructure = layer
    if length != layer.bitstream_length:
        if isinstance(layer.x_source, CounterSource) and length & (length - 1):
            return None
        try:
            sources = choose_sources(
                source_kind(layer),
                weights,
                length,
                operand_width,
                input_signed=layer.input_signed,
                generator=np.random.default_rng(1),
                encoding=layer.encoding,
                adder=layer.adder,
            )
        except CertibitError:
            return None
        resized = layer.model_copy(
            update={
                "bitstream_length": length,
                "x_source": sources.x,
                "w_source": sources.w,
                "select_source": sources.select,
            }
        )
    # A bias is added without error, so it may be left out.
    silent = np.zeros(layer.outputs, dtype=np.int64)
    counts = LayerCounter(resized, weights, silent, operand_width).counts(inputs)
    products = inputs.astype(np.int64) @ weights.astype(np.int64).T
    error = np.abs(counts * 4**operand_width - products * length).max() / (
        length * 4**operand_width
    )
    certificate = float(certificate_of(resized, weights, operand_width).bound)
    radius = layer.hoeffding.radius * (layer.bitstream_length / length) ** 0.5
    return LengthPoint(length, float(error), certificate, radius)
