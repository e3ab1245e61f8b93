"""Campaigns of injected faults: `certibit faults`.

Random faults at given rates, whose output error and accuracy make curves; and single faults, each
of which is masked, detected, silent or ends in a hang. The design is played beside a binary
multiply-accumulate design of the same network. Every result goes into a journal, so that an
interrupted campaign is taken up where it was.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from model.errors import InputError
from model.forward import GoldenNetwork
from model.manifest import manifest_digest
from model.plan import Design
from rtl_gen.generator import TOP_MODULE, hdl_sources
from tb.binary_design import (
    BINARY_LAYER_SOURCE,
    BINARY_TOP,
    binary_counts,
    check_comparable,
    write_binary_design,
)
from tb.campaigns import FAULTS_FILE, FaultCurve, FaultOutcomes, FaultPoint, FaultRecord, rtl_digest
from tb.fault_netlist import Site
from tb.fault_prediction import predicted_errors
from tb.fault_simulation import KINDS, FaultBench, Job, Kind, Outcome, build_fault_bench
from tb.journal import Journal, shown_progress
from tb.simulate import rtl_files
from tb.simulators import Simulator

# The mean square over so many vectors is that of all of them within a few per cent.
PREDICTION_VECTORS = 100
JOURNAL_FILE = "faults.journal"
DesignName = Literal["stochastic", "binary"]
Normalisation = Literal["per cycle", "per inference"]

# Which kinds of signals a curve strikes. The binary design has the last four and the whole.
_STREAMS = ("x streams", "w streams", "products", "increments")
_DATA = (*_STREAMS, "source words", "source state", "weights", "counters", "operands")
GROUPS: dict[str, tuple[str, ...]] = {
    "datapath": _DATA,
    "streams": _STREAMS,
    "x streams": ("x streams",),
    "w streams": ("w streams",),
    "products": ("products",),
    "source words": ("source words",),
    "source state": ("source state",),
    "weights": ("weights",),
    "counters": ("counters",),
    "operands": ("operands",),
    "control": ("control",),
}
# As many faults an inference as strike these signals of the stochastic design.
_COUNTERPARTS = {
    "datapath": "datapath",
    "products": "streams",
    "weights": "weights",
    "counters": "counters",
    "operands": "operands",
    "control": "control",
}
# At a rate of one half a bit says nothing any more; beyond it there are no more faults to be had.
_HIGHEST_RATE = 0.5
# A fault there may cost the framing of the output stream, and with it all results that follow.
_FRAMING = "control"


@dataclass(frozen=True)
class FaultRequest:
    """What a campaign is asked for.

    Attributes
    ----------
    rates : tuple of float
        Probabilities of a fault, per bit and cycle.
    vectors : int
        Test vectors of each point of a curve.
    singles : int
        Largest number of single faults for each block and kind.
    single_vectors : int
        Vectors that each of them sees.
    seed : int
        Everything random comes from it.
    binary : bool
        Whether the binary design is played, too.
    jobs : int
        Simulations at a time.
    """

    rates: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1)
    vectors: int = 300
    singles: int = 200
    single_vectors: int = 2
    seed: int = 1
    binary: bool = True
    jobs: int = 2

    def check(self, design: Design) -> None:
        """Refuse what cannot be done.

        Raises
        ------
        InputError
            If a number is out of range.
        """
        available = len(design.features)
        if not 1 <= self.vectors <= available:
            raise InputError(
                f"{self.vectors} vectors were asked for, there are {available}",
                "--vectors",
                f"use 1 to {available}",
            )
        if not 1 <= self.single_vectors <= self.vectors:
            raise InputError(
                f"single faults are to see {self.single_vectors} of {self.vectors} vectors",
                "--single-vectors",
                "use at least 1 and at most --vectors",
            )
        if self.singles < 0 or self.jobs < 1:
            raise InputError(
                "a number is negative", "--singles, --jobs", "use 0 or more, 1 or more"
            )
        for rate in self.rates:
            if not 1e-7 <= rate <= _HIGHEST_RATE:
                raise InputError(
                    f"{rate:g} is no rate of faults that can be drawn", "--rates", "use 1e-7 to 0.5"
                )
        if self.binary:
            check_comparable(design)


@dataclass(frozen=True)
class Subject:
    """A design under fault, with what it must give without faults.

    Attributes
    ----------
    name : {'stochastic', 'binary'}
        Which one.
    bench : FaultBench
        Its simulation.
    golden : numpy.ndarray
        Shape (vectors, outputs), int64: counts of the fault-free run.
    unit : int
        What a count of 1.0 of the weighted sum is.
    """

    name: DesignName
    bench: FaultBench
    golden: NDArray[np.int64]
    unit: int

    @property
    def outputs(self) -> int:
        """Beats of an output packet."""
        return int(self.golden.shape[1])

    def groups(self) -> dict[str, tuple[str, ...]]:
        """Return the curves' signals that this design has."""
        there = {site.place for site in self.bench.sites}
        found = {
            name: tuple(place for place in places if place in there)
            for name, places in GROUPS.items()
        }
        if self.name == "binary":
            found.pop("streams")
        return {name: places for name, places in found.items() if places}

    def blocks(self) -> dict[str, list[Site]]:
        """Return the sites of every block, in the order of their names."""
        blocks: dict[str, list[Site]] = {}
        for site in self.bench.sites:
            blocks.setdefault(site.block, []).append(site)
        return dict(sorted(blocks.items()))


