"""The spiking neuron's transfer curve, measured in RTL: `make neurons`.

Banks of the `ramp` neuron see the increments of 1, 4, 16 and 64 synapses, each an AND of two
bitstreams, at mean rates from 0 to 1. Icarus plays them. Every count is held to the golden model's,
and the rates to the formula ``clip(2.5 (p - .1), 0, 1)``. Table and picture go to ``docs/``.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.neuron_chart import Panel, neuron_chart
from benchmarks.neurons_bench import COUNTS_VARIABLE, INCREMENTS_VARIABLE
from model.errors import CertibitError, SignoffError
from model.files import read_bytes, write_bytes_atomically
from model.lfsr import maximal_taps
from model.lif import PRESETS, for_fan_in, simulate_lif, transfer
from model.manifest import LfsrSource, LifNeuron
from model.sequences import counter_sequence, source_sequence
from tb.runner import run_bench
from tb.simulators import find_simulator

_REPOSITORY = Path(__file__).resolve().parent.parent
PAGE = _REPOSITORY / "docs" / "neurons.md"
PICTURE = _REPOSITORY / "docs" / "neurons.svg"
BEGIN, END = "<!-- make neurons: begin -->", "<!-- make neurons: end -->"

_MODULES = ("sc_lif_bank", "sc_lif_neuron", "sc_stochastic_counter")
LENGTH = 256
FAN_INS = (1, 4, 16, 64)
_KNEE_OPERAND = 81  # 81 * 81 / 2**16 = .1001, where the formula bends
_KNEE_RUNS = 64
_BITS = 8
_STEPS = 40
_LFSR_WIDTH = 32


@dataclass(frozen=True)
class Series:
    """Increments of one kind at several rates.

    Attributes
    ----------
    title : str
        Which streams they come from.
    rates : ndarray of float64
        The mean p that the operands stand for, one a point.
    increments : ndarray of int64
        Shape (cycles, points).
    """

    title: str
    rates: NDArray[np.float64]
    increments: NDArray[np.int64]


CONSTANT, COUNTERS, LANES, LFSRS = "constant rate", "counter pair", "lane constants", "LFSRs"
KNEE = "LFSRs, at the knee"

# Words of one lane in one run: those of x and those of w.
_Words = Callable[[int, int], tuple[NDArray[np.int32], NDArray[np.int32]]]


def all_series(fan_in: int) -> list[Series]:
    """Return the increments of every kind for so many synapses, the same in every call."""
    rng = random.Random(f"neurons {fan_in}")
    counter = counter_sequence(LENGTH, _BITS, reverse=False)
    mirrored = counter_sequence(LENGTH, _BITS, reverse=True)
    lfsr = LfsrSource(
        sharing="layer",
        xor_constants=[0],
        width=_LFSR_WIDTH,
        taps=list(maximal_taps(_LFSR_WIDTH)),
        step=_LFSR_WIDTH,
        seeds=[1],
    )

    def shared(_run: int, lane: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        return counter, mirrored ^ np.int32(15 ^ spread(lane))

    def own(_run: int, lane: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        return counter ^ np.int32(spread(lane)), mirrored ^ np.int32(15)

    def spread(lane: int) -> int:
        return lane * (1 << _BITS) // fan_in

    def random_words(_run: int, _lane: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        seeds = [rng.randrange(1, 1 << _LFSR_WIDTH) for _ in range(2)]
        pair = lfsr.model_copy(update={"seeds": seeds})
        first, second = source_sequence(pair, LENGTH, _BITS)
        return first, second

    def driven(title: str, operands: Sequence[int], words: _Words) -> Series:
        """Add up the products of all lanes: x and w are the same number, and p is its square."""
        increments = np.zeros((LENGTH, len(operands)), dtype=np.int64)
        for run, operand in enumerate(operands):
            for lane in range(fan_in):
                x, w = words(run, lane)
                increments[:, run] += (x < operand) & (w < operand)
        return Series(title, (np.asarray(operands) / (1 << _BITS)) ** 2, increments)

    top = (1 << _BITS) - 1
    operands = [min(round((top + 1) * math.sqrt(step / _STEPS)), top) for step in range(_STEPS + 1)]
    levels = np.arange(fan_in + 1)
    return [
        Series(CONSTANT, levels / fan_in, np.tile(levels, (LENGTH, 1))),
        driven(COUNTERS, operands, shared),
        driven(LANES, operands, own),
        driven(LFSRS, operands, random_words),
        driven(KNEE, [_KNEE_OPERAND] * _KNEE_RUNS, random_words),
    ]


def ramp(fan_in: int) -> LifNeuron:
    """Return the neuron that is measured."""
    return for_fan_in(PRESETS["ramp"], fan_in)


def golden_counts(fan_in: int, series: Sequence[Series]) -> list[NDArray[np.int64]]:
    """Return what the golden model counts, for each series."""
    return [simulate_lif(part.increments[np.newaxis], ramp(fan_in)).counts[0] for part in series]


def rtl_counts(fan_in: int, series: Sequence[Series], build: Path) -> list[NDArray[np.int64]]:
    """Return what a bank in Icarus counts, for each series: a neuron for each point of them all.

    Raises
    ------
    SignoffError
        If a count is not the golden model's.
    """
    described = ramp(fan_in)
    increments = np.concatenate([part.increments for part in series], axis=1)
    folder = build / f"fan_in_{fan_in}"
    folder.mkdir(parents=True, exist_ok=True)
    played, counted = folder / "increments.npy", folder / "counts.npy"
    np.save(played, increments)
    counted.unlink(missing_ok=True)
    run_bench(
        name=f"neurons_{fan_in}",
        toplevel="sc_lif_bank",
        sources=[_REPOSITORY / "hdl" / f"{name}.v" for name in _MODULES],
        module="benchmarks.neurons_bench",
        simulator=find_simulator("icarus"),
        build_root=build,
        parameters={
            "Neurons": increments.shape[1],
            "Length": LENGTH,
            "AccWidth": LENGTH.bit_length(),
            "IncWidth": fan_in.bit_length() + 1,
            "Width": described.width,
            "Gain": described.gain,
            "Leak": described.leak,
            "Threshold": described.threshold,
            "Floor": described.floor,
        },
        seed=1,
        env={INCREMENTS_VARIABLE: str(played.absolute()), COUNTS_VARIABLE: str(counted.absolute())},
    )
    found = np.load(counted)
    golden = np.concatenate(golden_counts(fan_in, series))
    for place in np.flatnonzero(found != golden)[:1]:
        raise SignoffError(
            f"the RTL counts {found[place]} spikes, the golden model {golden[place]}",
            f"fan-in {fan_in}, neuron {place}",
            "run the benches of sc_lif_bank",
        )
    ends = np.cumsum([part.increments.shape[1] for part in series])[:-1]
    return np.split(found, ends)


def independent_rate(fan_in: int) -> float:
    """Return the exact mean rate at the knee if all bits of all lanes and cycles are independent.

    The distribution of the membrane is carried from cycle to cycle.
    """
    # At the knee the membrane stays far below these bits: its end takes no part.
    described = ramp(fan_in).model_copy(update={"width": 13})
    top = (1 << (described.width - 1)) - 1
    p = (_KNEE_OPERAND / (1 << _BITS)) ** 2
    chance = [math.comb(fan_in, k) * p**k * (1 - p) ** (fan_in - k) for k in range(fan_in + 1)]
    drift = described.gain * np.arange(fan_in + 1) - described.leak
    total = np.clip(np.arange(top + 1) + drift[:, np.newaxis], described.floor, top)
    spikes = total >= described.threshold
    after = (total - described.threshold * spikes).ravel()
    share = np.zeros(top + 1)
    share[0] = 1
    count = 0.0
    for _ in range(LENGTH):
        joint = np.outer(chance, share)
        count += joint[spikes].sum()
        share = np.bincount(after, joint.ravel(), minlength=top + 1).astype(np.float64)
    return count / LENGTH


def formula(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the activation that the neuron is for."""
    return np.asarray(transfer(rates, PRESETS["ramp"]))


