"""Bench of hdl/sc_lfsr_source.v at every width of the tabled taps, in both forms, side by side.

One build holds a register of each: its words are held to the bit-by-bit models in every cycle.
"""

from __future__ import annotations

from math import gcd
from typing import Any

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from model.files import write_bytes_atomically
from model.lfsr import MAXIMAL_TAPS
from model.manifest import LfsrSource
from model.streams import source_words
from tb.bench_support import BENCH_BUILDS, HDL
from tb.planes import literal
from tb.runner import run_bench
from tb.simulators import find_simulator
from tb.test_sc_lfsr_source import RegisterModel

CYCLES = 300
TOP = "sc_lfsr_source_widths"


def registers() -> list[dict[str, int]]:
    """Return the parameters of every register, the first one in the lowest bits."""
    found = []
    for width, taps in MAXIMAL_TAPS.items():
        for galois in (0, 1):
            whole = (1 << width) - 1
            # Of different length in each form, and none that skips states.
            step = next(s for s in range(width // 2 + width // 2 * galois, 99) if gcd(s, whole) < 2)
            found.append(
                {
                    "Width": width,
                    "OperandWidth": width,
                    "Step": step,
                    "Galois": galois,
                    "Taps": sum(1 << (tap - 1) for tap in taps),
                    "Seed": 0x9E3779B9 >> (32 - width) | 1,
                    "XorConstant": 0,
                }
            )
    return found


def wrapper() -> str:
    """Return a module with all registers, their words one beside the other."""
    inputs = ("clk_i", "rst_ni", "restart_i", "advance_i")
    lines = [f"module {TOP} ("]
    lines += [f"  input wire {name}," for name in inputs]
    total = sum(register["Width"] for register in registers())
    lines += [f"  output wire [{total - 1}:0] word_o", ");"]
    first = 0
    for index, register in enumerate(registers()):
        width = register["Width"]
        sized = ("Taps", "Seed", "XorConstant")
        parameters = ", ".join(
            f".{name}({literal(value, width) if name in sized else value})"
            for name, value in register.items()
        )
        ports = ", ".join(f".{name}({name})" for name in inputs)
        lines.append(f"  sc_lfsr_source #({parameters}) u_{index} (")
        lines.append(f"    {ports}, .word_o(word_o[{first} +: {width}]));")
        first += width
    return "\n".join([*lines, "endmodule", ""])


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def every_width_is_the_models(dut: Any) -> None:
    """From the seeds on, in every cycle, every bit of every register."""
    dut.rst_ni.value = 0
    dut.restart_i.value = 0
    dut.advance_i.value = 1
    Clock(dut.clk_i, 10, unit="ns").start()
    for _ in range(2):
        await RisingEdge(dut.clk_i)
    dut.rst_ni.value = 1
    models = [RegisterModel(register) for register in registers()]
    goldens = [
        source_words(
            LfsrSource(
                form="galois" if model.galois else "fibonacci",
                width=model.width,
                taps=model.taps,
                step=model.shifts,
                sharing="layer",
                seeds=[model.number],
                xor_constants=[0],
            ),
            CYCLES,
            model.width,
            lanes=1,
        )
        for model in models
    ]
    for cycle in range(CYCLES):
        await RisingEdge(dut.clk_i)
        words = int(dut.word_o.value)
        for model, golden in zip(models, goldens, strict=True):
            word = words & ((1 << model.width) - 1)
            words >>= model.width
            where = f"cycle {cycle}, width {model.width}, galois {model.galois}"
            assert [word] == [model.word()] == next(golden), where
            model.advance()


@pytest.mark.slow
@pytest.mark.parametrize("simulator", ["icarus"])
def test_sc_lfsr_source_widths(simulator: str) -> None:
    path = BENCH_BUILDS / f"{TOP}.v"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes_atomically(path, wrapper().encode())
    run_bench(
        name=TOP,
        toplevel=TOP,
        sources=[HDL / "sc_lfsr_source.v", path],
        module="tb.test_sc_lfsr_source_widths",
        simulator=find_simulator(simulator),
        build_root=BENCH_BUILDS,
    )
