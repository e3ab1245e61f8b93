"""Both halves of ``make mutate``: defects planted in the sources, and mutants of the netlist.

Each half is a campaign of its own; here they become one record and one table.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from model.errors import InputError, SignoffError
from model.files import write_bytes_atomically
from tb.campaigns import MUTANTS_FILE, MutationRecord, rtl_digest
from tb.model_checker import model_checker
from tb.mutation_tables import netlist_markdown, planted_markdown
from tb.netlist_mutants import run_netlist_mutants
from tb.planted_defects import DEFECTS
from tb.planted_runs import run_planted_defects

MUTANTS_FOLDER = "mutants"
PLANTED_TABLE = "planted.md"
NETLIST_TABLE = "netlist.md"
NETLIST_MUTANTS = 1200

SimulatorName = Literal["icarus", "verilator"]
# Working folder, simulator, how many at a time, seed.
Campaign = Callable[[Path, SimulatorName, int, int], list[Any]]


def _planted(folder: Path, simulator: SimulatorName, jobs: int, _seed: int) -> list[Any]:
    """Run the defects that are planted in the sources; nothing about them is random."""
    return list(run_planted_defects(DEFECTS, folder, simulator, jobs))


def _netlist(folder: Path, _simulator: SimulatorName, jobs: int, seed: int) -> list[Any]:
    """Make, play and judge mutants of netlists; Verilator plays them, whatever judges defects."""
    return list(run_netlist_mutants(folder / "netlist", seed, NETLIST_MUTANTS, print, jobs=jobs))


# Each fills the list of its name in the record.
CAMPAIGNS: dict[str, Campaign] = {"planted": _planted, "netlist": _netlist}


def mutate(
    build: Path, only: str | None, simulator: SimulatorName, jobs: int, seed: int
) -> MutationRecord:
    """Run the campaigns; write ``<build>/mutants/mutants.json`` and tables beside it.

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
    ToolError
        If a tool is missing.
    """
    if only is not None and only not in CAMPAIGNS:
        raise InputError(
            f"there are no mutants called {only!r}", "--only", f"use {' or '.join(CAMPAIGNS)}"
        )
    if jobs < 1:
        raise InputError(f"{jobs} runs at a time were asked for", "--jobs", "use 1 or more")
    if only in (None, "netlist"):
        model_checker()  # rather now than after an hour
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
    for name, text in (
        (PLANTED_TABLE, planted_markdown(record.planted)),
        (NETLIST_TABLE, netlist_markdown(record.netlist)),
    ):
        write_bytes_atomically(folder / name, text.encode())
    return record


def _earlier(path: Path) -> MutationRecord | None:
    """Return the record that stands there, if it is one."""
    try:
        return MutationRecord.load(path)
    except SignoffError:
        return None
