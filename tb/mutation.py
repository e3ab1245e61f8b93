"""Both halves of ``make mutate``: defects planted in the sources, and mutants of the netlist.

Each half is a campaign of its own; here they become one record and one table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from model.errors import InputError, SignoffError
from tb.campaigns import MUTANTS_FILE, MutationRecord, PlantedDefect, rtl_digest
from tb.planted_defects import DEFECTS
from tb.planted_runs import run_planted_defects

MUTANTS_FOLDER = "mutants"

SimulatorName = Literal["icarus", "verilator"]
# Working folder, simulator, how many at a time, seed.
Campaign = Callable[[Path, SimulatorName, int, int], list[Any]]


def _planted(folder: Path, simulator: SimulatorName, jobs: int, _seed: int) -> list[Any]:
    """Run the defects that are planted in the sources; nothing about them is random."""
    return list(run_planted_defects(DEFECTS, folder, simulator, jobs))


# Each fills the list of its name in the record.
CAMPAIGNS: dict[str, Campaign] = {"planted": _planted}


def mutate(
    build: Path, only: str | None, simulator: SimulatorName, jobs: int, seed: int
) -> MutationRecord:
    """Run the campaigns and write ``<build>/mutants/mutants.json``.

    Parameters
    ----------
    build : pathlib.Path
        Folder of all build products.
    only : str or None
        Run only this one of `CAMPAIGNS`; the record keeps what an earlier run of the same RTL said
        of the other.
    simulator : {'icarus', 'verilator'}
        The simulator that judges.
    jobs : int
        How many runs at a time.
    seed : int
        From which random mutants are drawn.

    Returns
    -------
    MutationRecord
        What came out.

    Raises
    ------
    InputError
        If there is no campaign of that name, or less than one job.
    """
    if only is not None and only not in CAMPAIGNS:
        raise InputError(
            f"there are no mutants called {only!r}", "--only", f"use {' or '.join(CAMPAIGNS)}"
        )
    if jobs < 1:
        raise InputError(f"{jobs} runs at a time were asked for", "--jobs", "use 1 or more")
    folder = build / MUTANTS_FOLDER
    path = folder / MUTANTS_FILE
    digest = rtl_digest()
    results: dict[str, list[Any]] = {"planted": [], "netlist": []}
    earlier = _earlier(path)
    if earlier is not None and (earlier.rtl_sha256, earlier.seed) == (digest, seed):
        results = {"planted": earlier.planted, "netlist": earlier.netlist}
    for name, campaign in CAMPAIGNS.items():
        if only in (None, name):
            results[name] = campaign(folder, simulator, jobs, seed)
    record = MutationRecord(rtl_sha256=digest, seed=seed, **results)
    record.save(path)
    return record


def all_killed(record: MutationRecord) -> bool:
    """Tell whether every defect was seen, and every mutant seen or proven equivalent."""
    return all(defect.killed_by for defect in record.planted) and not any(
        mutant.outcome == "gap" for mutant in record.netlist
    )


def print_mutation(record: MutationRecord, console: Console) -> None:
    """Print each defect with the checks that saw it, each network's mutants, and the scores.

    Parameters
    ----------
    record : MutationRecord
        What came out.
    console : rich.console.Console
        Where to print.
    """
    if record.planted:
        _print_planted(record.planted, console)
    if record.netlist:
        _print_netlist(record, console)
    colour, verdict = ("green", "PASS") if all_killed(record) else ("red", "FAIL")
    console.print(f"[bold {colour}]{verdict}[/bold {colour}]")


def kinds_of_checks(checks: Sequence[str]) -> list[str]:
    """Return the kinds of checks among ids, without the layers and runs that they are of.

    Parameters
    ----------
    checks : sequence of str
        Ids of checks: ``S1-counts-layer0``, ``bench-network-icarus``.

    Returns
    -------
    list of str
        ``S1-counts``, ``bench``: in the order of first appearance, each once.
    """
    kinds = [re.sub(r"^(bench|protocol)-.*$|-layer\d+$", r"\1", check) for check in checks]
    return list(dict.fromkeys(kinds))


def _earlier(path: Path) -> MutationRecord | None:
    """Return the record that stands there, if it is one."""
    try:
        return MutationRecord.load(path)
    except SignoffError:
        return None


def _print_planted(defects: Sequence[PlantedDefect], console: Console) -> None:
    """Print the planted defects."""
    table = Table(title="defects planted in the sources", box=None, padding=(0, 1, 0, 0))
    for heading in ("defect", "network", "statistics", "killed by"):
        table.add_column(heading, no_wrap=heading != "killed by")
    for defect in defects:
        kinds = ", ".join(kinds_of_checks(defect.killed_by))
        table.add_row(
            defect.id,
            defect.network,
            "seen" if defect.statistical else "-",
            kinds or "[red]SURVIVED[/red]",
        )
    console.print(table)
    killed = sum(bool(defect.killed_by) for defect in defects)
    seen = sum(bool(defect.statistical) for defect in defects)
    console.print(
        f"planted defects: {killed} of {len(defects)} killed ({killed / len(defects):.1%});"
        f" by statistics (S2, S3) alone {seen} ({seen / len(defects):.1%})",
        soft_wrap=True,
    )
    for defect in defects:
        if not defect.killed_by:
            console.print(
                f"[red]survived[/red] {defect.id}: {defect.title} ({defect.file})", soft_wrap=True
            )


def _print_netlist(record: MutationRecord, console: Console) -> None:
    """Print the mutants of the netlists."""
    table = Table(title="mutants of the netlist", box=None, padding=(0, 1, 0, 0))
    for heading in ("network", "mutants", "killed", "equivalent", "gaps", "statistics"):
        table.add_column(heading, justify="left" if heading == "network" else "right")
    for name in dict.fromkeys(mutant.network for mutant in record.netlist):
        own = [mutant for mutant in record.netlist if mutant.network == name]
        outcomes = [mutant.outcome for mutant in own]
        table.add_row(
            name,
            str(len(own)),
            *(str(outcomes.count(outcome)) for outcome in ("killed", "equivalent", "gap")),
            str(sum(mutant.statistical for mutant in own)),
        )
    console.print(table)
    for mutant in record.netlist:
        if mutant.outcome == "gap":
            console.print(
                f"[red]gap[/red] {mutant.id}: {mutant.mode} at {mutant.place}"
                f" ({mutant.source or mutant.module})",
                soft_wrap=True,
            )
