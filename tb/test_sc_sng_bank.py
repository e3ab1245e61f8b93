"""Bench of hdl/sc_sng_bank.v: cycle by cycle, which lanes' operands the word is below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from tb.bench_support import (
    BENCH_BUILDS,
    HDL,
    SIMULATORS,
    bench_environment,
    bench_parameters,
    bench_random,
    elaborate,
)
from tb.coverage_monitors import sample_operands
from tb.planes import from_planes, to_planes
from tb.runner import run_bench
from tb.simulators import find_simulator

CLOCK_NS = 10


class TB:
    """Clock, the operands that were loaded, and a check of every cycle.

    Parameters
    ----------
    dut : Any
        Handle of an `sc_sng_bank`.
    """

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        parameters = bench_parameters()
        self.lanes = parameters["Lanes"]
        self.width = parameters["OperandWidth"]
        self.sources = 1 if parameters["SharedSource"] else self.lanes
        self.rng = bench_random("sc_sng_bank")
        assert len(dut.magnitude_i) == self.width * self.lanes
        assert len(dut.r_i) == self.width * self.sources
        assert len(dut.bit_o) == len(dut.sign_o) == self.lanes
        self.magnitudes: list[int] = []
        self.signs: list[int] = []
        dut.load_i.value = 0
        Clock(dut.clk_i, CLOCK_NS, unit="ns").start()

    def operands(self) -> list[int]:
        """Draw a magnitude for each lane, the ends of the range rather often."""
        top = (1 << self.width) - 1
        return [self.rng.choice((0, 1, top, self.rng.randint(0, top))) for _ in range(self.lanes)]

    def flags(self) -> list[int]:
        """Draw a sign for each lane."""
        return [self.rng.getrandbits(1) for _ in range(self.lanes)]

    def words(self) -> list[int]:
        """Draw a word for each source, near an operand rather often."""
        top = (1 << self.width) - 1
        near = self.rng.choice(self.magnitudes) + self.rng.choice((-1, 0, 0, 1))
        return [
            self.rng.choice((min(max(near, 0), top), self.rng.randint(0, top)))
            for _ in range(self.sources)
        ]

    async def load(self, magnitudes: Sequence[int], signs: Sequence[int]) -> None:
        """Load operands."""
        self.dut.load_i.value = 1
        self.dut.magnitude_i.value = to_planes(magnitudes, self.width)
        self.dut.sign_i.value = to_planes(signs, 1)
        await RisingEdge(self.dut.clk_i)
        self.magnitudes, self.signs = list(magnitudes), list(signs)
        self.dut.load_i.value = 0
        sample_operands("generator_operands", magnitudes, signs, self.width)
        # What stands at the inputs from now on is nothing to the bank.
        self.dut.magnitude_i.value = self.rng.getrandbits(self.width * self.lanes)
        self.dut.sign_i.value = self.rng.getrandbits(self.lanes)

    async def cycle(self, words: Sequence[int]) -> None:
        """Pass a cycle with these words; compare all bits and signs."""
        self.dut.r_i.value = to_planes(words, self.width)
        await RisingEdge(self.dut.clk_i)
        found = from_planes(int(self.dut.bit_o.value), self.lanes, 1)
        seen = list(words) * (self.lanes // self.sources)
        for lane, (bit, word, magnitude) in enumerate(
            zip(found, seen, self.magnitudes, strict=True)
        ):
            assert bit == (word < magnitude), f"lane {lane}: word {word}, operand {magnitude}"
        assert from_planes(int(self.dut.sign_o.value), self.lanes, 1) == self.signs


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def every_pair_of_word_and_operand(dut: Any) -> None:
    """Every operand meets every word (of wide operands: those about the powers of two)."""
    tb = TB(dut)
    await RisingEdge(dut.clk_i)  # at time 0
    top = (1 << tb.width) - 1
    values = list(range(top + 1))
    if tb.width > 8:
        near = {(1 << bit) + off for bit in range(tb.width + 1) for off in (-1, 0, 1)}
        values = sorted(value for value in near if value <= top)
    count = len(values)
    met: set[tuple[int, int]] = set()
    for first in range(0, count, tb.lanes):
        magnitudes = [values[(first + lane) % count] for lane in range(tb.lanes)]
        await tb.load(magnitudes, tb.flags())
        for step in range(count):
            # Neighbouring lanes are at different words where each has its own.
            words = [values[(step + 3 * lane) % count] for lane in range(tb.sources)]
            await tb.cycle(words)
            met.update(zip(magnitudes, words * (tb.lanes // tb.sources), strict=True))
    assert met == {(a, b) for a in values for b in values}


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def random_vectors(dut: Any) -> None:
    """Random operands, signs and words; loads one after another, and operands that stay long."""
    tb = TB(dut)
    await RisingEdge(dut.clk_i)
    for _ in range(60):
        await tb.load(tb.operands(), tb.flags())
        for _ in range(tb.rng.choice((0, 1, 2, 20))):
            await tb.cycle(tb.words())


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_stream_has_as_many_ones_as_the_operand_says(dut: Any) -> None:
    """Over all words each lane is one `magnitude` times: never for 0, all but once for the top."""
    tb = TB(dut)
    await RisingEdge(dut.clk_i)
    count = 1 << min(tb.width, 10)
    top = (1 << tb.width) - 1
    step = (top + 1) // count
    magnitudes = [step * (count - 1), 0, step][: tb.lanes]
    magnitudes += [step * tb.rng.randrange(count) for _ in range(tb.lanes - len(magnitudes))]
    await tb.load(magnitudes, tb.flags())
    ones = [0] * tb.lanes
    for cycle in range(count):
        await tb.cycle([step * cycle] * tb.sources)
        for lane, bit in enumerate(from_planes(int(dut.bit_o.value), tb.lanes, 1)):
            ones[lane] += bit
    assert [one * step for one in ones] == magnitudes


PARAMETER_SETS = {
    "smallest": {"Lanes": 1, "OperandWidth": 1, "SharedSource": 1},
    "one_lane": {"Lanes": 1, "OperandWidth": 4, "SharedSource": 0},
    "every_pair": {"Lanes": 16, "OperandWidth": 4, "SharedSource": 1},
    "every_pair_own_words": {"Lanes": 7, "OperandWidth": 4, "SharedSource": 0},
    "odd": {"Lanes": 3, "OperandWidth": 5, "SharedSource": 1},
    "beyond_a_word": {"Lanes": 65, "OperandWidth": 8, "SharedSource": 1},
    "beyond_a_word_own_words": {"Lanes": 65, "OperandWidth": 8, "SharedSource": 0},
    "widest": {"Lanes": 5, "OperandWidth": 15, "SharedSource": 0},
}
CASES = [("icarus", name) for name in PARAMETER_SETS] + [
    ("verilator", "every_pair_own_words"),
    ("verilator", "beyond_a_word"),
]


@pytest.mark.parametrize(("simulator", "parameter_set"), CASES)
def test_sc_sng_bank(simulator: str, parameter_set: str) -> None:
    parameters = PARAMETER_SETS[parameter_set]
    run_bench(
        name=f"sc_sng_bank_{parameter_set}",
        toplevel="sc_sng_bank",
        sources=[HDL / "sc_sng_bank.v"],
        module="tb.test_sc_sng_bank",
        simulator=find_simulator(simulator),
        build_root=BENCH_BUILDS,
        parameters=parameters,
        env=bench_environment(parameters),
    )


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({"Lanes": 0}, "Lanes_must_be_positive"),
        ({"OperandWidth": 0}, "OperandWidth_must_be_positive"),
    ],
)
def test_illegal_parameters_stop_elaboration(
    simulator: str, parameters: dict[str, int], rule: str
) -> None:
    sources = [HDL / "sc_sng_bank.v"]
    result = elaborate(find_simulator(simulator), "sc_sng_bank", sources, parameters)
    assert result.returncode != 0
    assert rule in result.stdout
