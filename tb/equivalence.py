"""The referee, who proves that a mutant is the original design, at its ports, in every cycle.

Original and mutant are one netlist of AND gates, inverters and flip-flops with two values of the
input that chooses the mutant. Both are built into one circuit, the miter, whose output is high when
an output of theirs differs; a model checker is asked whether it can ever be (`tb.model_checker`).

- Before the first cycle both designs are in the same state, whatever it is, and the reset is low.
- All inputs are free afterwards, also against the protocols, with resets at any time.
- Data need only be the same while their valid is high.

What it proves rests on the model checker; that a mutant differs does not: the inputs that the model
checker names are played through the miter here, and must show it. That the miter itself is right is
tested with mutants that a stimulus kills: it must tell them apart (`tb.netlist_mutants`).
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from model.errors import ToolError
from tb.aiger import aiger
from tb.gate_graph import FALSE, TRUE, Gates, Graph
from tb.model_checker import never_high

CLOCK = "clk_i"
RESET = "rst_ni"
_CIRCUIT_FILE = "miter.aig"
_SECONDS = 300  # for one mutant, after signal correspondence
# Outputs that mean something only while another one is high.
VALID_OF = {
    "m_axis_tdata": "m_axis_tvalid",
    "m_axis_tlast": "m_axis_tvalid",
    "s_axil_bresp": "s_axil_bvalid",
    "s_axil_rdata": "s_axil_rvalid",
    "s_axil_rresp": "s_axil_rvalid",
}


@dataclass(frozen=True)
class Verdict:
    """What the referee found.

    Attributes
    ----------
    equivalent : bool
        Whether the mutant is proved to be the same.
    proof : str
        How; or where it differs.
    inputs : tuple of str
        Where it is known to differ: for each cycle from the reset on, the values of all ports that
        are driven.
    decided : bool
        Whether there was an answer in time.
    """

    equivalent: bool
    proof: str
    inputs: tuple[str, ...] = ()
    decided: bool = True


@dataclass(frozen=True)
class _Miter:
    """Two designs in one circuit.

    Attributes
    ----------
    graph : Graph
        Its gates.
    pins : dict
        For each input port of the designs, the literals of its bits.
    before : list of int
        Literals of the state before the first cycle.
    latches : list of (int, int)
        States and what they become.
    different : dict
        For each output, the literal that says that it differs.
    bad : int
        Whether any does.
    """

    graph: Graph
    pins: dict[str, list[int]]
    before: list[int]
    latches: list[tuple[int, int]]
    different: dict[str, int]
    bad: int

    @property
    def inputs(self) -> list[int]:
        """Literals of all inputs, in the order in which they are written down."""
        return [literal for port in self.pins.values() for literal in port] + self.before


class Referee:
    """Proves mutants of one netlist equivalent to its original.

    Parameters
    ----------
    path : pathlib.Path
        The gates: Yosys' JSON.
    top : str
        The module.
    select : str
        The input that chooses the mutant.
    """

    def __init__(self, path: Path, top: str, select: str) -> None:
        self._gates = Gates(path, top, CLOCK)
        self._select = select

    def judge(self, mutant: int) -> Verdict:
        """Decide whether a mutant is equivalent.

        Parameters
        ----------
        mutant : int
            The value of the select input.

        Raises
        ------
        ToolError
            If the model checker is missing, does not answer, or names inputs that show nothing.
        """
        miter = self._miter(mutant)
        if miter.bad == FALSE:
            return Verdict(True, "the same gates")
        with tempfile.TemporaryDirectory() as folder:
            circuit = Path(folder) / _CIRCUIT_FILE
            inputs = miter.inputs
            circuit.write_bytes(aiger(miter.graph, inputs, miter.latches, [miter.bad]))
            answer = never_high(circuit, len(inputs), _SECONDS)
        if answer.holds:
            return Verdict(True, "model checking")
        if answer.holds is None:
            return Verdict(False, "not decided in time", decided=False)
        output = _played(miter, answer.trace)
        if output is None:
            raise ToolError(
                "the inputs that the model checker named show no difference",
                f"mutant {mutant}",
                "look at tb/equivalence.py: one of the two is wrong",
            )
        where = f"{output} differs {len(answer.trace) - 1} cycles after the first of the reset"
        told = [_told(miter, values) for values in answer.trace]
        told[0] = told[0].replace(f"{RESET}=1", f"{RESET}=0")  # whatever that pin is, it is low
        return Verdict(False, where, tuple(told))

    def _miter(self, mutant: int) -> _Miter:
        """Build original and mutant into one circuit."""
        graph = Graph()
        gates = self._gates
        running = graph.variable()  # low in the first cycle
        pins = {
            name: [graph.variable() for _ in gates.ports[name]]
            for name in sorted(gates.inputs - {self._select, CLOCK})
        }
        before = [graph.variable() for _ in gates.registers]
        latches = [(running, TRUE)]
        nets = []
        for number in (0, mutant):
            states = [graph.variable() for _ in gates.registers]
            values = [FALSE] * gates.nets
            values[1] = TRUE
            for place, net in enumerate(gates.ports[self._select]):
                values[net] = number >> place & 1
            for name, literals in pins.items():
                for net, literal in zip(gates.ports[name], literals, strict=True):
                    values[net] = literal if name != RESET else graph.conjunction(literal, running)
            for register, state, first in zip(gates.registers, states, before, strict=True):
                values[register.output] = graph.choice(running, state, first)
            for out, a, b in gates.gates:
                values[out] = values[a] ^ 1 if b < 0 else graph.conjunction(values[a], values[b])
            latches += [
                (state, values[register.data])
                for register, state in zip(gates.registers, states, strict=True)
            ]
            nets.append(values)
        different = {}
        bad = FALSE
        for name, port in gates.ports.items():
            if name in gates.inputs:
                continue
            valid = VALID_OF.get(name)
            mask = nets[0][gates.ports[valid][0]] if valid in gates.ports else TRUE
            for place, net in enumerate(port):
                wrong = graph.conjunction(graph.difference(nets[0][net], nets[1][net]), mask)
                different[f"{name}[{place}]"] = wrong
                bad = graph.conjunction(bad ^ 1, wrong ^ 1) ^ 1
        return _Miter(graph, pins, before, latches, different, bad)


def _played(miter: _Miter, trace: tuple[str, ...]) -> str | None:
    """Play inputs, cycle by cycle; return an output that differs in the last."""
    graph = miter.graph
    order = graph.cone([*(after for _, after in miter.latches), *miter.different.values()])
    state = [0] * len(miter.latches)
    value: dict[int, int] = {}

    def of(literal: int) -> int:
        return value[literal >> 1] ^ literal & 1

    for digits in trace:
        value = {0: 0}
        for literal, digit in zip(miter.inputs, digits, strict=True):
            value[literal >> 1] = int(digit)
        for (literal, _), bit in zip(miter.latches, state, strict=True):
            value[literal >> 1] = bit
        for node in order:
            gate = graph.fanin[node]
            if gate is not None:
                value[node] = of(gate[0]) & of(gate[1])
        state = [of(after) for _, after in miter.latches]
    return next((name for name, literal in miter.different.items() if of(literal)), None)


def _told(miter: _Miter, digits: str) -> str:
    """Write down the ports in one cycle, as binary numbers."""
    told = []
    first = 0
    for name, port in miter.pins.items():
        told.append(f"{name}={digits[first : first + len(port)][::-1]}")
        first += len(port)
    return " ".join(told)
