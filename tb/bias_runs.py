"""S3: bias tests of a layer in RTL, on vectors drawn for them, with fresh seeds where it has any.

How many vectors is computed from the power that is asked for; where that would take longer than a
simulator can be asked to work, there are fewer, and the report says what they would find.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.bias import (
    bias_tests,
    expected_error,
    fresh_seeds,
    has_fresh_seeds,
    paired_bias_test,
    uniform_inputs,
    vectors_for,
    vectors_to_see,
)
from model.counting import LayerCounter, select_width
from model.errors import SignoffError
from model.manifest import Layer, LfsrSource
from model.plan import Design
from model.spiking import CycleLayer
from tb.checks import Check, Record, verdict_of
from tb.simulate import Simulation, simulate_layer
from tb.simulators import Simulator

LEVEL = 1e-3
POWER = 0.9
_PILOT = 512
_FEWEST = 64
# Counted cycles that a simulator is asked for, for each layer.
_CYCLES = {"verilator": 2_000_000, "icarus": 8_000}
# Where neurons spike: the share of vectors whose counts a defect makes wrong.
_SHARE = 0.01


class BiasTestRecord(Record):
    """One test of a layer for bias; errors in units of its weighted sum."""

    name: str
    p_value: float
    level: float
    found: float
    detectable: float
    where: str

    @property
    def held(self) -> bool:
        """Whether nothing was found."""
        return self.p_value >= self.level


class BiasRecord(Record):
    """What the bias tests of a layer could find, and what they found."""

    layer: str
    vectors: int
    vectors_asked: int
    bias_asked: float
    power: float
    level: float
    fresh_seeds: bool
    paired: bool  # with the golden model, where no expectation is known
    tests: list[BiasTestRecord]


@dataclass(frozen=True)
class BiasRun:
    """The outcome for one layer: tests, or why there are none.

    Attributes
    ----------
    record : BiasRecord or None
        The tests.
    simulation : Simulation or None
        The run that they are of.
    why_none : str
        Why there are none, where there are none.
    failed : bool
        Whether that is the design's fault.
    """

    record: BiasRecord | None
    simulation: Simulation | None = None
    why_none: str = ""
    failed: bool = False


def run_bias_tests(
    design: Design, index: int, folder: Path, simulator: Simulator, seed: int
) -> BiasRun:
    """Draw vectors, play them through one layer, and test its errors for bias.

    Parameters
    ----------
    design : Design
        The design.
    index : int
        The layer's number.
    folder : pathlib.Path
        The design's build folder, with manifest and RTL.
    simulator : Simulator
        Which simulator.
    seed : int
        From which vectors and seeds are drawn.
    """
    layers, width = design.manifest.layers, design.manifest.operand_width
    layer = layers[index]
    if index > 0 and layers[index - 1].streams:
        return BiasRun(None, why_none="its inputs are streams of the layer before")
    weights = design.parameters.weights[index]
    biases = design.parameters.biases[index]
    generator = np.random.default_rng([seed, index])
    level = LEVEL / len(layers)
    if layer.lif is not None:
        bias_asked = _SHARE / layer.bitstream_length
        asked = vectors_to_see(_SHARE, POWER)
    else:
        gain = 1 if layer.select_source is None else 1 << select_width(layer.fan_in)
        bias_asked = gain / layer.bitstream_length  # one count
        pilot = uniform_inputs(layer, _PILOT, width, generator)
        modelled = LayerCounter(layer, weights, biases, width).counts(pilot)
        errors, _ = _errors(layer, weights, biases, pilot, modelled, width)
        deviation = float(errors.std(axis=0).max())
        asked = max(_FEWEST, vectors_for(deviation, bias_asked, level / 3 / layer.outputs, POWER))
    vectors = min(asked, max(_FEWEST, _CYCLES[simulator.name] // layer.bitstream_length))
    inputs = uniform_inputs(layer, vectors, width, generator)
    seeds = _draw_seeds(layer, vectors, generator) if has_fresh_seeds(layer) else None
    try:
        run = simulate_layer(
            design, index, folder, simulator, inputs, run_name=f"bias_{index}", seeds=seeds
        )
    except SignoffError as error:
        return BiasRun(None, why_none=str(error), failed=True)
    if layer.lif is not None:
        golden = _golden_counts(layer, weights, biases, inputs, width, seeds)
        tests = [paired_bias_test(run.counts[0], golden, layer.bitstream_length, level, POWER)]
    else:
        errors, sums = _errors(layer, weights, biases, inputs, run.counts[0], width)
        tests = bias_tests(errors, sums, expected_error(layer, weights, width), level, POWER)
    record = BiasRecord(
        layer=layer.name,
        vectors=vectors,
        vectors_asked=asked,
        bias_asked=bias_asked,
        power=POWER,
        level=level,
        fresh_seeds=seeds is not None,
        paired=layer.lif is not None,
        tests=[
            BiasTestRecord(
                name=test.name,
                p_value=test.p_value,
                level=test.level,
                found=test.found,
                detectable=test.detectable,
                where=test.where,
            )
            for test in tests
        ],
    )
    return BiasRun(record, run)


def _draw_seeds(
    layer: Layer, vectors: int, generator: np.random.Generator
) -> dict[str, NDArray[np.int64]]:
    """Draw the states that a layer's registers start from, for each vector."""
    return {
        name: fresh_seeds(source, vectors, generator)
        for name, source in lfsr_sources(layer).items()
    }


