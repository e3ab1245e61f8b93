"""Networks of every encoding, adder, neuron and source against the golden model.

Whole designs with their AXI ports, in both simulators: every count of every layer, the certificates
and the radii (`tb.network_bench`), witnesses where a certificate has them, and the first vectors
bit by bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.manifest import LifNeuron
from model.plan import Design, plan_design, save_design
from model.source_choice import Adder, Encoding, SourceKind
from model.streams import evaluate_layer, next_magnitudes
from rtl_gen.generator import generate_rtl
from tb.bench_support import BENCH_BUILDS
from tb.flow import drive_witnesses
from tb.sample_networks import EVERY_TERM_NEURON, sample_network
from tb.signoff import has_witnesses, witness_errors
from tb.simulate import RTL_FOLDER, Simulation, simulate_network
from tb.simulators import find_simulator

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Style:
    """A network under test."""

    encoding: Encoding
    adder: Adder
    activation: str
    source: SourceKind
    sizes: tuple[int, ...] = (6, 5, 4, 3)
    lengths: tuple[int, ...] = (16,)
    streams: bool = False
    lif: LifNeuron | None = None
    exponent: int = -1
    operand_bits: int = 4

    def __str__(self) -> str:
        """Name the case for pytest and for the build folder."""
        neuron = self.activation + ("_leaky" if self.lif else "") + ("_streams" * self.streams)
        sizes = "x".join(map(str, self.sizes))
        lengths = "_".join(map(str, self.lengths))
        adder = "mux" if self.adder == "mux" else "pc"
        kind = self.source.replace("-", "")
        return f"{self.encoding}_{adder}_{neuron}_{kind}_{sizes}_L{lengths}"


PC: Adder = "parallel-counter"
STYLES = [
    Style("unipolar", PC, "clip", "sobol"),
    Style("unipolar", PC, "lif", "halton", lengths=(16, 8, 5)),
    Style("unipolar", PC, "step", "lfsr-shift", lengths=(33,)),
    Style("unipolar", PC, "lif", "counter", streams=True),
    Style("unipolar", "mux", "clip", "counter", lengths=(64,)),
    Style("unipolar", "mux", "lif", "sobol", lengths=(37,)),
    Style("unipolar", "mux", "lif", "lfsr", streams=True, lif=EVERY_TERM_NEURON),
    Style("bipolar", PC, "clip", "counter"),
    Style("bipolar", PC, "clip", "lfsr-sng", lengths=(20,)),
    Style("bipolar", PC, "lif", "sobol-lane", lengths=(19,)),
    Style("bipolar", PC, "step", "lfsr-rotated"),
    Style("bipolar", "mux", "clip", "halton", lengths=(50,)),
    Style("bipolar", "mux", "lif", "counter-lane", lengths=(32,)),
    Style("bipolar", "mux", "lif", "lfsr-lane", lif=EVERY_TERM_NEURON),
    Style("sign-magnitude", PC, "relu", "lfsr-galois", exponent=-4),
    Style("sign-magnitude", PC, "step", "counter"),
    Style("sign-magnitude", PC, "clip", "lfsr-rotated", lengths=(21,)),
    Style("sign-magnitude", PC, "clip", "lfsr-sng"),
    Style("sign-magnitude", PC, "lif", "counter"),
    Style("sign-magnitude", PC, "lif", "lfsr", lif=EVERY_TERM_NEURON),
    Style("sign-magnitude", PC, "lif", "sobol", streams=True, lengths=(23,)),
    Style("sign-magnitude", PC, "lif", "lfsr-sng", streams=True, lif=EVERY_TERM_NEURON),
    Style("sign-magnitude", "mux", "clip", "sobol", lengths=(64, 32, 16)),
    Style("sign-magnitude", "mux", "step", "lfsr-galois"),
    Style("sign-magnitude", "mux", "lif", "lfsr-lane", streams=True),
    # The smallest there is, and more neurons than a word of the simulators.
    Style("sign-magnitude", PC, "clip", "counter", (1, 1, 1), (1,), operand_bits=1),
    Style("unipolar", PC, "lif", "sobol", (1, 1, 1), (1,), streams=True, operand_bits=1),
    Style("bipolar", "mux", "lif", "lfsr", (1, 1, 1), (1,), operand_bits=1),
    Style("bipolar", PC, "lif", "sobol", (3, 70, 2), (8,)),
    Style("sign-magnitude", "mux", "lif", "sobol", (3, 70, 2), (9,), streams=True),
]
# A Verilator build costs seconds: the cases that differ most.
VERILATOR_STYLES = [STYLES[index] for index in (3, 12, 17, 25)]


def style_design(style: Style, folder: Path) -> Design:
    """Plan and generate a network of a style."""
    network = sample_network(
        style.sizes,
        np.random.default_rng([len(str(style)), *style.sizes]),
        operand_bits=style.operand_bits,
        scale_exponents=[style.exponent] * (len(style.sizes) - 1),
        encoding=style.encoding,
        adder=style.adder,
        activation=style.activation,
        lif=style.lif,
        streams=style.streams,
        vectors=24,
    )
    design = plan_design(network, list(style.lengths), style.source)
    save_design(design, folder)
    generate_rtl(design, folder / RTL_FOLDER)
    return design


def run_style(style: Style, simulator_name: str) -> None:
    """Play vectors and witnesses through a network; hold the first vectors to the slow model."""
    folder = BENCH_BUILDS / "styles" / str(style)
    design = style_design(style, folder)
    simulator = find_simulator(simulator_name)
    inputs = np.concatenate([design.features[:12], design.features[11::-1]])
    run = simulate_network(design, folder, simulator, inputs, run_name="vectors")
    assert run.failure is None, run.failure
    for counts in run.counts:
        # Back to back and in another order: no state leaks from vector to vector.
        assert (counts == counts[::-1]).all()
    check_bit_by_bit(design, run, 3)
    for index in range(len(design.manifest.layers)):
        if not has_witnesses(design, index):
            continue
        driven = drive_witnesses(design, index, folder, simulator)
        assert driven.simulation.failure is None, driven.simulation.failure
        certificate = design.certificate(index)
        certified = certificate.numerators / certificate.denominator
        errors = witness_errors(design, index, driven.counts)
        if design.manifest.layers[index].lif is None:
            assert (errors == certified).all()
        else:
            assert (errors <= certified).all()


def check_bit_by_bit(design: Design, run: Simulation, vectors: int) -> None:
    """Hold counts to the model that has neither tables nor matrices."""
    width = design.manifest.operand_width
    for vector in range(vectors):
        inputs: Any = run.inputs[vector]
        for index, layer in enumerate(design.manifest.layers):
            weights = design.parameters.weights[index]
            biases = design.parameters.biases[index]
            streams = evaluate_layer(layer, weights, biases, inputs, width)
            assert run.counts[index][vector].tolist() == streams.counts.tolist()
            inputs = np.array(next_magnitudes(layer, streams.counts, width))
            if layer.streams:
                inputs = streams.spikes


@pytest.mark.parametrize("simulator", ["icarus"])
@pytest.mark.parametrize(
    "style",
    [*STYLES[:4], *(pytest.param(style, marks=pytest.mark.slow) for style in STYLES[4:])],
    ids=str,
)
def test_style(style: Style, simulator: str) -> None:
    run_style(style, simulator)


@pytest.mark.parametrize("simulator", ["verilator"])
@pytest.mark.parametrize("style", VERILATOR_STYLES, ids=str)
def test_style_in_verilator(style: Style, simulator: str) -> None:
    run_style(style, simulator)
