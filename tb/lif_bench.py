"""What the benches of the spiking neurons share: cases, actions, and what the golden model expects.

A run is a list of actions, one a cycle. The golden model is asked for whole runs: what stands
between two loads is a vector of its own.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np

from model.lif import simulate_lif
from model.manifest import LifNeuron
from tb.planes import literal

Kind = Literal["load", "idle", "step"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class LifCase:
    """Neurons of a bench, and the ranges of their inputs.

    Attributes
    ----------
    neuron : LifNeuron
        What they have in common.
    inc_width : int
        Bits of the signed increment.
    currents : tuple of int
        The bias of each neuron.
    both_ends : bool
        Whether random runs must meet both ends of the membrane's range.
    """

    neuron: LifNeuron
    inc_width: int
    currents: tuple[int, ...] = (0,)
    both_ends: bool = False

    @property
    def current_width(self) -> int:
        """The fewest bits that hold every bias."""
        return 1 + max((value if value >= 0 else ~value).bit_length() for value in self.currents)

    @property
    def increments(self) -> range:
        """All increments."""
        half = 1 << (self.inc_width - 1)
        return range(-half, half)

    @property
    def words(self) -> range:
        """All noise words; only 0 without noise."""
        return range(1 << self.neuron.noise_bits)

    def parameters(self) -> dict[str, int | str]:
        """Return the parameters of the Verilog modules."""
        of = self.neuron
        width = self.current_width
        packed = sum(
            (value % (1 << width)) << (index * width) for index, value in enumerate(self.currents)
        )
        return {
            "IncWidth": self.inc_width,
            "Width": of.width,
            "Gain": of.gain,
            "Leak": of.leak,
            "LeakShift": of.leak_shift,
            "Threshold": of.threshold,
            "ResetToValue": int(of.reset == "value"),
            "ResetValue": of.reset_value,
            "Refractory": of.refractory,
            "Floor": of.floor,
            "NoiseWidth": of.noise_bits,
            "CurrentWidth": width,
            "Current": literal(packed, width * len(self.currents)),
        }


class Action(NamedTuple):
    """One cycle of a run; in a load and in an idle cycle the rest must not matter."""

    kind: Kind
    increments: tuple[int, ...]
    word: int = 0


@dataclass(frozen=True)
class Expected:
    """What a cycle must show: this cycle's spikes, and the registers before its clock edge."""

    spikes: tuple[int, ...]
    voltages: tuple[int, ...]
    counts: tuple[int, ...]


def expected_run(case: LifCase, actions: Sequence[Action]) -> list[Expected | None]:
    """Return what each cycle of a run must show; None before the first load.

    Parameters
    ----------
    case : LifCase
        The neurons.
    actions : sequence of Action
        The run.
    """
    zeros = (0,) * len(case.currents)
    expected: list[Expected | None] = []
    begun = False
    for vector in _vectors(actions):
        steps = [action for action in vector if action.kind == "step"]
        trace = simulate_lif(
            np.reshape([action.increments for action in steps], (1, len(steps), len(zeros))).astype(
                np.int64
            ),
            case.neuron,
            np.asarray(case.currents),
            [action.word for action in steps] if case.neuron.noise_bits else None,
        )
        counts = np.cumsum(trace.spikes[0], axis=0, dtype=np.int64)
        done = 0
        voltages = totals = zeros
        for action in vector:
            spikes = zeros
            now = voltages, totals
            if action.kind == "step":
                spikes = tuple(trace.spikes[0, done].astype(int).tolist())
                voltages = tuple(trace.voltages[0, done].tolist())
                totals = tuple(counts[done].tolist())
                done += 1
            expected.append(Expected(spikes, *now) if begun else None)
            if action.kind == "load":
                begun = True
    return expected


def random_actions(case: LifCase, rng: random.Random, cycles: int) -> list[Action]:
    """Draw a run: a load, then steps with some pauses and few loads, in moods of their own.

    Parameters
    ----------
    case : LifCase
        The neurons.
    rng : random.Random
        Where it comes from.
    cycles : int
        Length of the run.
    """
    low, high = case.increments[0], case.increments[-1]

    def increments(mood: str) -> tuple[int, ...]:
        drawn = {
            "up": (high, high // 2, 0),
            "down": (low, low // 2, 0),
            "small": (-1, 0, 0),
            "any": (low, high, rng.randint(low, high), rng.randint(low, high)),
        }[mood]
        return tuple(rng.choice(drawn) for _ in case.currents)

    actions = [Action("load", increments("any"), rng.choice(case.words))]
    while len(actions) < cycles:
        mood = rng.choice(("up", "down", "small", "any", "any"))
        for _ in range(rng.randint(1, 40)):
            kind = rng.choices(KINDS, (1, 9, 90))[0]
            actions.append(Action(kind, increments(mood), rng.choice(case.words)))
    return actions[:cycles]


def _vectors(actions: Sequence[Action]) -> list[list[Action]]:
    """Cut a run after each load, which itself belongs to the vector that it ends."""
    vectors: list[list[Action]] = [[]]
    for action in actions:
        vectors[-1].append(action)
        if action.kind == "load":
            vectors.append([])
    return vectors
