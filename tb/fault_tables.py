"""What a campaign of faults found, as tables on the console."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from tb.campaigns import FaultRecord

_OF_A_RATE = ("rate", "faults/inf.", "rms error", "predicted", "accuracy", "95 %", "lost")


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
    console.print(
        f"[bold]{record.network}: random faults, {vectors} vectors;"
        " errors of the weighted sum[/bold]"
    )
    for curve in record.curves:
        title = f"{curve.design}, {curve.place}: {curve.kind}, {curve.normalisation}"
        table = _table(title)
        for heading in _OF_A_RATE:
            table.add_column(heading, justify="right", no_wrap=True, min_width=9)
        for point in curve.points:
            table.add_row(
                f"{point.rate:.3g}",
                f"{point.faults_per_inference:,.4g}",
                _number(point.rms_error),
                _number(point.predicted_rms_error),
                f"{point.accuracy:.1%}",
                f"{point.accuracy_low:.1%}-{point.accuracy_high:.1%}",
                str(point.lost) if point.lost else "",
            )
        console.print(table)
    for design in dict.fromkeys(outcome.design for outcome in record.outcomes):
        table = _table(f"{design}: what single faults came to")
        for heading in ("block", "kind"):
            table.add_column(heading, no_wrap=True)
        for heading in ("injected", "masked", "detected", "silent", "hung"):
            table.add_column(heading, justify="right")
        before = ""
        for outcome in record.outcomes:
            if outcome.design != design:
                continue
            table.add_row(
                outcome.block if outcome.block != before else "",
                outcome.kind,
                str(outcome.injected),
                str(outcome.masked),
                str(outcome.detected),
                str(outcome.silent),
                str(outcome.hung),
            )
            before = outcome.block
        console.print(table)
    for note in record.notes:
        console.print(f"- {note}", markup=False)


def _table(title: str) -> Table:
    """Return a table that fits into 80 columns."""
    return Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
