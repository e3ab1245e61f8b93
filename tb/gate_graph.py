"""Netlists of gates as graphs in which equal nodes are one node, and as clauses of a SAT solver."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.errors import ToolError

FALSE, TRUE = 0, 1
_FEW = 16


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


def substitute(
    graph: Graph, literal: int, mapping: Mapping[int, int], memory: dict[int, int]
) -> int:
    """Return a literal with variables replaced.

    Parameters
    ----------
    graph : Graph
        The graph.
    literal : int
        The literal.
    mapping : mapping
        From nodes of variables to literals; other variables stay.
    memory : dict
        What has been replaced so far under this mapping; filled.
    """
    stack = [literal >> 1]
    memory.setdefault(0, FALSE)
    while stack:
        node = stack[-1]
        if node in memory:
            stack.pop()
            continue
        gate = graph.fanin[node]
        if gate is None:
            memory[node] = mapping.get(node, 2 * node)
            stack.pop()
            continue
        missing = [one >> 1 for one in gate if one >> 1 not in memory]
        if missing:
            stack += missing
            continue
        a, b = gate
        memory[node] = graph.conjunction(memory[a >> 1] ^ a & 1, memory[b >> 1] ^ b & 1)
        stack.pop()
    return memory[literal >> 1] ^ literal & 1


def same_everywhere(graph: Graph, a: int, b: int) -> bool:
    """Return whether two literals have the same value for all values of few variables.

    With more than `_FEW` variables nothing is tried, and the answer is no.
    """
    if a == b:
        return True
    order = graph.cone([a, b])
    variables = [node for node in order if graph.fanin[node] is None]
    if len(variables) > _FEW:
        return False
    size = 1 << len(variables)
    full = (1 << size) - 1
    word = {0: 0}
    for place, node in enumerate(variables):
        # Runs of 2**place zeros and ones in turn.
        run = 1 << place
        word[node] = full // ((1 << run) + 1) << run if run < size else 0
    for node in order:
        gate = graph.fanin[node]
        if gate is not None:
            left, right = (word[one >> 1] ^ full if one & 1 else word[one >> 1] for one in gate)
            word[node] = left & right
    return word[a >> 1] ^ (full if a & 1 else 0) == word[b >> 1] ^ (full if b & 1 else 0)


class Cnf:
    """The part of a graph that a solver has been told.

    Parameters
    ----------
    graph : Graph
        The graph.
    solver : Solver
        A solver of python-sat, empty.
    """

    def __init__(self, graph: Graph, solver: Any) -> None:
        self.graph = graph
        self.solver = solver
        self._told: set[int] = {0}
        solver.add_clause([-1])  # node 0, as variable 1

    def variable(self, literal: int) -> int:
        """Return a literal as the solver writes it, after telling it all that it depends on."""
        stack = [literal >> 1]
        while stack:
            node = stack.pop()
            if node in self._told:
                continue
            self._told.add(node)
            gate = self.graph.fanin[node]
            if gate is None:
                continue
            a, b = (_signed(one) for one in gate)
            out = node + 1
            self.solver.add_clause([-out, a])
            self.solver.add_clause([-out, b])
            self.solver.add_clause([out, -a, -b])
            stack += [gate[0] >> 1, gate[1] >> 1]
        return _signed(literal)

    def model(self) -> Model:
        """Return the values that satisfied the last query."""
        return Model(self.solver.get_model(), self.graph)


@dataclass(frozen=True)
class Register:
    """A flip-flop of one bit.

    Attributes
    ----------
    name : str
        Of the net that it drives.
    data, output : int
        Nets.
    """

    name: str
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
    """

    def __init__(self, path: Path, top: str) -> None:
        module: dict[str, Any] = json.loads(path.read_text())["modules"][top]
        self.ports: dict[str, list[int]] = {}
        self.inputs: set[str] = set()
        self._numbers: dict[int, int] = {}
        for name, port in module["ports"].items():
            self.ports[name] = [self._net(bit) for bit in port["bits"]]
            if port["direction"] == "input":
                self.inputs.add(name)
        names: dict[int, str] = {}
        self.named: dict[str, int] = {}  # nets that have names of the design's own
        for name, net in module["netnames"].items():
            for place, bit in enumerate(net["bits"]):
                if isinstance(bit, int) and (not net["hide_name"] or bit not in names):
                    names[bit] = f"{name}[{place}]"
        self.registers: list[Register] = []
        unordered: dict[int, tuple[int, int]] = {}
        for cell in module["cells"].values():
            wires = {port: bits[0] for port, bits in cell["connections"].items()}
            if cell["type"] == "$_DFF_P_":
                name = names.get(wires["Q"], "?")
                self.registers.append(Register(name, self._net(wires["D"]), self._net(wires["Q"])))
            elif cell["type"] == "$_AND_":
                unordered[self._net(wires["Y"])] = (self._net(wires["A"]), self._net(wires["B"]))
            elif cell["type"] == "$_NOT_":
                unordered[self._net(wires["Y"])] = (self._net(wires["A"]), -1)
            else:
                raise ToolError(f"unexpected cell {cell['type']}", str(path), "map it to gates")
        for name, net in module["netnames"].items():
            if not net["hide_name"]:
                for place, bit in enumerate(net["bits"]):
                    if bit in self._numbers:
                        self.named[f"{name}[{place}]"] = self._numbers[bit]
        self.nets = len(self._numbers) + 2
        # (output, first input, second input or -1 for an inverter)
        self.gates = self._ordered(unordered)
        self.readers: list[list[int]] = [[] for _ in range(self.nets)]
        for place, (_, a, b) in enumerate(self.gates):
            self.readers[a].append(place)
            if b >= 0:
                self.readers[b].append(place)

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


class Model:
    """Values of all nodes in a counterexample."""

    def __init__(self, model: Sequence[int], graph: Graph) -> None:
        self._model = model
        self._graph = graph
        self._values: dict[int, int] = {0: 0}

    def value(self, literal: int) -> int:
        """Return the value of a literal; what the solver was not asked about is computed."""
        stack = [literal >> 1]
        while stack:
            node = stack[-1]
            if node in self._values:
                stack.pop()
                continue
            gate = self._graph.fanin[node]
            if gate is None:
                known = node < len(self._model) and self._model[node] > 0
                self._values[node] = int(known)
                stack.pop()
                continue
            missing = [one >> 1 for one in gate if one >> 1 not in self._values]
            if missing:
                stack += missing
                continue
            a, b = gate
            self._values[node] = (self._values[a >> 1] ^ a & 1) & (self._values[b >> 1] ^ b & 1)
            stack.pop()
        return self._values[literal >> 1] ^ (literal & 1)


def _signed(literal: int) -> int:
    """Return a literal in the solver's numbering, where node n is variable n + 1."""
    variable = (literal >> 1) + 1
    return -variable if literal & 1 else variable
