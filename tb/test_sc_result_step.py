"""Bench of hdl/sc_result_step.v: the largest magnitude where a count is not negative."""

from __future__ import annotations

from typing import Any

import cocotb
import pytest

from tb.bench_support import SIMULATORS, bench_parameters
from tb.block_bench import complaint, run_block
from tb.result_bench import ResultBench, stage_tests

pytestmark = pytest.mark.slow


class TB(ResultBench):
    """A result stage that looks at signs.

    Parameters
    ----------
    dut : Any
        Handle of an `sc_result_step`.
    """

    def __init__(self, dut: Any) -> None:
        width = bench_parameters()["OperandWidth"]
        top = (1 << width) - 1
        super().__init__(
            dut,
            neurons=bench_parameters()["Neurons"],
            acc_width=bench_parameters()["AccWidth"],
            latency=1,
            results={"magnitude_o": (lambda count: top if count >= 0 else 0, width)},
        )


async def start(dut: Any) -> TB:
    """Make a test bench, out of reset."""
    tb = TB(dut)
    await tb.reset()
    return tb


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def signs_decide(dut: Any) -> None:
    """All counts of a narrow accumulator; of a wide one, those about the powers of two."""
    tb = await start(dut)
    low, high = tb.range
    counts = set(range(low, high + 1)) if tb.acc_width <= 8 else {low, high}
    for bit in range(tb.acc_width - 1):
        for off in (-1, 0, 1):
            counts |= {(1 << bit) + off, -(1 << bit) + off}
    await tb.try_counts(sorted(count for count in counts if low <= count <= high))


FOLLOW, WAIT, CLEAR, RESET, ANYTHING = stage_tests(TB)


PARAMETER_SETS = {
    "smallest": {"Neurons": 1, "AccWidth": 2, "OperandWidth": 1},
    "odd": {"Neurons": 3, "AccWidth": 7, "OperandWidth": 5},
    "bank": {"Neurons": 64, "AccWidth": 32, "OperandWidth": 8},
}
PARTS = ("sc_result_count",)
CASES = [("icarus", name) for name in PARAMETER_SETS] + [
    ("verilator", "odd"),
]


@pytest.mark.parametrize(("simulator", "parameter_set"), CASES)
def test_sc_result_step(simulator: str, parameter_set: str) -> None:
    run_block("sc_result_step", simulator, parameter_set, PARAMETER_SETS[parameter_set], PARTS)


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({"Neurons": 0}, "Neurons_must_be_positive"),
        ({"AccWidth": 1}, "AccWidth_must_be_at_least_2"),
        ({"OperandWidth": 0}, "OperandWidth_must_be_positive"),
    ],
)
def test_illegal_parameters_stop_elaboration(
    simulator: str, parameters: dict[str, int], rule: str
) -> None:
    assert rule in complaint("sc_result_step", simulator, parameters, PARTS)
