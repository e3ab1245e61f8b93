"""Bench of hdl/sc_lfsr_source.v: the register's words, cycle by cycle.

A shift register of single bits in plain Python is stepped with every clock cycle; whole streams are
held to the golden model's too.
"""

from __future__ import annotations

import random
from itertools import islice
from math import gcd
from typing import Any

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer

from model.manifest import LfsrSource
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
from tb.planes import from_planes, literal
from tb.runner import run_bench
from tb.simulators import find_simulator

pytestmark = pytest.mark.slow

CLOCK_NS = 10


class RegisterModel:
    """A shift register of either form, bit by bit; the newest bit stands first."""

    def __init__(self, parameters: dict[str, int], lane: int = 0) -> None:
        self.width = parameters["Width"]
        self.operand_width = parameters["OperandWidth"]
        self.shifts = parameters["Step"]
        self.galois = bool(parameters["Galois"])
        self.taps = [t for t in range(1, self.width + 1) if parameters["Taps"] >> (t - 1) & 1]
        self.number = parameters["Seed"] >> (lane * self.width) & ((1 << self.width) - 1)
        self.seed = [self.number >> place & 1 for place in range(self.width)]
        mask = (1 << self.operand_width) - 1
        self.constant = parameters["XorConstant"] >> (lane * self.operand_width) & mask
        self.bits = list(self.seed)

    def word(self) -> int:
        """Return the word of this cycle: the oldest bits, the oldest leading."""
        leading = reversed(self.bits[self.width - self.operand_width :])
        return int("".join(map(str, leading)), 2) ^ self.constant

    def restart(self) -> None:
        """Return to the seed."""
        self.bits = list(self.seed)

    def advance(self) -> None:
        """Pass a cycle."""
        for _ in range(self.shifts):
            if not self.galois:
                fed_back = sum(self.bits[tap - 1] for tap in self.taps) % 2
                self.bits = [fed_back, *self.bits[:-1]]
                continue
            leaving = self.bits[-1]
            self.bits = [0, *self.bits[:-1]]
            for tap in self.taps:
                self.bits[self.width - tap] ^= leaving


class TB:
    """Clock, reset, and a check of every cycle against the model.

    Parameters
    ----------
    dut : Any
        Handle of an `sc_lfsr_source`.
    """

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        parameters = bench_parameters()
        self.lanes = parameters["Lanes"]
        self.models = [RegisterModel(parameters, lane) for lane in range(self.lanes)]
        self.model = self.models[0]
        self.rng = bench_random("sc_lfsr_source")
        assert len(dut.word_o) == self.lanes * self.model.operand_width
        dut.rst_ni.value = 0
        dut.restart_i.value = 0
        dut.advance_i.value = 0
        Clock(dut.clk_i, CLOCK_NS, unit="ns").start()

    async def reset(self) -> None:
        """Hold the reset for some cycles; the seed's word is there at once."""
        self.dut.rst_ni.value = 0
        for model in self.models:
            model.restart()
        for advance in (0, 1, 1, 0):
            self.dut.advance_i.value = advance
            await RisingEdge(self.dut.clk_i)
        assert self.words() == self.expected()
        self.dut.rst_ni.value = 1

    def words(self) -> tuple[int, ...]:
        """Read the word of every lane."""
        planes = int(self.dut.word_o.value)
        words = tuple(from_planes(planes, self.lanes, self.model.operand_width))
        sample_outputs(words, self.model.operand_width)
        return words

    def expected(self) -> tuple[int, ...]:
        """Return the models' words."""
        return tuple(model.word() for model in self.models)

    async def cycle(self, *, advance: bool = True, restart: bool = False) -> tuple[int, ...]:
        """Pass a cycle; return its words, which are checked."""
        self.dut.advance_i.value = advance
        self.dut.restart_i.value = restart
        await RisingEdge(self.dut.clk_i)
        words = self.words()
        assert words == self.expected()
        for model in self.models:
            if restart:
                model.restart()
            elif advance:
                model.advance()
        return words