def build_subjects(
    design: Design, folder: Path, simulator: Simulator, *, binary: bool
) -> list[Subject]:
    """Build the simulations of a design and of its binary counterpart.

    Parameters
    ----------
    design : Design
        A planned design, whose RTL stands in `folder`.
    folder : pathlib.Path
        Its build folder.
    simulator : Simulator
        Which simulator.
    binary : bool
        Whether there is to be a binary design.
    """
    root = folder / "sim"
    last = design.manifest.layers[-1]
    sources = [*hdl_sources(), *rtl_files(design, folder)]
    subjects = [
        Subject(
            "stochastic",
            build_fault_bench(design, TOP_MODULE, sources, simulator, root),
            GoldenNetwork(design.manifest, design.parameters).counts(design.features)[-1],
            last.bitstream_length,
        )
    ]
    if binary:
        sources = [*hdl_sources(), BINARY_LAYER_SOURCE, write_binary_design(design, folder)]
        subjects.append(
            Subject(
                "binary",
                build_fault_bench(design, BINARY_TOP, sources, simulator, root),
                binary_counts(design, design.features),
                1 << 2 * design.manifest.operand_width,
            )
        )
    return subjects


def wilson_interval(hits: int, trials: int) -> tuple[float, float]:
    """Return the 95 % interval of a share, by Wilson's score."""
    interval = stats.binomtest(hits, trials).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


# --- curves ---------------------------------------------------------------------------------------


def play_rate(
    subject: Subject, places: Sequence[str], kind: Kind, rate: float, request: FaultRequest
) -> dict[str, Any]:
    """Play all vectors with random faults.

    Returns
    -------
    dict
        Injected faults, the sum of squared errors in squared counts, right classes, and vectors
        that were lost: without a whole result.
    """
    bench, count = subject.bench, request.vectors
    told = f"{subject.name} {','.join(places)} {kind} {rate!r} {request.seed}"
    seed = int.from_bytes(hashlib.sha256(told.encode()).digest()[:8], "big")
    size = 1 if _FRAMING in places else count
    jobs = [
        Job(kind, tuple(places), rate, (seed + first) % 2**64, first=first, vectors=size)
        for first in range(0, count, size)
    ]
    squares, right, lost, injected = 0.0, 0, 0, 0
    labels = bench.design.labels
    for job, outcome in zip(jobs, bench.run(jobs), strict=True):
        injected += sum(outcome.injected.values())
        if outcome.hung or not outcome.whole(size, subject.outputs):
            lost += size
            continue
        part = slice(job.first, job.first + size)
        counts = outcome.counts(size, subject.outputs)
        squares += float(((counts - subject.golden[part]).astype(np.float64) ** 2).sum())
        right += int((counts.argmax(axis=1) == labels[part]).sum())
    return {"injected": injected, "squares": squares, "right": right, "lost": lost}


def fault_point(
    subject: Subject, rate: float, result: dict[str, Any], predicted: float | None, vectors: int
) -> FaultPoint:
    """Make a point of a curve of what was played."""
    whole = vectors - result["lost"]
    low, high = wilson_interval(result["right"], vectors)
    return FaultPoint(
        rate=rate,
        injected=result["injected"],
        faults_per_inference=result["injected"] / vectors,
        rms_error=(
            math.sqrt(result["squares"] / (whole * subject.outputs)) / subject.unit
            if whole
            else None
        ),
        predicted_rms_error=predicted,
        accuracy=result["right"] / vectors,
        accuracy_low=low,
        accuracy_high=high,
        lost=result["lost"],
    )


