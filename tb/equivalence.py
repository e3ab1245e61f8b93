"""The referee: is a mutant the same design as the original, at its ports, in every cycle?

Original and mutant are one netlist of AND gates, inverters and flip-flops with two values of the
input that chooses the mutant. Both are built into one graph in which equal nodes are one node, and
what is left to show goes to a SAT solver.

The proof is an induction over clock cycles on pairs of registers, each register and its copy in the
mutant:

- Before the first cycle both designs are in the same state, whatever it is, and the reset is low.
- If the pairs of a set S are equal, then all outputs are equal (data where their valid is high), and
  the pairs of S are equal after the next clock edge, for all inputs and for all values of the other
  registers of the mutant.

S is found by starting with all pairs and leaving out those that a counterexample of the solver tears
apart, until none is left: the largest such set. If outputs differ with it, nothing is proved.

States that the original cannot reach are taken out of the step by invariants (`Invariant`), which are
themselves proved by induction from the reset.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pysat.solvers import Solver  # type: ignore[import-untyped]

from model.errors import ToolError

RESET = "rst_ni"
# Outputs that mean something only while another one is high.
VALID_OF = {
    "m_axis_tdata": "m_axis_tvalid",
    "m_axis_tlast": "m_axis_tvalid",
    "s_axil_bresp": "s_axil_bvalid",
    "s_axil_rdata": "s_axil_rvalid",
    "s_axil_rresp": "s_axil_rvalid",
}
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
        if a == TRUE or a == b:
            return b
        found = self._known.get((a, b))
        if found is None:
            self.fanin.append((a, b))
            found = self._known[a, b] = 2 * (len(self.fanin) - 1)
        return found

    def difference(self, a: int, b: int) -> int:
        """Return the literal of a XOR b."""
        return self.conjunction(self.conjunction(a, b ^ 1) ^ 1, self.conjunction(a ^ 1, b) ^ 1) ^ 1


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
                self.registers.append(
                    Register(name, self._net(wires["D"]), self._net(wires["Q"]))
                )
            elif cell["type"] == "$_AND_":
                unordered[self._net(wires["Y"])] = (self._net(wires["A"]), self._net(wires["B"]))
            elif cell["type"] == "$_NOT_":
                unordered[self._net(wires["Y"])] = (self._net(wires["A"]), -1)
            else:
                raise ToolError(f"unexpected cell {cell['type']}", str(path), "map it to gates")
        self.nets = len(self._numbers) + 2
        # (output, first input, second input or -1 for an inverter)
        self.gates = self._ordered(unordered)
        self.readers: list[list[int]] = [[] for _ in range(self.nets)]
        for place, (_, a, b) in enumerate(self.gates):
            self.readers[a].append(place)
            if b >= 0:
                self.readers[b].append(place)

    def _net(self, bit: int | str) -> int:
        """Number a net: 0 and 1 are the constants."""
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


@dataclass(frozen=True)
class Verdict:
    """What the referee found.

    Attributes
    ----------
    equivalent : bool
        Whether the mutant is proved to be the same.
    proof : str
        How; or which output is left open.
    """

    equivalent: bool
    proof: str


class Referee:
    """Proves mutants of one netlist equivalent to its original.

    Parameters
    ----------
    path : pathlib.Path
        The gates.
    top : str
        The module.
    select : str
        The input that chooses the mutant.
    """

    def __init__(self, path: Path, top: str, select: str) -> None:
        self.gates = Gates(path, top)
        self.graph = Graph()
        self._select = self.gates.ports[select]
        self._solver = Solver(name="cadical195")
        self._encoded: set[int] = {0}
        self._solver.add_clause([-1])  # node 0, as variable 1
        self.original = [FALSE] * self.gates.nets
        self.original[1] = TRUE
        self.pins: dict[str, list[int]] = {}
        for name in sorted(self.gates.inputs - {select}):
            self.pins[name] = [self.graph.variable() for _ in self.gates.ports[name]]
            for net, literal in zip(self.gates.ports[name], self.pins[name], strict=True):
                self.original[net] = literal
        self.states = [self.graph.variable() for _ in self.gates.registers]
        for register, literal in zip(self.gates.registers, self.states, strict=True):
            self.original[register.output] = literal
        for out, a, b in self.gates.gates:
            left = self.original[a]
            self.original[out] = (
                left ^ 1 if b < 0 else self.graph.conjunction(left, self.original[b])
            )
        # Holds where invariants may be assumed: not in the cycle of the first reset.
        self._reachable = self._variable(self.graph.variable())

    # --- proofs -----------------------------------------------------------------------------------

    def judge(self, mutant: int) -> Verdict:
        """Try to prove that a mutant is equivalent.

        Parameters
        ----------
        mutant : int
            The value of the select input.
        """
        registers = self.gates.registers
        apart: set[int] = set()
        queries = 0
        while True:
            values = self._mutant(mutant, apart)
            together = [n for n in range(len(registers)) if n not in apart]
            torn = None
            for number in together:
                data = registers[number].data
                wrong = self.graph.difference(self.original[data], values[data])
                if wrong == FALSE:
                    continue
                queries += 1
                torn = self._counterexample(wrong)
                if torn is not None:
                    break
            if torn is None:
                break
            # The same counterexample may tear several pairs.
            parted = [
                n
                for n in together
                if torn.value(self.original[registers[n].data])
                != torn.value(values[registers[n].data])
            ]
            assert parted
            apart.update(parted)
        open_output = self._open_output(values, [self._reachable])
        if open_output is None:
            # The first cycle: any state, the same in both, and the reset low.
            first = self._mutant(mutant, set())
            reset = [self._variable(self.pins[RESET][0]) * -1] if RESET in self.pins else []
            open_output = self._open_output(first, reset)
            for n in together:
                data = registers[n].data
                wrong = self.graph.difference(self.original[data], first[data])
                if open_output is None and self._counterexample(wrong, reset) is not None:
                    open_output = f"{registers[n].name} after the reset"
        if open_output is not None:
            names = ", ".join(registers[n].name for n in sorted(apart)[:4])
            more = f"; registers that differ: {names}" if apart else ""
            return Verdict(False, f"not proved: {open_output}{more}")
        if not queries and not apart:
            return Verdict(True, "the same gates")
        proof = f"induction, {len(together)} register bits correspond"
        if apart:
            proof += f", {len(apart)} differ and are not seen"
        return Verdict(True, proof)

    def _open_output(self, values: Sequence[int], assumptions: Sequence[int]) -> str | None:
        """Return an output that is not the same under the assumptions."""
        for name, nets in self.gates.ports.items():
            if name in self.gates.inputs:
                continue
            valid = VALID_OF.get(name)
            mask = TRUE
            if valid in self.gates.ports:
                mask = self.original[self.gates.ports[valid][0]]
            for place, net in enumerate(nets):
                wrong = self.graph.difference(self.original[net], values[net])
                wrong = self.graph.conjunction(wrong, mask)
                if self._counterexample(wrong, assumptions) is not None:
                    return f"{name}[{place}]"
        return None

    def _mutant(self, mutant: int, apart: Iterable[int]) -> list[int]:
        """Return the literals of all nets of a mutant; registers that are apart are free."""
        values = list(self.original)
        waiting: list[int] = []
        queued: set[int] = set()

        def change(net: int, literal: int) -> None:
            if values[net] == literal:
                return
            values[net] = literal
            for place in self.gates.readers[net]:
                if place not in queued:
                    queued.add(place)
                    heapq.heappush(waiting, place)

        for place, net in enumerate(self._select):
            change(net, mutant >> place & 1)
        for number in apart:
            change(self.gates.registers[number].output, self._free(number))
        while waiting:
            place = heapq.heappop(waiting)
            out, a, b = self.gates.gates[place]
            left = values[a]
            change(out, left ^ 1 if b < 0 else self.graph.conjunction(left, values[b]))
        return values

    def _free(self, number: int) -> int:
        """Return the variable of the mutant's copy of a register."""
        if not hasattr(self, "_copies"):
            self._copies: dict[int, int] = {}
        if number not in self._copies:
            self._copies[number] = self.graph.variable()
        return self._copies[number]

    # --- the solver -------------------------------------------------------------------------------

    def _variable(self, literal: int) -> int:
        """Return a literal as the solver writes it, after telling it all that it depends on."""
        stack = [literal >> 1]
        while stack:
            node = stack.pop()
            if node in self._encoded:
                continue
            self._encoded.add(node)
            gate = self.graph.fanin[node]
            if gate is None:
                continue
            a, b = (_signed(one) for one in gate)
            out = node + 1
            self._solver.add_clause([-out, a])
            self._solver.add_clause([-out, b])
            self._solver.add_clause([out, -a, -b])
            stack += [gate[0] >> 1, gate[1] >> 1]
        return _signed(literal)

    def _counterexample(
        self, literal: int, assumptions: Sequence[int] | None = None
    ) -> _Model | None:
        """Return values under which a literal is true, or None if there are none."""
        if literal == FALSE:
            return None
        under = [self._reachable] if assumptions is None else list(assumptions)
        if not self._solver.solve(assumptions=[*under, self._variable(literal)]):
            return None
        return _Model(self._solver.get_model(), self.graph)


class _Model:
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
