"""Bench of hdl/sc_result_clip.v: re-encoding by a shift, of every count.

A case has several variants of the stage in one wrapper module, which is written beside the builds;
they accept the same counts.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any

import cocotb
import numpy as np
import pytest

from model.streams import reencode
from tb.bench_support import BENCH_BUILDS, HDL, SIMULATORS, elaborate
from tb.result_bench import ResultBench, edges, reencoded, stage_tests, write_wrapper
from tb.runner import run_bench
from tb.simulators import find_simulator

pytestmark = pytest.mark.slow

WRAPPER = "sc_result_clip_bench"
CASE_VARIABLE = "BENCH_CASE"


@dataclass(frozen=True)
class Case:
    """Sizes that all variants share, and the variants."""

    neurons: int
    acc_width: int
    operand_width: int
    shifts: tuple[int, ...]

    @property
    def multipliers(self) -> list[Fraction]:
        """Magnitude steps of one count, of each shift."""
        return [Fraction(2) ** -shift for shift in self.shifts]


class TB(ResultBench):
    """All variants of a case.

    Parameters
    ----------
    dut : Any
        Handle of a case's wrapper.
    """

    def __init__(self, dut: Any) -> None:
        self.case = case = CASES[os.environ[CASE_VARIABLE]]
        super().__init__(
            dut,
            neurons=case.neurons,
            acc_width=case.acc_width,
            latency=1,
            results={
                f"magnitude_{number}_o": (
                    partial(reencoded, multiplier=multiplier, width=case.operand_width),
                    case.operand_width,
                )
                for number, multiplier in enumerate(case.multipliers)
            },
        )


async def start(dut: Any) -> TB:
    """Make a test bench, out of reset."""
    tb = TB(dut)
    await tb.reset()
    return tb


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def counts_become_magnitudes(dut: Any) -> None:
    """All counts of a narrow accumulator; of a wide one, random ones and where results change."""
    tb = await start(dut)
    low, high = tb.range
    if tb.acc_width <= 9:
        counts = set(range(low, high + 1))
    else:
        counts = {low, low + 1, -1, 0, 1, high - 1, high}
        counts |= {count for _ in range(10) for count in tb.draw()}
        for multiplier in tb.case.multipliers:
            counts |= edges(multiplier, tb.case.operand_width)
    await tb.try_counts(sorted(count for count in counts if low <= count <= high))


FOLLOW, WAIT, CLEAR, RESET, ANYTHING = stage_tests(TB)


CASES = {
    "smallest": Case(1, 2, 1, (-63, -2, -1, 0, 1, 2, 3, 63)),
    "exhaustive": Case(3, 8, 4, (-63, *range(-6, 12), 62, 63)),
    "narrow_result": Case(5, 9, 1, (-9, *range(-2, 12))),
    "wide_result": Case(2, 5, 10, (*range(-11, 8), 63)),
    "mnist": Case(10, 17, 8, (-8, -1, 0, 1, 3, 8, 9, 15, 16, 17, 18)),
    "widest": Case(3, 32, 15, (-20, -15, -1, 0, 1, 14, 16, 17, 30, 31, 32, 33, 63)),
    "bank": Case(64, 24, 8, (-3, 0, 5)),
}
VERILATED = ("exhaustive", "widest")
RUNS = [("icarus", name) for name in CASES] + [("verilator", name) for name in VERILATED]


@pytest.mark.parametrize(("simulator", "case"), RUNS)
def test_sc_result_clip(simulator: str, case: str) -> None:
    found = CASES[case]
    wrapper = BENCH_BUILDS / "wrappers" / case / f"{WRAPPER}.v"
    write_wrapper(
        wrapper,
        "sc_result_clip",
        neurons=found.neurons,
        acc_width=found.acc_width,
        operand_width=found.operand_width,
        variants=[{"Shift": shift} for shift in found.shifts],
    )
    run_bench(
        name=f"sc_result_clip_{case}",
        toplevel=WRAPPER,
        sources=[wrapper, HDL / "sc_result_clip.v"],
        module="tb.test_sc_result_clip",
        simulator=find_simulator(simulator),
        build_root=BENCH_BUILDS,
        env={CASE_VARIABLE: case},
    )


@pytest.mark.parametrize("case", CASES)
def test_the_formula_is_the_golden_models(case: str) -> None:
    found = CASES[case]
    width = found.operand_width
    for shift, multiplier in zip(found.shifts, found.multipliers, strict=True):
        counts = [*range(-300, 300)]
        # log2(Length) - K - scale exponent is the shift.
        length, exponent = (1 << shift, -width) if shift > 0 else (1, -shift - width)
        golden = reencode(np.array(counts), length, width, exponent)
        assert [reencoded(count, multiplier, width) for count in counts] == golden


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({"Neurons": 0}, "Neurons_must_be_positive"),
        ({"OperandWidth": 0}, "OperandWidth_must_be_positive"),
        ({"AccWidth": 1}, "AccWidth_must_be_at_least_2"),
        ({"Shift": 64}, "Shift_must_be_within_63"),
        ({"Shift": -64}, "Shift_must_be_within_63"),
    ],
)
def test_illegal_parameters_stop_elaboration(
    simulator: str, parameters: dict[str, int], rule: str
) -> None:
    sources = [HDL / "sc_result_clip.v"]
    result = elaborate(find_simulator(simulator), "sc_result_clip", sources, parameters)
    assert result.returncode != 0
    assert rule in result.stdout
