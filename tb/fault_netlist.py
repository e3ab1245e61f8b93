"""Fault sites in a design's netlist: which signals it has, what each is, and how it is cut open.

Yosys reads hand-written and generated RTL and writes one flat netlist of words: registers, gates
and named wires. Every signal chosen here gets a `fault_site` between its driver and its readers.
Bits that no gate drives have none: a weight of zero is no synapse, and its wires are not there in
silicon either.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.errors import SignoffError, ToolError
from model.files import write_bytes_atomically
from tb.yosys import yosys

SITE_MODULE = "fault_site"
# What a signal is. The number of a place is its place in this list.
PLACES = (
    "x streams",
    "w streams",
    "products",
    "increments",
    "source words",
    "source state",
    "weights",
    "counters",
    "operands",
    "control",
)

Bit = int | str
Cell = dict[str, Any]

# Registers by the module that holds them; the rest of them is control.
_REGISTERS = {
    "sc_sng_bank": "operands",
    "sc_dense_bank": "counters",
    "sc_accumulator_bank": "counters",
    "sc_lif_bank": "counters",
    "sc_lif_neuron": "counters",
    "sc_lfsr_source": "source state",
    "sc_halton_source": "source state",
    "sc_delay_line": "x streams",
    "axis_count_source.count_q": "operands",
    "axis_vector_sink.magnitude_q": "operands",
    "axis_vector_sink.sign_q": "operands",
    "sc_result_clip.magnitude_q": "operands",
    "sc_result_clip_divide.magnitude_q": "operands",
    "sc_result_step.magnitude_q": "operands",
    "sc_result_count.count_q": "operands",
    "binary_layer.magnitude_q": "operands",
    "binary_layer.sign_q": "operands",
    "binary_layer.acc_q": "counters",
}
# Wires between gates, by module and name. Those of one bit in a module of control are control.
_WIRES = {
    "sc_sng_bank.bit_o": "x streams",
    "sc_weight_bank.bit_o": "w streams",
    "sc_multiplier_bank.product_o": "products",
    "sc_counter_increment.inc_o": "increments",
    "sc_mux_increment.inc_o": "increments",
    "sc_lif_bank.spike_o": "x streams",
    "sc_counter_source.word_o": "source words",
    "sc_sobol_source.word_o": "source words",
    "sc_halton_source.word_o": "source words",
    "sc_lfsr_source.word_o": "source words",
    "binary_layer.weight": "weights",
    "binary_layer.weight_sign": "weights",
    "binary_layer.product": "products",
    "binary_layer.minus": "products",
}
# Sources without a state of their own count with the layer's cycle counter.
_COUNTING_SOURCES = ("sc_counter_source", "sc_sobol_source")
_CONTROL_WIRE_BITS = 2
_REGISTER_TYPES = ("$dff", "$adff")

_SCRIPT = """\
read_verilog {files}
hierarchy -check -top {top}
proc -noopt
flatten
opt_clean
write_json netlist.json
"""
_BACK = """\
read_json edited.json
write_verilog -noattr faulty.v
"""


@dataclass(frozen=True)
class Site:
    """A signal in which faults can be injected.

    Attributes
    ----------
    index : int
        Its number, which the harness chooses it by.
    name : str
        The signal's name in the netlist: ``u_layer_0.u_bank_0.acc_q``.
    place : str
        What it is: one of `PLACES`.
    block : str
        The part of the design that it belongs to, with its place: ``layer 0: counters``.
    bits : tuple of int
        The bits that faults strike.
    register : bool
        Whether it is the next value of a register: a flip stays.
    """

    index: int
    name: str
    place: str
    block: str
    bits: tuple[int, ...]
    register: bool


@dataclass(frozen=True)
class FaultyDesign:
    """A netlist with fault sites.

    Attributes
    ----------
    verilog : pathlib.Path
        The netlist as Verilog.
    sites : tuple of Site
        Its sites.
    """

    verilog: Path
    sites: tuple[Site, ...]

    def places(self) -> list[str]:
        """Return the places that have sites, in the order of `PLACES`."""
        found = {site.place for site in self.sites}
        return [place for place in PLACES if place in found]


def instrument(top: str, sources: Sequence[Path], folder: Path) -> FaultyDesign:
    """Put fault sites into a design.

    Parameters
    ----------
    top : str
        The top module.
    sources : sequence of pathlib.Path
        All its Verilog files.
    folder : pathlib.Path
        Where ``<top>_faulty.v`` is written.

    Raises
    ------
    ToolError
        If Yosys is missing or fails.
    SignoffError
        If the netlist has none of the signals that faults are to strike.
    """
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        for source in sources:
            shutil.copy(source, work)
        names = " ".join(source.name for source in sources)
        _run_yosys(_SCRIPT.format(files=names, top=top), work)
        netlist = json.loads((work / "netlist.json").read_text())
        sites = add_sites(netlist["modules"][top])
        if not sites:
            raise SignoffError(
                "the netlist has no signal that faults could strike",
                top,
                "compare the names in it with those in tb/fault_netlist.py",
            )
        (work / "edited.json").write_text(json.dumps(netlist))
        _run_yosys(_BACK, work)
        folder.mkdir(parents=True, exist_ok=True)
        verilog = folder / f"{top}_faulty.v"
        # Yosys writes its stand-in for the site's module, too: the real one is in tb/verilog.
        write_bytes_atomically(verilog, (work / "faulty.v").read_bytes())
    return FaultyDesign(verilog, tuple(sites))


def _run_yosys(script: str, folder: Path) -> None:
    done = subprocess.run(
        [yosys(), "-q", "-p", "; ".join(script.strip().splitlines())],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "without a word").splitlines()[-1]
        raise ToolError(f"Yosys failed: {said}", "fault sites", "read the RTL in Yosys by hand")


def add_sites(module: dict[str, Any]) -> list[Site]:
    """Choose the signals of a flat netlist and cut them open, in place.

    Parameters
    ----------
    module : dict
        The module as Yosys writes it in JSON.

    Returns
    -------
    list of Site
        The sites, in the order of their numbers.
    """
    netlist = _Netlist(module)
    for cut in [*_register_cuts(netlist), *_wire_cuts(netlist), *_bank_cuts(netlist)]:
        netlist.cut(cut)
    netlist.forget_names()
    return netlist.sites


@dataclass(frozen=True)
class _Cut:
    """A signal to be cut open: `ports` are the cells' ports on the one side of the site.

    Each port is (cell, port, index in the port). For a wire these are drivers; for a register's
    next value and for constants they are readers.
    """

    name: str
    place: str
    block: str
    ports: list[tuple[Cell, str, int]]
    driven: bool
    register: bool = False
    # Which bits faults strike; the others pass. None: all.
    live: list[bool] | None = None
    # More ports of each bit, of the same cells' kind: a constant that two gates read.
    twins: list[tuple[Cell, str, int]] | None = None


class _Netlist:
    """A flat netlist under work."""

    def __init__(self, module: dict[str, Any]) -> None:
        self.cells: dict[str, Cell] = module["cells"]
        self.wires: dict[str, list[Bit]] = {
            name: net["bits"] for name, net in sorted(module["netnames"].items())
        }
        self.inputs = {
            bit
            for port in module["ports"].values()
            if port["direction"] == "input"
            for bit in port["bits"]
        }
        self._ports = set(module["ports"])
        self.modules = {
            name: str(cell["attributes"]["module"]).rsplit("\\", 1)[-1]
            for name, cell in self.cells.items()
            if cell["type"] == "$scopeinfo"
        }
        self.drivers: dict[Bit, tuple[Cell, str, int]] = {}
        for cell in self.cells.values():
            for port, direction in cell.get("port_directions", {}).items():
                if direction == "output":
                    for index, bit in enumerate(cell["connections"][port]):
                        self.drivers[bit] = (cell, port, index)
        numbers = [bit for bits in self.wires.values() for bit in bits if isinstance(bit, int)]
        self._next = max(numbers, default=1) + 1
        self._taken: set[Bit] = set()
        self._names: dict[str, Any] = module["netnames"]
        self.sites: list[Site] = []

    def scope(self, name: str) -> tuple[str, str, str]:
        """Return the instance that a signal stands in, its module, and its own name there."""
        instance = "" if "$func$" in name else name.rpartition(".")[0]
        # Names of generate blocks stand between an instance and its signals.
        while instance and instance not in self.modules:
            instance = instance.rpartition(".")[0]
        if not instance:
            return "", "", name
        return instance, self.modules[instance], name[len(instance) + 1 :]

    def layer(self, instance: str) -> str:
        """Return the layer's part of an instance's path: ``u_layer_0``."""
        found = re.match(r"u_layer_\d+", instance)
        return found[0] if found else ""

    def block(self, instance: str, place: str) -> str:
        """Return the name of the block that a signal belongs to."""
        layer = self.layer(instance)
        if layer:
            return f"{layer.removeprefix('u_').replace('_', ' ')}: {place}"
        part = instance.split(".")[0].removeprefix("u_") or "top"
        return f"{part}: {place}"

    def take(self, bits: Sequence[Bit]) -> list[int]:
        """Return which bits of a wire are free for a site of a wire, and take them.

        Taken are bits that gates drive: not constants, nor inputs of the design, nor registers,
        which are cut before.
        """
        free = []
        for index, bit in enumerate(bits):
            driver = self.drivers.get(bit)
            if driver is None or bit in self._taken or driver[0]["type"] in _REGISTER_TYPES:
                continue
            self._taken.add(bit)
            free.append(index)
        return free

    def cut(self, cut: _Cut) -> None:
        """Put a site into a signal."""
        live = cut.live or [True] * len(cut.ports)
        if not any(live):
            return
        index = len(self.sites)
        old, fresh = [], []
        for cell, port, place in cut.ports:
            old.append(cell["connections"][port][place])
            fresh.append(self._next)
            cell["connections"][port][place] = self._next
            self._next += 1
        for (cell, port, place), bit in zip(cut.twins or [], fresh, strict=False):
            cell["connections"][port][place] = bit
        # Named, so that Yosys writes words and not single bits.
        self._names[f"fault_site_{index}_net"] = {"hide_name": 0, "bits": fresh, "attributes": {}}
        self.cells[f"fault_site_{index}"] = {
            "hide_name": 0,
            "type": SITE_MODULE,
            "parameters": {
                "Width": _word(len(live)),
                "Live": "".join("01"[bit] for bit in reversed(live)),
                "Index": _word(index),
                "Place": _word(PLACES.index(cut.place)),
            },
            "attributes": {},
            "port_directions": {"d_i": "input", "q_o": "output"},
            "connections": {
                "d_i": fresh if cut.driven else old,
                "q_o": old if cut.driven else fresh,
            },
        }
        bits = tuple(place for place, there in enumerate(live) if there)
        self.sites.append(Site(index, cut.name, cut.place, cut.block, bits, cut.register))

    def forget_names(self) -> None:
        """Drop the names of constants, and all names but one of a wire: they bloat the Verilog."""
        named: set[Bit] = set()
        for name, net in list(self._names.items()):
            fresh = [bit for bit in net["bits"] if isinstance(bit, int) and bit not in named]
            if len(fresh) < len(net["bits"]) and name not in self._ports:
                del self._names[name]
            named.update(fresh)


def _word(number: int) -> str:
    return f"{number:032b}"


def _register_cuts(netlist: _Netlist) -> Iterator[_Cut]:
    """Cut the next value of every register."""
    counting = {
        netlist.layer(instance)
        for instance, module in netlist.modules.items()
        if module in _COUNTING_SOURCES
    }
    names: dict[Bit, str] = {}
    for name, bits in netlist.wires.items():
        for bit in bits:
            if isinstance(bit, int) and (bit not in names or name.endswith("_q")):
                names[bit] = name
    for cell in netlist.cells.values():
        if cell["type"] not in _REGISTER_TYPES:
            continue
        name = names[cell["connections"]["Q"][0]]
        instance, module, own = netlist.scope(name)
        place = _REGISTERS.get(f"{module}.{own}", _REGISTERS.get(module, "control"))
        if own == "cycle_q" and netlist.layer(instance) in counting:
            place = "source state"
        ports = [(cell, "D", index) for index in range(len(cell["connections"]["D"]))]
        yield _Cut(name, place, netlist.block(instance, place), ports, False, True)


def _wire_cuts(netlist: _Netlist) -> Iterator[_Cut]:
    """Cut the wires between gates that have a name: streams, words, handshakes."""
    # What a module gives out comes before what it is called elsewhere.
    order = sorted(netlist.wires, key=lambda name: (not name.endswith("_o"), name))
    for name in order:
        bits = netlist.wires[name]
        instance, module, own = netlist.scope(name)
        plain = re.sub(r"\[\d+\]$", "", own.rpartition(".")[2])
        place = _WIRES.get(f"{module}.{plain}")
        if place is None:
            if "$" in name or len(bits) > _CONTROL_WIRE_BITS or own.endswith("_d"):
                continue
            place = "control"
        free = netlist.take(bits)
        ports = [netlist.drivers[bits[index]] for index in free]
        yield _Cut(name, place, netlist.block(instance, place), ports, True)


def _bank_cuts(netlist: _Netlist) -> Iterator[_Cut]:
    """Cut what stands inside the functions of a dense bank: its products, streams and weights."""
    for instance, module in netlist.modules.items():
        if module == "sc_dense_bank":
            yield from _dense_bank_cuts(netlist, instance)


def _dense_bank_cuts(netlist: _Netlist, instance: str) -> Iterator[_Cut]:
    prefix = "$flatten\\" + instance.replace(".", ".\\") + "."
    cells = [cell for name, cell in netlist.cells.items() if name.startswith(prefix)]
    x_bits = netlist.wires[f"{instance}.x_i"]
    synapse = netlist.wires[f"{instance}.synapse"]
    planes = _planes(netlist, instance)
    # The inputs of the counted cycles: the gate that all of them go through.
    gate = next(c for c in cells if c["type"] == "$and" and c["connections"]["A"] == x_bits)
    lane_of = {bit: lane for lane, bit in enumerate(gate["connections"]["Y"])}
    muxes = {
        lane_of[cell["connections"]["S"][0]]: cell["connections"]
        for cell in cells
        if cell["type"] == "$mux" and cell["connections"]["S"][0] in lane_of
    }
    lanes = [muxes[lane] for lane in range(len(x_bits))]
    synapses = [bit == "1" for bit in synapse]
    # A weight of one has no comparator.
    compared = [there and bit != "1" for there, bit in zip(synapses, planes[-1], strict=True)]
    for name, place, bits, live in (
        ("product", "products", [bit for lane in lanes for bit in lane["Y"]], synapses),
        ("w", "w streams", [bit for lane in lanes for bit in lane["B"]], compared),
        ("negative", "weights", _signs(netlist, instance, "negative", len(x_bits)), synapses),
        ("positive", "weights", _signs(netlist, instance, "positive", len(x_bits)), synapses),
    ):
        ports = [netlist.drivers[bit] for bit in bits]
        block = netlist.block(instance, place)
        yield _Cut(f"{instance}.{name}", place, block, ports, True, live=live)
    readers = _constant_readers(prefix, netlist, len(synapse))
    for number, plane in enumerate(planes):
        mine = []
        for kind in ("$and", "$or"):
            # Planes of the same bits, all zero for instance, are read in their numbers' order.
            found = next((reader for reader in readers[kind] if reader[2] == plane), None)
            if found is not None and (kind == "$or" or number < len(planes) - 1):
                readers[kind].remove(found)
                mine.append(found)
        if not mine:
            continue
        ports, *twins = [[(cell, port, bit) for bit in range(len(plane))] for cell, port, _ in mine]
        yield _Cut(
            f"{instance}.weight_plane[{number}]",
            "weights",
            netlist.block(instance, "weights"),
            ports,
            False,
            live=synapses,
            twins=twins[0] if twins else None,
        )


def _signs(netlist: _Netlist, instance: str, name: str, lanes: int) -> list[Bit]:
    """Return the wires of all synapses' signs."""
    return [bit for lane in range(lanes) for bit in netlist.wires[f"{instance}.{name}[{lane}]"]]


def _constant_readers(
    prefix: str, netlist: _Netlist, width: int
) -> dict[str, list[tuple[Cell, str, list[Bit]]]]:
    """Return the gates of a bank that read a constant plane, in the order of the source."""
    readers: dict[str, list[tuple[Cell, str, list[Bit]]]] = {"$and": [], "$or": []}
    names = [name for name in netlist.cells if name.startswith(prefix)]
    for name in sorted(names, key=lambda name: int(name.rpartition("$")[2])):
        cell = netlist.cells[name]
        if cell["type"] not in readers:
            continue
        constant = cell["connections"]["B"]
        if len(constant) == width and all(isinstance(bit, str) for bit in constant):
            readers[cell["type"]].append((cell, "B", constant))
    return readers


def _planes(netlist: _Netlist, instance: str) -> list[list[Bit]]:
    """Return the constant planes of a bank's weights, the one of magnitude one last."""
    planes: list[list[Bit]] = []
    while (name := f"{instance}.weight_plane[{len(planes)}]") in netlist.wires:
        planes.append(netlist.wires[name])
    return planes
