"""JUnit XML of a sign-off: suites of checks, of cocotb's tests, of stages and of campaigns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.etree import ElementTree

from model.files import write_bytes_atomically
from tb.campaigns import CoverageRecord, MutationRecord
from tb.stage import Campaigns, CampaignState, Criterion, goal_met, missing

# Name, verdict and message of a test case.
Case = tuple[str, str, str]
_OF_CAMPAIGNS = ("stage", "mutants", "coverage")


def suite(name: str, cases: Sequence[Case]) -> ElementTree.Element:
    """Return a suite.

    Parameters
    ----------
    name : str
        Its name, which is its cases' class, too.
    cases : sequence of tuple of str
        Name, verdict (``PASS``, ``FAIL`` or ``SKIPPED``) and message of each.
    """
    element = ElementTree.Element(
        "testsuite",
        name=name,
        tests=str(len(cases)),
        failures=str(sum(verdict == "FAIL" for _, verdict, _ in cases)),
        skipped=str(sum(verdict == "SKIPPED" for _, verdict, _ in cases)),
    )
    for title, verdict, message in cases:
        case = ElementTree.SubElement(element, "testcase", classname=name, name=title)
        if verdict == "FAIL":
            ElementTree.SubElement(case, "failure", message=message)
        elif verdict == "SKIPPED":
            ElementTree.SubElement(case, "skipped", message=message)
    return element


def cocotb_suites(results_xml: Path) -> list[ElementTree.Element]:
    """Return cocotb's suites of one run, named after it; none if it left no readable results.

    Parameters
    ----------
    results_xml : pathlib.Path
        What cocotb wrote.
    """
    try:
        parts = list(ElementTree.parse(results_xml).iter("testsuite"))
    except (OSError, ElementTree.ParseError):
        return []
    for part in parts:
        part.set("name", results_xml.parent.name)
        part.attrib.pop("hostname", None)
        for properties in part.iter("properties"):
            # Evidence is the same wherever the checkout lies.
            for item in properties.findall("property[@name='file']"):
                properties.remove(item)
    return parts


def campaign_suites(
    criteria: Iterable[Criterion], campaigns: Campaigns
) -> list[ElementTree.Element]:
    """Return the suites ``stage``, ``mutants`` and ``coverage``.

    A criterion that does not hold is skipped, not failed: the verdict is that of the checks, and a
    stage that is not reached yet is no failure. What a campaign found is a failure.

    Parameters
    ----------
    criteria : iterable of Criterion
        Of every stage.
    campaigns : Campaigns
        What campaigns left.
    """
    held: list[Case] = [
        (criterion.id, "PASS" if criterion.held else "SKIPPED", f"not held: {criterion.evidence}")
        for criterion in criteria
    ]
    mutants, coverage = campaigns.mutants, campaigns.coverage
    return [
        suite("stage", held),
        suite(
            "mutants",
            _not_run(mutants.state) if mutants.current is None else _mutants(mutants.current),
        ),
        suite(
            "coverage",
            _not_run(coverage.state) if coverage.current is None else _coverage(coverage.current),
        ),
    ]


def refresh_junit(path: Path, suites: Sequence[ElementTree.Element]) -> None:
    """Put new suites of stages and campaigns in the place of those that a file has.

    Parameters
    ----------
    path : pathlib.Path
        What a sign-off wrote.
    suites : sequence of xml.etree.ElementTree.Element
        From `campaign_suites`.
    """
    root = ElementTree.parse(path).getroot()
    for old in [part for part in root if part.get("name") in _OF_CAMPAIGNS]:
        root.remove(old)
    root.extend(suites)
    ElementTree.indent(root)
    write_bytes_atomically(path, ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def cocotb_failures(path: Path) -> list[tuple[str, str, str]]:
    """Return the cocotb tests that failed: run, test and message.

    Parameters
    ----------
    path : pathlib.Path
        What a sign-off wrote; nothing is returned where it is missing.
    """
    if not path.exists():
        return []
    found = []
    for part in ElementTree.parse(path).getroot():
        name = part.get("name", "")
        if name == "signoff" or name in _OF_CAMPAIGNS:
            continue
        for case in part.iter("testcase"):
            for bad in [*case.findall("failure"), *case.findall("error")]:
                kind, message = bad.get("type", ""), bad.get("message", "").strip()
                text = f"{kind}: {message}" if kind else message
                found.append((name, case.get("name", "?"), text))
    return found


def _not_run(state: CampaignState) -> list[Case]:
    """Return the one case of a campaign that says nothing of this design."""
    return [("campaign", "SKIPPED", missing(state))]


def _mutants(record: MutationRecord) -> list[Case]:
    """Return a case for every planted defect, one for every gap, and one for all others."""
    cases: list[Case] = [
        (
            f"planted-{defect.id}",
            "PASS" if defect.killed_by else "FAIL",
            "survived: " + defect.title,
        )
        for defect in record.planted
    ]
    gaps = [mutant for mutant in record.netlist if mutant.outcome == "gap"]
    cases += [
        (f"netlist-{mutant.id}", "FAIL", f"gap: {mutant.mode} in {mutant.module}, {mutant.place}")
        for mutant in gaps
    ]
    if len(gaps) < len(record.netlist):
        cases.append((f"netlist-{len(record.netlist) - len(gaps)}-others", "PASS", ""))
    return cases or [("campaign", "SKIPPED", "the record holds no mutant")]


def _coverage(record: CoverageRecord) -> list[Case]:
    """Return a case for every file and kind of coverage, and one for every goal."""
    cases: list[Case] = []
    for kind, files in (("line", record.lines), ("toggle", record.toggles)):
        for part in files:
            complete = part.covered + part.excluded >= part.points and not part.missing
            missed = part.points - part.covered - part.excluded
            told = f"{missed} of {part.points} missed: {'; '.join(part.missing[:20])}"
            cases.append((f"{kind}-{part.file}", "PASS" if complete else "FAIL", told))
    for goal in record.plan:
        lacking = [part.name for part in goal.bins if not part.hits]
        told = f"not hit: {', '.join(lacking)}" if goal.passed else "its tests did not pass"
        cases.append((f"goal-{goal.id}", "PASS" if goal_met(goal) else "FAIL", told))
    return cases or [("campaign", "SKIPPED", "the record holds nothing")]
