"""`model.VectorizedSCLayer` against RTL: what a user computes with is what is made.

A network of one layer, or with a second one behind it where there is an activation, is planned,
generated and simulated; the layer object knows only the real weights, the source and the seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from model import VectorizedSCLayer
from model.manifest import LifNeuron
from model.plan import plan_design, save_design
from model.source_choice import Adder, Encoding, SourceKind
from rtl_gen.generator import generate_rtl
from tb.bench_support import BENCH_BUILDS
from tb.sample_networks import EVERY_TERM_NEURON, sample_network
from tb.simulate import RTL_FOLDER, simulate_layer
from tb.simulators import find_simulator

pytestmark = pytest.mark.slow

SEED = 11
WIDTH = 5


@dataclass(frozen=True)
class Case:
    """A layer under test."""

    encoding: Encoding
    adder: Adder
    source: SourceKind
    inputs: int
    neurons: int
    length: int
    lif: LifNeuron | None = None

    def __str__(self) -> str:
        """Name the case for pytest and for the build folder."""
        parts = (self.encoding, self.adder[:3], self.source.replace("-", ""), self.length)
        return "_".join(map(str, parts)) + "_leaky" * (self.lif is not None)


CASES = [
    Case("sign-magnitude", "parallel-counter", "counter-lane", 6, 4, 32),
    Case("bipolar", "mux", "lfsr-shift", 5, 3, 40),
    Case("unipolar", "parallel-counter", "lfsr-sng", 3, 5, 21, EVERY_TERM_NEURON),
    Case("sign-magnitude", "parallel-counter", "sobol", 1, 1, 1),
]


@pytest.mark.parametrize("simulator", ["icarus"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_rtl_counts_what_the_layer_counts(case: Case, simulator: str) -> None:
    spiking = case.lif is not None
    network = sample_network(
        (case.inputs, case.neurons, *[2] * spiking),
        np.random.default_rng(SEED),
        operand_bits=WIDTH,
        encoding=case.encoding,
        adder=case.adder,
        activation="lif",
        lif=case.lif,
        vectors=24,
    )
    design = plan_design(network, [case.length], case.source, SEED)
    folder = BENCH_BUILDS / "vectorized" / str(case)
    save_design(design, folder)
    generate_rtl(design, folder / RTL_FOLDER)
    run = simulate_layer(
        design, 0, folder, find_simulator(simulator), design.features, run_name="vectors"
    )
    assert run.failure is None, run.failure
    layer = VectorizedSCLayer(
        case.inputs,
        case.neurons,
        case.length,
        operand_width=WIDTH,
        encoding=case.encoding,
        adder=case.adder,
        source=case.source,
        activation="lif" if spiking else "none",
        lif=case.lif,
        seed=SEED,
        weights=network.weights[0],
        biases=network.biases[0],
    )
    assert layer.structure.sources == design.manifest.layers[0].sources
    values = design.features / (1 << WIDTH)
    assert np.array_equal(run.counts[0], layer.counts(values))
    # More than one value, or the comparison would be of constants.
    assert case.length == 1 or len(np.unique(run.counts[0])) > 3
