"""Checks that rest on the protocol bench, and on what a simulator with X saw."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from tb.checks import Check, verdict_of
from tb.runner import TestOutcome
from tb.simulate import ProtocolRun, Simulation

# Tests of one phase each are one check.
PROTOCOL_CHECKS = {
    "protocol-streams": (
        "test_nothing_lost_nothing_reordered",
        "test_blocked_output_stops_the_input_and_nothing_is_lost",
        "test_waiting_results_are_stable",
    ),
    "protocol-reset": (
        "test_reset_in_mid_vector_recovers",
        "test_reset_empties_a_full_pipeline",
        "test_reset_in_mid_packet_drops_it",
    ),
    "protocol-clear": (
        "test_clear_in_mid_vector_recovers",
        "test_clear_empties_a_full_pipeline",
        "test_clear_in_mid_packet_drops_it",
    ),
    "protocol-packets": (
        "test_broken_packets_are_dropped_and_counted",
        "test_minus_zero_is_zero",
    ),
    "protocol-registers": (
        "test_registers_describe_the_design",
        "test_forbidden_accesses_are_refused_and_change_nothing",
        "test_disabled_design_takes_no_packet",
    ),
    "repeatability": ("test_repeatability",),
}
_UNKNOWN_TEST = "test_outputs_are_never_unknown"
# What the other simulator repeats, for its X: a reset and a clear in the middle, and registers.
X_FILTER = (
    "reset_in_mid_vector_recovers.*part=0.3|clear_in_mid_vector_recovers.*part=0.3"
    "|registers_describe|forbidden_accesses|never_unknown"
)
UNRESET_FILE = Path(__file__).with_name("unreset_registers.json")


@cache
def unreset_registers() -> dict[str, str]:
    """Return the registers without a reset, ``module.register``, and why each needs none."""
    argued: dict[str, str] = json.loads(UNRESET_FILE.read_text())
    return argued


def protocol_checks(run: ProtocolRun | str, rerun: str) -> list[Check]:
    """Return a check for each group of the protocol bench's tests.

    Parameters
    ----------
    run : ProtocolRun or str
        The run, with all tests; or why there is none.
    rerun : str
        Command that repeats it.
    """
    if isinstance(run, str):
        return [Check(id=name, verdict="SKIPPED", detail=run) for name in PROTOCOL_CHECKS]
    checks = []
    for name, wanted in PROTOCOL_CHECKS.items():
        outcomes = [test for test in run.tests if _base(test) in wanted]
        missing = set(wanted) - {_base(test) for test in outcomes}
        failed = [test for test in outcomes if not test.passed]
        detail = f"{len(outcomes)} tests passed in {run.simulator.name}, seed {run.seed}"
        if failed:
            told = failed[0].message.partition("\n")[0]
            detail = f"{len(failed)} of {len(outcomes)} tests failed: {failed[0].name}: {told}"
        elif missing:
            detail = f"did not run: {', '.join(sorted(missing))}: {run.failure}"
        held = not failed and not missing
        if not held:
            detail += f" (seed {run.seed}; {rerun} --sim {run.simulator.name})"
        checks.append(Check(id=name, verdict=verdict_of(held), detail=detail))
    return checks


def unknown_check(
    runs: Sequence[Simulation], protocols: Sequence[ProtocolRun], why_none: str
) -> Check:
    """Return the check that no X reached an output after reset.

    Parameters
    ----------
    runs : sequence of Simulation
        Runs of the whole design in a simulator that knows X.
    protocols : sequence of ProtocolRun
        Runs of the protocol bench in such a simulator.
    why_none : str
        Why there are none, where there are none.
    """
    if not runs and not protocols:
        return Check(id="X-propagation", verdict="SKIPPED", detail=f"needs Icarus: {why_none}")
    bad = []
    told = [(run.tests, run.results_xml, run.failure) for run in runs]
    told += [(run.tests, run.results_xml, run.failure) for run in protocols]
    for tests, results, failure in told:
        outcomes = [test for test in tests if _base(test) == _UNKNOWN_TEST]
        if len(outcomes) != 1:
            bad.append(f"{results.parent.name}: the test did not run: {failure}")
        bad += [
            f"{results.parent.name}: {test.message.partition(chr(10))[0]}"
            for test in outcomes
            if not test.passed
        ]
    detail = (
        "no X at an output after reset, nor in data while valid, in"
        f" {', '.join(results.parent.name for _, results, _ in told)};"
        f" {len(unreset_registers())} registers have no reset, argued in {UNRESET_FILE.name}"
    )
    return Check(
        id="X-propagation", verdict=verdict_of(not bad), detail="; ".join(bad) if bad else detail
    )


def _base(test: TestOutcome) -> str:
    """Return a test's name without module and parameters."""
    return test.name.partition("/")[0].rpartition(".")[2]