async def start(dut: Any) -> TB:
    """Make a test bench, out of reset."""
    tb = TB(dut)
    await tb.reset()
    return tb


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def the_stream_is_the_golden_models(dut: Any) -> None:
    """After a restart come the words of the bit-by-bit model, the seed's first."""
    tb = await start(dut)
    for _ in range(5):
        await tb.cycle()
    await tb.cycle(restart=True, advance=False)
    words = [await tb.cycle() for _ in range(300)]
    source = LfsrSource(
        form="galois" if tb.model.galois else "fibonacci",
        width=tb.model.width,
        taps=tb.model.taps,
        step=tb.model.shifts,
        sharing="layer" if tb.lanes == 1 else "lane",
        seeds=[model.number for model in tb.models],
        xor_constants=[model.constant for model in tb.models],
    )
    golden = source_words(source, 300, tb.model.operand_width, lanes=tb.lanes)
    assert words == [tuple(row) for row in golden]


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
    """In mid-stream, the seed's word is there as soon as the reset falls, and stays."""
    tb = await start(dut)
    seeds_words = tb.expected()
    for cycles in (1, 2, 7):
        for _ in range(cycles):
            await tb.cycle()
        await Timer(2, "ns")
        dut.rst_ni.value = 0
        await Timer(1, "ns")
        assert tb.words() == seeds_words
        await tb.reset()
        assert await tb.cycle() == seeds_words


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def anything_at_any_time(dut: Any) -> None:
    """Random restarts, pauses and resets."""
    tb = await start(dut)
    for _ in range(1000):
        if tb.rng.random() < 0.005:
            await tb.reset()
        await tb.cycle(advance=tb.rng.random() < 0.8, restart=tb.rng.random() < 0.05)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def full_period(dut: Any) -> None:
    """A register that shows all of its bits visits every state but zero before it returns."""
    tb = await start(dut)
    assert tb.model.operand_width == tb.model.width
    period = (1 << tb.model.width) - 1
    assert gcd(tb.model.shifts, period) == 1, "choose another step: this one skips states"
    words = [await tb.cycle() for _ in range(2 * period)]
    states = {word[0] ^ tb.model.constant for word in words[:period]}
    assert states == set(range(1, period + 1))
    assert words[period:] == words[:period]


def _register(
    width: int,
    operand_width: int,
    step: int,
    taps: tuple[int, ...],
    seed: int,
    constant: int = 0,
    *,
    galois: bool = False,
) -> dict[str, int]:
    return {
        "Lanes": 1,
        "Width": width,
        "OperandWidth": operand_width,
        "Step": step,
        "Galois": int(galois),
        "Taps": sum(1 << (tap - 1) for tap in taps),
        "Seed": seed,
        "XorConstant": constant,
    }


def _bank(
    lanes: int,
    width: int,
    operand_width: int,
    step: int,
    taps: tuple[int, ...],
    *,
    galois: bool = False,
) -> dict[str, int]:
    """Return registers with seeds and constants of their own."""
    rng = random.Random(f"{lanes} lanes of {width} bits")
    one = _register(width, operand_width, step, taps, seed=0, galois=galois)
    seeds = [rng.randrange(1, 1 << width) for _ in range(lanes)]
    constants = [rng.getrandbits(operand_width) for _ in range(lanes)]
    one["Lanes"] = lanes
    one["Seed"] = sum(seed << (lane * width) for lane, seed in enumerate(seeds))
    one["XorConstant"] = sum(part << (lane * operand_width) for lane, part in enumerate(constants))
    return one


PARAMETER_SETS = {
    "two_lanes": _bank(2, 8, 8, 8, (8, 6, 5, 4)),
    "five_lanes": _bank(5, 20, 7, 20, (20, 17)),
    "beyond_a_word": _bank(67, 16, 4, 3, (16, 15, 13, 4)),
    "one_bit": _register(3, 1, 1, (3, 2), seed=1),
    "smallest_whole": _register(3, 3, 3, (3, 2), seed=7),
    "odd": _register(7, 5, 4, (7, 6), seed=0x2B, constant=0x11),
    "byte_by_single_shifts": _register(8, 8, 1, (8, 6, 5, 4), seed=0x80),
    "byte": _register(8, 8, 8, (8, 6, 5, 4), seed=0x5A, constant=0xA5),
    "usual": _register(16, 8, 16, (16, 15, 13, 4), seed=0xBEEF),
    "widest": _register(32, 15, 32, (32, 22, 2, 1), seed=0x8000_0001, constant=0x7FFF),
    "long_step": _register(32, 32, 45, (32, 22, 2, 1), seed=0xFFFF_FFFF),
    "galois_one_bit": _register(3, 1, 1, (3, 2), seed=4, galois=True),
    "galois_smallest_whole": _register(3, 3, 3, (3, 2), seed=5, galois=True),
    "galois_odd": _register(7, 5, 4, (7, 6), seed=0x51, constant=0x0E, galois=True),
    "galois_byte": _register(8, 8, 1, (8, 6, 5, 4), seed=0xC3, constant=0x3C, galois=True),
    "galois_widest": _register(32, 32, 32, (32, 22, 2, 1), seed=0x8000_0001, galois=True),
    "galois_long_step": _register(16, 16, 37, (16, 15, 13, 4), seed=0xCAFE, galois=True),
    "galois_lanes": _bank(67, 12, 9, 12, (12, 6, 4, 1), galois=True),
}
FULL_PERIOD = (
    "smallest_whole",
    "byte_by_single_shifts",
    "byte",
    "galois_smallest_whole",
    "galois_byte",
)
CASES = [("icarus", name) for name in PARAMETER_SETS] + [
    ("verilator", "byte"),
    ("verilator", "widest"),
    ("verilator", "five_lanes"),
    ("verilator", "galois_widest"),
    ("verilator", "galois_lanes"),
]


