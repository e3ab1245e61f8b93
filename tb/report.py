"""The report: one page that says what was signed off, on what evidence, and what is missing.

It is made of ``signoff.json``, the recorded counts and what campaigns left, and it stands alone: no
network, no scripts, plots in the page itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from model.errors import SignoffError
from model.forward import layer_errors
from model.manifest import (
    CounterSource,
    HaltonSource,
    Layer,
    LfsrSource,
    Manifest,
    SobolSource,
    Source,
)
from model.plan import Design
from tb.campaigns import CoverageRecord, FaultPoint, FaultRecord, MutationRecord
from tb.evidence import COUNTS_FILE, load_counts
from tb.failures import Bucket, bucket_failures, collect_failures
from tb.junit import cocotb_failures
from tb.length_sweep import SWEPT_VECTORS, LengthCurve, sweep_lengths
from tb.report_plots import error_against_length, error_histogram, reliability
from tb.signoff import JUNIT_FILE
from tb.stage import STAGES, Campaigns, goal_met

# What a page can show of a list; the rest stands in the file that the page names.
_MOST_ROWS = 60
_MOST_DRAWN = 24

# Kinds of checks in the order of the page; a check of another kind makes a group of its own.
_GROUPS = {
    "manifest": "Manifest and plan",
    "precision": "Manifest and plan",
    "identity": "Identity",
    "S1": "S1: counts",
    "S2": "S2: errors within bounds",
    "witness": "S2: witnesses",
    "end": "S2: the whole network",
    "trained": "S2: the whole network",
    "S3": "S3: bias",
    "S4": "S4: number sources",
    "streams": "Internal streams, cycle by cycle",
    "attribution": "Where errors come from",
    "simulators": "Simulators and repeatability",
    "repeatability": "Simulators and repeatability",
    "protocol": "Protocols",
    "X": "Unknown values",
    "bench": "Benches",
}


@dataclass(frozen=True)
class LayerPlots:
    """What is drawn of a layer.

    Attributes
    ----------
    name : str
        The layer.
    histogram : Markup or None
        Errors and bounds; None where there are no counts.
    lengths : Markup or None
        Error against length.
    why_not : str
        Why there is no error against length.
    """

    name: str
    histogram: Markup | None
    lengths: Markup | None
    why_not: str


def render_report(
    design: Design, folder: Path, facts: Mapping[str, Any], campaigns: Campaigns
) -> str:
    """Render the page.

    Parameters
    ----------
    design : Design
        The design.
    folder : pathlib.Path
        Its build folder, with counts and JUnit XML where there are any.
    facts : mapping
        The content of ``signoff.json``.
    campaigns : Campaigns
        What campaigns left.

    Returns
    -------
    str
        HTML.
    """
    manifest = design.manifest
    played = facts["layers"][0]["vectors"] if facts["layers"] else manifest.vectors
    failures = bucket_failures(
        collect_failures(facts["checks"], cocotb_failures(folder / JUNIT_FILE)),
        facts["rerun"],
        facts["simulator"]["name"],
        played,
    )
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            facts=facts,
            manifest=manifest,
            shape=design_shape(manifest),
            design_rows=[_design_row(layer) for layer in manifest.layers],
            tally=Counter(check["verdict"] for check in facts["checks"]),
            headline=_headline(facts, failures),
            failures=failures,
            stages=_stages(facts),
            groups=_groups(facts["checks"]),
            attribution=facts.get("attribution", []),
            bias=facts.get("bias", []),
            plots=_layer_plots(design, folder),
            campaigns=campaigns,
            mutants=_mutants(campaigns.mutants.record),
            coverage=_coverage(campaigns.coverage.record),
            faults=_faults(campaigns.faults.record),
            most=_MOST_ROWS,
        )
    )


def _environment() -> jinja2.Environment:
    """Return the environment of the page's template; everything is escaped but plots."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tb"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    environment.filters["share"] = _share
    environment.filters["spelt"] = _spelt
    return environment


def _number(value: object) -> str:
    """Return a number as a table shows it."""
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.5g}"


def _share(value: float | None) -> str:
    """Return a share in per cent."""
    return "-" if value is None else f"{value:.2%}"


