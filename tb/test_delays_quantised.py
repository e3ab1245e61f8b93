"""Delays from `model.quantize_delays` in hdl/sc_delay_line.v: every lane late by what was rounded.

Real delays are rounded and become the parameter `Depths`, and the streams that leave the lanes are
those of `model.gates.delay` at the rounded delays: what the bench of the module checks, cycle by
cycle, for depths that it is given.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from model import quantize_delays
from model.gates import delay
from tb.bench_support import BENCH_BUILDS, HDL, bench_environment, bench_random
from tb.block_bench import as_word, expect, stimulus
from tb.planes import literal
from tb.runner import run_bench
from tb.simulators import find_simulator

CASES: dict[str, tuple[Sequence[float], int, int | None]] = {
    # The bits of a depth are what the module holds: 255 is the longest.
    "halves_up": ((0.0, 0.49, 0.5, 1.5, 2.5, 254.5), 1, 255),
    "coarse": ((0.0, 1.9, 2.0, 5.99, 6.0, 17.2), 4, None),
    "cut": ((3.2, 11.0, 12.5, 99.0), 3, 11),
}
_CASE = "DELAYS_CASE"


@cocotb.test()
async def streams_are_late_by_the_rounded_delays(dut: Any) -> None:
    """Streams longer than the longest delay, without pauses."""
    delays = json.loads(os.environ[_CASE])
    streams = stimulus(bench_random("delays"), len(delays), max(delays) + 40)
    late = np.stack([delay(*lane) for lane in zip(streams, delays, strict=True)])
    dut.rst_ni.value = 0
    dut.clear_i.value = dut.advance_i.value = dut.bit_i.value = 0
    Clock(dut.clk_i, 10, unit="ns").start()
    await RisingEdge(dut.clk_i)
    dut.rst_ni.value = dut.advance_i.value = 1
    for cycle in range(streams.shape[1]):
        dut.bit_i.value = as_word(streams[:, cycle])
        await RisingEdge(dut.clk_i)
        expect(dut.bit_o, late[:, cycle], cycle, f"delays {delays}")


@pytest.mark.filterwarnings("ignore:max_delay")
@pytest.mark.parametrize("simulator", ["icarus"])
@pytest.mark.parametrize("case", CASES)
def test_quantised_delays_in_rtl(case: str, simulator: str) -> None:
    wanted, resolution, most = CASES[case]
    depths = quantize_delays(wanted, resolution, most)
    lanes = len(depths)
    parameters: dict[str, int | str] = {
        "Lanes": lanes,
        "Depths": literal(int.from_bytes(bytes(depths.tolist()), "little"), 8 * lanes),
    }
    # By hand, so that a wrong rounding is not right on both sides.
    cap = np.inf if most is None else most - most % resolution
    nearest = np.minimum(np.floor(np.array(wanted) / resolution + 0.5) * resolution, cap)
    run_bench(
        name=f"delays_{case}",
        toplevel="sc_delay_line",
        sources=[HDL / "sc_delay_line.v"],
        module="tb.test_delays_quantised",
        simulator=find_simulator(simulator),
        build_root=BENCH_BUILDS,
        parameters=parameters,
        env=bench_environment(parameters) | {_CASE: json.dumps(nearest.astype(int).tolist())},
    )
