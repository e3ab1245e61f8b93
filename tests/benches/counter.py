"""cocotb tests of counter.v, most of them made to end in a certain way."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, Timer


async def count(dut: Any, cycles: int) -> int:
    """Reset the counter and let it count."""
    Clock(dut.clk_i, 10, "ns").start()
    dut.rst_ni.value = 0
    dut.enable_i.value = 1
    await FallingEdge(dut.clk_i)
    dut.rst_ni.value = 1
    for _ in range(cycles):
        await FallingEdge(dut.clk_i)
    return int(dut.count_o.value)


@cocotb.test()
@cocotb.parametrize(cycles=[3, 20])
async def counts(dut: Any, cycles: int) -> None:
    assert await count(dut, cycles) == cycles % 2 ** int(os.environ["COUNTER_WIDTH"])


@cocotb.test()
async def tells(dut: Any) -> None:
    """Write down what the runner gave to the simulation."""
    plusargs = " ".join(cocotb.plusargs)
    told = [os.environ["TOLD"], plusargs, str(random.getrandbits(32)), Path.cwd().name]
    Path("told.txt").write_text("\n".join(told))
    await Timer(1, "ns")


@cocotb.test()
async def sees_inside(dut: Any) -> None:
    await count(dut, 3)
    assert int(dut.u_register.count_q.value) == 3


@cocotb.test()
async def fails(dut: Any) -> None:
    assert await count(dut, 3) == 4, "three is not four"


@cocotb.test()
async def ends_in_an_error(dut: Any) -> None:
    await Timer(1, "ns")
    raise KeyError("no such thing")


@cocotb.test(skip=True)
async def is_skipped(dut: Any) -> None:
    await Timer(1, "ns")


@cocotb.test()
async def never_ends(dut: Any) -> None:
    while True:
        await Timer(1, "ns")


@cocotb.test()
async def waits_long(dut: Any) -> None:
    await Timer(1, "ms")
