"""The report's plots, as SVG text that stands in the page itself.

The same facts give the same bytes: no dates, fixed ids, and none of the user's settings of
Matplotlib. Text stays text, in the page's own font.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, NullFormatter
from numpy.typing import NDArray

from tb.campaigns import FaultCurve, FaultPoint
from tb.length_sweep import LengthCurve

INK, GREY, RULE = "#1f2933", "#6b7785", "#d5dae0"
BLUE, AMBER, RED, GREEN = "#2b5f8f", "#b3701a", "#a3262a", "#2f6f4f"
_MARKERS = "osD^vPX*"
_BINS = 48

_STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 8.5,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.6,
    "axes.labelcolor": INK,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.6,
}


def error_histogram(
    layer: str, errors: NDArray[np.float64], certificate: float, radius: float
) -> str:
    """Draw how often errors of each size were measured, with both bounds.

    Parameters
    ----------
    layer : str
        Name of the layer.
    errors : numpy.ndarray
        Measured errors of the layer, any shape.
    certificate, radius : float
        The bounds.
    """
    sizes = np.abs(errors).ravel()
    exact = int((sizes == 0).sum())
    drawn = sizes[sizes > 0]
    # Four decades below the larger bound, or as far as the errors reach.
    top = 2 * max(radius, certificate, float(sizes.max(initial=0)))
    low = max(top * 1e-5, float(drawn.min(initial=top)))
    edges = np.geomspace(low, top, _BINS + 1)
    number = f"{sizes.size:,} errors, {exact:,} of them 0"

    def draw(axes: Axes) -> None:
        axes.hist(np.clip(drawn, low, top), edges.tolist(), color=BLUE, alpha=0.85, log=True)
        axes.set_xscale("log")
        axes.set_ylim(bottom=0.7)
        for value, colour, style, name in (
            (certificate, GREEN, "-", f"certificate {certificate:.4g}"),
            (radius, AMBER, "--", f"Hoeffding radius {radius:.4g}"),
        ):
            if value > 0:
                axes.axvline(value, color=colour, linestyle=style, label=name)
            else:
                # Exact for all inputs: on a log axis there is no place for it, but a name.
                axes.plot([], [], color=colour, linestyle=style, label=name)
        axes.set_xlabel("absolute error, units of the weighted sum")
        axes.set_ylabel("outputs x vectors")
        axes.set_title(f"{layer}: {number}")
        _legend_below(axes, 3)

    return _svg(
        f"hist-{layer}",
        f"Histogram of the absolute errors of layer {layer}: largest {sizes.max(initial=0):.4g},"
        f" certificate {certificate:.4g}, Hoeffding radius {radius:.4g}",
        draw,
    )


def error_against_length(curve: LengthCurve, measured: float | None) -> str:
    """Draw the largest error against the bitstream length, with the two laws.

    Parameters
    ----------
    curve : LengthCurve
        The golden model's errors; it has points.
    measured : float or None
        Largest error of the RTL on the same vectors, at the design's own length.
    """
    lengths = np.array([point.length for point in curve.points])
    at_own = next(point for point in curve.points if point.length == curve.own)

    def draw(axes: Axes) -> None:
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        if at_own.error > 0:
            for power, style, name in ((0.5, ":", "1/√L"), (1.0, "-.", "1/L")):
                law = at_own.error * (curve.own / lengths) ** power
                axes.plot(lengths, law, color=GREY, linestyle=style, linewidth=0.9, label=name)
        axes.plot(
            lengths,
            [point.radius for point in curve.points],
            color=AMBER,
            linestyle="--",
            label="Hoeffding radius",
        )
        certified = [(p.length, p.certificate) for p in curve.points if p.certificate > 0]
        axes.plot(
            [length for length, _ in certified],
            [certificate for _, certificate in certified],
            color=GREEN,
            label="certificate",
        )
        positive = [(point.length, point.error) for point in curve.points if point.error > 0]
        axes.plot(
            [length for length, _ in positive],
            [error for _, error in positive],
            color=BLUE,
            marker="o",
            label="golden model",
        )
        if measured:
            axes.plot(
                [curve.own],
                [measured],
                color=RED,
                marker="D",
                markersize=6.5,
                markerfacecolor="none",
                markeredgewidth=1.3,
                linestyle="none",
                label=f"RTL, L = {curve.own}",
            )
        axes.set_xticks(lengths, [str(length) for length in lengths])
        axes.tick_params(axis="x", labelsize=7)
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("bitstream length L")
        axes.set_ylabel("largest absolute error")
        axes.set_title(f"{curve.layer}: first {curve.vectors:,} vectors")
        _legend_below(axes, 3)

    return _svg(
        f"length-{curve.layer}",
        f"Largest error of layer {curve.layer} against the bitstream length: {at_own.error:.4g} at"
        f" the design's own length of {curve.own}",
        draw,
    )


def reliability(
    name: str,
    curves: Sequence[FaultCurve],
    across: Callable[[FaultPoint], float],
    value: Callable[[FaultPoint], float | None],
    title: str,
    axis: str,
    *,
    share: bool,
) -> str:
    """Draw what faults do to a design, stochastic beside binary.

    Parameters
    ----------
    name : str
        Of the plot, among those of a page.
    curves : sequence of FaultCurve
        Of one kind of fault and one normalisation.
    across : callable
        Where a point is drawn.
    value : callable
        What of a point is drawn; None leaves it out.
    title, axis : str
        Title, and label of the upright axis.
    share : bool
        Whether it is a share of vectors, with its 95 % interval, or an error on a log axis.
    """
    per_cycle = all(curve.normalisation == "per cycle" for curve in curves)

    def draw(axes: Axes) -> None:
        axes.set_xscale("log")
        if not share:
            axes.set_yscale("log")
        of_design = {"stochastic": 0, "binary": 0}
        for curve in curves:
            points = [p for p in curve.points if p.rate > 0 and (share or value(p))]
            if not points:
                continue
            marker = _MARKERS[of_design[curve.design] % len(_MARKERS)]
            of_design[curve.design] += 1
            stochastic = curve.design == "stochastic"
            colour = BLUE if stochastic else AMBER
            rates = [across(point) for point in points]
            axes.plot(
                rates,
                [value(point) or 0.0 for point in points],
                color=colour,
                linestyle="-" if stochastic else "--",
                marker=marker,
                label=f"{curve.design}: {curve.place}",
            )
            if share:
                axes.fill_between(
                    rates,
                    [point.accuracy_low for point in points],
                    [point.accuracy_high for point in points],
                    color=colour,
                    alpha=0.1,
                    linewidth=0,
                )
            else:
                predicted = [
                    (across(p), p.predicted_rms_error) for p in points if p.predicted_rms_error
                ]
                axes.plot(
                    [rate for rate, _ in predicted],
                    [error for _, error in predicted],
                    color=GREY,
                    linestyle=":",
                    linewidth=0.9,
                )
        if share:
            axes.set_ylim(0, 1.02)
            axes.yaxis.set_major_formatter(lambda part, _: f"{part:.0%}")
        axes.set_xlabel(
            "probability of a fault, per bit and cycle" if per_cycle else "faults an inference"
        )
        axes.set_ylabel(axis)
        axes.set_title(title)
        _legend_below(axes, 3)

    return _svg(name, f"{title}: {axis} against faults", draw)


def _legend_below(axes: Axes, columns: int) -> None:
    """Put a legend under the axis, where it hides nothing."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(
            loc="upper center",
            bbox_to_anchor=(0.45, -0.22),
            ncols=columns,
            columnspacing=1.2,
            handlelength=1.8,
        )


