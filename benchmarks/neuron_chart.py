"""The transfer curve of the spiking neuron as a picture: the formula, and what RTL measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

_WIDTH, _HEIGHT = 960, 765
_COLUMNS, _PANEL_WIDTH, _PANEL_HEIGHT = 2, 395, 270
_LEFT, _TOP, _GAP_X, _GAP_Y = 65, 95, 75, 75
_COLOURS = ("#222222", "#1f5fa8", "#2a8a57", "#b5482a")
_RADIUS = 3.0

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Panel:
    """The points of one number of synapses.

    Attributes
    ----------
    title : str
        What stands above them.
    points : mapping of str to pair of ndarray
        For each kind of streams p and the measured rate; the same kinds in every panel.
    """

    title: str
    points: Mapping[str, Curve]


def neuron_chart(line: Curve, panels: Sequence[Panel]) -> str:
    """Return an SVG picture.

    Parameters
    ----------
    line : pair of ndarray
        p and the formula's rate.
    panels : sequence of Panel
        Drawn two in a row.
    """
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        _text(_LEFT, 24, "Spikes a cycle of the ramp neuron, L = 256: formula and RTL", size=15),
    ]
    kinds = list(panels[0].points)
    key_x = float(_LEFT)
    parts.append(f'<path d="M{key_x} 50h26" stroke="#999" stroke-width="2"/>')
    parts.append(_text(key_x + 32, 54, "clip(2.5 (p - 0.1), 0, 1)"))
    for index, kind in enumerate(kinds):
        x = key_x + 215 + 160 * index
        parts.append(_mark(index, x, 50))
        parts.append(_text(x + 10, 54, kind, colour=_COLOURS[index]))
    for number, panel in enumerate(panels):
        left = _LEFT + (number % _COLUMNS) * (_PANEL_WIDTH + _GAP_X)
        top = _TOP + (number // _COLUMNS) * (_PANEL_HEIGHT + _GAP_Y)
        parts += _panel(left, top, line, panel)
    parts.append("</svg>\n")
    return "\n".join(parts)


def _panel(left: float, top: float, line: Curve, panel: Panel) -> list[str]:
    """Draw axes, the line and the points."""

    def x(p: float) -> float:
        return left + p * _PANEL_WIDTH

    def y(rate: float) -> float:
        return top + (1 - rate) * _PANEL_HEIGHT

    parts = [_text(left + 8, top + 18, panel.title, size=13)]
    for step in range(6):
        share = step / 5
        parts.append(f'<path d="M{x(share):.1f} {top}v{_PANEL_HEIGHT}" stroke="#e4e4e4"/>')
        parts.append(f'<path d="M{left} {y(share):.1f}h{_PANEL_WIDTH}" stroke="#e4e4e4"/>')
        parts.append(_text(x(share), top + _PANEL_HEIGHT + 17, f"{share:g}", "middle"))
        parts.append(_text(left - 7, y(share) + 4, f"{share:g}", "end"))
    below = top + _PANEL_HEIGHT + 36
    parts.append(_text(left + _PANEL_WIDTH / 2, below, "p, mean increment per synapse", "middle"))
    middle = top + _PANEL_HEIGHT / 2
    parts.append(
        f'<text transform="translate({left - 40} {middle}) rotate(-90)" text-anchor="middle"'
        ' fill="#333">spikes per cycle</text>'
    )
    way = "L".join(f"{x(p):.1f} {y(rate):.1f}" for p, rate in zip(*line, strict=True))
    parts.append(f'<path d="M{way}" stroke="#999" stroke-width="2" fill="none"/>')
    for index, (rates, found) in enumerate(panel.points.values()):
        parts += [
            _mark(index, x(float(p)), y(float(rate))) for p, rate in zip(rates, found, strict=True)
        ]
    return parts


def _mark(index: int, x: float, y: float) -> str:
    """Draw a point of a kind, each with a shape of its own."""
    r = _RADIUS
    colour = _COLOURS[index]
    style = f'fill="none" stroke="{colour}" stroke-width="1.3"'
    shapes = (
        f'<path d="M{x - r:.1f} {y - r:.1f}h{2 * r}v{2 * r}h{-2 * r}z" {style}/>',
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r}" {style}/>',
        f'<path d="M{x:.1f} {y - r - 1:.1f}l{r + 1} {2 * r}h{-2 * r - 2}z" {style}/>',
        f'<path d="M{x - r:.1f} {y - r:.1f}l{2 * r} {2 * r}m0 {-2 * r}l{-2 * r} {2 * r}" {style}/>',
    )
    return shapes[index]


def _text(
    x: float, y: float, text: str, anchor: str = "start", colour: str = "#333", size: int = 12
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"'
        f' font-size="{size}">{escape(text)}</text>'
    )
