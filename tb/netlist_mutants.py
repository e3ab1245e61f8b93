"""Mutants of netlists, the second part of `make mutate`: played, and survivors before the referee.

For each sample network (`tb.netlist_samples`) Yosys makes mutants of the netlist; a stimulus with
expectations from the port model and the golden model is played against each; what survives must be
proved to be the same design (`tb.equivalence`), else it is a gap and the run fails.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.errors import ToolError
from model.files import write_bytes_atomically
from model.forward import GoldenNetwork, layer_errors
from model.plan import Design
from rtl_gen.generator import TOP_MODULE, generate_rtl, hdl_sources
from tb.campaigns import NetlistMutant
from tb.equivalence import Referee, Verdict
from tb.journal import Journal, shown_progress
from tb.netlist import SELECT, Mutation, Netlist, load_netlist, make_netlist
from tb.netlist_player import Played, build_player
from tb.netlist_samples import SAMPLES, Sample
from tb.port_stimulus import Stimulus, make_stimulus
from tb.simulators import find_simulator
from tb.yosys import version

# What survives the first stimulus is played others.
SEEDS = 4
# Mutants that were killed, of which the referee must say so: the first ones.
_CONTROLS = 4
_IDENTITY_FILE = "identity.txt"
_JOURNAL_FILE = "referee.jsonl"


@dataclass(frozen=True)
class _Survey:
    """One sample network, played."""

    sample: Sample
    netlist: Netlist
    killed_by: dict[int, str]
    statistical: dict[int, bool]


def run_netlist_mutants(
    folder: Path,
    seed: int,
    mutants: int,
    say: Callable[[str], None],
    samples: Sequence[Sample] = SAMPLES,
    jobs: int = 1,
) -> list[NetlistMutant]:
    """Make, play and judge netlist mutants of the sample networks.

    Parameters
    ----------
    folder : pathlib.Path
        Where everything is kept; a second call with the same arguments takes up what is there.
    seed : int
        Of Yosys' choice and of the stimuli.
    mutants : int
        How many, over all networks.
    say : callable
        Told what is done.
    samples : sequence of Sample
        The networks.
    jobs : int
        How many proofs at a time.

    Returns
    -------
    list of NetlistMutant
        All of them, in order. The run has failed if any is a ``gap``.

    Raises
    ------
    ToolError
        If a tool fails, or if the design itself does not pass the stimulus.
    """
    records = []
    for number, sample in enumerate(samples):
        share = mutants * (number + 1) // len(samples) - mutants * number // len(samples)
        records += _run_sample(folder / sample.name, sample, seed, share, say, jobs)
    return records


def _run_sample(
    folder: Path,
    sample: Sample,
    seed: int,
    mutants: int,
    say: Callable[[str], None],
    jobs: int,
) -> list[NetlistMutant]:
    """Make, play and judge the mutants of one network."""
    folder.mkdir(parents=True, exist_ok=True)
    design = sample.design()
    generated = generate_rtl(design, folder / "rtl")
    sources = [*hdl_sources(), *generated]
    identity = hashlib.sha256(
        json.dumps([_hash(sources), _digest("netlist.py"), version(), seed, mutants]).encode()
    ).hexdigest()
    say(f"{sample.name}: {mutants} mutants by Yosys")
    netlist = _netlist(folder, sources, identity, mutants, seed)
    survey = _play(folder, sample, design, netlist, seed, say)
    verdicts = _judge(folder, survey, identity, jobs)
    return [_record(survey, mutation, verdicts) for mutation in netlist.mutations]


def _netlist(
    folder: Path, sources: Sequence[Path], identity: str, mutants: int, seed: int
) -> Netlist:
    """Make the netlist where it is not there."""
    place = folder / "netlist"
    told = place / _IDENTITY_FILE
    if told.exists() and told.read_text() == identity:
        return load_netlist(place, TOP_MODULE, mutants)
    place.mkdir(exist_ok=True)
    told.unlink(missing_ok=True)
    netlist = make_netlist(sources, TOP_MODULE, place, mutants, seed)
    told.write_text(identity)
    return netlist


def _play(
    folder: Path,
    sample: Sample,
    design: Design,
    netlist: Netlist,
    seed: int,
    say: Callable[[str], None],
) -> _Survey:
    """Play stimuli until nothing more dies."""
    say(f"{sample.name}: building the simulation")
    stimulus = make_stimulus(design, seed)
    player = build_player(
        netlist, design.manifest, stimulus, design.features, find_simulator("verilator")
    )
    _check_original(next(iter(player.play(0, 0))), stimulus, sample)
    killed: dict[int, str] = {}
    statistical: dict[int, bool] = {}
    last = len(netlist.mutations)
    what = f"{sample.name}: play {len(stimulus.cycles):,} cycles against each"
    for played in shown_progress(player.play(1, last), what, last):
        statistical[played.number] = noticed_by_statistics(design, played.counts)
        if played.cycle >= 0:
            killed[played.number] = f"{stimulus.test_at(played.cycle)}: {played.field}"
    for extra in range(1, SEEDS):
        again = make_stimulus(design, seed + 1000 * extra)
        player = player.with_stimulus(again)
        _check_original(next(iter(player.play(0, 0))), again, sample)
        for number in range(1, last + 1):
            if number not in killed:
                played = next(iter(player.play(number, number)))
                if played.cycle >= 0:
                    test = again.test_at(played.cycle)
                    killed[number] = f"{test}: {played.field} (stimulus {extra + 1})"
    say(f"{sample.name}: {len(killed)} of {last} killed, {last - len(killed)} to the referee")
    return _Survey(sample, netlist, killed, statistical)


def _check_original(played: Played, stimulus: Stimulus, sample: Sample) -> None:
    """Refuse to go on where the design itself is not what is expected."""
    if played.number != 0 or played.cycle >= 0 or played.counts is None:
        where = "the undisturbed packets"
        if played.cycle >= 0:
            where = f"{stimulus.test_at(played.cycle)}, cycle {played.cycle}, {played.field}"
        raise ToolError(
            "the netlist without a mutant is not what the golden model and the port model expect",
            f"network {sample.name}, {where}",
            "sign the design off first, then look at tb/port_model.py",
        )


def noticed_by_statistics(design: Design, counts: Sequence[int] | None) -> bool:
    """Return whether the checks of S2 would have noticed what came out.

    The error of the last layer, on the inputs that the golden model gives it, against its
    certificate and its Hoeffding radius. Where there are no counts nothing can be held to them.

    Parameters
    ----------
    design : Design
        The design.
    counts : sequence of int or None
        Of the design's own features, vector after vector.
    """
    if counts is None:
        return False
    last = design.manifest.layers[-1]
    golden = GoldenNetwork(design.manifest, design.parameters).counts(design.features)
    measured: NDArray[np.int64] = np.array(counts, dtype=np.int64).reshape(-1, last.outputs)
    errors = layer_errors(
        design.manifest, design.parameters, design.features, [*golden[:-1], measured]
    )[-1]
    return bool(np.abs(errors).max() > min(last.certificate.value, last.hoeffding.radius))


def _judge(folder: Path, survey: _Survey, identity: str, jobs: int) -> dict[int, Verdict]:
    """Bring survivors before the referee; verdicts are kept."""
    survivors = [m.number for m in survey.netlist.mutations if m.number not in survey.killed_by]
    controls = sorted(survey.killed_by)[:_CONTROLS]
    wanted = [*controls, *survivors]
    journal = Journal(folder / _JOURNAL_FILE, identity + referee_digest())
    waiting = [number for number in wanted if str(number) not in journal.done]
    late: dict[int, Verdict] = {}
    if waiting:
        referee = Referee(survey.netlist.gates, survey.netlist.top, SELECT)
        pool = ThreadPoolExecutor(jobs)
        running = {pool.submit(referee.judge, number): number for number in waiting}

        def keep(one: Future[Verdict]) -> None:
            verdict = one.result()
            if verdict.decided:
                kept = [verdict.equivalent, verdict.proof, verdict.inputs]
                journal.add(str(running.pop(one)), kept)
            else:  # another time it may be
                late[running.pop(one)] = verdict

        what = f"{survey.sample.name}: prove survivors equivalent"
        done = len(wanted) - len(waiting)
        try:
            for one in shown_progress(as_completed(list(running)), what, len(wanted), done=done):
                keep(one)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for one in list(running):
                if one.done() and not one.cancelled() and one.exception() is None:
                    keep(one)
    _check_controls(journal, controls, survey)
    for stale in folder.glob("gap-*.txt"):
        stale.unlink()
    verdicts = {}
    for number in survivors:
        if number in late:
            verdicts[number] = late[number]
            continue
        equivalent, proof, inputs = journal.done[str(number)]
        if inputs:
            shown = folder / f"gap-{number}.txt"
            write_bytes_atomically(shown, "".join(f"{line}\n" for line in inputs).encode())
            proof += f": {folder.name}/{shown.name}"
        verdicts[number] = Verdict(equivalent, proof, tuple(inputs))
    return verdicts


def _check_controls(journal: Journal, controls: Sequence[int], survey: _Survey) -> None:
    """Refuse to believe a referee who proves what a stimulus has told apart."""
    for number in controls:
        equivalent, proof, _ = journal.done.get(str(number), (False, "", ()))
        if equivalent:
            raise ToolError(
                f"the referee proves mutant {number} equivalent, which a stimulus killed",
                f"network {survey.sample.name}, {survey.killed_by[number]}, proof: {proof}",
                "look at tb/equivalence.py: one of the two is wrong",
            )


def referee_digest() -> str:
    """Return the hash of what verdicts come from."""
    return _digest("aiger.py", "equivalence.py", "gate_graph.py", "model_checker.py")


def _digest(*names: str) -> str:
    """Return the hash of modules beside this one."""
    return _hash([Path(__file__).parent / name for name in names])


def _hash(files: Sequence[Path]) -> str:
    """Return the hash of files."""
    content = b"\0".join(path.read_bytes() for path in files)
    return hashlib.sha256(content).hexdigest()


def _record(survey: _Survey, mutation: Mutation, verdicts: dict[int, Verdict]) -> NetlistMutant:
    """Write down what became of a mutant."""
    number = mutation.number
    verdict = verdicts.get(number)
    killed_by = survey.killed_by.get(number, "")
    return NetlistMutant(
        id=f"{survey.sample.name}-{number}",
        network=survey.sample.name,
        module=mutation.module,
        mode=mutation.mode,
        place=mutation.place,
        source=mutation.source,
        outcome="killed" if verdict is None else "equivalent" if verdict.equivalent else "gap",
        killed_by=killed_by,
        statistical=survey.statistical[number],
        proof="" if verdict is None else verdict.proof,
    )