# --- single faults --------------------------------------------------------------------------------


def choose_singles(
    subject: Subject, block: str, kind: Kind, cycles: int, request: FaultRequest
) -> list[Job]:
    """Choose the single faults of a block: all of its bits where they are few enough."""
    told = f"{subject.name} {block} {kind} {request.seed}"
    generator = np.random.default_rng(
        int.from_bytes(hashlib.sha256(told.encode()).digest()[:8], "big")
    )
    bits = [(site.index, bit) for site in subject.blocks()[block] for bit in site.bits]
    if kind != "flip" and len(bits) <= request.singles:
        chosen = list(range(len(bits)))
    else:
        chosen = generator.choice(
            len(bits), request.singles, replace=len(bits) < request.singles
        ).tolist()
    count = request.single_vectors
    drain = 64 + sum(layer.bitstream_length for layer in subject.bench.design.manifest.layers)
    return [
        Job(
            kind,
            site=bits[index][0],
            bit=bits[index][1],
            cycle=int(generator.integers(cycles)),
            first=int(generator.integers(request.vectors - count + 1)),
            vectors=count,
            drain=drain,
        )
        for index in chosen
    ]


def judge(outcome: Outcome, job: Job, subject: Subject, host: str) -> str:
    """Tell what a single fault came to.

    Parameters
    ----------
    outcome : Outcome
        The run with the fault.
    job : Job
        What was played.
    subject : Subject
        The design.
    host : str
        What the host reads at the end of a run without faults.

    Returns
    -------
    str
        ``hung``: the watchdog ended it. ``detected``: too few, too many or misplaced beats, unknown
        values, or other registers than without faults. ``silent``: other counts. ``masked``: none.
    """
    if outcome.hung:
        return "hung"
    if not outcome.whole(job.vectors, subject.outputs) or outcome.host != host:
        return "detected"
    golden = subject.golden[job.first : job.first + job.vectors]
    same = (outcome.counts(job.vectors, subject.outputs) == golden).all()
    return "masked" if same else "silent"


def play_singles(subject: Subject, block: str, kind: Kind, request: FaultRequest) -> dict[str, int]:
    """Play the single faults of a block; return how many came to what."""
    quiet = Job(vectors=request.single_vectors, drain=64)
    reference = subject.bench.run([quiet])[0]
    jobs = choose_singles(subject, block, kind, reference.cycles - 64, request)
    if not jobs:
        return {}
    found: Counter[str] = Counter()
    for job, outcome in zip(jobs, subject.bench.run(jobs), strict=True):
        found[judge(outcome, job, subject, reference.host)] += 1
    return {**found, "injected": len(jobs)}


# --- the campaign ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Unit:
    """A piece of work of the campaign; its key names it in the journal."""

    key: str
    work: Callable[[], Any]


def run_campaign(
    design: Design,
    folder: Path,
    simulator: Simulator,
    request: FaultRequest,
    say: Callable[[str], None],
) -> FaultRecord | None:
    """Run a whole campaign, or what is left of it, and leave its record.

    Parameters
    ----------
    design : Design
        A planned design, whose RTL stands in `folder`.
    folder : pathlib.Path
        Its build folder; ``faults.json`` is written there.
    simulator : Simulator
        Which simulator.
    request : FaultRequest
        What is asked for.
    say : callable
        Told what happens.

    Returns
    -------
    FaultRecord or None
        None if fault sites alone, without faults, change a count: nothing measured with them would
        mean anything.
    """
    request.check(design)
    say(f"put fault sites into the netlist of {design.manifest.network} ...")
    subjects = build_subjects(design, folder, simulator, binary=request.binary)
    for subject in subjects:
        if not _harmless(subject, request, say):
            return None
    identity = hashlib.sha256(
        "\0".join(
            [
                *(" ".join(subject.bench.command) for subject in subjects),
                manifest_digest(design.manifest),
                f"{request.vectors} {request.seed}",
            ]
        ).encode()
    ).hexdigest()
    journal = Journal(folder / JOURNAL_FILE, identity)
    _work(journal, _first_units(subjects, request), "faults", request.jobs)
    rates = {}
    if request.binary:
        rates = _matched_rates(journal, subjects, request)
        units = [
            _rate_unit(subjects[1], place, "flip", rate, request)
            for (place, _), rate in rates.items()
            if rate <= _HIGHEST_RATE
        ]
        _work(journal, units, "as many faults an inference", request.jobs)
    record = FaultRecord(
        rtl_sha256=rtl_digest(),
        network=design.manifest.network,
        manifest_sha256=manifest_digest(design.manifest),
        seed=request.seed,
        signals=sum(len(subject.bench.sites) for subject in subjects),
        curves=_curves(journal, subjects, rates, request),
        outcomes=_outcomes(journal, subjects, request),
        notes=_notes(subjects, rates, request),
    )
    record.save(folder / FAULTS_FILE)
    return record


