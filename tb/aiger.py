"""AIGER, the format in which model checkers read circuits: binary files of gate graphs.

Format: A. Biere, "The AIGER And-Inverter Graph (AIG) Format Version 20071012", FMV Technical
Report 07/1, Johannes Kepler University, 2007.
"""

from __future__ import annotations

from collections.abc import Sequence

from tb.gate_graph import Graph


def aiger(
    graph: Graph,
    inputs: Sequence[int],
    latches: Sequence[tuple[int, int]],
    outputs: Sequence[int],
) -> bytes:
    """Return a sequential circuit as a binary AIGER file.

    Parameters
    ----------
    graph : Graph
        Where the literals are.
    inputs : sequence of int
        Literals of variables.
    latches : sequence of (int, int)
        Literals of the state, a variable, and of what it becomes. All begin at 0.
    outputs : sequence of int
        Literals.
    """
    numbers = {0: 0}
    for literal in (*inputs, *(state for state, _ in latches)):
        numbers[literal >> 1] = len(numbers)

    def number(literal: int) -> int:
        return 2 * numbers[literal >> 1] | literal & 1

    body = bytearray()
    gates = 0
    for node in graph.cone([*(following for _, following in latches), *outputs]):
        gate = graph.fanin[node]
        if gate is None:
            continue  # a variable: inputs and latches have their numbers
        gates += 1
        numbers[node] = len(numbers)
        low, high = sorted(number(one) for one in gate)
        body += _varint(2 * numbers[node] - high) + _varint(high - low)
    head = f"aig {len(numbers) - 1} {len(inputs)} {len(latches)} {len(outputs)} {gates}"
    literals = [number(following) for _, following in latches]
    literals += [number(literal) for literal in outputs]
    return "\n".join([head, *map(str, literals), ""]).encode() + body


def _varint(value: int) -> bytes:
    """Return a number in groups of seven bits, the lowest first."""
    groups = bytearray()
    while value >= 0x80:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)
