"""Netlists of gates, and graphs of gates in which equal nodes are one node."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.errors import ToolError

FALSE, TRUE = 0, 1


class Graph:
    """AND gates and inverters in which equal nodes are one node.

    A literal is twice a node's number, plus one where it is inverted; node 0 is constantly false.
    """

    def __init__(self) -> None:
        self.fanin: list[tuple[int, int] | None] = [None]
        self._known: dict[tuple[int, int], int] = {}

    def variable(self) -> int:
        """Return the literal of a new variable."""
        self.fanin.append(None)
        return 2 * (len(self.fanin) - 1)

    def conjunction(self, a: int, b: int) -> int:
        """Return the literal of a AND b."""
        if a > b:
            a, b = b, a
        if a == FALSE or a == b ^ 1:
            return FALSE
        if a in (TRUE, b):
            return b
        found = self._known.get((a, b))
        if found is None:
            self.fanin.append((a, b))
            found = self._known[a, b] = 2 * (len(self.fanin) - 1)
        return found

    def difference(self, a: int, b: int) -> int:
        """Return the literal of a XOR b."""
        return self.conjunction(self.conjunction(a, b ^ 1) ^ 1, self.conjunction(a ^ 1, b) ^ 1) ^ 1

    def choice(self, condition: int, yes: int, no: int) -> int:
        """Return the literal of one literal where a condition holds, and of another elsewhere."""
        taken = self.conjunction(condition, yes)
        return self.conjunction(taken ^ 1, self.conjunction(condition ^ 1, no) ^ 1) ^ 1

    def cone(self, roots: Iterable[int]) -> list[int]:
        """Return all nodes that literals depend on, each behind those that it depends on."""
        order: list[int] = []
        done: set[int] = {0}
        for root in roots:
            stack = [root >> 1]
            while stack:
                node = stack[-1]
                if node in done:
                    stack.pop()
                    continue
                gate = self.fanin[node]
                missing = [] if gate is None else [one >> 1 for one in gate if one >> 1 not in done]
                if missing:
                    stack += missing
                    continue
                done.add(node)
                order.append(node)
                stack.pop()
        return order


@dataclass(frozen=True)
class Register:
    """A flip-flop of one bit.

    Attributes
    ----------
    data, output : int
        Nets.
    """

    data: int
    output: int


class Gates:
    """A netlist of gates, in an order in which each stands behind those that drive it.

    Parameters
    ----------
    path : pathlib.Path
        Yosys' JSON with cells ``$_AND_``, ``$_NOT_`` and ``$_DFF_P_``.
    top : str
        The module.
    clock : str
        The port that clocks every register, and nothing else.

    Raises
    ------
    ToolError
        If it holds anything else: other cells, undefined or undriven bits, a register on another
        clock, a clock that is read as data, a port that is neither input nor output, a loop.
    """

    def __init__(self, path: Path, top: str, clock: str) -> None:
        module: dict[str, Any] = json.loads(path.read_text())["modules"][top]
        self.ports: dict[str, list[int]] = {}
        self.inputs: set[str] = set()
        self._numbers: dict[int, int] = {}
        for name, port in module["ports"].items():
            self.ports[name] = [self._net(bit) for bit in port["bits"]]
            if port["direction"] == "input":
                self.inputs.add(name)
            elif port["direction"] != "output":
                raise ToolError(f"port {name} goes both ways", str(path), "give it one direction")
        self._path = path
        self.registers: list[Register] = []
        unordered: dict[int, tuple[int, int]] = {}
        for cell in module["cells"].values():
            wires = {port: bits[0] for port, bits in cell["connections"].items()}
            if cell["type"] == "$_DFF_P_":
                if [self._net(wires["C"])] != self.ports.get(clock):
                    raise ToolError("a register has another clock", str(path), f"use {clock}")
                self.registers.append(Register(self._net(wires["D"]), self._net(wires["Q"])))
            elif cell["type"] == "$_AND_":
                unordered[self._net(wires["Y"])] = (self._net(wires["A"]), self._net(wires["B"]))
            elif cell["type"] == "$_NOT_":
                unordered[self._net(wires["Y"])] = (self._net(wires["A"]), -1)
            else:
                raise ToolError(f"unexpected cell {cell['type']}", str(path), "map it to gates")
        self.nets = len(self._numbers) + 2
        # (output, first input, second input or -1 for an inverter)
        self.gates = self._ordered(unordered)
        self._check_drivers(clock)

    def _check_drivers(self, clock: str) -> None:
        """Refuse nets that nothing drives, and clocks that are read."""
        driven = {0, 1} | {out for out, _, _ in self.gates}
        driven |= {register.output for register in self.registers}
        for name in self.inputs - {clock}:
            driven |= set(self.ports[name])
        read = {net for _, a, b in self.gates for net in (a, b) if net >= 0}
        read |= {register.data for register in self.registers}
        for name in self.ports.keys() - self.inputs:
            read |= set(self.ports[name])
        if not read <= driven:
            raise ToolError(
                f"{len(read - driven)} nets are read that nothing but {clock} may drive",
                str(self._path),
                "look at the netlist",
            )

    def _net(self, bit: int | str) -> int:
        """Return the number of a net; 0 and 1 are the constants."""
        if isinstance(bit, str):
            if bit not in ("0", "1"):
                raise ToolError("the netlist has undefined bits", bit, "set them in Yosys")
            return int(bit)
        return self._numbers.setdefault(bit, len(self._numbers) + 2)

    def _ordered(self, gates: dict[int, tuple[int, int]]) -> list[tuple[int, int, int]]:
        order: list[tuple[int, int, int]] = []
        state: dict[int, int] = {}
        for root in gates:
            stack = [root]
            while stack:
                net = stack[-1]
                if state.get(net) == 2 or net not in gates:
                    stack.pop()
                    continue
                a, b = gates[net]
                if state.get(net) == 1:
                    order.append((net, a, b))
                    state[net] = 2
                    stack.pop()
                    continue
                state[net] = 1
                for source in (a, b):
                    if source in gates and state.get(source) != 2:
                        if state.get(source) == 1:
                            raise ToolError("combinational loop", str(net), "look at the netlist")
                        stack.append(source)
        return order
