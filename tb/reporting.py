"""The files of a sign-off: JSON, JUnit XML and the page, written at its end or anew.

Campaigns take longer than a sign-off and are run apart from it. When one has ended, the files are
written again with what it found, without any simulation.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar
from xml.etree import ElementTree

from model.errors import DesignFailure, SignoffError
from model.files import read_bytes, write_bytes_atomically
from model.manifest import manifest_digest
from model.plan import Design
from tb.checks import Check
from tb.junit import campaign_suites, cocotb_suites, refresh_junit
from tb.signoff import (
    JUNIT_FILE,
    SIGNOFF_FILE,
    FailedRun,
    Judgement,
    Signoff,
    SimulatorRecord,
    has_witnesses,
    save_signoff,
)
from tb.simulate import ProtocolRun, Simulation
from tb.simulators import Simulator
from tb.stage import Campaigns, Criterion, judge_stage, reached, read_campaigns
from tb.versions import versions

REPORT_FILE = "report.html"

Report = TypeVar("Report", bound=Judgement)


def save_report(
    report: Signoff,
    simulations: Sequence[Simulation | ProtocolRun],
    design: Design,
    folder: Path,
    net: str,
    *,
    page: bool = True,
) -> Signoff:
    """Add the stage to a sign-off and write all its files.

    Parameters
    ----------
    report : Signoff
        The sign-off.
    simulations : sequence of Simulation
        All runs that it judged.
    design : Design
        The design.
    folder : pathlib.Path
        Its build folder.
    net : str
        The network's folder as commands take it; empty for the shipped network.
    page : bool
        Whether the page is written, too.

    Returns
    -------
    Signoff
        The report, with its stage.
    """
    played = min((layer.vectors for layer in report.layers), default=0)
    simulators = {run.simulator.name: run.simulator for run in simulations}
    campaigns = read_campaigns(folder, report.manifest_sha256, net)
    staged = _staged(report, design, played, campaigns, simulators.values())
    save_signoff(staged, simulations, folder, campaign_suites(staged.criteria, campaigns))
    if page:
        _write_page(design, folder, campaigns)
    return staged


def save_failed_run(
    failure: DesignFailure,
    design: Design,
    folder: Path,
    rerun: str,
    simulators: Sequence[Simulator],
    net: str,
    *,
    page: bool = True,
) -> Path:
    """Write the files of a sign-off that ended because the design hung or gave unknown values.

    Parameters
    ----------
    failure : DesignFailure
        What happened; its place is a recording of the run in which it did.
    design : Design
        The design.
    folder : pathlib.Path
        Its build folder.
    rerun : str
        Command that simulates the same RTL again; a simulator and a number of vectors are appended.
    simulators : sequence of Simulator
        Those of the sign-off.
    net, page
        As for `save_report`.

    Returns
    -------
    pathlib.Path
        The page; ``signoff.json`` where there is none.
    """
    run_dir = Path(failure.where).parent
    run = json.loads((run_dir / "run.json").read_text())
    report = FailedRun(
        network=design.manifest.network,
        manifest_sha256=manifest_digest(design.manifest),
        simulator=SimulatorRecord(**run["simulator"]),
        seed=run["seed"],
        verdict="FAIL",
        # The place is that of the file of this machine; the run says it, too.
        checks=[Check(id=f"bench-{run_dir.name}", verdict="FAIL", detail=failure.what)],
        precision=design.manifest.precision,
        rerun=rerun,
    )
    campaigns = read_campaigns(folder, report.manifest_sha256, net)
    staged = _staged(report, design, 0, campaigns, simulators)
    suites = cocotb_suites(run_dir / "results.xml") + campaign_suites(staged.criteria, campaigns)
    save_signoff(staged, [], folder, suites)
    return _write_page(design, folder, campaigns) if page else folder / SIGNOFF_FILE


def refresh_report(design: Design, folder: Path, net: str) -> Path:
    """Write the files of a sign-off anew, with what campaigns say now; nothing is simulated.

    Parameters
    ----------
    design : Design
        The design.
    folder : pathlib.Path
        Its build folder, with ``signoff.json`` and ``junit.xml``.
    net : str
        As for `save_report`.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    SignoffError
        If the design was not signed off, or another one was.
    """
    facts = _read_facts(design, folder)
    campaigns = read_campaigns(folder, facts["manifest_sha256"], net)
    criteria = _criteria(facts, design, campaigns)
    facts["criteria"] = [criterion.model_dump() for criterion in criteria]
    facts["stage"] = reached(criteria)
    facts["campaigns"] = campaigns.states.model_dump()
    try:
        refresh_junit(folder / JUNIT_FILE, campaign_suites(criteria, campaigns))
    except (OSError, ElementTree.ParseError):
        raise SignoffError(
            "the sign-off's JUnit XML is missing or damaged",
            str(folder / JUNIT_FILE),
            "sign it off again (make)",
        ) from None
    write_bytes_atomically(folder / SIGNOFF_FILE, (json.dumps(facts, indent=2) + "\n").encode())
    return _write_page(design, folder, campaigns)


def _read_facts(design: Design, folder: Path) -> dict[str, Any]:
    """Read ``signoff.json``, which must be of this design."""
    path, again = folder / SIGNOFF_FILE, "sign it off (make)"
    data = read_bytes(path, SignoffError, again)
    try:
        facts = json.loads(data)
        known = facts["schema"] == "certibit-signoff/1" and "criteria" in facts
        same = facts["manifest_sha256"] == manifest_digest(design.manifest)
    except (ValueError, TypeError, KeyError):
        known = same = False
    if not known:
        raise SignoffError("not a sign-off of this version", str(path), again)
    if not same:
        raise SignoffError("the sign-off is of another manifest", str(path), again)
    content: dict[str, Any] = facts
    return content


def _criteria(facts: Mapping[str, Any], design: Design, campaigns: Campaigns) -> list[Criterion]:
    """Judge the stages by what ``signoff.json`` says."""
    played = min((layer["vectors"] for layer in facts["layers"]), default=0)
    return judge_stage(
        {check["id"]: check["verdict"] for check in facts["checks"]},
        [layer.name for layer in design.manifest.layers],
        _witnessed(design),
        (played, design.manifest.vectors),
        campaigns,
    )


def _witnessed(design: Design) -> list[str]:
    """Return the layers whose certificates have witnesses to drive."""
    layers = design.manifest.layers
    return [layer.name for index, layer in enumerate(layers) if has_witnesses(design, index)]


def _staged(
    report: Report,
    design: Design,
    played: int,
    campaigns: Campaigns,
    simulators: Iterable[Simulator],
) -> Report:
    """Return a report with its stage, the states of campaigns, and versions."""
    criteria = judge_stage(
        {check.id: check.verdict for check in report.checks},
        [layer.name for layer in design.manifest.layers],
        _witnessed(design),
        (played, design.manifest.vectors),
        campaigns,
    )
    return report.model_copy(
        update={
            "criteria": criteria,
            "stage": reached(criteria),
            "campaigns": campaigns.states,
            "versions": versions(simulators),
        }
    )


def _write_page(design: Design, folder: Path, campaigns: Campaigns) -> Path:
    """Render and write the page."""
    # Matplotlib takes half a second to import; commands that draw nothing do without.
    from tb.report import render_report

    page = render_report(design, folder, _read_facts(design, folder), campaigns)
    write_bytes_atomically(folder / REPORT_FILE, page.encode())
    return folder / REPORT_FILE
