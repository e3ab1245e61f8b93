"""Sign-off of number source, SNG, multiplier and counter: every pair of operands there is.

One harness holds a unit for each pair of sources: a counter and its reverse with operands of 8
bits at L = 256, the same with operands of 6 bits at every power of two up to 4096, and pairs of
leap-ahead LFSRs. All counts of AND and XNOR gates equal the golden counting tables. The radii of
the theory are then held against these tables.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.triggers import RisingEdge, Timer
from numpy.typing import NDArray

from model.bounds import hoeffding_half_width
from model.correlation import level_counts
from model.counting import counting_table
from model.files import write_bytes_atomically
from model.lfsr import maximal_taps
from model.manifest import LfsrSource
from model.sequences import counter_sequence, source_sequence
from tb.bench_support import BENCH_BUILDS, HDL
from tb.block_bench import numbers_of
from tb.planes import literal, to_planes
from tb.rendering import render_template
from tb.runner import run_bench
from tb.simulators import find_simulator

HARNESS = "multiplier_pairs"
MODULES = (
    "sc_counter_source",
    "sc_lfsr_source",
    "sc_sng_bank",
    "sc_weight_bank",
    "sc_multiplier_bank",
    "sc_stochastic_counter",
)
CONFIDENCE = 0.95
LFSR_WIDTH = 16


@dataclass(frozen=True)
class Unit:
    """A pair of sources and the operands that it is tried with.

    Attributes
    ----------
    number : int
        Its number in the harness.
    width : int
        Operand width K in bits.
    length : int
        Bitstream length L, cycles.
    lanes : int
        Inputs that are played at once.
    constant : int
        XOR constant of the reversed counter.
    seeds : tuple of int
        Of two LFSRs; empty for a pair of counters.
    """

    number: int
    width: int
    length: int
    lanes: int
    constant: int = 0
    seeds: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """For messages."""
        kind = f"LFSRs {self.seeds}" if self.seeds else f"counters ^ {self.constant}"
        return f"{kind}, K = {self.width}, L = {self.length}"

    @property
    def counter_width(self) -> int:
        """Of the cycle counter: in one cycle it stays at 0."""
        return max(1, (self.length - 1).bit_length())

    @property
    def count_width(self) -> int:
        """The fewest bits that hold L."""
        return self.length.bit_length()

    @property
    def shape(self) -> tuple[int, int]:
        """Of a table of all pairs."""
        return 1 << self.width, (1 << self.width) + 1

    @property
    def weights(self) -> str:
        """Every weight in each lane."""
        planes = to_planes(list(range(self.shape[1])) * self.lanes, self.width + 1)
        return literal(planes, (self.width + 1) * self.lanes * self.shape[1])

    def sequences(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return the words of the two sources."""
        if self.seeds:
            x, w = (lfsr_words(seed, self.length, self.width) for seed in self.seeds)
            return x, w
        if self.length == 1:
            return np.zeros(1, np.int32), np.full(1, self.constant, np.int32)
        x, w = (counter_sequence(self.length, self.width, reverse=r) for r in (False, True))
        return x, w ^ np.int32(self.constant)

    @cached_property
    def tables(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The golden counts of all pairs, of the AND and of the XNOR gate."""
        return golden_tables(*self.sequences(), self.width)


def lfsr_words(seed: int, length: int, width: int) -> NDArray[np.int32]:
    """Return the words of a leap-ahead LFSR."""
    source = LfsrSource(
        width=LFSR_WIDTH,
        taps=list(maximal_taps(LFSR_WIDTH)),
        seeds=[seed],
        step=LFSR_WIDTH,
        sharing="layer",
        xor_constants=[0],
    )
    words: NDArray[np.int32] = source_sequence(source, length, width)[0]
    return words


def golden_tables(
    x: NDArray[np.int32], w: NDArray[np.int32], width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how often streams of all pairs are both one, and how often they are the same."""
    both = counting_table(x, w, width).astype(np.int64)
    # Same = both one or both zero.
    same = len(x) - both[:, -1:] - level_counts(w, width) + 2 * both
    return both, same


def errors(
    both: NDArray[np.int64], same: NDArray[np.int64], length: int, width: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the errors of all pairs: of the unipolar product, and of the bipolar one."""
    levels = 1 << width
    x, w = np.arange(levels)[:, None] / levels, np.arange(levels + 1) / levels
    return both / length - x * w, (2 * same / length - 1) - (2 * x - 1) * (2 * w - 1)


def units(seeds: list[tuple[int, int]], simulator: str = "icarus") -> list[Unit]:
    """Return what the harness holds.

    Icarus pays for each operation, however wide; Verilator for the code that wide ones make.
    """
    lanes = {6: 64, 8: 16} if simulator == "icarus" else {6: 1, 8: 1}
    found = [Unit(0, 8, 256, lanes[8], 15)]
    for power in range(13):
        # No palindrome: it would not tell a constant from its reverse.
        found.append(Unit(len(found), 6, 1 << power, lanes[6], 0b001101))
    for pair in seeds:
        found.append(Unit(len(found), 8, 256, lanes[8], seeds=pair))
    return found


def draw_seeds(rng: np.random.Generator, count: int) -> list[tuple[int, int]]:
    """Draw seeds for pairs of LFSRs, two different states each."""
    drawn = [rng.choice((1 << LFSR_WIDTH) - 1, 2, replace=False) + 1 for _ in range(count)]
    return [(int(x), int(w)) for x, w in drawn]


def fresh_seed() -> int:
    """Return a new seed, or that of the run to repeat."""
    return int(os.environ.get("COCOTB_RANDOM_SEED") or secrets.randbits(31))


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def play(dut: Any) -> None:
    """Let the harness play everything."""
    dut.rst_n.value = 0
    dut.play.value = 0
    await Timer(20, unit="ns")
    dut.rst_n.value = 1
    dut.play.value = 1
    await RisingEdge(dut.ended)
    await Timer(20, unit="ns")
    assert int(dut.ended.value) == 1


def write_harness(folder: Path, held: list[Unit]) -> Path:
    """Write the harness."""
    text = render_template(
        f"{HARNESS}.v.j2",
        units=held,
        lfsr_width=LFSR_WIDTH,
        taps=sum(1 << (tap - 1) for tap in maximal_taps(LFSR_WIDTH)),
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{HARNESS}.v"
    write_bytes_atomically(path, text.encode())
    return path


def read_counts(path: Path, unit: Unit) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the counts of both gates that a unit recorded, shape (inputs, weights)."""
    pairs = unit.lanes * unit.shape[1]
    found = [
        [numbers_of(int(word, 16), pairs, unit.count_width) for word in line.split()]
        for line in path.read_text().splitlines()
    ]
    both, same = (
        np.concatenate(batches).reshape(unit.shape) for batches in zip(*found, strict=True)
    )
    return both, same


@pytest.mark.slow
@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
def test_counts_of_all_pairs_equal_golden(simulator: str, tmp_path: Path) -> None:
    # Fresh seeds are another build each time, which only Icarus makes in no time.
    seed = fresh_seed() if simulator == "icarus" else 1
    root = tmp_path if simulator == "icarus" else BENCH_BUILDS
    print(f"seed {seed}")
    held = units(draw_seeds(np.random.default_rng(seed), 2), simulator)
    harness = write_harness(root / "wrappers" / HARNESS, held)
    result = run_bench(
        name=HARNESS,
        toplevel=HARNESS,
        sources=[harness, *(HDL / f"{module}.v" for module in MODULES)],
        module="tb.test_multiplier_pairs",
        simulator=find_simulator(simulator),
        build_root=root,
        seed=seed,
    )
    print(f"{simulator}: build {result.seconds_build:.1f} s, run {result.seconds_sim:.1f} s")
    for unit in held:
        recorded = read_counts(result.run_dir / f"unit_{unit.number}.hex", unit)
        for gate, found, golden in zip(("AND", "XNOR"), recorded, unit.tables, strict=True):
            wrong = np.argwhere(found != golden)
            assert not len(wrong), (
                f"{unit.name}, {gate}, seed {seed}: {len(wrong)} of {golden.size} counts differ, "
                f"first x = {wrong[0][0]}, w = {wrong[0][1]}: RTL {found[tuple(wrong[0])]}, "
                f"golden {golden[tuple(wrong[0])]}"
            )


@pytest.mark.parametrize("unit", units([]), ids=lambda unit: unit.name)
def test_counters_stay_within_the_radius_at_all_pairs_at_once(unit: Unit) -> None:
    both, same = errors(*unit.tables, unit.length, unit.width)
    radius = hoeffding_half_width(unit.length, (1 - CONFIDENCE) / both.size)
    shares = [float((np.abs(e) <= r).mean()) for e, r in ((both, radius), (same, 2 * radius))]
    largest = [float(np.abs(error).max()) for error in (both, same)]
    print(
        f"{unit.name}: largest error AND {largest[0]:.6f} of {radius:.6f}, "
        f"XNOR {largest[1]:.6f} of {2 * radius:.6f}; coverage {shares[0]}, {shares[1]}"
    )
    assert shares == [1.0, 1.0]


def box_discrepancy(x: NDArray[np.int32], w: NDArray[np.int32], width: int) -> float:
    """Return the largest distance of a box's share of the points from its area, box by box.

    Boxes begin at 0 and end at operands, which are all the ends that a comparator can tell apart.
    """
    levels = 1 << width
    worst = 0
    for a in range(levels):
        inside = np.sort(w[x < a])
        counts = np.searchsorted(inside, np.arange(levels + 1), side="left")
        off = np.abs(counts * levels**2 - len(x) * a * np.arange(levels + 1))
        worst = max(worst, int(off.max()))
    return worst / (len(x) * levels**2)


def test_the_largest_error_is_the_discrepancy_of_the_sources() -> None:
    unit = units([])[0]
    both, _ = errors(*unit.tables, unit.length, unit.width)
    assert np.abs(both).max() == pytest.approx(box_discrepancy(*unit.sequences(), 8), abs=1e-15)
    assert np.abs(both).max() == pytest.approx(0.005615, abs=5e-7)
    # The constant is worth its inverters: without it the error is twice as large.
    plain = Unit(0, 8, 256, 16)
    without, _ = errors(*plain.tables, plain.length, plain.width)
    assert np.abs(without).max() == pytest.approx(0.0108, abs=5e-5)


def test_lfsrs_keep_the_radius_at_all_pairs_at_once_as_often_as_promised() -> None:
    trials, width, length = 400, 8, 256
    seed = fresh_seed()
    family = (1 << width) * ((1 << width) + 1)
    radius = hoeffding_half_width(length, (1 - CONFIDENCE) / family)
    largest = np.empty((trials, 2))
    for trial, pair in enumerate(draw_seeds(np.random.default_rng(seed), trials)):
        x, w = (lfsr_words(state, length, width) for state in pair)
        found = errors(*golden_tables(x, w, width), length, width)
        largest[trial] = [np.abs(error).max() for error in found]
    # A trial is a pair of seeds: all pairs of operands share it.
    coverage = (largest <= [radius, 2 * radius]).mean(axis=0)
    print(
        f"seed {seed}, {trials} pairs of LFSRs: coverage AND {coverage[0]}, XNOR {coverage[1]}; "
        f"largest error, median {np.median(largest, axis=0)}, worst {largest.max(axis=0)}, "
        f"radius {radius:.4f}"
    )
    assert (coverage >= CONFIDENCE).all(), f"seed {seed}"
    # Nor is the radius beyond all measure.
    assert largest[:, 0].max() > radius / 3