def _golden_counts(
    layer: Layer,
    weights: NDArray[np.integer],
    biases: NDArray[np.integer],
    inputs: NDArray[np.integer],
    operand_width: int,
    seeds: Mapping[str, NDArray[np.int64]] | None,
) -> NDArray[np.int64]:
    """Return the golden model's counts of spiking neurons, with seeds of each vector's own."""
    if seeds is None:
        return CycleLayer(layer, weights, biases, operand_width).counts(inputs)
    registers = lfsr_sources(layer)
    counts = np.empty((len(inputs), layer.outputs), dtype=np.int64)
    for vector in range(len(inputs)):
        update = {
            f"{name}_source": source.model_copy(update={"seeds": seeds[name][vector].tolist()})
            for name, source in registers.items()
        }
        seeded = CycleLayer(layer.model_copy(update=update), weights, biases, operand_width)
        counts[vector] = seeded.counts(inputs[vector : vector + 1])[0]
    return counts


def lfsr_sources(layer: Layer) -> dict[str, LfsrSource]:
    """Return a layer's shift registers by the names of their instances: x, w, select."""
    named = {"x": layer.x_source, "w": layer.w_source, "select": layer.select_source}
    return {name: part for name, part in named.items() if isinstance(part, LfsrSource)}


def bias_check(layer: Layer, run: BiasRun) -> Check:
    """Return the check of one layer."""
    name = f"S3-bias-{layer.name}"
    if run.record is None:
        return Check(id=name, verdict="FAIL" if run.failed else "SKIPPED", detail=run.why_none)
    record = run.record
    bad = [test for test in record.tests if not test.held]
    drawn = "inputs and seeds" if record.fresh_seeds else "inputs"
    against = ", each against the golden model" if record.paired else ""
    detail = (
        f"{record.vectors} vectors of random {drawn}{against}; with probability"
        f" {record.power:g} they find a bias of "
        + ", ".join(f"{test.detectable:.2g} in {test.name}" for test in record.tests)
    )
    if record.vectors < record.vectors_asked:
        detail += (
            f" ({record.bias_asked:.2g} in every output would take {record.vectors_asked:,}"
            " vectors)"
        )
    if bad:
        detail = "; ".join(
            f"{test.name}{f' ({test.where})' if test.where else ''}: bias {test.found:.3g},"
            f" p = {test.p_value:.2g} below {test.level:.2g}"
            for test in bad
        )
    return Check(id=name, verdict=verdict_of(not bad), detail=detail)


def _errors(
    layer: Layer,
    weights: NDArray[np.integer],
    biases: NDArray[np.integer],
    inputs: NDArray[np.integer],
    counts: NDArray[np.int64],
    operand_width: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the errors of the weighted sums, and the sums without bias."""
    products = inputs.astype(np.int64) @ weights.astype(np.int64).T
    sums = products / math.ldexp(1.0, 2 * operand_width)
    return (counts - biases) / layer.bitstream_length - sums, sums
