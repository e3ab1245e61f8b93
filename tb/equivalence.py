"""The referee, who proves that a mutant is the original design, at its ports, in every cycle.

Original and mutant are one netlist of AND gates, inverters and flip-flops with two values of the
input that chooses the mutant. Both are built into one graph in which equal nodes are one node, and
what is left to show goes to a SAT solver.

The proof is an induction over clock cycles on pairs of registers, each register and its copy in the
mutant:

- Before the first cycle both designs are in the same state, whatever it is, and the reset is low.
- If the pairs of a set S are equal, then all outputs are equal (data where their valid is high),
  and the pairs of S are equal after the next clock edge, for all inputs and for all values of the
  other registers of the mutant.

S is found by starting with all pairs. A pair that a counterexample tears apart may be equal
whenever some register has some value (its relations), and those are tried; what a counterexample
breaks is dropped, until a step breaks nothing. If outputs differ then, nothing is proved.

States that the original cannot reach are taken out of the step by invariants (`tb.invariants`,
`tb.layer_frames`), which are themselves proved by induction from the reset.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pysat.solvers import Solver  # type: ignore[import-untyped]

from tb.gate_graph import FALSE, TRUE, Cnf, Gates, Graph, Model, same_everywhere, substitute
from tb.invariants import mined_clauses, prove_invariants
from tb.layer_frames import LayerWork, find_layers, frames, frames_hold, guards_of, told_by

RESET = "rst_ni"
# More pairs than these apart, each under conditions of its own, are hopeless.
_MOST_APART = 12
_SHORT_WORD = 9  # bits, of which clauses of three are looked for
# After so many conflicts the solver gives a mutant up, and it is left open.
_MOST_CONFLICTS = 3_000
_CONTROL = re.compile(r"(valid|state|busy|drop|held|working|start|finish|beat|clear|ready)\w*\[")
# If a literal holds, a register's copy in the mutant has the value of another literal.
Relation = tuple[int, int]
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
        How; or which output is left open.
    """

    equivalent: bool
    proof: str


