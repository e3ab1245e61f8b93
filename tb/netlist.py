"""Netlists with many mutants in one: made by Yosys, chosen by an input.

A design is elaborated and flattened; names of instances stay in the names of cells, so that each
mutant can be told its block and its source line. Two inputs are added to what was generated:

- ``mutsel`` chooses the mutant; 0 is the design itself.
- ``preset_load`` and ``preset_value`` set the counters of `axil_registers`, since nobody can wait
  until a counter of 64 bits is full. This is added before mutation, and is not itself mutated.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.errors import ToolError
from tb.yosys import run_yosys

SELECT = "mutsel"
PRESET_LOAD = "preset_load"
PRESET_VALUE = "preset_value"
NETLIST_FILE = "netlist.v"
GATES_FILE = "gates.json"
# Counters that are preset, by the end of their names.
COUNTERS = ("vectors_in_q", "vectors_out_q", "packet_errors_q", "cycles_q", "busy_cycles_q")

_PRESET_WIDTH = 64
_PRESET_CELL = "preset$"
_MODES = ("inv", "const0", "const1", "cnot0", "cnot1")


@dataclass(frozen=True)
class Mutation:
    """One mutation, as Yosys lists it.

    Attributes
    ----------
    number : int
        The value of ``mutsel`` that activates it.
    mode : str
        What is done to the bit.
    cell, port, bit : str, str, int
        Where.
    control : int or None
        The other bit of the port, which inverts this one where the mode is ``cnot0`` or ``cnot1``.
    sources : tuple of str
        Source lines, the cell's own last.
    command : str
        The command that makes it.
    """

    number: int
    mode: str
    cell: str
    port: str
    bit: int
    control: int | None
    sources: tuple[str, ...]
    command: str

    @property
    def source(self) -> str:
        """The source line: file, line and columns; a block's own rather than that of its use."""
        own = [one for one in self.sources if not one.startswith("certibit_")]
        return (own or [*self.sources] or [""])[-1]

    @property
    def module(self) -> str:
        """The block: each module stands in a file of its name, else the instance's name."""
        block, found, _ = self.source.partition(".v:")
        if found:
            return block
        path = re.findall(r"\\([A-Za-z_]\w*)\.", self.cell)
        return path[-1] if path else "top"

    @property
    def group(self) -> str:
        """The part of the design from which mutants are taken in turn."""
        used = self.sources[-1] if self.sources else ""
        path = re.findall(r"\\([A-Za-z_]\w*)\.", self.cell)
        return used.partition(".v:")[0] if used else (path or ["top"])[-1]

    @property
    def place(self) -> str:
        """Cell, port and bit."""
        control = "" if self.control is None else f" by bit {self.control}"
        return f"{readable(self.cell)} {self.port}[{self.bit}]{control}"


@dataclass(frozen=True)
class Netlist:
    """A netlist with its mutants.

    Attributes
    ----------
    folder : pathlib.Path
        Where the files are.
    top : str
        Its module.
    select_width : int
        Bits of ``mutsel``.
    mutations : tuple of Mutation
        What ``mutsel`` chooses, from 1 on.
    """

    folder: Path
    top: str
    select_width: int
    mutations: tuple[Mutation, ...]

    @property
    def verilog(self) -> Path:
        """The netlist of words, for simulation."""
        return self.folder / NETLIST_FILE

    @property
    def gates(self) -> Path:
        """The same as AND gates, inverters and flip-flops, for proofs: Yosys' JSON."""
        return self.folder / GATES_FILE


def readable(cell: str) -> str:
    """Return a cell's name without what Yosys put around it."""
    return re.sub(r"\$flatten|\\", "", cell)


def make_netlist(
    sources: Sequence[Path], top: str, folder: Path, mutants: int, seed: int
) -> Netlist:
    """Elaborate a design, choose mutants and build them all into one netlist.

    Parameters
    ----------
    sources : sequence of pathlib.Path
        Verilog.
    top : str
        The top module.
    folder : pathlib.Path
        An existing folder for what is made.
    mutants : int
        How many.
    seed : int
        Of Yosys' choice.

    Raises
    ------
    ToolError
        If Yosys fails, or finds fewer places than mutants are wanted.
    """
    for source in sources:
        shutil.copy(source, folder)
    run_yosys(
        folder,
        [
            *(f"read_verilog {source.name}" for source in sources),
            f"hierarchy -check -top {top}",
            "proc",
            "flatten -noscopeinfo",
            # Enables and synchronous resets stay multiplexers, which can be mutated.
            "opt -nodffe -nosdff -full",
            # What two choices at once do is not defined, and mutants make two.
            "pmuxtree",
            # Nor is what a selection beyond the end gives: 0, here.
            "chtype -set $shift t:$shiftx",
            "setundef -zero",
            "opt -nodffe -nosdff",
            "opt_clean",
            "write_json elaborated.json",
        ],
    )
    content = json.loads((folder / "elaborated.json").read_text())
    add_presets(content["modules"][top])
    (folder / "preset.json").write_text(json.dumps(content))
    # Many more than needed, to choose from.
    wanted = 4 * mutants + 200
    run_yosys(folder, ["read_json preset.json", f"mutate -list {wanted} -seed {seed} -o list.txt"])
    lines = [line for line in (folder / "list.txt").read_text().splitlines() if wanted_place(line)]
    if len(lines) < mutants:
        raise ToolError(
            f"Yosys found {len(lines)} places to mutate", top, f"ask for fewer than {mutants}"
        )
    mutations = tuple(spread(lines, mutants))
    width = max(1, mutants.bit_length())
    run_yosys(
        folder,
        [
            "read_json preset.json",
            *(f"{one.command} -ctrl {SELECT} {width} {one.number}" for one in mutations),
            "opt_clean",
            f"write_verilog -noattr {NETLIST_FILE}",
            # Asynchronous resets act within the cycle, as they do in the simulation.
            "async2sync",
            "techmap",
            "opt_clean",
            "dffunmap",
            "simplemap",
            "setundef -zero",
            "aigmap",
            "opt_clean",
            "check -assert",
            f"write_json {GATES_FILE}",
        ],
    )
    return Netlist(folder, top, width, mutations)


