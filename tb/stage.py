"""The stage that a sign-off has reached: criteria, what they rest on, and whether they hold.

The stages are named after those of open hardware projects, V1 to V3, but what they ask for is this
sign-off's own. They stand beside the verdict, which is of the checks alone: a design may PASS at
V1. A criterion whose check was skipped, or whose campaign ran on another RTL, does not hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, cast

from pydantic import BaseModel, ConfigDict

from model.errors import SignoffError
from tb.campaigns import (
    COVERAGE_FILE,
    FAULTS_FILE,
    MUTANTS_FILE,
    Campaign,
    CoverageRecord,
    FaultRecord,
    FileCoverage,
    MutationRecord,
    PlanGoal,
    rtl_digest,
)

StageName = Literal["V1", "V2", "V3"]
STAGES: tuple[StageName, ...] = ("V1", "V2", "V3")
# Fewer mutants of a netlist say little about the checks that kill them.
LEAST_MUTANTS = 1000


class Criterion(BaseModel):
    """One thing that a stage asks for.

    Attributes
    ----------
    stage : {'V1', 'V2', 'V3'}
        Which stage asks for it.
    id : str
        Short name: ``V1-counts``.
    text : str
        What is asked for.
    held : bool
        Whether it is so.
    evidence : str
        The checks or campaign facts that say so, or what is missing.
    """

    model_config = ConfigDict(extra="forbid")

    stage: StageName
    id: str
    text: str
    held: bool
    evidence: str


class CampaignState(BaseModel):
    """Whether a campaign speaks of this design.

    Attributes
    ----------
    state : {'current', 'stale', 'damaged', 'not run'}
        Stale: of another RTL, or another manifest.
    why : str
        What is wrong with it; empty if it is current, or was not run.
    command : str
        What runs it.
    """

    model_config = ConfigDict(extra="forbid")

    state: Literal["current", "stale", "damaged", "not run"]
    why: str
    command: str


class CampaignStates(BaseModel):
    """The states of all campaigns."""

    model_config = ConfigDict(extra="forbid")

    mutants: CampaignState
    coverage: CampaignState
    faults: CampaignState


@dataclass(frozen=True)
class Found(Generic[Campaign]):
    """A campaign's record, and whether it may be relied on.

    Attributes
    ----------
    record : CampaignRecord or None
        As it was read, current or stale.
    state : CampaignState
        Its state.
    """

    record: Campaign | None
    state: CampaignState

    @property
    def current(self) -> Campaign | None:
        """The record, if it speaks of this design."""
        return self.record if self.state.state == "current" else None


@dataclass(frozen=True)
class Campaigns:
    """The three campaigns that a sign-off rests on."""

    mutants: Found[MutationRecord]
    coverage: Found[CoverageRecord]
    faults: Found[FaultRecord]

    @property
    def states(self) -> CampaignStates:
        """Their states alone."""
        return CampaignStates(
            mutants=self.mutants.state, coverage=self.coverage.state, faults=self.faults.state
        )


def read_campaigns(folder: Path, manifest_sha256: str, net: str = "") -> Campaigns:
    """Read what campaigns left.

    Parameters
    ----------
    folder : pathlib.Path
        The network's build folder; records of mutants and coverage stand beside it.
    manifest_sha256 : str
        The design's identity.
    net : str
        The network's folder, for the commands that are told; empty for the shipped network.
    """
    rtl = rtl_digest()
    of_net = f" NET={net}" if net else ""
    return Campaigns(
        mutants=_found(
            MutationRecord, folder.parent / "mutants" / MUTANTS_FILE, "make mutate", rtl, None
        ),
        coverage=_found(
            CoverageRecord, folder.parent / "coverage" / COVERAGE_FILE, "make coverage", rtl, None
        ),
        faults=_found(
            FaultRecord, folder / FAULTS_FILE, f"make faults{of_net}", rtl, manifest_sha256
        ),
    )


def _found(
    kind: type[Campaign], path: Path, command: str, rtl: str, manifest_sha256: str | None
) -> Found[Campaign]:
    """Read one record and compare what it speaks of."""
    if not path.exists():
        return Found(None, CampaignState(state="not run", why="", command=command))
    try:
        record = kind.load(path)
    except SignoffError as error:
        return Found(None, CampaignState(state="damaged", why=error.what, command=command))
    facts = cast(Mapping[str, object], record.model_dump())
    why = ""
    if facts["rtl_sha256"] != rtl:
        why = "the Verilog sources have changed since it ran"
    elif manifest_sha256 is not None and facts["manifest_sha256"] != manifest_sha256:
        why = "it ran on the design of another manifest"
    state: Literal["current", "stale"] = "stale" if why else "current"
    return Found(record, CampaignState(state=state, why=why, command=command))


def reached(criteria: Sequence[Criterion]) -> Literal["none", "V1", "V2", "V3"]:
    """Return the last stage whose criteria, and those of the stages before it, all hold.

    Parameters
    ----------
    criteria : sequence of Criterion
        All criteria; a stage without any is not reached.
    """
    stage: Literal["none", "V1", "V2", "V3"] = "none"
    for name in STAGES:
        own = [criterion for criterion in criteria if criterion.stage == name]
        if not own or not all(criterion.held for criterion in own):
            break
        stage = name
    return stage


def judge_stage(
    checks: Mapping[str, str],
    layers: Sequence[str],
    witnessed: Sequence[str],
    vectors: tuple[int, int],
    campaigns: Campaigns,
) -> list[Criterion]:
    """Judge every criterion of every stage.

    Parameters
    ----------
    checks : mapping of str to str
        Verdict of each check by its id.
    layers : sequence of str
        Names of the design's layers.
    witnessed : sequence of str
        Those whose certificates have witnesses that can be driven through the RTL.
    vectors : tuple of int
        Test vectors that were played, and how many there are.
    campaigns : Campaigns
        What campaigns left.
    """
    seen = _Checks(checks, layers)
    played, available = vectors
    return [
        seen.none_failed("V1", "verdict", "No check of the sign-off failed"),
        seen.named("V1", "identity", "The RTL carries this manifest's SHA-256", ["identity"]),
        seen.named(
            "V1",
            "manifest",
            "The manifest's certificates, radii and propagated bounds are what its sources and"
            " weights give, computed anew",
            ["manifest"],
        ),
        seen.of_layers(
            "V1",
            "counts",
            "Every count in RTL is the golden model's (S1), and of the first vectors the"
            " bit-by-bit model's",
            ["S1-counts", "S1-streams"],
        ),
        seen.of_layers(
            "V1",
            "bounds",
            "Every error is within its certificate and its Hoeffding radius (S2), layer by layer"
            " and end to end",
            ["S2-certificate", "S2-hoeffding"],
            ["end-to-end", "trained-network"],
        ),
        seen.witnesses(witnessed),
        seen.named("V1", "simulators", "Two simulators agree on every count", ["simulators-agree"]),
        Criterion(
            stage="V2",
            id="V2-vectors",
            text="Every vector of the test set was played",
            held=0 < available <= played,
            evidence=f"{played:,} of {available:,} vectors",
        ),
        seen.of_layers("V2", "bias", "No bias, with stated power (S3)", ["S3-bias"]),
        seen.of_layers(
            "V2",
            "sources",
            "Number sources are certified: periods, and no hazardous pair (S4)",
            ["S4-sources"],
        ),
        seen.of_layers(
            "V2",
            "streams",
            "Internal streams are the bit-by-bit model's, cycle by cycle",
            ["streams"],
        ),
        seen.named(
            "V2",
            "repeatability",
            "A vector gives the same counts alone, back to back, after a reset, and after one"
            " that was abandoned",
            ["repeatability"],
        ),
        seen.family("V2", "protocol", "The stream and register protocols are kept", "protocol-"),
        seen.named("V2", "x-propagation", "Unknown values do not spread", ["X-propagation"]),
        _plan("V2", "Every goal of the test plan for V1 and V2 is hit", ("V1", "V2"), campaigns),
        _code(
            "V2",
            "lines",
            "Every line of Verilog that is not excluded is reached",
            campaigns.coverage,
        ),
        _planted(campaigns.mutants),
        _netlist(campaigns.mutants),
        _faults(campaigns.faults),
        _plan("V3", "Every goal of the test plan is hit", STAGES, campaigns),
        _code(
            "V3",
            "toggles",
            "Every signal that is not excluded toggles both ways",
            campaigns.coverage,
        ),
    ]


@dataclass(frozen=True)
class _Checks:
    """The verdicts of the checks, and what they say of a criterion."""

    verdicts: Mapping[str, str]
    layers: Sequence[str]

    def none_failed(self, stage: StageName, name: str, text: str) -> Criterion:
        """Judge all checks, also those that no other criterion names."""
        failed = [identity for identity, verdict in self.verdicts.items() if verdict == "FAIL"]
        count = len(self.verdicts)
        return Criterion(
            stage=stage,
            id=f"{stage}-{name}",
            text=text,
            held=bool(self.verdicts) and not failed,
            evidence=f"FAIL: {_listed(failed)}" if failed else f"0 of {count} checks failed",
        )

    def named(self, stage: StageName, name: str, text: str, wanted: Sequence[str]) -> Criterion:
        """Judge certain checks, which must be there."""
        return self._judge(stage, name, text, wanted)

    def witnesses(self, witnessed: Sequence[str]) -> Criterion:
        """Judge the witnesses of the layers that have any."""
        text = (
            "Worst-case inputs drive the RTL to exactly its certified errors, in every layer that"
            " has such inputs"
        )
        if witnessed:
            return self.named("V1", "witnesses", text, [f"witness-{name}" for name in witnessed])
        return Criterion(
            stage="V1",
            id="V1-witnesses",
            text=text,
            held=True,
            evidence="no layer's certificate is a maximum over inputs that can be driven",
        )

    def of_layers(
        self,
        stage: StageName,
        name: str,
        text: str,
        kinds: Sequence[str],
        others: Sequence[str] = (),
    ) -> Criterion:
        """Judge certain kinds of checks, of every layer."""
        wanted = [f"{kind}-{layer}" for kind in kinds for layer in self.layers] + list(others)
        return self._judge(stage, name, text, wanted)

    def family(self, stage: StageName, name: str, text: str, prefix: str) -> Criterion:
        """Judge all checks whose ids begin so; there must be one."""
        wanted = [identity for identity in self.verdicts if identity.startswith(prefix)]
        return self._judge(stage, name, text, wanted or [f"{prefix}*"])

    def _judge(self, stage: StageName, name: str, text: str, wanted: Sequence[str]) -> Criterion:
        told = {identity: self.verdicts.get(identity, "not made") for identity in wanted}
        parts = []
        for verdict in ("FAIL", "not made", "SKIPPED", "PASS"):
            ids = [identity for identity, found in told.items() if found == verdict]
            if ids:
                parts.append(f"{verdict}: {_listed(ids)}")
        return Criterion(
            stage=stage,
            id=f"{stage}-{name}",
            text=text,
            held=set(told.values()) == {"PASS"},
            evidence="; ".join(parts),
        )


def _listed(names: Sequence[str], most: int = 6) -> str:
    """Return names, not more than can be read."""
    shown = ", ".join(names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def missing(state: CampaignState) -> str:
    """Say why a campaign cannot be relied on, and what to run.

    Parameters
    ----------
    state : CampaignState
        Its state, which is not current.
    """
    return f"{state.state}: {state.why + '; ' if state.why else ''}{state.command}"


def goal_met(goal: PlanGoal) -> bool:
    """Return whether a goal of the test plan is hit: its tests passed, and nothing was missed.

    Parameters
    ----------
    goal : PlanGoal
        The goal.
    """
    return goal.passed and all(part.hits > 0 for part in goal.bins)


def _plan(
    stage: StageName, text: str, wanted: Sequence[StageName], campaigns: Campaigns
) -> Criterion:
    """Judge the goals of some stages."""
    record = campaigns.coverage.current
    held, evidence = False, missing(campaigns.coverage.state)
    if record is not None:
        goals = [goal for goal in record.plan if goal.stage in wanted]
        missed = [goal.id for goal in goals if not goal_met(goal)]
        held = bool(goals) and not missed
        evidence = f"{len(goals) - len(missed)} of {len(goals)} goals hit"
        if missed:
            evidence += f"; missed: {_listed(missed)}"
    return Criterion(stage=stage, id=f"{stage}-testplan", text=text, held=held, evidence=evidence)


def _code(
    stage: StageName,
    kind: Literal["lines", "toggles"],
    text: str,
    coverage: Found[CoverageRecord],
) -> Criterion:
    """Judge the points of code: reached or excluded."""
    record = coverage.current
    held, evidence = False, missing(coverage.state)
    if record is not None:
        files: list[FileCoverage] = record.lines if kind == "lines" else record.toggles
        points = sum(part.points for part in files)
        covered, excluded = sum(p.covered for p in files), sum(p.excluded for p in files)
        open_files = [p.file for p in files if p.covered + p.excluded < p.points or p.missing]
        held = points > 0 and not open_files
        evidence = f"{covered:,} of {points:,} reached, {excluded:,} excluded with a reason"
        if open_files:
            evidence += f"; {points - covered - excluded:,} missed in {_listed(open_files)}"
    return Criterion(stage=stage, id=f"{stage}-{kind}", text=text, held=held, evidence=evidence)


def _planted(mutants: Found[MutationRecord]) -> Criterion:
    """Judge the defects that were planted in the sources."""
    record = mutants.current
    held, evidence = False, missing(mutants.state)
    if record is not None:
        survived = [defect.id for defect in record.planted if not defect.killed_by]
        held = bool(record.planted) and not survived
        evidence = f"{len(record.planted) - len(survived)} of {len(record.planted)} killed"
        if survived:
            evidence += f"; survived: {_listed(survived)}"
    return Criterion(
        stage="V3",
        id="V3-planted",
        text="Every defect planted in the Verilog sources is killed",
        held=held,
        evidence=evidence,
    )


def _netlist(mutants: Found[MutationRecord]) -> Criterion:
    """Judge the mutants of netlists."""
    record = mutants.current
    held, evidence = False, missing(mutants.state)
    if record is not None:
        gaps = [mutant.id for mutant in record.netlist if mutant.outcome == "gap"]
        killed = sum(mutant.outcome == "killed" for mutant in record.netlist)
        equivalent = len(record.netlist) - killed - len(gaps)
        held = len(record.netlist) >= LEAST_MUTANTS and not gaps
        evidence = (
            f"{len(record.netlist):,} mutants: {killed:,} killed, {equivalent:,} proved equivalent"
        )
        if gaps:
            evidence += f"; {len(gaps)} gaps: {_listed(gaps)}"
    return Criterion(
        stage="V3",
        id="V3-netlist",
        text=f"At least {LEAST_MUTANTS:,} mutants of netlists, each killed or proved equivalent",
        held=held,
        evidence=evidence,
    )


# Equal faults an inference are those of the stochastic design, which sets the binary one's rates.
NORMALISED = {
    ("stochastic", "per cycle"),
    ("binary", "per cycle"),
    ("binary", "per inference"),
}


def _faults(faults: Found[FaultRecord]) -> Criterion:
    """Judge whether every injected fault came to a known end, in both designs."""
    record = faults.current
    held, evidence = False, missing(faults.state)
    if record is not None:
        injected = sum(part.injected for part in record.outcomes)
        hung = sum(part.hung for part in record.outcomes)
        accounted = sum(
            part.masked + part.detected + part.silent + part.hung for part in record.outcomes
        )
        lacking = NORMALISED - {
            (curve.design, curve.normalisation) for curve in record.curves if curve.points
        }
        held = injected > 0 and accounted == injected and not lacking
        evidence = (
            f"{injected:,} single faults, {accounted:,} with a known end,"
            f" {hung:,} hung and caught by the watchdog; {len(record.curves)} curves"
        )
        if lacking:
            names = [f"{design} {rate}" for design, rate in sorted(lacking)]
            evidence += f"; missing: {_listed(names)}"
    return Criterion(
        stage="V3",
        id="V3-faults",
        text="The fault campaign is complete, and no hang went uncaught",
        held=held,
        evidence=evidence,
    )
