"""What the registers of a layer hold in each cycle of its work on a vector.

From the cycle after a vector was taken until its result is taken, the sequencer, the sources and
the sums of a layer are functions of the operands that the layer holds. These functions are found by
playing the netlist's own next-state functions with symbols for the operands, and proved frame by
frame: a frame is only entered from the one before, and what that one holds becomes what it holds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pysat.solvers import Solver  # type: ignore[import-untyped]

from tb.gate_graph import FALSE, TRUE, Cnf, Gates, Graph, substitute

# Registers of a layer that outlive its work on a vector, or are its operands.
_NOT_OF_THE_WORK = re.compile(r"\.u_sng\.|\.u_result|\.u_encoder\.|stream_q")
_SEQUENCER = re.compile(r"\.u_ctrl\.(state_q|cycle_q)\[")
_COUNT, _FINISH = 2, 3
_LONGEST = 300


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


class Prover(Protocol):
    """What proofs of frames ask of the referee."""

    def impossible(self, literal: int) -> bool:
        """Return whether a literal is never true in the states in question."""

    def following(self, literal: int) -> int:
        """Return a literal over registers as it is in the next state."""

    def is_state(self, node: int) -> bool:
        """Return whether a variable is a register of the original."""


def frames(
    gates: Gates,
    graph: Graph,
    work: LayerWork,
    values: Sequence[int],
    variables: Mapping[int, int],
    constant: Mapping[int, int],
) -> list[dict[int, int]]:
    """Play a layer's work with symbols, from the cycle after a vector was taken to the last.

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

    Returns
    -------
    list of dict
        For each cycle, from registers to literals over the operands; empty if it does not end.
    """
    begun = {**_taken(graph, work.load, constant), **constant}
    held = _step(gates, graph, work, values, begun)
    found: list[dict[int, int]] = []
    for _ in range(_LONGEST):
        found.append(held)
        state = [held[n] for n in work.state]
        if any(bit not in (FALSE, TRUE) for bit in state):
            return []
        if state[0] + 2 * state[1] == _FINISH:
            return found
        now = {**constant, **{variables[n] >> 1: literal for n, literal in held.items()}}
        held = _step(gates, graph, work, values, now)
    return []


def counts(work: LayerWork, held: Mapping[int, int]) -> bool:
    """Return whether a layer counts in a frame: else the number of its cycle means nothing."""
    return held[work.state[0]] + 2 * held[work.state[1]] == _COUNT


def told_by(work: LayerWork, held: Mapping[int, int]) -> dict[int, int]:
    """Return what a frame says of registers."""
    if counts(work, held):
        return dict(held)
    return {n: literal for n, literal in held.items() if n not in work.cycle}


def guards_of(
    graph: Graph, work: LayerWork, found: Sequence[dict[int, int]], states: Sequence[int]
) -> list[int]:
    """Return for each frame the literal that tells it, over the sequencer's registers."""
    guards = []
    for held in found:
        guard = TRUE
        for n in (*work.state, *(work.cycle if counts(work, held) else ())):
            guard = graph.conjunction(guard, states[n] ^ held[n] ^ 1)
        guards.append(guard)
    return guards


def frames_hold(
    gates: Gates,
    graph: Graph,
    work: LayerWork,
    found: Sequence[dict[int, int]],
    guards: Sequence[int],
    values: Sequence[int],
    variables: Mapping[int, int],
    constant: Mapping[int, int],
    prover: Prover,
) -> bool:
    """Prove frames by induction over them.

    Parameters
    ----------
    found, guards
        The frames.
    values, variables, constant
        As for `frames`.
    prover : Prover
        Of single steps.
    """
    last = len(found) - 1
    told = [told_by(work, held) for held in found]
    for number, guard in enumerate(guards):
        entered = prover.following(guard)
        ways = [number - 1] if number else []
        ways += [last] if number == last else []
        foreign = entered
        for way in ways:
            foreign = graph.conjunction(foreign, guards[way] ^ 1)
        if number and not prover.impossible(foreign):
            return False
        # Nor with a reset or a clear, so that what follows may leave them out.
        for node, bit in constant.items():
            if not prover.impossible(graph.conjunction(entered, 2 * node ^ bit)):
                return False
        for way in ways or [-1]:
            now = dict(constant)
            if way >= 0:
                now |= {variables[n] >> 1: literal for n, literal in told[way].items()}
            memory: dict[int, int] = {}
            broken = FALSE
            if way >= 0:
                # The operands stay, and what is said of them may be said of the next state.
                for node in graph.cone(told[number].values()):
                    if graph.fanin[node] is None:
                        if not prover.is_state(node):
                            return False
                        moved = graph.difference(2 * node, prover.following(2 * node))
                        moved = substitute(graph, moved, now, memory)
                        broken = graph.conjunction(broken ^ 1, moved ^ 1) ^ 1
            for n, literal in told[number].items():
                copy = values[gates.registers[n].data]
                differ = graph.difference(
                    substitute(graph, copy, now, memory),
                    literal if way >= 0 else prover.following(literal),
                )
                broken = graph.conjunction(broken ^ 1, differ ^ 1) ^ 1
            if not prover.impossible(
                graph.conjunction(substitute(graph, entered, now, memory), broken)
            ):
                return False
    return True


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
