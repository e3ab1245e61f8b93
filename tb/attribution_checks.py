"""The parts that each layer's error is made of, for the report, and the check that they add up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray

from model.attribution import LayerParts, attribute_errors
from model.network import Network
from model.plan import Design
from tb.checks import Check, Record, verdict_of

# As many vectors are enough for shares of the error, and cheap also where neurons spike.
_VECTORS = 1000
_ROUNDING = 1e-9


class ErrorPart(Record):
    """One cause: its largest absolute value, and its root mean square."""

    cause: str
    max_abs: float
    rms: float


class AttributionRecord(Record):
    """Where the error of one layer's values comes from; the parts add up, value by value."""

    layer: str
    vectors: int
    parts: list[ErrorPart]
    total: ErrorPart


def attribution(
    network: Network, design: Design, counts: Sequence[NDArray[np.int64]]
) -> tuple[list[AttributionRecord], list[Check]]:
    """Split the measured errors of all layers by cause, and check that nothing is left over.

    Parameters
    ----------
    network : Network
        The trained network.
    design : Design
        The design made of it.
    counts : sequence of numpy.ndarray
        For each layer, shape (vectors, outputs): measured counts of the first test vectors.
    """
    manifest = design.manifest
    vectors = min(_VECTORS, len(counts[0]))
    trained = replace(network, description=network.description.restyled(manifest.layers))
    found = attribute_errors(
        trained,
        manifest,
        design.parameters,
        design.features[:vectors],
        [part[:vectors] for part in counts],
    )
    records, checks = [], []
    for layer, part in zip(manifest.layers, found, strict=True):
        records.append(
            AttributionRecord(
                layer=layer.name,
                vectors=vectors,
                parts=[
                    _part(cause.name, getattr(part.parts, cause.name))
                    for cause in fields(LayerParts)
                ],
                total=_part("total", part.measured),
            )
        )
        largest = max(records[-1].parts, key=lambda cause: cause.rms)
        held = part.gap <= _ROUNDING
        checks.append(
            Check(
                id=f"attribution-{layer.name}",
                verdict=verdict_of(held),
                detail=(
                    f"rms error {records[-1].total.rms:.4g} against the trained network, the"
                    f" largest part is {largest.cause} ({largest.rms:.4g}); "
                    + ("the parts add up" if held else f"{part.gap:.3g} is not accounted for")
                ),
            )
        )
    return records, checks


def _part(cause: str, values: NDArray[np.float64]) -> ErrorPart:
    """Summarise one part."""
    return ErrorPart(
        cause=cause,
        max_abs=float(np.abs(values).max(initial=0.0)),
        rms=float(np.sqrt((values**2).mean())),
    )
