"""The sign-off as a short table in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tb.signoff import Signoff


def print_summary(report: Signoff, console: Console) -> None:
    """Print what a reader wants to know first, and PASS or FAIL last.

    Parameters
    ----------
    report : Signoff
        The report.
    console : rich.console.Console
        Where to print.
    """
    # Eighty columns are enough: two-line headings, blanks for rules.
    table = Table(
        title=f"{report.network}: errors in units of each layer's weighted sum",
        box=None,
        padding=(0, 1, 0, 0),
    )
    for heading in (
        "layer",
        "L",
        "fan-in",
        "vectors",
        "mis-\nmatches",
        "max\nerror",
        "certi-\nficate",
        "witness",
        "Hoeffding\nradius",
        "verdict",
    ):
        left = heading in ("layer", "verdict")
        table.add_column(heading, justify="left" if left else "right", no_wrap=True)
    for layer in report.layers:
        kinds = (
            "S1-counts",
            "S1-streams",
            "S2-certificate",
            "S2-hoeffding",
            "S4-sources",
            "witness",
        )
        names = {f"{kind}-{layer.name}" for kind in kinds}
        names.add(f"S2-certificate-within-hoeffding-{layer.name}")
        own = [check for check in report.checks if check.id in names]
        failed = any(check.verdict == "FAIL" for check in own)
        table.add_row(
            layer.name,
            str(layer.bitstream_length),
            str(layer.fan_in),
            str(layer.vectors),
            str(layer.mismatches),
            f"{layer.max_abs_error:.5f}",
            f"{layer.certified_bound:.5f}",
            "-" if layer.witness_error is None else f"{layer.witness_error:.5f}",
            f"{layer.hoeffding_radius:.3f}",
            "[red]FAIL[/red]" if failed else "[green]PASS[/green]",
        )
    console.print(table)
    part = report.accuracy
    console.print(
        f"accuracy on {part.vectors} vectors: float {part.float_:.2%},"
        f" quantised {part.quantised:.2%}, golden {part.golden:.2%}, RTL {part.rtl:.2%}",
        soft_wrap=True,
    )
    console.print(
        f"end to end: largest output error {report.end_to_end.max_abs_error:.4f},"
        f" guaranteed {report.end_to_end.bound:.4f}",
        soft_wrap=True,
    )
    console.print(
        f"against the trained network: {report.end_to_end.max_abs_trained_error:.4f},"
        f" guaranteed {report.end_to_end.trained_bound:.4f}",
        soft_wrap=True,
    )
    if report.compression is not None:
        before, after = (
            sum(report.compression.synapses_before),
            sum(layer.synapses for layer in report.layers),
        )
        console.print(
            f"compressed: {after:,} of {before:,} synapses,"
            f" {sum(layer.constant_gates for layer in report.layers):,} of them wires,"
            f" {report.compression.removed_neurons} neurons removed",
            soft_wrap=True,
        )
    speed = report.throughput
    console.print(
        f"{report.simulator.name} {report.simulator.version}: {speed.cycles:,} cycles in"
        f" {speed.seconds_sim:.1f} s ({speed.cycles_per_second:,.0f} cycles/s), build"
        f" {speed.seconds_build:.1f} s",
        soft_wrap=True,
    )
    for check in report.checks:
        if check.verdict != "PASS":
            colour = "red" if check.verdict == "FAIL" else "yellow"
            console.print(
                f"[{colour}]{check.verdict}[/{colour}] {check.id}: {escape(check.detail)}",
                soft_wrap=True,
            )
    lacking = [criterion for criterion in report.criteria if not criterion.held]
    if lacking:
        # One line a stage would hide what comes first: the next criterion that is to be met.
        console.print(
            f"stage {report.stage}; {lacking[0].id} does not hold yet: {lacking[0].evidence}",
            soft_wrap=True,
            markup=False,
        )
    elif report.criteria:
        console.print(f"stage {report.stage}", soft_wrap=True)
    colour = "green" if report.verdict == "PASS" else "red"
    console.print(f"[bold {colour}]{report.verdict}[/bold {colour}]")
