"""What a campaign of faults found, as tables on the console."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from tb.campaigns import FaultRecord


def print_faults(record: FaultRecord, console: Console) -> None:
    """Print a record's curves and outcomes.

    Parameters
    ----------
    record : FaultRecord
        The record.
    console : rich.console.Console
        Where to print.
    """
    vectors = record.curves[0].vectors if record.curves else 0
    curves = Table(
        title=f"{record.network}: random faults, {vectors} vectors; errors of the weighted sum"
    )
    for heading in ("design", "signals", "kind", "normalised"):
        curves.add_column(heading)
    for heading in ("rate", "faults/inf.", "rms error", "predicted", "accuracy", "95 %", "lost"):
        curves.add_column(heading, justify="right")
    for curve in record.curves:
        for number, point in enumerate(curve.points):
            headings = (curve.design, curve.place, curve.kind, curve.normalisation)
            curves.add_row(
                *(headings if number == 0 else ("", "", "", "")),
                f"{point.rate:.3g}",
                f"{point.faults_per_inference:,.4g}",
                _number(point.rms_error),
                _number(point.predicted_rms_error),
                f"{point.accuracy:.1%}",
                f"{point.accuracy_low:.1%}-{point.accuracy_high:.1%}",
                str(point.lost) if point.lost else "",
                end_section=number == len(curve.points) - 1,
            )
    console.print(curves)
    outcomes = Table(title="single faults: what they came to")
    for heading in ("design", "block", "kind"):
        outcomes.add_column(heading)
    for heading in ("injected", "masked", "detected", "silent", "hung"):
        outcomes.add_column(heading, justify="right")
    before: tuple[str, str] = ("", "")
    for outcome in record.outcomes:
        names: tuple[str, str] = (outcome.design, outcome.block)
        outcomes.add_row(
            *(names if names != before else ("", "")),
            outcome.kind,
            *(
                str(number)
                for number in (
                    outcome.injected,
                    outcome.masked,
                    outcome.detected,
                    outcome.silent,
                    outcome.hung,
                )
            ),
            end_section=outcome.kind == "stuck-at-1",
        )
        before = names
    if record.outcomes:
        console.print(outcomes)
    for note in record.notes:
        console.print(f"- {note}", markup=False)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
