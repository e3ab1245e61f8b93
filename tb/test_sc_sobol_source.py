"""Bench of hdl/sc_sobol_source.v: the word of every cycle."""

from __future__ import annotations

import random
from itertools import islice
from typing import Any

import cocotb
import pytest
from cocotb.triggers import Timer

from model.manifest import SobolSource
from model.sobol import SOBOL_DIMENSIONS, sobol_directions
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

# As many cycles as are played of longer streams.
MANY = 4096


class TB:
    """Sets the cycle, reads the word.

    Parameters
    ----------
    dut : Any
        Handle of an `sc_sobol_source`.
    """

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        parameters = bench_parameters()
        self.counter_width = parameters["CounterWidth"]
        self.operand_width = parameters["OperandWidth"]
        self.constant = parameters["XorConstant"]
        mask = (1 << self.operand_width) - 1
        self.directions = [
            parameters["Directions"] >> (bit * self.operand_width) & mask
            for bit in range(self.counter_width)
        ]
        assert len(dut.cycle_i) == self.counter_width
        assert len(dut.word_o) == self.operand_width

    async def word(self, cycle: int) -> int:
        """Return what the source gives in a cycle."""
        self.dut.cycle_i.value = cycle
        await Timer(1, "ns")
        word = int(self.dut.word_o.value)
        sample_outputs([word], self.operand_width)
        return word

    def expected(self, cycle: int) -> int:
        """Work the word out bit by bit: each is the parity of what the cycle's bits choose."""
        word = 0
        for place in reversed(range(self.operand_width)):
            column = sum((part >> place & 1) << bit for bit, part in enumerate(self.directions))
            word = 2 * word + (column & cycle).bit_count() % 2
        return word ^ self.constant


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def every_cycle_has_its_word(dut: Any) -> None:
    """All values of the counter, or as many as there is time for, in any order."""
    tb = TB(dut)
    rng = bench_random("sc_sobol_source")
    last = (1 << tb.counter_width) - 1
    cycles = list(range(last + 1))
    if last >= MANY:
        cycles = [0, last, *(1 << bit for bit in range(tb.counter_width))]
        cycles += [rng.randrange(last + 1) for _ in range(MANY)]
    rng.shuffle(cycles)
    for cycle in cycles:
        assert await tb.word(cycle) == tb.expected(cycle), f"cycle {cycle}"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def the_stream_is_the_golden_models(dut: Any) -> None:
    """The words of a bitstream are those of the bit-by-bit model."""
    tb = TB(dut)
    source = SobolSource(
        dimension=1, directions=tb.directions, sharing="layer", xor_constants=[tb.constant]
    )
    words = source_words(source, 1 << tb.counter_width, tb.operand_width, lanes=1)
    for cycle, (word,) in enumerate(islice(words, MANY)):
        assert await tb.word(cycle) == word, f"cycle {cycle}"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def prefixes_are_spread_evenly(dut: Any) -> None:
    """Of each prefix of 2**m words, every interval of that many equal ones has one."""
    tb = TB(dut)
    places = min(tb.counter_width, tb.operand_width)
    words = [await tb.word(cycle) for cycle in range(1 << places)]
    for m in range(places + 1):
        intervals = sorted(word >> (tb.operand_width - m) for word in words[: 1 << m])
        assert intervals == list(range(1 << m)), f"the first {1 << m} cycles"


def _flat(directions: list[int], operand_width: int) -> int:
    return sum(part << (bit * operand_width) for bit, part in enumerate(directions))


def _dimension(
    dimension: int, counter_width: int, operand_width: int, constant: int = 0
) -> dict[str, int]:
    directions = sobol_directions(dimension, counter_width, operand_width)
    return {
        "CounterWidth": counter_width,
        "OperandWidth": operand_width,
        "Directions": _flat(directions, operand_width),
        "XorConstant": constant,
    }


def _any_directions(counter_width: int, operand_width: int) -> dict[str, int]:
    """Return directions of no sequence: the module does not care."""
    rng = random.Random(f"{counter_width} directions")
    directions = [rng.getrandbits(operand_width) for _ in range(counter_width)]
    parameters = _dimension(1, counter_width, operand_width, rng.getrandbits(operand_width))
    return {**parameters, "Directions": _flat(directions, operand_width)}


PARAMETER_SETS = {
    "smallest": _dimension(1, 1, 1),
    "first": _dimension(1, 8, 8),
    "second": _dimension(2, 8, 8),
    "short": _dimension(3, 3, 8, 15),
    "long": _dimension(7, 12, 5, 21),
    "last": _dimension(SOBOL_DIMENSIONS, 9, 9),
    "widest": _dimension(16, 20, 11, 0x7FF),
    "any": _any_directions(7, 6),
}
CASES = [("icarus", name) for name in PARAMETER_SETS] + [
    ("verilator", "long"),
    ("verilator", "widest"),
]


@pytest.mark.parametrize(("simulator", "parameter_set"), CASES)
def test_sc_sobol_source(simulator: str, parameter_set: str) -> None:
    parameters = PARAMETER_SETS[parameter_set]
    counter_width, operand_width = parameters["CounterWidth"], parameters["OperandWidth"]
    run_bench(
        name=f"sc_sobol_source_{parameter_set}",
        toplevel="sc_sobol_source",
        sources=[HDL / "sc_sobol_source.v"],
        module="tb.test_sc_sobol_source",
        simulator=find_simulator(simulator),
        build_root=BENCH_BUILDS,
        parameters={
            **parameters,
            "Directions": literal(parameters["Directions"], counter_width * operand_width),
            "XorConstant": literal(parameters["XorConstant"], operand_width),
        },
        test_filter="^(?!.*prefixes)" if parameter_set == "any" else None,
        env=bench_environment(parameters),
    )


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({"CounterWidth": 0}, "CounterWidth_must_be_positive"),
        ({"OperandWidth": 0}, "OperandWidth_must_be_positive"),
    ],
)
def test_illegal_parameters_stop_elaboration(
    simulator: str, parameters: dict[str, int], rule: str
) -> None:
    sources = [HDL / "sc_sobol_source.v"]
    result = elaborate(find_simulator(simulator), "sc_sobol_source", sources, parameters)
    assert result.returncode != 0
    assert rule in result.stdout
