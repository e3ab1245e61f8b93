"""What the campaigns of mutants came to, as tables for the terminal and for the documentation."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from tb.campaigns import MutationRecord, NetlistMutant, PlantedDefect

# The record has all of them.
_SHOWN_KINDS = 5


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
    kinds = [re.sub(r"^(bench)-.*$|-layer\d+$", r"\1", check) for check in checks]
    return list(dict.fromkeys(kinds))


def planted_markdown(defects: Sequence[PlantedDefect]) -> str:
    """Return the planted defects as two tables in Markdown: by file, and one by one.

    Parameters
    ----------
    defects : sequence of PlantedDefect
        What became of each.
    """
    lines = ["| planted in | defects | killed | by statistics alone |", "|---|---|---|---|"]
    files = list(dict.fromkeys(defect.file for defect in sorted(defects, key=lambda d: d.file)))
    groups = [(f"`{file}`", [d for d in defects if d.file == file]) for file in files]
    for name, own in [*groups, ("**all**", list(defects))]:
        killed = sum(bool(defect.killed_by) for defect in own)
        seen = sum(bool(defect.statistical) for defect in own)
        lines.append(f"| {name} | {len(own)} | {killed} | {seen} |")
    lines += [
        "",
        "| defect | what was done | network | statistics | killed by |",
        "|---|---|---|---|---|",
    ]
    for defect in defects:
        kinds = _shortened(defect.killed_by) or "**nothing**"
        alone = "seen" if defect.statistical else "-"
        lines.append(f"| `{defect.id}` | {defect.title} | {defect.network} | {alone} | {kinds} |")
    return "\n".join(lines) + "\n"


def score(mutants: Sequence[NetlistMutant]) -> float:
    """Return the share of killed mutants among those that are not proved equivalent.

    Parameters
    ----------
    mutants : sequence of NetlistMutant
        What became of each.
    """
    different = [mutant for mutant in mutants if mutant.outcome != "equivalent"]
    killed = sum(mutant.outcome == "killed" for mutant in different)
    return killed / len(different) if different else 1.0


def netlist_markdown(mutants: Sequence[NetlistMutant]) -> str:
    """Return the netlist mutants as tables in Markdown: by network, by block, and each survivor.

    Parameters
    ----------
    mutants : sequence of NetlistMutant
        What became of each.
    """
    lines = []
    for heading, key in (("network", "network"), ("block", "module")):
        lines += [
            f"| {heading} | mutants | killed | proved equivalent | gaps | S2 alone would notice |",
            "|---|---:|---:|---:|---:|---:|",
        ]
        for name in sorted({getattr(mutant, key) for mutant in mutants}):
            own = [mutant for mutant in mutants if getattr(mutant, key) == name]
            lines.append(_netlist_row(f"`{name}`", own))
        lines += [_netlist_row("**all**", mutants), ""]
    lines += ["| survivor | what was done | where | source | proof |", "|---|---|---|---|---|"]
    for mutant in mutants:
        if mutant.outcome != "killed":
            proof = mutant.proof if mutant.outcome == "equivalent" else f"**gap**: {mutant.proof}"
            lines.append(
                f"| `{mutant.id}` | {mutant.mode} | `{mutant.place}` | {mutant.source} | {proof} |"
            )
    return "\n".join(lines) + "\n"


def _netlist_row(name: str, mutants: Sequence[NetlistMutant]) -> str:
    """Return what became of some mutants, as a row of a table."""
    outcomes = [mutant.outcome for mutant in mutants]
    counts = [outcomes.count(outcome) for outcome in ("killed", "equivalent", "gap")]
    different = [mutant for mutant in mutants if mutant.outcome != "equivalent"]
    noticed = sum(mutant.statistical for mutant in different)
    share = f"{100 * noticed / len(different):.0f} %" if different else "-"
    return f"| {name} | {len(mutants)} | {' | '.join(map(str, counts))} | {share} |"


def _shortened(checks: Sequence[str]) -> str:
    """Return the first kinds of checks, and how many there are more."""
    kinds = kinds_of_checks(checks)
    more = len(kinds) - _SHOWN_KINDS
    return ", ".join(kinds[:_SHOWN_KINDS]) + (f" and {more} more" if more > 0 else "")


def _print_planted(defects: Sequence[PlantedDefect], console: Console) -> None:
    """Print the planted defects."""
    table = Table(title="defects planted in the sources", box=None, padding=(0, 1, 0, 0))
    for heading in ("defect", "network", "statistics", "killed by"):
        table.add_column(heading, no_wrap=heading != "killed by")
    for defect in defects:
        kinds = _shortened(defect.killed_by)
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
    console.print(
        f"netlist mutants: {score(record.netlist):.1%} of those not equivalent are killed"
    )
    for mutant in record.netlist:
        if mutant.outcome == "gap":
            console.print(
                f"[red]gap[/red] {mutant.id}: {mutant.mode} at {mutant.place}"
                f" ({mutant.source or mutant.module}): {mutant.proof}",
                soft_wrap=True,
            )
