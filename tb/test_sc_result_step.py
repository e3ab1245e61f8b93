"""Bench of hdl/sc_result_step.v: the largest magnitude where a count is not negative."""

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
from tb.result_bench import ResultBench
from tb.runner import run_bench
from tb.simulators import find_simulator

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


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_result_every_cycle(dut: Any) -> None:
    """With a taker that never waits, counts are accepted in every cycle."""
    await (await start(dut)).flow(period=1)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_result_waits_for_its_taker(dut: Any) -> None:
    """It stays as it is, and nothing is accepted over it."""
    await (await start(dut)).wait_for_the_taker()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def clear_drops_a_result(dut: Any) -> None:
    """In each cycle of its life."""
    await (await start(dut)).clear_at_each_point()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_drops_a_result(dut: Any) -> None:
    """In each cycle of its life, without a clock edge."""
    await (await start(dut)).reset_at_each_point()


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(idle=[0.0, 0.5], wait=[0.0, 0.7])
async def anything_at_any_time(dut: Any, idle: float, wait: float) -> None:
    """Random pauses on both sides, clears and resets."""
    await (await start(dut)).anything(idle, wait)


PARAMETER_SETS = {
    "smallest": {"Neurons": 1, "AccWidth": 2, "OperandWidth": 1},
    "odd": {"Neurons": 3, "AccWidth": 7, "OperandWidth": 5},
    "bank": {"Neurons": 64, "AccWidth": 32, "OperandWidth": 8},
}
CASES = [("icarus", name) for name in PARAMETER_SETS] + [
    ("verilator", "odd"),
]


@pytest.mark.parametrize(("simulator", "parameter_set"), CASES)
def test_sc_result_step(simulator: str, parameter_set: str) -> None:
    parameters = PARAMETER_SETS[parameter_set]
    run_bench(
        name=f"sc_result_step_{parameter_set}",
        toplevel="sc_result_step",
        sources=[HDL / "sc_result_step.v"],
        module="tb.test_sc_result_step",
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
        ({"AccWidth": 1}, "AccWidth_must_be_at_least_2"),
        ({"OperandWidth": 0}, "OperandWidth_must_be_positive"),
    ],
)
def test_illegal_parameters_stop_elaboration(
    simulator: str, parameters: dict[str, int], rule: str
) -> None:
    sources = [HDL / "sc_result_step.v"]
    result = elaborate(find_simulator(simulator), "sc_result_step", sources, parameters)
    assert result.returncode != 0
    assert rule in result.stdout
