"""Measured coverage of the radii: how many draws of the seeds stay inside, block by block.

One draw of the seeds is one trial, whatever number of outputs it has: they are not independent.
`pytest -s` shows the table.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from model.bounds import hoeffding_half_width
from model.design_bounds import bound_layers
from model.gate_bounds import kl_chernoff_radius
from model.gates import or_add, or_expected
from model.manifest import LayerStructure, LfsrSource
from model.sequences import source_sequence
from model.source_choice import Adder, Encoding, SourceKind, choose_sources
from model.spiking import CycleLayer

pytestmark = pytest.mark.slow

CONFIDENCE = 0.95
DRAWS = 200
LENGTH, WIDTH, FAN_IN, OUTPUTS = 128, 5, 9, 4


def least_inside(draws: int) -> int:
    """Return how many draws at least are inside, but for one case in a million (Hoeffding)."""
    return math.floor(draws * (CONFIDENCE - math.sqrt(math.log(1e6) / (2 * draws))))


def draw(
    rng: np.random.Generator, kind: SourceKind, encoding: Encoding, adder: Adder, lif: bool
) -> tuple[float, float]:
    """Draw seeds, weights and an input; return the largest error and the radius."""
    top = 1 << WIDTH
    low = 0 if encoding == "unipolar" else -top
    weights = rng.integers(low, top + 1, (OUTPUTS, FAN_IN)).astype(np.int32)
    sources = choose_sources(
        kind,
        weights,
        LENGTH,
        WIDTH,
        input_signed=encoding != "unipolar",
        generator=rng,
        encoding=encoding,
        adder=adder,
    )
    neuron = None
    if lif:
        reach = LENGTH * 64 * 32
        neuron = {
            "width": reach.bit_length() + 2,
            "fraction_bits": 5,
            "gain": 32,
            "leak": 0,
            "leak_shift": 0,
            "threshold": 128,
            "reset": "subtract",
            "reset_value": 0,
            "refractory": 0,
            "floor": -(1 << (reach.bit_length() + 1)),
        }
    layer = LayerStructure.model_validate(
        {
            "name": "layer",
            "fan_in": FAN_IN,
            "outputs": OUTPUTS,
            "bitstream_length": LENGTH,
            "input_signed": encoding != "unipolar",
            "encoding": encoding,
            "adder": adder,
            "activation": "lif" if lif else "none",
            "scale_exponent": 0,
            "accumulator_width": 32,
            "x_source": sources.x,
            "w_source": sources.w,
            "select_source": sources.select,
            "lif": neuron,
        }
    )
    biases = np.zeros(OUTPUTS, dtype=np.int64)
    (bound,) = bound_layers([layer], [weights], [biases], [np.zeros(OUTPUTS)], WIDTH, CONFIDENCE, 1)
    x = rng.integers(low + 1 if low else 0, top, (1, FAN_IN))
    counts = CycleLayer(layer, weights, biases, WIDTH).counts(x)[0]
    exact = weights @ x[0] / 4**WIDTH
    if layer.lif is not None:
        exact = np.clip(exact * layer.lif.gain / layer.lif.threshold, 0, 1)
    return float(np.abs(counts / LENGTH - exact).max()), bound.hoeffding.radius


CASES: list[tuple[SourceKind, Encoding, Adder, bool]] = [
    ("lfsr", "unipolar", "parallel-counter", False),
    ("lfsr", "bipolar", "parallel-counter", False),
    ("lfsr-lane", "sign-magnitude", "parallel-counter", False),
    ("lfsr-lane", "bipolar", "parallel-counter", False),
    ("lfsr-sng", "sign-magnitude", "parallel-counter", False),
    ("lfsr-rotated", "sign-magnitude", "parallel-counter", False),
    ("lfsr-galois", "sign-magnitude", "parallel-counter", False),
    ("lfsr-shift", "sign-magnitude", "parallel-counter", False),
    ("lfsr", "unipolar", "mux", False),
    ("lfsr", "bipolar", "mux", False),
    ("lfsr-lane", "sign-magnitude", "mux", False),
    ("lfsr-shift", "sign-magnitude", "mux", False),
    ("lfsr", "sign-magnitude", "parallel-counter", True),
    ("lfsr-lane", "bipolar", "parallel-counter", True),
]


@pytest.mark.parametrize(("kind", "encoding", "adder", "lif"), CASES)
def test_layers(kind: SourceKind, encoding: Encoding, adder: Adder, lif: bool) -> None:
    rng = np.random.default_rng([DRAWS, *map(ord, kind + encoding + adder)])
    drawn = [draw(rng, kind, encoding, adder, lif) for _ in range(DRAWS)]
    inside = sum(error <= radius for error, radius in drawn)
    errors, radii = zip(*drawn, strict=True)
    print(
        f"{kind:13} {encoding:15} {adder:17} {'lif' if lif else '':4} coverage {inside / DRAWS:.3f}"
        f" at {CONFIDENCE}, largest error {max(errors):.3f}, radius {max(radii):.3f}"
    )
    assert inside >= least_inside(DRAWS)
    # The check can fail: of the error's own size most radii are broken.
    typical = float(np.median(errors))
    assert sum(error <= typical for error in errors) < least_inside(DRAWS)


def words(rng: np.random.Generator, lanes: int) -> NDArray[np.int32]:
    """Draw the words of leap-ahead registers."""
    source = LfsrSource(
        width=16,
        taps=[16, 15, 13, 4],
        step=16,
        sharing="lane",
        seeds=[int(seed) for seed in rng.integers(1, 1 << 16, lanes)],
        xor_constants=[0],
    )
    return source_sequence(source, LENGTH, WIDTH)


def test_or_adder() -> None:
    """Bernoulli of 1 - prod(1 - p), at its own Hoeffding and KL-Chernoff radius."""
    rng = np.random.default_rng(77)
    failure = 1 - CONFIDENCE
    inside = {"hoeffding": 0, "kl-chernoff": 0}
    for _ in range(DRAWS):
        levels = rng.integers(0, 1 << (WIDTH - 2), 5)
        streams = words(rng, 5) < levels[:, None]
        expected = float(or_expected(levels / (1 << WIDTH)))
        mean = float(or_add(streams[None])[0].mean())
        inside["hoeffding"] += abs(mean - expected) <= hoeffding_half_width(LENGTH, failure)
        below, above = kl_chernoff_radius(expected, LENGTH, failure)
        inside["kl-chernoff"] += bool(-below <= mean - expected <= above)
    for name, number in inside.items():
        print(f"or adder, {name:12} coverage {number / DRAWS:.3f} at {CONFIDENCE}")
        assert number >= least_inside(DRAWS)


def test_the_plain_radius_is_broken_by_a_register_that_shifts_one_bit() -> None:
    """Why `lfsr-shift` has a wider one."""
    rng = np.random.default_rng(3)
    draws = 2000
    radius = hoeffding_half_width(LENGTH, 1 - CONFIDENCE)
    source = LfsrSource(
        width=16,
        taps=[16, 15, 13, 4],
        step=1,
        sharing="lane",
        seeds=[int(seed) for seed in rng.integers(1, 1 << 16, draws)],
        xor_constants=[0],
    )
    means = (source_sequence(source, LENGTH, 8) < 85).mean(axis=1)
    broken = int((np.abs(means - 85 / 256) > radius).sum())
    wider = hoeffding_half_width(LENGTH // 8, 1 - CONFIDENCE)
    print(f"one bit a cycle: {broken / draws:.3f} beyond the plain radius of {1 - CONFIDENCE:.2f}")
    assert broken / draws > 1 - CONFIDENCE
    assert not (np.abs(means - 85 / 256) > wider).any()