def _spelt(name: str) -> str:
    """Return a field's name in words."""
    return name.replace("_", " ")


def _headline(facts: Mapping[str, Any], failures: Sequence[Bucket]) -> str:
    """Say in one sentence what the verdict rests on."""
    checks = facts["checks"]
    failed = sum(check["verdict"] == "FAIL" for check in checks)
    skipped = sum(check["verdict"] == "SKIPPED" for check in checks)
    if not facts["layers"]:
        return "The simulation gave no counts to judge: the one failure below says why."
    if failed:
        several = "messages" if len(failures) != 1 else "message"
        return f"{failed} of {len(checks)} checks failed, with {len(failures)} different {several}."
    return f"{len(checks) - skipped} of {len(checks)} checks passed, {skipped} skipped, 0 failed."


def _stages(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return each stage with its criteria."""
    stages = []
    for name in STAGES:
        own = [criterion for criterion in facts["criteria"] if criterion["stage"] == name]
        held = sum(criterion["held"] for criterion in own)
        stages.append(
            {
                "name": name,
                "criteria": own,
                "held": held,
                "reached": facts["stage"] != "none"
                and STAGES.index(facts["stage"]) >= STAGES.index(name),
            }
        )
    return stages


def _groups(checks: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Return the checks by kind; those of an unknown kind come last, under its name."""
    groups: dict[str, list[Mapping[str, Any]]] = {title: [] for title in _GROUPS.values()}
    for check in checks:
        kind = check["id"].partition("-")[0]
        groups.setdefault(_GROUPS.get(kind, kind), []).append(check)
    return [(title, own) for title, own in groups.items() if own]


def _design_row(layer: Layer) -> dict[str, Any]:
    """Return what a layer is made of, in words."""
    sources = [f"x: {_source(layer.x_source)}", f"w: {_source(layer.w_source)}"]
    if layer.select_source is not None:
        sources.append(f"select: {_source(layer.select_source)}")
    worst = layer.source_certificate.worst
    return {
        "layer": layer,
        "sources": "; ".join(sources),
        "discrepancy": None if worst is None else worst.numerator / worst.denominator,
    }


def _source(source: Source) -> str:
    """Return a source in a few words."""
    match source:
        case CounterSource():
            kind = f"{source.width}-bit counter" + (", bits reversed" if source.reversed else "")
        case SobolSource():
            kind = f"Sobol, dimension {source.dimension}"
        case HaltonSource():
            kind = f"Halton, base {source.base}"
        case LfsrSource():
            kind = f"{source.width}-bit {source.form.capitalize()} LFSR, {source.step} a cycle"
    if source.lanes > 1:
        return f"{kind}, {source.lanes:,} lanes"
    constant = source.xor_constants[0]
    return f"{kind}, XOR {constant}" if constant else kind


# --- plots ----------------------------------------------------------------------------------------


def _layer_plots(design: Design, folder: Path) -> list[LayerPlots]:
    """Draw the errors of every layer: as they were measured, and against the length."""
    errors = _measured_errors(design, folder)
    plots = []
    curves = sweep_lengths(design, layers=_MOST_DRAWN)
    # Of more layers there are no curves.
    for index, (layer, curve) in enumerate(zip(design.manifest.layers, curves, strict=False)):
        histogram = None
        measured = None
        if errors is not None:
            measured = float(np.abs(errors[index][:SWEPT_VECTORS]).max())
            histogram = Markup(
                error_histogram(
                    layer.name, errors[index], layer.certificate.value, layer.hoeffding.radius
                )
            )
        plots.append(LayerPlots(layer.name, histogram, _lengths(curve, measured), curve.why_not))
    return plots


def _lengths(curve: LengthCurve, measured: float | None) -> Markup | None:
    """Draw a layer's error against its length, where it follows a law."""
    return Markup(error_against_length(curve, measured)) if curve.points else None


def _measured_errors(design: Design, folder: Path) -> list[NDArray[np.float64]] | None:
    """Return every layer's errors by the recorded counts; None where there are none."""
    try:
        vectors, counts = load_counts(design.manifest, folder / COUNTS_FILE)
    except SignoffError:
        return None
    return layer_errors(design.manifest, design.parameters, design.features[vectors], counts)


# --- campaigns ------------------------------------------------------------------------------------


def _mutants(record: MutationRecord | None) -> dict[str, Any] | None:
    """Sum up the mutants by block, with those that were not killed."""
    if record is None:
        return None
    blocks = []
    for module in sorted({mutant.module for mutant in record.netlist}):
        own = [mutant for mutant in record.netlist if mutant.module == module]
        outcomes = Counter(mutant.outcome for mutant in own)
        blocks.append(
            {
                "module": module,
                "mutants": len(own),
                "killed": outcomes["killed"],
                "statistical": sum(mutant.statistical for mutant in own),
                "equivalent": outcomes["equivalent"],
                "gap": outcomes["gap"],
            }
        )
    numbers = ("mutants", "killed", "statistical", "equivalent", "gap")
    return {
        "record": record,
        "blocks": blocks,
        "total": {name: sum(block[name] for block in blocks) for name in numbers},
        "killers": Counter(m.killed_by for m in record.netlist if m.killed_by).most_common(10),
        "gaps": [mutant for mutant in record.netlist if mutant.outcome == "gap"],
        "equivalents": [mutant for mutant in record.netlist if mutant.outcome == "equivalent"],
        "survivors": [defect for defect in record.planted if not defect.killed_by],
        "statistical": sum(bool(defect.statistical) for defect in record.planted),
    }


def _coverage(record: CoverageRecord | None) -> dict[str, Any] | None:
    """Put lines and toggles of a file in one row, and collect what was missed."""
    if record is None:
        return None
    lines = {part.file: part for part in record.lines}
    toggles = {part.file: part for part in record.toggles}
    rows = [
        {"file": name, "lines": lines.get(name), "toggles": toggles.get(name)}
        for name in sorted(lines.keys() | toggles.keys())
    ]
    missing = [
        (part.file, kind, point)
        for kind, files in (("line", record.lines), ("toggle", record.toggles))
        for part in files
        for point in part.missing
    ]
    return {
        "record": record,
        "rows": rows,
        "missing": missing,
        "goals": [
            {"goal": goal, "met": goal_met(goal), "hit": sum(part.hits > 0 for part in goal.bins)}
            for goal in record.plan
        ],
    }


# Of all places where faults strike, those that say most; the record has the others.
_DRAWN = ("datapath", "streams", "products", "counters", "accumulators")


def _faults(record: FaultRecord | None) -> dict[str, Any] | None:
    """Draw accuracy and error against the rate of faults, for each kind and normalisation."""
    if record is None:
        return None
    plots = []
    for kind in sorted({curve.kind for curve in record.curves}):
        for rule in ("per cycle", "per inference"):
            # As many faults strike an inference of the stochastic design as its own rate gives.
            own = [
                curve
                for curve in record.curves
                if curve.kind == kind
                and curve.place in _DRAWN
                and curve.normalisation == (rule if curve.design == "binary" else "per cycle")
            ]
            if not any(curve.normalisation == rule for curve in own):
                continue
            words = {
                "per cycle": "the same rate in every cycle",
                "per inference": "as many faults an inference",
            }
            title = f"{kind}: {words[rule]}"
            name = f"faults-{kind}-{rule}"
            across = _rate if rule == "per cycle" else _per_inference
            pair = [
                reliability(
                    f"{name}-accuracy", own, across, _accuracy, title, "right classes", share=True
                ),
                reliability(f"{name}-rms", own, across, _rms, title, "rms error", share=False),
            ]
            plots.append([Markup(plot) for plot in pair])
    return {"record": record, "plots": plots}


def _rate(point: FaultPoint) -> float:
    return point.rate


def _per_inference(point: FaultPoint) -> float:
    return point.faults_per_inference


def _accuracy(point: FaultPoint) -> float:
    return point.accuracy


def _rms(point: FaultPoint) -> float | None:
    return point.rms_error


def design_shape(manifest: Manifest) -> str:
    """Return the widths of a network, inputs first.

    Parameters
    ----------
    manifest : Manifest
        The design.
    """
    widths = [manifest.layers[0].fan_in, *(layer.outputs for layer in manifest.layers)]
    return " → ".join(str(width) for width in widths)
