"""Networks in which everything that a design can be occurs, for the goals of whole designs.

Every combination of encoding, adder and neuron once, and along with them every kind of source,
operand width, class of bitstream length and class of size. Vectors are played twice, forwards and
backwards; counts, certificates and radii are those of `tb.network_bench`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from model.limits import MAX_LENGTH
from model.plan import plan_design, save_design
from model.source_choice import Adder, Encoding, SourceKind
from rtl_gen.generator import generate_rtl
from tb.bench_support import BENCH_BUILDS
from tb.sample_networks import sample_network
from tb.simulate import RTL_FOLDER, simulate_network
from tb.simulators import find_simulator

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Shape:
    """A network under test; the layer behind streamed spikes may have an encoding of its own."""

    encoding: Encoding
    adder: Adder
    neuron: str
    sizes: tuple[int, ...]
    lengths: tuple[int, ...]
    source: SourceKind
    operand_bits: int
    last_encoding: Encoding | None = None
    vectors: int = 6

    def __str__(self) -> str:
        """Name the case for pytest and for the build folder."""
        sizes, lengths = "x".join(map(str, self.sizes)), "_".join(map(str, self.lengths))
        adder, source = ("mux" if self.adder == "mux" else "pc"), self.source.replace("-", "")
        neuron = self.neuron.replace(" ", "")
        return f"{self.encoding}_{adder}_{neuron}_{source}_{sizes}_L{lengths}_K{self.operand_bits}"


PC: Adder = "parallel-counter"
SHAPES = [
    Shape("unipolar", PC, "clip", (1, 2, 3), (2,), "counter", 1),
    Shape("unipolar", PC, "relu", (2, 5, 3), (4, 16), "counter-lane", 2),
    Shape("unipolar", PC, "step", (3, 4, 1), (5,), "sobol", 3),
    Shape("unipolar", PC, "lif", (6, 3, 2), (16,), "sobol-lane", 4),
    Shape("unipolar", PC, "streams", (5, 3, 2, 2), (12,), "halton", 5),
    Shape("unipolar", "mux", "clip", (4, 3, 3), (24,), "lfsr", 6),
    Shape("unipolar", "mux", "relu", (3, 3, 2), (33,), "lfsr-lane", 7),
    Shape("unipolar", "mux", "step", (5, 2, 2), (9,), "lfsr-sng", 8),
    Shape("unipolar", "mux", "lif", (2, 2, 1), (17,), "lfsr-galois", 4),
    Shape("unipolar", "mux", "streams", (3, 4, 2), (20,), "lfsr-rotated", 3),
    Shape("bipolar", PC, "clip", (4, 3, 2), (10,), "lfsr-shift", 5),
    Shape("bipolar", PC, "relu", (3, 2, 2), (32,), "counter", 6),
    Shape("bipolar", PC, "step", (66, 2, 2), (8,), "counter-lane", 2),
    Shape("bipolar", PC, "lif", (3, 66, 2), (6,), "sobol", 4),
    Shape("bipolar", PC, "streams", (4, 3, 3), (16,), "sobol", 4, "sign-magnitude"),
    Shape("bipolar", "mux", "clip", (3, 3, 3), (8,), "sobol-lane", 3),
    Shape("bipolar", "mux", "relu", (2, 3, 1), (16,), "halton", 7),
    Shape("bipolar", "mux", "step", (5, 4, 2), (11,), "lfsr", 5),
    Shape("bipolar", "mux", "lif", (4, 4, 2), (14,), "lfsr-lane", 8),
    Shape("bipolar", "mux", "streams", (3, 2, 2), (21,), "lfsr-sng", 2, "unipolar"),
    Shape("sign-magnitude", PC, "clip", (1, 1, 1), (1,), "counter", 1),
    Shape("sign-magnitude", PC, "relu", (5, 4, 3), (18,), "lfsr-galois", 6),
    Shape("sign-magnitude", PC, "step", (6, 5, 2), (64,), "counter", 7),
    Shape("sign-magnitude", PC, "lif", (3, 3, 3), (13,), "lfsr-rotated", 5),
    Shape("sign-magnitude", PC, "streams", (4, 5, 3, 2), (15,), "sobol-lane", 8),
    Shape("sign-magnitude", "mux", "clip", (5, 3, 2), (16,), "counter-lane", 8),
    Shape("sign-magnitude", "mux", "relu", (3, 5, 2), (40,), "sobol", 3),
    Shape("sign-magnitude", "mux", "step", (4, 2, 3), (7,), "lfsr-shift", 6),
    Shape("sign-magnitude", "mux", "lif", (5, 3, 3), (22,), "halton", 2),
    Shape("sign-magnitude", "mux", "streams", (2, 3, 2), (27,), "lfsr-lane", 4),
]
LONGEST = Shape("sign-magnitude", PC, "clip", (1, 1), (MAX_LENGTH,), "counter", 8, vectors=2)


def run_shape(shape: Shape, simulator_name: str) -> None:
    """Plan and generate a network, and play its vectors there and back."""
    folder = BENCH_BUILDS / "shapes" / str(shape)
    streams = shape.neuron == "streams"
    network = sample_network(
        shape.sizes,
        np.random.default_rng([len(shape.sizes), *shape.sizes, shape.operand_bits]),
        operand_bits=shape.operand_bits,
        scale_exponents=[-4 if shape.neuron == "relu" else 0] * (len(shape.sizes) - 1),
        vectors=2 * shape.vectors,  # as many as the harness has room for
        encoding=shape.encoding,
        adder=shape.adder,
        activation="lif" if streams else shape.neuron,
        streams=streams,
    )
    if shape.last_encoding is not None:
        layers = list(network.description.layers)
        layers[-1] = layers[-1].model_copy(update={"encoding": shape.last_encoding})
        weights = [*network.weights[:-1], np.abs(network.weights[-1])]
        network = replace(
            network,
            description=network.description.model_copy(update={"layers": layers}),
            weights=tuple(weights),
        )
    design = plan_design(network, shape.lengths, shape.source)
    save_design(design, folder)
    generate_rtl(design, folder / RTL_FOLDER)
    inputs = design.features[: shape.vectors]
    inputs = np.concatenate([inputs, inputs[::-1]])
    run = simulate_network(
        design, folder, find_simulator(simulator_name), inputs, run_name="vectors"
    )
    assert run.failure is None, run.failure
    for counts in run.counts:
        assert (counts == counts[::-1]).all()


@pytest.mark.parametrize("simulator", ["icarus"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shape(shape: Shape, simulator: str) -> None:
    run_shape(shape, simulator)


@pytest.mark.parametrize("simulator", ["verilator"])
def test_the_longest_bitstream(simulator: str) -> None:
    run_shape(LONGEST, simulator)
