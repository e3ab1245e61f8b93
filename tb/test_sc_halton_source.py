"""Bench of hdl/sc_halton_source.v: the words, cycle by cycle, and where rounding is closest.

Every cycle is held to the radical inverse in fractions; whole streams to the golden model's too.
Counts that no simulation reaches are put into the registers.
"""

from __future__ import annotations

from fractions import Fraction
from math import floor
from typing import Any

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer

from model.manifest import HaltonSource
from model.streams import source_words
from tb.bench_support import (
    BENCH_BUILDS,
    HDL,
    SIMULATORS,
    bench_environment,
    bench_parameters,
    bench_random,
    elaborate,
)
from tb.coverage_monitors import sample_outputs
from tb.planes import literal
from tb.runner import run_bench
from tb.simulators import find_simulator

pytestmark = pytest.mark.slow

CLOCK_NS = 10


class CountModel:
    """The cycle's number, and its radical inverse as a fraction."""

    def __init__(self, parameters: dict[str, int]) -> None:
        self.base = parameters["Base"]
        self.digits = parameters["Digits"]
        self.operand_width = parameters["OperandWidth"]
        self.constant = parameters["XorConstant"]
        self.period = int(self.base**self.digits)
        self.count = 0

    def digit(self, place: int) -> int:
        """Return a digit of the cycle's number."""
        return int(self.count // self.base**place % self.base)

    def word(self) -> int:
        """Return the word of this cycle."""
        inverse = Fraction(0)
        for place in range(self.digits):
            inverse += Fraction(self.digit(place), self.base ** (place + 1))
        return floor(inverse * (1 << self.operand_width)) ^ self.constant

    def advance(self) -> None:
        """Pass a cycle."""
        self.count = (self.count + 1) % self.period

    def mirrored(self, number: int) -> int:
        """Return the number whose digits are another one's, last digit first."""
        other = 0
        for place in range(self.digits):
            other = other * self.base + number // self.base**place % self.base
        return other


class TB:
    """Clock, reset, and a check of every cycle against the model.

    Parameters
    ----------
    dut : Any
        Handle of an `sc_halton_source`.
    """

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.model = CountModel(bench_parameters())
        self.rng = bench_random("sc_halton_source")
        assert len(dut.word_o) == self.model.operand_width
        dut.rst_ni.value = 0
        dut.restart_i.value = 0
        dut.advance_i.value = 0
        Clock(dut.clk_i, CLOCK_NS, unit="ns").start()

    async def reset(self) -> None:
        """Hold the reset for some cycles; the first word is there at once."""
        self.dut.rst_ni.value = 0
        self.model.count = 0
        for advance in (0, 1, 1, 0):
            self.dut.advance_i.value = advance
            await RisingEdge(self.dut.clk_i)
        assert self.word() == self.model.word()
        self.dut.rst_ni.value = 1

    def word(self) -> int:
        """Read the word."""
        word = int(self.dut.word_o.value)
        sample_outputs([word], self.model.operand_width)
        return word

    async def cycle(self, *, advance: bool = True, restart: bool = False) -> int:
        """Pass a cycle; return its word, which is checked."""
        self.dut.advance_i.value = advance
        self.dut.restart_i.value = restart
        await RisingEdge(self.dut.clk_i)
        word = self.word()
        assert word == self.model.word(), f"count {self.model.count}"
        if restart:
            self.model.count = 0
        elif advance:
            self.model.advance()
        return word

    async def put(self, count: int) -> None:
        """Set the registers as they are when the source has counted that far."""
        model = self.model
        model.count = count
        sum_width = len(self.dut.sum_q)
        digit_width = len(self.dut.digits_q) // model.digits
        digits = total = 0
        for place in range(model.digits):
            digit = model.digit(place)
            digits |= digit << (place * digit_width)
            total += digit * -(-(1 << sum_width) // model.base ** (place + 1))
        self.dut.advance_i.value = 0
        self.dut.restart_i.value = 0
        await RisingEdge(self.dut.clk_i)
        self.dut.digits_q.value = digits
        self.dut.sum_q.value = total
        await Timer(1, "ns")


async def start(dut: Any) -> TB:
    """Make a test bench, out of reset."""
    tb = TB(dut)
    await tb.reset()
    return tb


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def the_stream_is_the_golden_models(dut: Any) -> None:
    """After a restart come the words of the bit-by-bit model; a period later they come again."""
    tb = await start(dut)
    for _ in range(5):
        await tb.cycle()
    await tb.cycle(restart=True, advance=False)
    length = min(2 * tb.model.period + 3, 700)
    words = [await tb.cycle() for _ in range(length)]
    source = HaltonSource(
        base=tb.model.base,
        digits=tb.model.digits,
        sharing="layer",
        xor_constants=[tb.model.constant],
    )
    golden = source_words(source, length, tb.model.operand_width, lanes=1)
    assert words == [word for (word,) in golden]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def every_vector_sees_the_same_words(dut: Any) -> None:
    """A restart at any point of the stream begins it anew, whether or not it was to advance."""
    tb = await start(dut)
    first = [await tb.cycle() for _ in range(12)]
    for length in range(1, 12):
        await tb.cycle(restart=True, advance=length % 2 == 0)
        assert [await tb.cycle() for _ in range(length)] == first[:length]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def it_holds_without_advance(dut: Any) -> None:
    """The word stays for as many cycles as nobody advances."""
    tb = await start(dut)
    for pause in (0, 1, 2, 5):
        words = {await tb.cycle(advance=False) for _ in range(pause)}
        assert words <= {await tb.cycle()}


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_acts_without_a_clock_edge(dut: Any) -> None:
    """In mid-stream, the first word is there as soon as the reset falls, and stays."""
    tb = await start(dut)
    for cycles in (1, 2, 7):
        for _ in range(cycles):
            await tb.cycle()
        await Timer(2, "ns")
        dut.rst_ni.value = 0
        await Timer(1, "ns")
        assert tb.word() == tb.model.constant
        await tb.reset()
        assert await tb.cycle() == tb.model.constant


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def anything_at_any_time(dut: Any) -> None:
    """Random restarts, pauses and resets."""
    tb = await start(dut)
    for _ in range(1000):
        if tb.rng.random() < 0.005:
            await tb.reset()
        await tb.cycle(advance=tb.rng.random() < 0.8, restart=tb.rng.random() < 0.02)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def every_carry(dut: Any) -> None:
    """From any count at which so many digits are to be reset, and on."""
    tb = await start(dut)
    model = tb.model
    for place in range(model.digits + 1):
        for _ in range(8):
            low = model.base**place
            count = tb.rng.randrange(model.period // low) * low + low - 1
            await tb.put(count)
            for _ in range(3):
                await tb.cycle()


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def values_just_below_and_on_a_step(dut: Any) -> None:
    """Where rounding is decided by the last digit: inverses closest below a multiple of 2**-K.

    The fraction that is left of numerator * 2**K / period is any that one likes, because 2**K and
    an odd period have no common factor: here the largest ones and the smallest.
    """
    tb = await start(dut)
    model = tb.model
    if model.base == 2:
        numerators = [
            (step << max(model.digits - model.operand_width, 0)) - below
            for step in range(1, 1 << min(model.digits, model.operand_width, 5))
            for below in (0, 1)
        ]
    else:
        inverse = pow(2**model.operand_width, -1, model.period)
        numerators = [left * inverse % model.period for left in (*range(-40, 0), *range(20))]
    for numerator in numerators:
        await tb.put(model.mirrored(numerator))
        await tb.cycle(advance=False)
        for _ in range(2):
            await tb.cycle()


def _source(base: int, digits: int, operand_width: int, constant: int = 0) -> dict[str, int]:
    return {
        "Base": base,
        "Digits": digits,
        "OperandWidth": operand_width,
        "XorConstant": constant,
    }


PARAMETER_SETS = {
    "smallest": _source(2, 1, 1),
    "smallest_3": _source(3, 1, 1, 1),
    "smallest_5": _source(5, 1, 1),
    "binary": _source(2, 8, 8, 0x0F),
    "binary_long": _source(2, 9, 5),
    "odd": _source(3, 5, 7, 0x55),
    "usual": _source(3, 6, 8),
    "usual_5": _source(5, 4, 8, 0xA5),
    "short_word": _source(5, 6, 3),
    "widest_2": _source(2, 20, 32, 0x8000_0001),
    "widest_3": _source(3, 20, 32),
    "widest_5": _source(5, 20, 32, 0xFFFF_FFFF),
    "longest_operands": _source(5, 9, 11),
}
CASES = [("icarus", name) for name in PARAMETER_SETS] + [
    ("verilator", "usual"),
    ("verilator", "binary_long"),
    ("verilator", "widest_5"),
]


@pytest.mark.parametrize(("simulator", "parameter_set"), CASES)
def test_sc_halton_source(simulator: str, parameter_set: str) -> None:
    parameters = PARAMETER_SETS[parameter_set]
    constant = literal(parameters["XorConstant"], parameters["OperandWidth"])
    run_bench(
        name=f"sc_halton_source_{parameter_set}",
        toplevel="sc_halton_source",
        sources=[HDL / "sc_halton_source.v"],
        module="tb.test_sc_halton_source",
        simulator=find_simulator(simulator),
        build_root=BENCH_BUILDS,
        parameters={**parameters, "XorConstant": constant},
        env=bench_environment(parameters),
    )


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({"Base": 1}, "Base_must_be_2_3_or_5"),
        ({"Base": 4}, "Base_must_be_2_3_or_5"),
        ({"Base": 7}, "Base_must_be_2_3_or_5"),
        ({"Digits": 0}, "Digits_must_be_1_to_20"),
        ({"Digits": 21}, "Digits_must_be_1_to_20"),
        ({"OperandWidth": 0}, "OperandWidth_must_be_1_to_32"),
        ({"OperandWidth": 33}, "OperandWidth_must_be_1_to_32"),
    ],
)
def test_illegal_parameters_stop_elaboration(
    simulator: str, parameters: dict[str, int], rule: str
) -> None:
    sources = [HDL / "sc_halton_source.v"]
    result = elaborate(find_simulator(simulator), "sc_halton_source", sources, parameters)
    assert result.returncode != 0
    assert rule in result.stdout
