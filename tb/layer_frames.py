"""What the registers of a layer hold in each cycle of its work on a vector.

From the cycle after a vector was taken until its result is taken, the sequencer, the sources and the
sums of a layer are functions of the operands that the layer holds. These functions are found by
playing the netlist's own next-state functions with symbols for the operands. They are candidates: the
induction that uses them proves them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pysat.solvers import Solver  # type: ignore[import-untyped]

from tb.gate_graph import FALSE, TRUE, Cnf, Gates, Graph, substitute

# Registers of a layer that outlive its work on a vector, or are its operands.
_NOT_OF_THE_WORK = re.compile(r"\.u_sng\.|\.u_result|\.u_encoder\.|stream_q")
_SEQUENCER = re.compile(r"\.u_ctrl\.(state_q|cycle_q)\[")
_FINISH = 3
_LONGEST = 300


@dataclass(frozen=True)
class Frame:
    """A cycle of a layer's work.

    Attributes
    ----------
    guard : int
        Literal over the original's sequencer: the layer is in this cycle.
    held : dict
        From registers, by number, to literals over the operands.
    """

    guard: int
    held: dict[int, int]


@dataclass(frozen=True)
class LayerWork:
    """Where a layer's registers are.

    Attributes
    ----------
    load : int
        Literal: a vector is taken.
    own, state, cycle : tuple of int
        Numbers of the registers that take part in the work, and of those of the sequencer.
    """

    load: int
    own: tuple[int, ...]
    state: tuple[int, ...]
    cycle: tuple[int, ...]


def find_layers(gates: Gates, names: Sequence[str], values: Sequence[int]) -> list[LayerWork]:
    """Find the layers that hold their operands while they work."""
    found = []
    for index in range(100):
        prefix = f"u_layer_{index}."
        load = gates.named.get(f"{prefix}load[0]", gates.named.get(f"{prefix}u_ctrl.load_o[0]"))
        if load is None:
            break
        of_layer = [n for n, name in enumerate(names) if name.startswith(prefix)]
        state = sorted(
            (n for n in of_layer if ".u_ctrl.state_q[" in names[n]), key=lambda n: names[n]
        )
        cycle = sorted((n for n in of_layer if ".u_ctrl.cycle_q[" in names[n]), key=lambda n: n)
        own = [n for n in of_layer if not _NOT_OF_THE_WORK.search(names[n])]
        if len(state) == 2:
            found.append(LayerWork(values[load], tuple(own), tuple(state), tuple(cycle)))
    return found


def frames(
    gates: Gates,
    graph: Graph,
    work: LayerWork,
    values: Sequence[int],
    variables: Mapping[int, int],
    constant: Mapping[int, int],
    guards: Sequence[int] | None = None,
) -> list[Frame]:
    """Play a layer's work with symbols.

    Parameters
    ----------
    gates, graph
        The netlist.
    work : LayerWork
        The layer.
    values : sequence of int
        Literals of all nets, of the original or of a mutant.
    variables : mapping
        From the numbers of the layer's registers to the literals that stand for them in `values`.
    constant : mapping
        From nodes to literals: what is so while a layer works: no reset, no clear.
    guards : sequence of int, optional
        Those of the original's frames, which a mutant's are laid beside.
    """
    begun = dict(constant)
    for node, bit in _taken(graph, work.load, constant).items():
        begun.setdefault(node, bit)
    held = _step(gates, graph, work, values, begun)
    found: list[Frame] = []
    for number in range(_LONGEST):
        state = [held[n] for n in work.state]
        if any(bit not in (FALSE, TRUE) for bit in state):
            break
        finished = state[0] + 2 * state[1] == _FINISH
        if guards is None:
            guard = TRUE
            for n in (*work.state, *(() if finished else work.cycle)):
                guard = graph.conjunction(guard, variables[n] ^ held[n] ^ 1)
        elif number < len(guards):
            guard = guards[number]
        else:
            break
        skipped = set(work.cycle) if finished else set()
        found.append(Frame(guard, {n: lit for n, lit in held.items() if n not in skipped}))
        if finished:
            break
        now = dict(constant)
        for n, literal in held.items():
            now[variables[n] >> 1] = literal
        held = _step(gates, graph, work, values, now)
    return found


def _taken(graph: Graph, load: int, constant: Mapping[int, int]) -> dict[int, int]:
    """Return values of the variables that make a layer take a vector."""
    wanted = substitute(graph, load, constant, {})
    with Solver(name="cadical195") as solver:
        cnf = Cnf(graph, solver)
        if not solver.solve(assumptions=[cnf.variable(wanted)]):
            return {}
        model = cnf.model()
    return {
        node: model.value(2 * node) for node in graph.cone([wanted]) if graph.fanin[node] is None
    }


def _step(
    gates: Gates, graph: Graph, work: LayerWork, values: Sequence[int], now: Mapping[int, int]
) -> dict[int, int]:
    memory: dict[int, int] = {}
    return {n: substitute(graph, values[gates.registers[n].data], now, memory) for n in work.own}