@pytest.mark.parametrize(("simulator", "parameter_set"), CASES)
def test_sc_lfsr_source(simulator: str, parameter_set: str) -> None:
    parameters = PARAMETER_SETS[parameter_set]
    width, operand_width = parameters["Width"], parameters["OperandWidth"]
    run_bench(
        name=f"sc_lfsr_source_{parameter_set}",
        toplevel="sc_lfsr_source",
        sources=[HDL / "sc_lfsr_source.v"],
        module="tb.test_sc_lfsr_source",
        simulator=find_simulator(simulator),
        build_root=BENCH_BUILDS,
        parameters={
            **parameters,
            "Taps": literal(parameters["Taps"], width),
            "Seed": literal(parameters["Seed"], width * parameters["Lanes"]),
            "XorConstant": literal(parameters["XorConstant"], operand_width * parameters["Lanes"]),
        },
        test_filter=None if parameter_set in FULL_PERIOD else "^(?!.*full_period)",
        env=bench_environment(parameters),
    )


def test_the_golden_stream_has_the_words_of_a_register_worked_out_by_hand() -> None:
    # Taps 3 and 2 from state 001: 010, 101, 011, 111, 110, 100, 001.
    source = LfsrSource(width=3, taps=[3, 2], step=1, sharing="layer", seeds=[1], xor_constants=[0])
    galois = source.model_copy(update={"form": "galois"})
    # The Galois form: 1 leaves and inverts bits 0 and 1, 3 - 3 and 3 - 2.
    for form, by_hand in ((source, (1, 2, 5, 3, 7, 6, 4, 1)), (galois, (1, 2, 4, 3, 6, 7, 5, 1))):
        words = [word for (word,) in islice(source_words(form, 8, 3, lanes=1), 8)]
        model = RegisterModel(_register(3, 3, 1, (3, 2), seed=1, galois=form is galois))
        for word in by_hand:
            assert words.pop(0) == word == model.word()
            model.advance()


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({"Width": 1, "OperandWidth": 1, "Taps": "1'h1"}, "Width_must_be_2_to_32"),
        ({"Width": 33, "Taps": "33'h100000000"}, "Width_must_be_2_to_32"),
        ({"OperandWidth": 0}, "OperandWidth_must_be_1_to_Width"),
        ({"OperandWidth": 17}, "OperandWidth_must_be_1_to_Width"),
        ({"Step": 0}, "Step_must_be_positive"),
        ({"Galois": 2}, "Galois_must_be_0_or_1"),
        ({"Seed": "16'h0"}, "Seed_must_not_be_zero"),
        ({"Lanes": 2, "Seed": "32'h0001"}, "Seed_must_not_be_zero"),
        ({"Lanes": 2, "Seed": "32'h00010000"}, "Seed_must_not_be_zero"),
        ({"Lanes": 0}, "Lanes_must_be_positive"),
        ({"Taps": "16'h5008"}, "Taps_must_include_the_last_bit"),
    ],
)
def test_illegal_parameters_stop_elaboration(
    simulator: str, parameters: dict[str, int | str], rule: str
) -> None:
    sources = [HDL / "sc_lfsr_source.v"]
    result = elaborate(find_simulator(simulator), "sc_lfsr_source", sources, parameters)
    assert result.returncode != 0
    assert rule in result.stdout
