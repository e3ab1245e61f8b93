"""S3: bias tests of a layer in RTL, on vectors drawn for them, with fresh seeds where it has any.

How many vectors is computed from the power that is asked for; where that would take longer than a
simulator can be asked to work, there are fewer, and the report says what they would find.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.activations import activate
from model.bias import (
    BiasTest,
    bias_tests,
    expected_error,
    fresh_seeds,
    has_fresh_seeds,
    two_sample_bias_tests,
    uniform_inputs,
    vectors_for,
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
# Where neurons spike: vectors of the golden model for each that is played, and its most products.
_MODELLED_SHARE = 4
_MODELLED_PRODUCTS = 1_000_000_000


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
    modelled_vectors: int = 0  # of the golden model, where no expectation is known
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
    gain = (
        1
        if layer.select_source is None or layer.lif is not None
        else 1 << select_width(layer.fan_in)
    )
    one_count = gain / layer.bitstream_length
    pilot = uniform_inputs(layer, _PILOT, width, generator)
    modelled = _golden(layer, weights, biases, width).counts(pilot)
    deviation = float(_errors(layer, weights, biases, pilot, modelled, width)[0].std(axis=0).max())
    if layer.lif is not None:
        # The other sample has a spread, too.
        deviation *= math.sqrt(1 + 1 / _MODELLED_SHARE)
    asked = max(_FEWEST, vectors_for(deviation, one_count, level / 3 / layer.outputs, POWER))
    vectors = min(asked, max(_FEWEST, _CYCLES[simulator.name] // layer.bitstream_length))
    inputs = uniform_inputs(layer, vectors, width, generator)
    seeds = _draw_seeds(layer, vectors, generator) if has_fresh_seeds(layer) else None
    try:
        run = simulate_layer(
            design, index, folder, simulator, inputs, run_name=f"bias_{index}", seeds=seeds
        )
    except SignoffError as error:
        return BiasRun(None, why_none=str(error), failed=True)
    errors, sums = _errors(layer, weights, biases, inputs, run.counts[0], width)
    tests: list[BiasTest]
    modelled_vectors = 0
    if layer.lif is None:
        expected = expected_error(layer, weights, width)
        tests = bias_tests(errors, sums, expected, level, POWER)
    else:
        products = layer.bitstream_length * layer.fan_in * layer.outputs
        modelled_vectors = max(
            _FEWEST, min(_MODELLED_SHARE * vectors, _MODELLED_PRODUCTS // products)
        )
        other = _modelled_errors(layer, weights, biases, modelled_vectors, width, generator)
        tests = two_sample_bias_tests(errors, sums, *other, level, POWER)
    record = BiasRecord(
        layer=layer.name,
        vectors=vectors,
        vectors_asked=asked,
        bias_asked=one_count,
        power=POWER,
        level=level,
        fresh_seeds=seeds is not None,
        modelled_vectors=modelled_vectors,
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


def _golden(
    layer: Layer, weights: NDArray[np.integer], biases: NDArray[np.integer], operand_width: int
) -> LayerCounter | CycleLayer:
    """Return the golden model of a layer."""
    kind = LayerCounter if layer.lif is None else CycleLayer
    return kind(layer, weights, biases, operand_width)


def _modelled_errors(
    layer: Layer,
    weights: NDArray[np.integer],
    biases: NDArray[np.integer],
    vectors: int,
    operand_width: int,
    generator: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return errors and sums of the golden model, on vectors and seeds that are drawn for it."""
    inputs = uniform_inputs(layer, vectors, operand_width, generator)
    if not has_fresh_seeds(layer):
        counts = _golden(layer, weights, biases, operand_width).counts(inputs)
        return _errors(layer, weights, biases, inputs, counts, operand_width)
    registers = lfsr_sources(layer)
    seeds = _draw_seeds(layer, vectors, generator)
    counts = np.empty((vectors, layer.outputs), dtype=np.int64)
    for vector in range(vectors):
        update = {
            f"{name}_source": source.model_copy(update={"seeds": seeds[name][vector].tolist()})
            for name, source in registers.items()
        }
        seeded = _golden(layer.model_copy(update=update), weights, biases, operand_width)
        counts[vector] = seeded.counts(inputs[vector : vector + 1])[0]
    return _errors(layer, weights, biases, inputs, counts, operand_width)


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
    against = (
        f", against {record.modelled_vectors:,} others of the golden model"
        if record.modelled_vectors
        else ""
    )
    detail = (
        f"{record.vectors} vectors of random {drawn}{against}; with probability"
        f" {record.power:g} they find a bias of "
        + ", ".join(f"{test.detectable:.2g} in {test.name}" for test in record.tests)
    )
    if record.vectors < record.vectors_asked:
        detail += (
            f" (one count, {record.bias_asked:.2g}, in every output would take"
            f" {record.vectors_asked:,} vectors)"
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
    """Return the errors of the weighted sums, or of the rates, and the sums without bias."""
    products = inputs.astype(np.int64) @ weights.astype(np.int64).T
    sums = products / math.ldexp(1.0, 2 * operand_width)
    if layer.lif is not None:
        rates = activate(layer, sums + biases / layer.lif.gain)
        return counts / layer.bitstream_length - rates, sums
    return (counts - biases) / layer.bitstream_length - sums, sums