def _svg(name: str, description: str, draw: Callable[[Axes], None]) -> str:
    """Draw, and return an ``svg`` element whose ids are no other plot's."""
    prefix = re.sub(r"[^A-Za-z0-9_]+", "-", name)
    style: dict[Any, Any] = dict(matplotlib.rcParamsDefault)
    style |= _STYLE | {"svg.hashsalt": prefix}
    # Chosen by the user's environment, and not to be changed in a running process.
    style.pop("backend", None)
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(5.2, 3.5))
        # The same frame in every plot, so that neighbours line up.
        axes = figure.add_axes((0.135, 0.29, 0.845, 0.62))
        draw(axes)
        for side in (axes.xaxis, axes.yaxis):
            if side.get_scale() == "log":
                side.set_minor_formatter(NullFormatter())
                # Powers would be set glyph by glyph, in a font of their own.
                if not isinstance(side.get_major_formatter(), FixedFormatter):
                    side.set_major_formatter(lambda part, _: f"{part:g}")
        stream = io.StringIO()
        FigureCanvasSVG(figure).print_svg(stream)  # type: ignore[no-untyped-call]
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Its rules would be the whole page's; the page has the like for its plots.
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    meant = set(re.findall(r'(?:xlink:href="#|url\(#)([^")]+)', text))
    text = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in meant else "", text)
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r'xlink:href="#', f'href="#{prefix}-', text)
    text = text.replace("url(#", f"url(#{prefix}-")
    width, height = (
        re.search(rf'\b{side}="([\d.]+)pt"', text)[1]  # type: ignore[index]
        for side in ("width", "height")
    )
    head = (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{html.escape(description)}">'
    )
    body = text[text.index(">") + 1 :]
    return head + re.sub(r"\s*\n\s*", "\n", body).strip()
