"""Layer benches: generated layers of chosen and of random shapes against the golden model.

The cocotb tests are in `tb.layer_bench`; they play vectors and witnesses through the layer and hold
every count and result to the model, the first ones bit by bit.
"""

from __future__ import annotations

import os
import random
import secrets
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from model.plan import Design, plan_design, save_design
from model.source_choice import SourceKind
from rtl_gen.generator import generate_rtl
from tb.bench_support import BENCH_BUILDS
from tb.flow import drive_witnesses
from tb.sample_networks import sample_network
from tb.signoff import witness_errors
from tb.simulate import RTL_FOLDER, simulate_layer
from tb.simulators import find_simulator

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Shape:
    """A layer under test: the first one of a network, or one that follows a clip layer."""

    fan_in: int
    outputs: int
    length: int
    source: SourceKind = "counter"
    operand_bits: int = 8
    signed: bool = True
    clip: bool = True
    exponent: int = 0
    vectors: int = field(default=12)

    def __str__(self) -> str:
        """Name the case for pytest and for the build folder."""
        kind = self.source.replace("-", "")
        return (
            f"{self.fan_in}x{self.outputs}_L{self.length}_K{self.operand_bits}_{kind}"
            f"_{'s' if self.signed else 'u'}{'clip' if self.clip else 'none'}_e{self.exponent + 8}"
        )


SHAPES = [
    Shape(1, 1, 2),
    Shape(1, 1, 2, clip=False),
    Shape(1, 1, 2, "lfsr", signed=False),
    Shape(1, 3, 4, operand_bits=1),
    Shape(2, 1, 3, "lfsr"),
    Shape(2, 2, 2, "counter-lane", operand_bits=2, signed=False),
    Shape(3, 5, 8, exponent=2),
    Shape(4, 1, 5, "lfsr-lane", operand_bits=3),
    Shape(5, 4, 7, "lfsr", clip=False),
    Shape(6, 9, 16, exponent=-3),
    Shape(7, 65, 32, signed=False),
    Shape(8, 3, 64, "counter-lane", exponent=1),
    Shape(9, 130, 16, "counter-lane", clip=False),
    Shape(11, 6, 100, "lfsr-lane", exponent=1),
    Shape(13, 7, 33, "lfsr", operand_bits=5, exponent=-2),
    Shape(16, 16, 1024),
    Shape(17, 4, 512, operand_bits=4, signed=False),
    Shape(31, 2, 64, operand_bits=10),
    Shape(33, 66, 37, "lfsr-lane", operand_bits=6),
    Shape(64, 3, 128, signed=False, exponent=-12),
    Shape(65, 8, 4, exponent=6),
    Shape(100, 5, 32, clip=False, signed=False),
]
# A Verilator build costs seconds: the cases that differ most.
VERILATOR_SHAPES = [SHAPES[index] for index in (0, 4, 8, 10, 13, 18)]


def layer_design(shape: Shape, folder: Path) -> tuple[Design, int]:
    """Plan and generate a network whose layer of that shape is under test.

    A layer with a clip needs one behind it that does not; an unsigned one may as well come second,
    as it does in real networks.
    """
    seed = [shape.fan_in, shape.outputs, shape.length, shape.operand_bits]
    generator = np.random.default_rng(seed)
    widths, index = [shape.fan_in, shape.outputs], 0
    if not shape.signed:
        widths, index = [2, *widths], 1
    if shape.clip:
        widths = [*widths, 1]
    exponents = [0] * (len(widths) - 1)
    exponents[index] = shape.exponent
    network = sample_network(
        widths, generator, operand_bits=shape.operand_bits, scale_exponents=exponents
    )
    design = plan_design(network, [shape.length], shape.source)
    save_design(design, folder)
    generate_rtl(design, folder / RTL_FOLDER)
    return design, index


def run_shape(shape: Shape, simulator_name: str, root: Path = BENCH_BUILDS / "layers") -> None:
    """Play random vectors and all witnesses; the witnesses must reach their certified errors."""
    folder = root / str(shape)
    design, index = layer_design(shape, folder)
    simulator = find_simulator(simulator_name)
    layer = design.manifest.layers[index]
    generator = np.random.default_rng(shape.length)
    top = (1 << shape.operand_bits) - 1
    inputs = generator.integers(-top if shape.signed else 0, top + 1, (shape.vectors, shape.fan_in))
    inputs[0], inputs[1] = top, 0
    # Back to back with the witnesses, and each vector again in reverse: no state leaks.
    witnesses = design.certificate(index).witnesses.reshape(-1, layer.fan_in)
    played = np.concatenate([inputs, witnesses, inputs[::-1]])
    run = simulate_layer(design, index, folder, simulator, played, run_name="random")
    assert run.failure is None, run.failure
    counts = run.counts[0]
    assert (counts[: shape.vectors] == counts[: -shape.vectors - 1 : -1]).all()
    measured = witness_errors(design, index, counts[shape.vectors : -shape.vectors])
    certificate = design.certificate(index)
    assert (measured == certificate.numerators / certificate.denominator).all()


@pytest.mark.parametrize("simulator", ["icarus"])
@pytest.mark.parametrize(
    "shape",
    [*SHAPES[:6], *(pytest.param(shape, marks=pytest.mark.slow) for shape in SHAPES[6:])],
    ids=str,
)
def test_layer(shape: Shape, simulator: str) -> None:
    run_shape(shape, simulator)


@pytest.mark.parametrize("simulator", ["verilator"])
@pytest.mark.parametrize("shape", VERILATOR_SHAPES, ids=str)
def test_layer_in_verilator(shape: Shape, simulator: str) -> None:
    run_shape(shape, simulator)


def random_shape(generator: random.Random) -> Shape:
    """Draw a layer that no list has thought of."""
    source: SourceKind = generator.choice(("counter", "counter-lane", "lfsr", "lfsr-lane"))
    length = generator.randint(2, 120)
    if source.startswith("counter"):
        length = 1 << generator.randint(1, 9)
    return Shape(
        fan_in=generator.randint(1, 24),
        outputs=generator.randint(1, 70),
        length=length,
        source=source,
        operand_bits=generator.randint(1, 8),
        signed=generator.random() < 0.5,
        clip=generator.random() < 0.7,
        exponent=generator.randint(-4, 4),
    )


@pytest.mark.slow
@pytest.mark.parametrize("simulator", ["icarus"])
@pytest.mark.parametrize("draw", range(4))
def test_random_layer(draw: int, simulator: str, tmp_path: Path) -> None:
    """Fresh shapes in every run; COCOTB_RANDOM_SEED, which a failure names, repeats one."""
    seed = int(os.environ.get("COCOTB_RANDOM_SEED") or secrets.randbits(31))
    shape = random_shape(random.Random(f"{seed}/{draw}"))
    print(f"COCOTB_RANDOM_SEED={seed} draws {shape}")
    run_shape(shape, simulator, tmp_path)


@pytest.mark.parametrize("simulator", ["icarus"])
def test_first_layers_witnesses_reach_their_errors_through_the_whole_network(
    simulator: str,
) -> None:
    folder = BENCH_BUILDS / "layers" / "whole"
    network = sample_network((7, 5, 3), np.random.default_rng(3))
    design = plan_design(network, [32])
    save_design(design, folder)
    generate_rtl(design, folder / RTL_FOLDER)
    run = drive_witnesses(design, 0, folder, find_simulator(simulator))
    assert run.simulation.failure is None, run.simulation.failure
    certificate = design.certificate(0)
    certified = certificate.numerators / certificate.denominator
    assert (witness_errors(design, 0, run.counts) == certified).all()
