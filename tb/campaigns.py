"""Records of the campaigns that a sign-off rests on: mutants, faults, coverage.

A campaign is run apart from the sign-off, since it takes longer; it leaves one JSON file, which the
report reads. Each says which RTL or which manifest it speaks of, so that an old one is recognised.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from model.errors import SignoffError
from model.files import write_bytes_atomically
from rtl_gen.generator import TEMPLATES_FOLDER, hdl_sources

MUTANTS_FILE = "mutants.json"
FAULTS_FILE = "faults.json"
COVERAGE_FILE = "coverage.json"


class CampaignRecord(BaseModel):
    """Base of all records."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, populate_by_name=True)

    def save(self, path: Path) -> None:
        """Write the record as JSON, whole or not at all."""
        content = self.model_dump(mode="json", by_alias=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes_atomically(path, (json.dumps(content, indent=2) + "\n").encode())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a record.

        Raises
        ------
        SignoffError
            If the file is not such a record.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise SignoffError(
                f"not a {cls.__name__}: {str(error).splitlines()[0]}",
                str(path),
                "run that campaign again",
            ) from None


Campaign = TypeVar("Campaign", bound=CampaignRecord)


def rtl_digest() -> str:
    """Return the SHA-256 of the hand-written Verilog and of the templates."""
    content = hashlib.sha256()
    for path in [*sorted(hdl_sources()), *sorted(TEMPLATES_FOLDER.glob("*.j2"))]:
        data = path.read_bytes()
        content.update(f"{path.name} {len(data)}\0".encode() + data)
    return content.hexdigest()


# --- mutants --------------------------------------------------------------------------------------


class PlantedDefect(CampaignRecord):
    """One defect planted in a source file, and what the sign-off said of it.

    Attributes
    ----------
    id : str
        Short name: ``comparator-x-le``.
    title : str
        What was done, in words.
    file : str
        Where, from the repository's top.
    network : str
        On which sample network.
    killed_by : list of str
        Ids of the checks that failed; empty if it survived. ``no verdict`` if the run ended without
        one (exit code 2: a hang, unknown values).
    statistical : list of str
        Those of S2 and S3 that hold no count to the model.
    """

    id: str
    title: str
    file: str
    network: str
    killed_by: list[str]
    statistical: list[str]


class NetlistMutant(CampaignRecord):
    """One mutant that Yosys made of the netlist.

    Attributes
    ----------
    id : str
        ``<network>-<number>``.
    network : str
        Of which sample network's netlist.
    module : str
        The block that it is in.
    mode : str
        Yosys' mode: ``inv``, ``const0``, ``const1``, ``cnot0``, ``cnot1``, ``none``.
    place : str
        Cell, port and bit.
    source : str
        Source line, where the netlist knows it.
    outcome : {'killed', 'equivalent', 'gap'}
        A gap is a survivor without a proof of equivalence: the run fails.
    killed_by : str
        The test that killed it first; empty otherwise.
    statistical : bool
        Whether S2 and S3 alone would have noticed.
    proof : str
        How equivalence was shown; of a gap, where it differs, if that is known; else empty.
    """

    id: str
    network: str
    module: str
    mode: str
    place: str
    source: str
    outcome: Literal["killed", "equivalent", "gap"]
    killed_by: str = ""
    statistical: bool = False
    proof: str = ""


class MutationRecord(CampaignRecord):
    """Outcome of `make mutate`."""

    schema_: Literal["certibit-mutants/1"] = Field("certibit-mutants/1", alias="schema")
    rtl_sha256: str
    seed: int
    planted: list[PlantedDefect]
    netlist: list[NetlistMutant]


# --- faults ---------------------------------------------------------------------------------------


class FaultPoint(CampaignRecord):
    """One rate of a curve.

    Attributes
    ----------
    rate : float
        Probability of a fault, per bit and cycle.
    injected : int
        Faults that were injected.
    faults_per_inference : float
        Their mean number for each vector.
    rms_error, predicted_rms_error : float
        Of the output, in units of its weighted sum, against the run without faults; the prediction
        is None where there is none, the error where no vector gave a whole result.
    accuracy, accuracy_low, accuracy_high : float
        Share of right classes and its 95 % interval.
    lost : int
        Vectors without a whole result: not in the error, and of no right class.
    """

    rate: float
    injected: int
    faults_per_inference: float
    rms_error: float | None
    predicted_rms_error: float | None
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    lost: int = 0


class FaultCurve(CampaignRecord):
    """Error and accuracy against the rate of faults.

    Attributes
    ----------
    design : {'stochastic', 'binary'}
        The design itself, or an 8-bit multiply-accumulate design of the same network.
    place : str
        Where faults strike: ``streams`` (all of ``x streams``, ``w streams``, ``products``),
        ``source words``, ``source state``, ``weights``, ``counters``, ``operands``, ``control``, or
        ``datapath``: all but control.
    kind : {'flip', 'stuck-at-0', 'stuck-at-1'}
        What they do.
    normalisation : {'per cycle', 'per inference'}
        Whether `rate` is per cycle of this design, or chosen so that as many faults strike an
        inference as strike one of the stochastic design.
    """

    design: Literal["stochastic", "binary"]
    place: str
    kind: Literal["flip", "stuck-at-0", "stuck-at-1"]
    normalisation: Literal["per cycle", "per inference"]
    vectors: int
    points: list[FaultPoint]


class FaultOutcomes(CampaignRecord):
    """What single faults in one block came to.

    Attributes
    ----------
    masked, detected, silent, hung : int
        No output differs; the design or its protocol shows that something is wrong; outputs differ
        and nothing shows it; the watchdog ended the run.
    """

    design: Literal["stochastic", "binary"]
    block: str
    kind: Literal["flip", "stuck-at-0", "stuck-at-1"]
    injected: int
    masked: int
    detected: int
    silent: int
    hung: int


class FaultRecord(CampaignRecord):
    """Outcome of `make faults`."""

    schema_: Literal["certibit-faults/1"] = Field("certibit-faults/1", alias="schema")
    rtl_sha256: str
    network: str
    manifest_sha256: str
    seed: int
    signals: int
    curves: list[FaultCurve]
    outcomes: list[FaultOutcomes]
    notes: list[str] = []


# --- coverage -------------------------------------------------------------------------------------


class FileCoverage(CampaignRecord):
    """Code coverage of one Verilog file.

    Attributes
    ----------
    points, covered, excluded : int
        Coverage points, those that were reached, and those not reached but excluded with a reason.
    missing : list of str
        What was neither reached nor excluded: ``line 34: wire_name``.
    """

    file: str
    points: int
    covered: int
    excluded: int
    missing: list[str]


class Exclusion(CampaignRecord):
    """Points that need not be reached, and why; `used` counts what it excluded."""

    file: str
    kind: Literal["line", "toggle"]
    match: str
    reason: str
    used: int


class PlanBin(CampaignRecord):
    """One value, or range of values, that a goal asks for."""

    name: str
    hits: int


class PlanGoal(CampaignRecord):
    """A line of the testplan with what was seen.

    Attributes
    ----------
    id, goal, stimulus, check : str
        As in the testplan.
    stage : {'V1', 'V2', 'V3'}
        From which stage on it is demanded.
    tests : list of str
        Tests that serve it.
    passed : bool
        Whether these tests ran and passed.
    bins : list of PlanBin
        Functional coverage.
    """

    id: str
    goal: str
    stimulus: str
    check: str
    stage: Literal["V1", "V2", "V3"]
    tests: list[str]
    passed: bool
    bins: list[PlanBin]


class CoverageRecord(CampaignRecord):
    """Outcome of `make coverage`."""

    schema_: Literal["certibit-coverage/1"] = Field("certibit-coverage/1", alias="schema")
    rtl_sha256: str
    lines: list[FileCoverage]
    toggles: list[FileCoverage]
    exclusions: list[Exclusion]
    plan: list[PlanGoal]
