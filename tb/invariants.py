"""What holds in every state that a netlist can reach: candidates, and their proof by induction.

Candidates may come from anywhere, since nothing is believed: those that do not hold after the first
reset, and those that a step from a state in which all of them hold can break, are dropped until
none is left to be dropped. What remains holds in every reachable state.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from pysat.solvers import Solver  # type: ignore[import-untyped]

from tb.gate_graph import FALSE, TRUE, Cnf, Gates, Graph, substitute

RESET = "rst_ni"
_BATCH = 400


def prove_invariants(
    gates: Gates,
    graph: Graph,
    values: Sequence[int],
    states: Sequence[int],
    reset: int,
    candidates: Iterable[int],
) -> list[int]:
    """Return the candidates that hold in every state after the first cycle, whose reset is low.

    Parameters
    ----------
    gates : Gates
        The netlist.
    graph : Graph
        Where its literals are.
    values : sequence of int
        Literals of all nets.
    states : sequence of int
        Literals of the registers.
    reset : int
        Literal of the reset, low where it is active.
    candidates : iterable of int
        Literals over the registers.
    """
    following = {
        state >> 1: values[register.data]
        for state, register in zip(states, gates.registers, strict=True)
    }
    memory: dict[int, int] = {}
    alive = {
        candidate: substitute(graph, candidate, following, memory)
        for candidate in dict.fromkeys(candidates)
        if candidate != TRUE
    }
    alive.pop(FALSE, None)
    _drop(graph, alive, [], [reset ^ 1])
    while _drop(graph, alive, list(alive), []):
        pass
    return list(alive)


def _drop(
    graph: Graph, alive: dict[int, int], hypotheses: Sequence[int], assumptions: Sequence[int]
) -> int:
    """Drop candidates that do not hold in the next state; return how many."""
    dropped = 0
    with Solver(name="cadical195") as solver:
        cnf = Cnf(graph, solver)
        for literal in hypotheses:
            solver.add_clause([cnf.variable(literal)])
        under = [cnf.variable(literal) for literal in assumptions]
        unproved = list(alive)
        while unproved:
            batch = [one for one in unproved[:_BATCH] if one in alive]
            unproved = unproved[_BATCH:]
            while batch:
                some = cnf.variable(graph.variable())
                solver.add_clause([-some, *(-cnf.variable(alive[one]) for one in batch)])
                if not solver.solve(assumptions=[*under, some]):
                    break
                model = cnf.model()
                broken = [one for one in alive if not model.value(alive[one])]
                assert broken
                dropped += len(broken)
                for one in broken:
                    del alive[one]
                batch = [one for one in batch if one in alive]
    return dropped


def mined_clauses(
    gates: Gates,
    graph: Graph,
    values: Sequence[int],
    states: Sequence[int],
    pins: Mapping[str, Sequence[int]],
    groups: Sequence[Sequence[int]],
    without_pairs: Sequence[int],
    seed: int,
) -> list[int]:
    """Return clauses that random play from the reset never breaks.

    Constants and pairs of all registers, and triples within groups.

    Parameters
    ----------
    gates, graph, values, states
        As for `prove_invariants`.
    pins : mapping
        Literals of the inputs.
    groups : sequence of sequence of int
        Positions of registers.
    without_pairs : sequence of int
        Positions of registers of which no pairs are looked for.
    seed : int
        Of the play.
    """
    seen = np.concatenate(_random_states(gates, graph, values, states, pins, seed), axis=1)
    both = seen.astype(np.float32)
    count = seen.shape[1]
    together = both @ both.T  # how often a and b
    ones = np.diagonal(together)
    clauses = []
    constant = (ones == 0) | (ones == count)
    for n in np.flatnonzero(constant):
        clauses.append(states[int(n)] ^ int(ones[n] == 0))
    constant[list(without_pairs)] = True
    free = np.flatnonzero(~constant)
    for a_value in (0, 1):
        for b_value in (0, 1):
            a_ones = ones[:, None] if a_value else count - ones[:, None]
            if a_value and b_value:
                hits = together
            elif a_value:
                hits = ones[:, None] - together
            elif b_value:
                hits = ones[None, :] - together
            else:
                hits = a_ones - (ones[None, :] - together)
            for a, b in np.argwhere(hits[np.ix_(free, free)] == 0):
                if a < b:
                    left, right = states[free[a]] ^ a_value ^ 1, states[free[b]] ^ b_value ^ 1
                    clauses.append(graph.conjunction(left, right) ^ 1)
    for group in groups:
        clauses += _triples(graph, seen, states, group)
    return clauses


def _triples(
    graph: Graph, seen: np.ndarray, states: Sequence[int], group: Sequence[int]
) -> list[int]:
    """Return clauses of three registers of a group."""
    clauses = []
    rows = seen[list(group)]
    for a in range(len(group)):
        for b in range(a + 1, len(group)):
            for c in range(b + 1, len(group)):
                index = rows[a] * 4 + rows[b] * 2 + rows[c]
                met = np.bincount(index, minlength=8)
                for value in np.flatnonzero(met == 0):
                    bits = (int(value) >> 2 & 1, int(value) >> 1 & 1, int(value) & 1)
                    literal = TRUE
                    for member, bit in zip((a, b, c), bits, strict=True):
                        literal = graph.conjunction(literal, states[group[member]] ^ bit ^ 1)
                    clauses.append(literal ^ 1)
    return clauses


def _random_states(
    gates: Gates,
    graph: Graph,
    values: Sequence[int],
    states: Sequence[int],
    pins: Mapping[str, Sequence[int]],
    seed: int,
) -> list[np.ndarray]:
    """Play at random, many runs side by side: one bit of an integer each."""
    rng = random.Random(seed)
    lanes, cycles = 512, 260
    full = (1 << lanes) - 1
    # Shares of ones, so that each pin rests now and then for long.
    mostly = [lambda: rng.getrandbits(lanes)]
    mostly.append(lambda: rng.getrandbits(lanes) | rng.getrandbits(lanes) | rng.getrandbits(lanes))
    mostly.append(lambda: rng.getrandbits(lanes) & rng.getrandbits(lanes) & rng.getrandbits(lanes))
    order = graph.cone([values[register.data] for register in gates.registers])
    state = [rng.getrandbits(lanes) for _ in states]
    found = []
    styles = {name: rng.randrange(3) for name in pins}
    for cycle in range(cycles):
        if cycle % 37 == 0:
            styles = {name: rng.randrange(3) for name in pins}
        word: dict[int, int] = {0: 0}
        for literal, bits in zip(states, state, strict=True):
            word[literal >> 1] = bits
        for name, literals in pins.items():
            for literal in literals:
                word[literal >> 1] = mostly[styles[name] if len(literals) == 1 else 0]()
            if name == RESET:
                rare = full
                for _ in range(7):
                    rare &= rng.getrandbits(lanes)
                word[literals[0] >> 1] = 0 if cycle == 0 else full ^ rare
            if name == "preset_load":
                word[literals[0] >> 1] &= rng.getrandbits(lanes)
        # The lowest address bits of registers that change something.
        for node in order:
            gate = graph.fanin[node]
            if gate is None:
                continue
            a, b = gate
            left = word[a >> 1] ^ full if a & 1 else word[a >> 1]
            right = word[b >> 1] ^ full if b & 1 else word[b >> 1]
            word[node] = left & right
        state = []
        for register in gates.registers:
            literal = values[register.data]
            bits = word[literal >> 1]
            state.append(bits ^ full if literal & 1 else bits)
        if cycle % 2 == 0:
            raw = b"".join(bits.to_bytes(lanes // 8, "little") for bits in state)
            found.append(
                np.unpackbits(np.frombuffer(raw, dtype=np.uint8).reshape(len(state), -1), axis=1)
            )
    return found