class _GaveUpError(Exception):
    """A question was too hard."""


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
        self._cnf = Cnf(self.graph, Solver(name="glucose4"))
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
        self._spent = 0  # conflicts, before the present mutant
        self._copies: dict[int, int] = {}
        self._following = {
            literal >> 1: self.original[register.data]
            for literal, register in zip(self.states, self.gates.registers, strict=True)
        }
        self._followed: dict[int, int] = {}
        self._works: list[tuple[LayerWork, list[int], list[dict[int, int]]]] = []
        self.names = self._register_names()
        self._working = {
            literal >> 1: FALSE
            for literal, name in zip(self.states, self.names, strict=True)
            if name in ("u_registers.clear_q[0]", "clear[0]")
        }
        if RESET in self.pins:
            self._working[self.pins[RESET][0] >> 1] = TRUE
        # Holds where invariants may be assumed: not in the cycle of the first reset.
        self._reachable = self._cnf.variable(self.graph.variable())

    # --- proofs -----------------------------------------------------------------------------------

    def judge(self, mutant: int) -> Verdict:
        """Try to prove that a mutant is equivalent.

        Parameters
        ----------
        mutant : int
            The value of the select input.
        """
        self._spent = self._cnf.solver.accum_stats()["conflicts"]
        try:
            return self._judge(mutant)
        except _GaveUpError:
            return Verdict(False, "not proved: too hard for the solver")

    def _judge(self, mutant: int) -> Verdict:
        """Try to prove that a mutant is equivalent, if no question is too hard."""
        apart: dict[int, set[Relation]] = {}
        facts: list[list[int]] = []
        while True:
            values = self._mutant(mutant, apart)
            torn = self._torn(values, apart, facts)
            for number in torn:
                apart[number] = self._conditions(mutant, number)
            if len(apart) > _MOST_APART:
                return Verdict(False, f"not proved: {self._names(apart)} differ")
            if not torn:
                break
            # These rest on what is still together.
            facts = self._frame_facts(mutant, apart)
        open_output = self._open_output(values, self._hypotheses(apart, facts))
        if open_output is not None:
            more = f"; {self._names(apart)} differ" if apart else ""
            return Verdict(False, f"not proved: {open_output}{more}")
        first = self._mutant(mutant, {})
        open_output = self._open_output(first, self._first_cycle())
        if open_output is not None:
            return Verdict(False, f"not proved: {open_output} in the first reset")
        if not apart and all(values[net] == self.original[net] for net in self._observed_nets()):
            return Verdict(True, "the same gates")
        proof = f"induction: {len(self.states) - len(apart)} register bits correspond"
        if apart:
            proof += f", {self._names(apart)} where it is looked at"
        return Verdict(True, proof)

    def _names(self, numbers: Iterable[int]) -> str:
        """Return the names of some registers."""
        names = [self.names[n] for n in numbers]
        return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

    def _observed_nets(self) -> list[int]:
        """Return the nets that registers and outputs are driven by."""
        nets = [register.data for register in self.gates.registers]
        for name, port in self.gates.ports.items():
            if name not in self.gates.inputs:
                nets += port
        return nets

    def _conditions(self, mutant: int, number: int) -> set[Relation]:
        """Return when a pair may be equal: what holds after a reset.

        Tried are the values of the same word, and those of registers that control.
        """
        word = self.names[number].partition("[")[0]
        tried = [
            literal ^ sign
            for literal, name in zip(self.states, self.names, strict=True)
            if name.partition("[")[0] == word or _CONTROL.search(name)
            for sign in (0, 1)
        ]
        own = self.states[number]
        return self._after_reset(mutant, number, {(condition, own) for condition in tried})

    def _after_reset(self, mutant: int, number: int, tried: set[Relation]) -> set[Relation]:
        """Return the relations that hold after the first cycle."""
        first = self._mutant(mutant, {})
        copy = first[self.gates.registers[number].data]
        kept = set(tried)
        while kept:
            broken = {relation: self._broken(relation, copy) for relation in kept}
            model = self._any(broken.values(), self._first_cycle())
            if model is None:
                break
            kept = {relation for relation in kept if not model.value(broken[relation])}
        return kept

    def _broken(self, relation: Relation, copy: int) -> int:
        """Return the literal: the relation does not hold of a copy in the next state."""
        condition, target = (
            substitute(self.graph, one, self._following, self._followed) for one in relation
        )
        return self.graph.conjunction(condition, self.graph.difference(copy, target))

    def _frame_facts(self, mutant: int, apart: Mapping[int, set[Relation]]) -> list[list[int]]:
        """Return what a mutant's registers hold as layers work, as clauses of literals."""
        facts: list[list[int]] = []
        values = self._mutant(mutant, apart)
        for work, guards, own in self._works:
            moved = [number for number in work.own if number in apart]
            if not moved:
                continue
            variables = {n: self._free(n) if n in apart else self.states[n] for n in work.own}
            found = frames(self.gates, self.graph, work, values, variables, self._working)
            if len(found) != len(guards):
                continue
            if not frames_hold(
                self.gates, self.graph, work, found, guards, values, variables, self._working, self
            ):
                continue
            last = len(found) - 1
            for number, (held, original) in enumerate(zip(found, own, strict=True)):
                told = told_by(work, held)
                for n in moved:
                    if n not in told:
                        continue
                    target = held[n]
                    if number == last and same_everywhere(self.graph, target, original[n]):
                        target = self.states[n]
                    if target not in (FALSE, TRUE, self.states[n]):
                        continue  # sums only make questions hard
                    facts.append(
                        [guards[number] ^ 1, self.graph.difference(variables[n], target) ^ 1]
                    )
        return facts

    def impossible(self, literal: int) -> bool:
        """Return whether a literal is never true in a reachable state."""
        return self._counterexample(literal) is None

    def following(self, literal: int) -> int:
        """Return a literal over the original's registers as it is in the next state."""
        return substitute(self.graph, literal, self._following, self._followed)

    def is_state(self, node: int) -> bool:
        """Return whether a variable is a register of the original."""
        return node in self._following

    def learn_frames(self) -> int:
        """Prove what the original's registers hold as layers work; return for how many layers."""
        for work in find_layers(self.gates, self.names, self.original):
            variables = {n: self.states[n] for n in work.own}
            found = frames(self.gates, self.graph, work, self.original, variables, self._working)
            guards = guards_of(self.graph, work, found, self.states)
            entered = [self.following(guard) for guard in guards]
            if (
                not found
                or self._any(entered, self._first_cycle()) is not None
                or not frames_hold(
                    self.gates,
                    self.graph,
                    work,
                    found,
                    guards,
                    self.original,
                    variables,
                    self._working,
                    self,
                )
            ):
                continue
            self._works.append((work, guards, found))
            for number, held in enumerate(found):
                for n, literal in told_by(work, held).items():
                    if literal not in (FALSE, TRUE):
                        continue  # sums only make questions hard
                    wrong = self.graph.difference(self.states[n], literal)
                    self.assume([self.graph.conjunction(guards[number], wrong) ^ 1])
        return len(self._works)

    def _first_cycle(self) -> list[int]:
        """Return the assumptions of the first cycle: any state, the reset low."""
        return [self._cnf.variable(self.pins[RESET][0] ^ 1)] if RESET in self.pins else []

    def _hypotheses(
        self, apart: Mapping[int, set[Relation]], facts: Iterable[Sequence[int]]
    ) -> list[int]:
        """Return what is assumed of pairs that are apart, as literals of the solver's."""
        hold = self._cnf.variable(self.graph.variable())
        for fact in facts:
            self._cnf.solver.add_clause([-hold, *(self._cnf.variable(one) for one in fact)])
        for number, relations in apart.items():
            for condition, target in relations:
                differ = self.graph.difference(self._free(number), target)
                self._cnf.solver.add_clause(
                    [-hold, -self._cnf.variable(condition), -self._cnf.variable(differ)]
                )
        return [self._reachable, hold]

    def _torn(
        self,
        values: Sequence[int],
        apart: dict[int, set[Relation]],
        facts: Iterable[Sequence[int]],
    ) -> list[int]:
        """Return pairs that a step tears apart, after dropping relations that it breaks.

        An empty list: what is left is inductive.
        """
        registers = self.gates.registers
        wrong = {
            number: self.graph.difference(self.original[register.data], values[register.data])
            for number, register in enumerate(registers)
            if number not in apart
        }
        broken = {
            (number, relation): self._broken(relation, values[registers[number].data])
            for number, relations in apart.items()
            for relation in relations
        }
        torn: list[int] = []
        while True:
            hold = self._hypotheses(apart, facts)
            dropped = False
            while True:
                model = self._any([*wrong.values(), *broken.values()], hold)
                if model is None:
                    break
                more = [number for number, literal in wrong.items() if model.value(literal)]
                torn += more
                for number in more:
                    del wrong[number]
                gone = [key for key, literal in broken.items() if model.value(literal)]
                for number, relation in gone:
                    apart[number].discard(relation)
                    del broken[number, relation]
                dropped = dropped or bool(gone)
            # Weaker hypotheses may let more through.
            if torn or not dropped:
                return torn

    def _any(self, literals: Iterable[int], assumptions: Sequence[int]) -> Model | None:
        """Return values under which one of some literals is true."""
        possible = sorted({literal for literal in literals if literal != FALSE})
        if not possible:
            return None
        some = self._cnf.variable(self.graph.variable())
        self._cnf.solver.add_clause([-some, *(self._cnf.variable(one) for one in possible)])
        found = self._solve([*assumptions, some])
        model = self._cnf.model() if found else None
        self._cnf.solver.add_clause([-some])
        return model

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

    def _register_names(self) -> list[str]:
        """Name the registers after the nets that show them while there is no reset."""
        mapping = {self.pins[RESET][0] >> 1: TRUE} if RESET in self.pins else {}
        memory: dict[int, int] = {}
        place_of = {literal: place for place, literal in enumerate(self.states)}
        names = [register.name for register in self.gates.registers]
        best: dict[int, tuple[bool, str]] = {}
        for name, net in self.gates.named.items():
            literal = substitute(self.graph, self.original[net], mapping, memory)
            place = place_of.get(literal)
            if place is not None:
                rank = ("_q[" not in name, name)
                best[place] = min(rank, best.get(place, rank))
        for place, (_, name) in best.items():
            names[place] = name
        return names

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
        if number not in self._copies:
            self._copies[number] = self.graph.variable()
        return self._copies[number]

    # --- the solver -------------------------------------------------------------------------------

    def _counterexample(
        self, literal: int, assumptions: Sequence[int] | None = None
    ) -> Model | None:
        """Return values under which a literal is true, or None if there are none."""
        if literal == FALSE:
            return None
        under = [self._reachable] if assumptions is None else list(assumptions)
        if not self._solve([*under, self._cnf.variable(literal)]):
            return None
        return self._cnf.model()

    def _solve(self, assumptions: Sequence[int]) -> bool:
        """Ask the solver, for as long as a mutant may take."""
        solver = self._cnf.solver
        left = self._spent + _MOST_CONFLICTS - solver.accum_stats()["conflicts"]
        if left <= 0:
            raise _GaveUpError
        solver.conf_budget(left)
        answer: bool | None = solver.solve_limited(assumptions=list(assumptions))
        if answer is None:
            raise _GaveUpError
        return answer

    def assume(self, invariants: Iterable[int]) -> None:
        """Take states that break an invariant out of the induction step."""
        for literal in invariants:
            self._cnf.solver.add_clause([-self._reachable, self._cnf.variable(literal)])

    def _words(self) -> list[list[int]]:
        """Return the registers of each short word."""
        words: dict[str, list[int]] = {}
        for number, name in enumerate(self.names):
            words.setdefault(name.partition("[")[0], []).append(number)
        return [word for word in words.values() if 2 < len(word) <= _SHORT_WORD]

    def learn(self, seed: int) -> int:
        """Find and prove invariants, and take states that break them out of the induction step.

        Parameters
        ----------
        seed : int
            Of the random play that candidates come from.

        Returns
        -------
        int
            How many were proved.
        """
        # Sources go through few of their states in a play: whatever is found of them is chance.
        chance = [n for n, name in enumerate(self.names) if "_source." in name]
        mined = mined_clauses(
            self.gates,
            self.graph,
            self.original,
            self.states,
            self.pins,
            self._words(),
            chance,
            seed,
        )
        proved = prove_invariants(
            self.gates, self.graph, self.original, self.states, self.pins[RESET][0], mined
        )
        self.assume(proved)
        self.learn_frames()
        return len(proved)
