"""Bench of hdl/sc_delay_line.v: every lane late by its own number of cycles."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer

from model.gates import delay
from tb.bench_support import SIMULATORS, bench_parameters, bench_random, pauses
from tb.block_bench import (
    as_word,
    complaint,
    expect,
    numbers_of,
    run_block,
    stimulus,
    vector_parameter,
)
from tb.planes import literal

pytestmark = pytest.mark.slow


class TB:
    """Clock, reset, and a check of every cycle of the lanes' streams.

    Parameters
    ----------
    dut : Any
        Handle of an `sc_delay_line`.
    """

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.lanes = bench_parameters()["Lanes"]
        packed = vector_parameter("Depths").to_bytes(self.lanes, "little")
        self.depths = np.array(list(packed))
        self.rng = bench_random("sc_delay_line")
        dut.rst_ni.value = 1
        dut.clear_i.value = dut.advance_i.value = dut.bit_i.value = 0
        Clock(dut.clk_i, 10, unit="ns").start()

    async def reset(self) -> None:
        """Empty the lanes by a reset between two edges, which must not need the next one."""
        await RisingEdge(self.dut.clk_i)
        self.dut.advance_i.value = 0
        self.dut.bit_i.value = (1 << self.lanes) - 1
        await Timer(2, unit="ns")
        self.dut.rst_ni.value = 0
        await Timer(1, unit="ns")
        expect(self.dut.bit_o, self.depths == 0, 0, "reset")
        self.dut.rst_ni.value = 1

    async def clear(self) -> None:
        """Empty the lanes, whatever else stands at the inputs."""
        self.dut.clear_i.value = 1
        self.dut.advance_i.value = self.rng.getrandbits(1)
        self.dut.bit_i.value = self.rng.getrandbits(self.lanes)
        await RisingEdge(self.dut.clk_i)
        self.dut.clear_i.value = 0

    async def play(self, streams: Any, share: float = 0.0) -> None:
        """Pass streams through empty lanes, with pauses; compare all bits."""
        paused = pauses(self.rng, share)
        late = np.stack([delay(*lane) for lane in zip(streams, self.depths.tolist(), strict=True)])
        position = 0
        while position < streams.shape[1]:
            advance = not next(paused)
            word = as_word(streams[:, position]) if advance else self.rng.getrandbits(self.lanes)
            self.dut.advance_i.value = advance
            self.dut.bit_i.value = word
            await RisingEdge(self.dut.clk_i)
            # A wire passes on what stands there in a pause, too.
            present = numbers_of(word, self.lanes, 1) == 1
            expected = np.where(self.depths == 0, present, late[:, position])
            expect(self.dut.bit_o, expected, position, f"advance {advance}")
            position += advance


@cocotb.test()
async def random_streams(dut: Any) -> None:
    """Streams longer than the deepest lane after resets and clears, without and with pauses."""
    tb = TB(dut)
    length = int(tb.depths.max()) + 50
    for share in (0.0, 0.3):
        for restart in (tb.reset, tb.clear, tb.clear):
            await restart()
            await tb.play(stimulus(tb.rng, tb.lanes, length), share)


def parameters(*depths: int) -> dict[str, int | str]:
    """Return the parameters of lanes of these depths."""
    packed = int.from_bytes(bytes(depths), "little")
    return {"Lanes": len(depths), "Depths": literal(packed, 8 * len(depths))}


PARAMETER_SETS = {
    "wire": parameters(0),
    "smallest": parameters(1),
    "wires": parameters(0, 0, 0),
    "deepest": parameters(255),
    "odd": parameters(3, 0, 1, 7, 0),
    "ends_with_wire": parameters(0, 2, 0),
    "beyond_a_word": parameters(*(7 * lane % 11 for lane in range(65))),
    "many": parameters(*(lane % 3 for lane in range(1100))),
}
CASES = [("icarus", name) for name in PARAMETER_SETS] + [("verilator", "beyond_a_word")]


@pytest.mark.parametrize(("simulator", "parameter_set"), CASES)
def test_sc_delay_line(simulator: str, parameter_set: str) -> None:
    run_block("sc_delay_line", simulator, parameter_set, PARAMETER_SETS[parameter_set])


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({"Lanes": 0}, "Lanes_must_be_positive"),
    ],
)
def test_illegal_parameters_stop_elaboration(
    simulator: str, parameters: dict[str, int], rule: str
) -> None:
    assert rule in complaint("sc_delay_line", simulator, parameters)