def _harmless(subject: Subject, request: FaultRequest, say: Callable[[str], None]) -> bool:
    """Return whether the sites change nothing as long as no fault strikes."""
    outcome = subject.bench.run([Job(vectors=request.vectors)])[0]
    count = request.vectors
    if outcome.hung or not outcome.whole(count, subject.outputs):
        say(f"FAIL: the {subject.name} design with fault sites gives no results without faults")
        return False
    wrong = outcome.counts(count, subject.outputs) != subject.golden[:count]
    if wrong.any():
        vector, output = (int(place[0]) for place in np.nonzero(wrong))
        say(
            f"FAIL: the {subject.name} design with fault sites differs without faults: vector"
            f" {vector}, output {output}"
        )
        return False
    bits = sum(len(site.bits) for site in subject.bench.sites)
    say(
        f"{subject.name}: {len(subject.bench.sites)} signals of {bits:,} bits; without faults all"
        f" {count} vectors as predicted, {outcome.cycles / count:.1f} cycles each"
    )
    return True


def _rate_key(subject: Subject, place: str, kind: Kind, rate: float) -> str:
    return f"rate {subject.name} {place} {kind} {rate!r}"


def _prediction_key(place: str, kind: Kind, rate: float) -> str:
    return f"predict {place} {kind} {rate!r}"


def _single_key(subject: Subject, block: str, kind: Kind, request: FaultRequest) -> str:
    counts = f"{request.singles} {request.single_vectors}"
    return f"single {subject.name} {block} {kind} {counts}"


def _predicted(
    subject: Subject, place: str, kind: Kind, rate: float, request: FaultRequest
) -> float | None:
    """Predict the stochastic design's error at a point of a curve, from some of its vectors."""
    features = subject.bench.design.features[: min(request.vectors, PREDICTION_VECTORS)]
    places = subject.groups()[place]
    return predicted_errors(subject.bench.design, features, places, kind, [rate])[0]


def _rate_unit(
    subject: Subject, place: str, kind: Kind, rate: float, request: FaultRequest
) -> _Unit:
    places = subject.groups()[place]
    return _Unit(
        _rate_key(subject, place, kind, rate),
        lambda: play_rate(subject, places, kind, rate, request),
    )


def curve_kinds(place: str) -> tuple[Kind, ...]:
    """Return which kinds of random faults a curve is drawn of: streams are held at a level, too."""
    return KINDS if place == "streams" else ("flip",)


def _first_units(subjects: Sequence[Subject], request: FaultRequest) -> list[_Unit]:
    """Return all work that needs no other's results."""
    units = [
        _rate_unit(subject, place, kind, rate, request)
        for subject in subjects
        for place in subject.groups()
        for kind in curve_kinds(place)
        for rate in request.rates
    ]
    units += [
        _Unit(
            _prediction_key(place, kind, rate),
            lambda p=place, k=kind, r=rate: _predicted(  # type: ignore[misc]
                subjects[0], p, k, r, request
            ),
        )
        for place in subjects[0].groups()
        for kind in curve_kinds(place)
        for rate in request.rates
    ]
    for subject in subjects:
        for block in subject.blocks() if request.singles else ():
            for kind in KINDS:
                units.append(
                    _Unit(
                        _single_key(subject, block, kind, request),
                        lambda s=subject, b=block, k=kind: play_singles(  # type: ignore[misc]
                            s, b, k, request
                        ),
                    )
                )
    return units


def _work(journal: Journal, units: Sequence[_Unit], what: str, jobs: int) -> None:
    """Do what the journal has no results of, some at a time."""
    waiting = [unit for unit in units if unit.key not in journal.done]
    done = len(units) - len(waiting)
    if not waiting:
        return
    for key, result in shown_progress(_results(waiting, jobs), what, len(units), done=done):
        journal.add(key, result)