def summary(
    measured: Mapping[int, tuple[Sequence[Series], Sequence[NDArray[np.int64]]]],
) -> tuple[str, str]:
    """Return the table, in Markdown, and the picture, as SVG."""
    table = [
        f"| synapses | gain | {CONSTANT} | {COUNTERS} | {LANES} | {LFSRS}"
        " | rate at the knee | independent bits |",
        "|---|---|---|---|---|---|---|---|",
    ]
    panels = []
    for fan_in, (series, counts) in measured.items():
        rates = {
            part.title: (part.rates, count / LENGTH)
            for part, count in zip(series, counts, strict=True)
        }
        cells = []
        for title in (CONSTANT, COUNTERS, LANES, LFSRS):
            p, found = rates[title]
            error = found - formula(p)
            cells.append(f"{np.sqrt((error**2).mean()):.4f} / {np.abs(error).max():.4f}")
        knee = rates.pop(KNEE)[1]
        spread = knee.std(ddof=1) / math.sqrt(len(knee))
        table.append(
            f"| {fan_in} | {ramp(fan_in).gain} | {' | '.join(cells)}"
            f" | {knee.mean():.4f} +- {spread:.4f} | {independent_rate(fan_in):.4f} |"
        )
        panels.append(Panel(f"{fan_in} synapse{'s' * (fan_in > 1)}", rates))
    across = np.linspace(0, 1, 201)
    return "\n".join(table) + "\n", neuron_chart((across, formula(across)), panels)


def with_table(page: str, table: str) -> str:
    """Return a page with the table between its marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SignoffError(
            "the place of the table is not marked", str(PAGE), f"put {BEGIN} and {END} there"
        )
    return f"{before}{begin}\n{table}{end}{after}"


def main() -> int:
    """Measure, print and write.

    Returns
    -------
    int
        Exit code: 0, or 2 for an error of input or tools.
    """
    parser = argparse.ArgumentParser(description="Transfer curve of the spiking neuron, in RTL.")
    parser.add_argument("--build", type=Path, default=Path("build/neurons"), help="build folder")
    arguments = parser.parse_args()
    try:
        measured = {}
        for fan_in in FAN_INS:
            series = all_series(fan_in)
            measured[fan_in] = (series, rtl_counts(fan_in, series, arguments.build))
        table, picture = summary(measured)
        page = read_bytes(PAGE, SignoffError, "restore it").decode()
        write_bytes_atomically(PAGE, with_table(page, table).encode())
        write_bytes_atomically(PICTURE, picture.encode())
    except CertibitError as error:
        print(f"certibit: {error}", file=sys.stderr)
        return 2
    print(f"L = {LENGTH}; error against the formula: rms / largest\n\n{table}")
    print(f"also in {PAGE.relative_to(_REPOSITORY)}, the picture in docs/{PICTURE.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
