"""The cocotb half of `benchmarks.neurons`: plays increments into a bank, writes counts down."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from tb.planes import from_planes, to_planes

INCREMENTS_VARIABLE = "NEURONS_INCREMENTS"
COUNTS_VARIABLE = "NEURONS_COUNTS"


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def play(dut: Any) -> None:
    """One vector: a load, a step for each row of increments, and the counts after it."""
    increments = np.load(Path(os.environ[INCREMENTS_VARIABLE]))
    neurons = increments.shape[1]
    width = len(dut.inc_i) // neurons
    Clock(dut.clk_i, 10, unit="ns").start()
    dut.noise_i.value = 0
    dut.inc_i.value = 0
    dut.step_i.value = 0
    dut.load_i.value = 1
    await RisingEdge(dut.clk_i)  # at time 0
    await RisingEdge(dut.clk_i)
    dut.load_i.value = 0
    dut.step_i.value = 1
    for row in increments.tolist():
        dut.inc_i.value = to_planes(row, width)
        await RisingEdge(dut.clk_i)
    dut.step_i.value = 0
    await RisingEdge(dut.clk_i)
    counts = from_planes(int(dut.count_o.value), neurons, len(dut.count_o) // neurons)
    np.save(Path(os.environ[COUNTS_VARIABLE]), np.asarray(counts))
