"""Bench of hdl/sc_result_count.v: counts in, the same counts out."""

from __future__ import annotations

from typing import Any

import cocotb
import pytest

from tb.bench_support import (
    BENCH_BUILDS,
    HDL,
    SIMULATORS,
    bench_environment,
    bench_parameters,
    elaborate,
)
from tb.result_bench import ResultBench, stage_tests
from tb.runner import run_bench
from tb.simulators import find_simulator


class TB(ResultBench):
    """A result stage that passes counts on.

    Parameters
    ----------
    dut : Any
        Handle of an `sc_result_count`.
    """

    def __init__(self, dut: Any) -> None:
        width = bench_parameters()["AccWidth"]
        super().__init__(
            dut,
            neurons=bench_parameters()["Neurons"],
            acc_width=width,
            latency=1,
            results={"count_o": (lambda count: count, width)},
        )


async def start(dut: Any) -> TB:
    """Make a test bench, out of reset."""
    tb = TB(dut)
    await tb.reset()
    return tb


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def counts_pass_unchanged(dut: Any) -> None:
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
    "smallest": {"Neurons": 1, "AccWidth": 1},
    "odd": {"Neurons": 3, "AccWidth": 7},
    "mnist": {"Neurons": 10, "AccWidth": 17},
    "bank": {"Neurons": 64, "AccWidth": 32},
}
CASES = [("icarus", name) for name in PARAMETER_SETS] + [
    ("verilator", "odd"),
    ("verilator", "bank"),
]


@pytest.mark.parametrize(("simulator", "parameter_set"), CASES)
def test_sc_result_count(simulator: str, parameter_set: str) -> None:
    parameters = PARAMETER_SETS[parameter_set]
    run_bench(
        name=f"sc_result_count_{parameter_set}",
        toplevel="sc_result_count",
        sources=[HDL / "sc_result_count.v"],
        module="tb.test_sc_result_count",
        simulator=find_simulator(simulator),
        build_root=BENCH_BUILDS,
        parameters=parameters,
        env=bench_environment(parameters),
    )


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({"Neurons": 0}, "Neurons_must_be_positive"),
        ({"AccWidth": 0}, "AccWidth_must_be_positive"),
    ],
)
def test_illegal_parameters_stop_elaboration(
    simulator: str, parameters: dict[str, int], rule: str
) -> None:
    sources = [HDL / "sc_result_count.v"]
    result = elaborate(find_simulator(simulator), "sc_result_count", sources, parameters)
    assert result.returncode != 0
    assert rule in result.stdout
