"""How often radii are broken against what they promise, as a picture with logarithmic axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

_WIDTH, _HEIGHT = 820, 560
_LEFT, _TOP, _PLOT_WIDTH, _PLOT_HEIGHT = 75, 130, 715, 370
_LOW, _HIGH = -5.0, 0.0  # powers of ten of both axes
_COLOURS = ("#b5482a", "#1f5fa8", "#2a8a57", "#222222")
_DASHES = ("", "", "7 3", "2 3")


@dataclass(frozen=True)
class Curve:
    """A line of the picture.

    Attributes
    ----------
    title : str
        What the key says.
    promised, found : numpy.ndarray
        The probability that a radius is for, and the share that breaks it; 0 is not drawn.
    """

    title: str
    promised: NDArray[np.float64]
    found: NDArray[np.float64]


def rate_chart(title: str, curves: Sequence[Curve]) -> str:
    """Return an SVG picture.

    Parameters
    ----------
    title : str
        What stands above it.
    curves : sequence of Curve
        Up to four.
    """
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        _text(_LEFT, 24, title, size=15),
    ]
    for exponent in range(int(_LOW), int(_HIGH) + 1):
        x, y = _x(10.0**exponent), _y(10.0**exponent)
        name = f"{10.0**exponent:g}"
        parts += [
            f'<path d="M{x:.1f} {_TOP}v{_PLOT_HEIGHT}" stroke="#e4e4e4"/>',
            f'<path d="M{_LEFT} {y:.1f}h{_PLOT_WIDTH}" stroke="#e4e4e4"/>',
            _text(x, _TOP + _PLOT_HEIGHT + 18, name, "middle"),
            _text(_LEFT - 8, y + 4, name, "end"),
        ]
    corner, end = 10.0**_LOW, 10.0**_HIGH
    parts += [
        f'<path d="M{_x(corner):.1f} {_y(corner):.1f}L{_x(end):.1f} {_y(end):.1f}" stroke="#999"/>',
        _text(_x(1.3e-5), _y(0.02), "above the grey line the radius is not sound"),
        _text(
            _LEFT + _PLOT_WIDTH / 2,
            _TOP + _PLOT_HEIGHT + 40,
            "d, probability that the radius is for",
            "middle",
        ),
        f'<text transform="translate({_LEFT - 52} {_TOP + _PLOT_HEIGHT / 2}) rotate(-90)"'
        ' text-anchor="middle" fill="#333">share of seeds beyond it</text>',
    ]
    for index, curve in enumerate(curves):
        style = (
            f'stroke="{_COLOURS[index]}" stroke-width="2" fill="none"'
            f' stroke-dasharray="{_DASHES[index]}"'
        )
        key = 48 + 19 * index
        parts += [
            f'<path d="M{_LEFT} {key - 4}h30" {style}/>',
            _text(_LEFT + 38, key, curve.title, colour=_COLOURS[index]),
        ]
        seen = (curve.found >= corner) & (curve.promised >= corner)
        points = zip(curve.promised[seen].tolist(), curve.found[seen].tolist(), strict=True)
        way = "L".join(f"{_x(p):.1f} {_y(share):.1f}" for p, share in points)
        if way:
            parts.append(f'<path d="M{way}" {style}/>')
    parts.append("</svg>\n")
    return "\n".join(parts)


def _x(share: float) -> float:
    return _LEFT + (math.log10(share) - _LOW) / (_HIGH - _LOW) * _PLOT_WIDTH


def _y(share: float) -> float:
    return _TOP + (_HIGH - math.log10(share)) / (_HIGH - _LOW) * _PLOT_HEIGHT


def _text(
    x: float, y: float, text: str, anchor: str = "start", colour: str = "#333", size: int = 12
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"'
        f' font-size="{size}">{escape(text)}</text>'
    )
