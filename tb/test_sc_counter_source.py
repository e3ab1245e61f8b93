"""Bench of hdl/sc_counter_source.v: the word of every cycle, plain and bit-reversed."""

from __future__ import annotations

from typing import Any

import cocotb
import pytest
from cocotb.triggers import Timer

from model.manifest import CounterSource
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


class TB:
    """Sets the cycle, reads the word.

    Parameters
    ----------
    dut : Any
        Handle of an `sc_counter_source`.
    """

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        parameters = bench_parameters()
        self.counter_width = parameters["CounterWidth"]
        self.operand_width = parameters["OperandWidth"]
        self.reversed = bool(parameters["Reversed"])
        self.constant = parameters["XorConstant"]
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
        """Work the word out digit by digit, the leading digit first."""
        digits = [cycle >> place & 1 for place in reversed(range(self.counter_width))]
        if self.reversed:
            digits.reverse()
        word = 0
        for place in range(self.operand_width):
            word = 2 * word + (digits[place] if place < len(digits) else 0)
        return word ^ self.constant


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def every_cycle_has_its_word(dut: Any) -> None:
    """All values of the counter, in order and then in a random one."""
    tb = TB(dut)
    cycles = list(range(1 << tb.counter_width))
    shuffled = list(cycles)
    bench_random("sc_counter_source").shuffle(shuffled)
    for cycle in cycles + shuffled:
        assert await tb.word(cycle) == tb.expected(cycle), f"cycle {cycle}"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_whole_stream_is_the_golden_models(dut: Any) -> None:
    """The words of a bitstream are those of the bit-by-bit model."""
    tb = TB(dut)
    source = CounterSource(
        reversed=tb.reversed,
        width=tb.counter_width,
        sharing="layer",
        xor_constants=[tb.constant],
    )
    words = source_words(source, 1 << tb.counter_width, tb.operand_width, lanes=1)
    for cycle, (word,) in enumerate(words):
        assert await tb.word(cycle) == word, f"cycle {cycle}"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def words_are_spread_evenly(dut: Any) -> None:
    """Over a whole stream each word comes as often as any other that the counter can reach."""
    tb = TB(dut)
    words = [await tb.word(cycle) for cycle in range(1 << tb.counter_width)]
    reached = set(words)
    assert len(reached) == 1 << min(tb.counter_width, tb.operand_width)
    assert {words.count(word) for word in reached} == {len(words) // len(reached)}


def _sets() -> dict[str, dict[str, int]]:
    shapes = {"1x1": (1, 1), "3x8": (3, 8), "8x8": (8, 8), "10x8": (10, 8), "12x3": (12, 3)}
    return {
        f"{name}_{'reversed' if backwards else 'plain'}": {
            "CounterWidth": counter_width,
            "OperandWidth": operand_width,
            "Reversed": backwards,
            # Both orders meet no constant, one of few bits and one of all bits somewhere.
            "XorConstant": (0, 15, (1 << operand_width) - 1)[(index + backwards) % 3]
            % (1 << operand_width),
        }
        for index, (name, (counter_width, operand_width)) in enumerate(shapes.items())
        for backwards in (0, 1)
    }


PARAMETER_SETS = _sets()
CASES = [("icarus", name) for name in PARAMETER_SETS] + [
    ("verilator", "3x8_plain"),
    ("verilator", "10x8_reversed"),
]


@pytest.mark.parametrize(("simulator", "parameter_set"), CASES)
def test_sc_counter_source(simulator: str, parameter_set: str) -> None:
    parameters = PARAMETER_SETS[parameter_set]
    constant = literal(parameters["XorConstant"], parameters["OperandWidth"])
    run_bench(
        name=f"sc_counter_source_{parameter_set}",
        toplevel="sc_counter_source",
        sources=[HDL / "sc_counter_source.v"],
        module="tb.test_sc_counter_source",
        simulator=find_simulator(simulator),
        build_root=BENCH_BUILDS,
        parameters={**parameters, "XorConstant": constant},
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
    sources = [HDL / "sc_counter_source.v"]
    result = elaborate(find_simulator(simulator), "sc_counter_source", sources, parameters)
    assert result.returncode != 0
    assert rule in result.stdout
