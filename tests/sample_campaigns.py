"""Campaign records as campaigns would leave them, for the tests of what reads them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

from tb.campaigns import (
    COVERAGE_FILE,
    FAULTS_FILE,
    MUTANTS_FILE,
    CoverageRecord,
    Exclusion,
    FaultCurve,
    FaultOutcomes,
    FaultPoint,
    FaultRecord,
    FileCoverage,
    MutationRecord,
    NetlistMutant,
    PlanBin,
    PlanGoal,
    PlantedDefect,
    rtl_digest,
)


def mutation_record(*, gaps: int = 0, survivors: int = 0) -> MutationRecord:
    """Return a record of 2 planted defects and 1,000 mutants."""
    netlist = [
        NetlistMutant(
            id=f"signed-{number}",
            network="signed",
            module=f"sc_block_{number % 7}",
            mode=("inv", "const0", "const1", "cnot0")[number % 4],
            place=f"cell {number} port A bit {number % 3}",
            source=f"hdl/sc_block_{number % 7}.v:{number % 90 + 10}",
            outcome="gap" if number < gaps else "equivalent" if number % 50 == 9 else "killed",
            killed_by="" if number < gaps or number % 50 == 9 else f"test_{number % 5}",
            statistical=number % 3 == 0,
            proof="sat: no input tells them apart" if number % 50 == 9 else "",
        )
        for number in range(1000)
    ]
    planted = [
        PlantedDefect(
            id=identity,
            title=title,
            file="hdl/sc_sng_bank.v",
            network="signed",
            killed_by=[] if number < survivors else ["S1-counts-layer0", "witness-layer0"],
            statistical=[] if number < max(survivors, 1) else ["S2-certificate-layer0"],
        )
        for number, (identity, title) in enumerate(
            [
                ("comparator-le", "compare with <= in place of <"),
                ("stream-late", "one stream a cycle late"),
            ]
        )
    ]
    return MutationRecord(rtl_sha256=rtl_digest(), seed=11, planted=planted, netlist=netlist)


def coverage_record(*, missing: bool = False, goal_missed: bool = False) -> CoverageRecord:
    """Return a record of two files and three goals."""
    lines = [
        FileCoverage(
            file=f"sc_block_{number}.v",
            points=40,
            covered=39,
            excluded=0 if missing and number == 1 else 1,
            missing=["line 34: default of the case"] if missing and number == 1 else [],
        )
        for number in range(2)
    ]
    toggles = [
        FileCoverage(file=part.file, points=100, covered=96, excluded=4, missing=[])
        for part in lines
    ]
    stages: tuple[Literal["V1", "V2", "V3"], ...] = ("V1", "V2", "V3")
    plan = [
        PlanGoal(
            id=f"goal-{stage}",
            goal=f"every value of {stage} is seen",
            stimulus="random",
            check="scoreboard",
            stage=stage,
            tests=["test_values"],
            passed=True,
            bins=[
                PlanBin(name="low", hits=3),
                PlanBin(name="high", hits=0 if goal_missed and stage == "V2" else 7),
            ],
        )
        for stage in stages
    ]
    return CoverageRecord(
        rtl_sha256=rtl_digest(),
        lines=lines,
        toggles=toggles,
        exclusions=[
            Exclusion(
                file="sc_block_0.v",
                kind="line",
                match="default:",
                reason="the state cannot be reached; it is there for a safe recovery",
                used=1,
            )
        ],
        plan=plan,
    )


def fault_record(network: str, manifest_sha256: str) -> FaultRecord:
    """Return a record with every curve that a complete campaign has."""
    curves = []
    places = {"stochastic": ("streams", "counters"), "binary": ("operands", "accumulators")}
    designs: tuple[Literal["stochastic", "binary"], ...] = ("stochastic", "binary")
    both: tuple[Literal["per cycle", "per inference"], ...] = ("per cycle", "per inference")
    for design in designs:
        for place_number, place in enumerate(places[design]):
            for rule in both if design == "binary" else both[:1]:
                weak = (4 if design == "binary" else 1) * (1 + 5 * place_number)
                points = []
                for rate in (1e-5, 1e-4, 1e-3, 1e-2, 1e-1):
                    accuracy = 0.1 + 0.87 * math.exp(-rate * weak * 8)
                    points.append(
                        FaultPoint(
                            rate=rate,
                            injected=round(1e7 * rate),
                            faults_per_inference=1e5 * rate,
                            rms_error=2 * math.sqrt(rate * weak),
                            predicted_rms_error=1.9 * math.sqrt(rate) if weak == 1 else None,
                            accuracy=accuracy,
                            accuracy_low=max(accuracy - 0.03, 0),
                            accuracy_high=min(accuracy + 0.03, 1),
                        )
                    )
                curves.append(
                    FaultCurve(
                        design=design,
                        place=place,
                        kind="flip",
                        normalisation=rule,
                        vectors=200,
                        points=points,
                    )
                )
    outcomes = [
        FaultOutcomes(
            design="stochastic",
            block=block,
            kind="flip",
            injected=100,
            masked=70,
            detected=10,
            silent=18,
            hung=2,
        )
        for block in ("streams", "control")
    ]
    return FaultRecord(
        rtl_sha256=rtl_digest(),
        network=network,
        manifest_sha256=manifest_sha256,
        seed=5,
        signals=321,
        curves=curves,
        outcomes=outcomes,
        notes=["Weights, counters and the state of sources are binary in both designs."],
    )


def place_campaigns(
    folder: Path,
    *,
    mutants: MutationRecord | None = None,
    coverage: CoverageRecord | None = None,
    faults: FaultRecord | None = None,
) -> None:
    """Write records where campaigns leave them, for a network's build folder."""
    if mutants is not None:
        mutants.save(folder.parent / "mutants" / MUTANTS_FILE)
    if coverage is not None:
        coverage.save(folder.parent / "coverage" / COVERAGE_FILE)
    if faults is not None:
        faults.save(folder / FAULTS_FILE)