def _results(units: Sequence[_Unit], jobs: int) -> Iterator[tuple[str, Any]]:
    """Yield results as they come."""
    pool = ThreadPoolExecutor(jobs)
    try:
        running = {pool.submit(unit.work): unit.key for unit in units}
        while running:
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                yield running.pop(future), future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _matched_rates(
    journal: Journal, subjects: Sequence[Subject], request: FaultRequest
) -> dict[tuple[str, float], float]:
    """Return the binary design's rates of as many faults an inference, by place and rate."""
    stochastic, binary = subjects
    rates = {}
    for place, counterpart in _COUNTERPARTS.items():
        if place not in binary.groups() or counterpart not in stochastic.groups():
            continue
        for rate in request.rates:
            struck = journal.done[_rate_key(stochastic, counterpart, "flip", rate)]["injected"]
            here = journal.done[_rate_key(binary, place, "flip", rate)]["injected"]
            if struck and here:
                # Three digits: the numbers of faults are random, too.
                rates[place, rate] = float(f"{rate * struck / here:.3g}")
    return rates


def _curves(
    journal: Journal,
    subjects: Sequence[Subject],
    rates: dict[tuple[str, float], float],
    request: FaultRequest,
) -> list[FaultCurve]:
    """Make the curves of what the journal holds."""
    curves = []
    wanted: list[tuple[Subject, str, Kind, Normalisation, list[float]]] = [
        (subject, place, kind, "per cycle", list(request.rates))
        for subject in subjects
        for place in subject.groups()
        for kind in curve_kinds(place)
    ]
    for place in _COUNTERPARTS:
        matched = [
            rate for (name, _), rate in rates.items() if name == place and rate <= _HIGHEST_RATE
        ]
        if matched:
            wanted.append((subjects[-1], place, "flip", "per inference", matched))
    for subject, place, kind, normalisation, points in wanted:
        predicted: list[float | None] = [None] * len(points)
        if subject.name == "stochastic":
            predicted = [journal.done[_prediction_key(place, kind, rate)] for rate in points]
        curves.append(
            FaultCurve(
                design=subject.name,
                place=place,
                kind=kind,
                normalisation=normalisation,
                vectors=request.vectors,
                points=[
                    fault_point(
                        subject,
                        rate,
                        journal.done[_rate_key(subject, place, kind, rate)],
                        expected,
                        request.vectors,
                    )
                    for rate, expected in zip(points, predicted, strict=True)
                ],
            )
        )
    return curves


def _outcomes(
    journal: Journal, subjects: Sequence[Subject], request: FaultRequest
) -> list[FaultOutcomes]:
    """Count what single faults came to."""
    outcomes = []
    for subject in subjects:
        for block in subject.blocks() if request.singles else ():
            for kind in KINDS:
                found = journal.done[_single_key(subject, block, kind, request)]
                outcomes.append(
                    FaultOutcomes(
                        design=subject.name,
                        block=block,
                        kind=kind,
                        injected=found.get("injected", 0),
                        masked=found.get("masked", 0),
                        detected=found.get("detected", 0),
                        silent=found.get("silent", 0),
                        hung=found.get("hung", 0),
                    )
                )
    return outcomes


def _notes(
    subjects: Sequence[Subject], rates: dict[tuple[str, float], float], request: FaultRequest
) -> list[str]:
    """Say what the numbers do not show by themselves."""
    notes = []
    for subject in subjects:
        bits: Counter[str] = Counter()
        for site in subject.bench.sites:
            bits[site.place] += len(site.bits)
        told = ", ".join(f"{place} {number:,}" for place, number in sorted(bits.items()))
        notes.append(f"bits of the {subject.name} design: {told}")
    notes.append(
        "weights, counters, source state, operand registers and control are binary in the"
        " stochastic design, too"
    )
    for (place, rate), matched in rates.items():
        if matched > _HIGHEST_RATE:
            notes.append(
                f"binary {place}: as many faults an inference as at a rate of {rate:g} in the"
                f" stochastic design would need a rate of {matched:.2g}: no point"
            )
    notes.append(
        f"accuracy: share of {request.vectors} vectors, 95 % interval by Wilson; vectors without a"
        " whole result count as wrong and are not in the rms error"
    )
    return notes