def load_netlist(folder: Path, top: str, mutants: int) -> Netlist:
    """Return a netlist that `make_netlist` made in a folder with the same arguments."""
    lines = [line for line in (folder / "list.txt").read_text().splitlines() if wanted_place(line)]
    return Netlist(folder, top, max(1, mutants.bit_length()), tuple(spread(lines, mutants)))


def spread(lines: Sequence[str], mutants: int) -> list[Mutation]:
    """Choose mutants from a list: from each part in turn, as long as it has any.

    Yosys spreads them over cells and source lines; the registers, which have most of them, would
    get half of all.
    """
    waiting: dict[str, list[str]] = {}
    for line in lines:
        waiting.setdefault(parse_mutation(0, line).group, []).append(line)
    chosen: list[str] = []
    while len(chosen) < mutants:
        for block in sorted(waiting):
            if waiting[block] and len(chosen) < mutants:
                chosen.append(waiting[block].pop(0))
    return [parse_mutation(number, line) for number, line in enumerate(chosen, start=1)]


def wanted_place(line: str) -> bool:
    """Return whether a line of Yosys' list is a mutation of the design's logic.

    Clock pins are left out: a clock that stands still or comes at the wrong edge is a defect of the
    clock tree, which this netlist has not.
    """
    return "-port CLK " not in line and f"-cell {_PRESET_CELL}" not in line


def parse_mutation(number: int, line: str) -> Mutation:
    """Read a line of Yosys' list."""
    words = line.split()
    options: dict[str, str] = {}
    sources = []
    for name, value in zip(words[1::2], words[2::2], strict=True):
        if name == "-src":
            sources.append(value)
        options[name] = value
    if options["-mode"] not in _MODES:
        raise ToolError(f"unknown mode {options['-mode']}", line, "use Yosys 0.70")
    return Mutation(
        number=number,
        mode=options["-mode"],
        cell=options["-cell"],
        port=options["-port"],
        bit=int(options["-portbit"]),
        control=int(options["-ctrlbit"]) if "-ctrlbit" in options else None,
        sources=tuple(sources),
        command=line,
    )


def add_presets(module: dict[str, Any]) -> None:
    """Give the counters of a flattened design a way to be set.

    Parameters
    ----------
    module : dict
        The top module in Yosys' JSON; changed in place. Nothing is done where it has no counters.
    """
    names = {
        tuple(net["bits"]): name
        for name, net in module["netnames"].items()
        if name.rpartition(".")[2] in COUNTERS
    }
    if not names:
        return
    bits = _all_bits(module)
    fresh = max(bits) + 1
    load = [fresh]
    value = list(range(fresh + 1, fresh + 1 + _PRESET_WIDTH))
    fresh = value[-1] + 1
    found = 0
    for cell in list(module["cells"].values()):
        name = names.get(tuple(cell["connections"].get("Q", ())))
        if name is None:
            continue
        found += 1
        data = cell["connections"]["D"]
        width = len(data)
        chosen = list(range(fresh, fresh + width))
        fresh += width
        cell["connections"]["D"] = chosen
        module["cells"][f"{_PRESET_CELL}{name}"] = {
            "hide_name": 0,
            "type": "$mux",
            "parameters": {"WIDTH": f"{width:032b}"},
            "attributes": {},
            "port_directions": {"A": "input", "B": "input", "S": "input", "Y": "output"},
            "connections": {"A": data, "B": value[:width], "S": load, "Y": chosen},
        }
    if found != len(names):
        raise ToolError(
            f"{found} of {len(names)} counters were found as registers",
            "netlist",
            "look at COUNTERS of tb/netlist.py",
        )
    for name, wires in ((PRESET_LOAD, load), (PRESET_VALUE, value)):
        module["ports"][name] = {"direction": "input", "bits": wires}
        module["netnames"][name] = {"hide_name": 0, "bits": wires, "attributes": {}}


def _all_bits(module: dict[str, Any]) -> set[int]:
    """Return the numbers of all bits; constants are strings."""
    wires = [net["bits"] for net in module["netnames"].values()]
    wires += [bits for cell in module["cells"].values() for bits in cell["connections"].values()]
    return {bit for bits in wires for bit in bits if isinstance(bit, int)}
