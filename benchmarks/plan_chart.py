"""The table of plans as a picture: what is guaranteed, and what is measured, against cycles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT = 960, 520
# The names stand in the margin on the right, the marks have their numbers.
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 290, 30, 60


def plan_chart(table: Sequence[dict[str, Any]]) -> str:
    """Return an SVG picture of the rows.

    Parameters
    ----------
    table : sequence of dict
        Rows as `benchmarks.plans` collects them.

    Returns
    -------
    str
        Both axes logarithmic: a filled mark is the guaranteed end-to-end error of a row, the hollow
        one below it the largest error that was measured.
    """
    cycles = [row["cycles_per_image"] for row in table]
    errors = [row[name] for row in table for name in ("guaranteed", "measured")]
    across = _Axis(min(cycles), max(cycles), _LEFT, _WIDTH - _RIGHT)
    up = _Axis(min(errors), max(errors), _HEIGHT - _BOTTOM, _TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
    ]
    for power in across.powers():
        x = across.at(10.0**power)
        parts.append(_line(x, _TOP, x, _HEIGHT - _BOTTOM))
        parts.append(_text(x, _HEIGHT - _BOTTOM + 18, f"{10**power:,}", "middle"))
    for power in up.powers():
        y = up.at(10.0**power)
        parts.append(_line(_LEFT, y, _WIDTH - _RIGHT, y))
        parts.append(_text(_LEFT - 8, y + 4, f"{10.0**power:g}", "end"))
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(_text(middle, _HEIGHT - 14, "clock cycles per image", "middle"))
    parts.append(
        _text(
            _LEFT,
            18,
            "end-to-end error, guaranteed (filled) and largest measured (hollow); accuracy in RTL",
        )
    )
    taken: list[tuple[float, float]] = []
    for number, row in enumerate(table, 1):
        x = across.at(row["cycles_per_image"])
        top, bottom = up.at(row["guaranteed"]), up.at(row["measured"])
        colour = "#1f5fa8" if row["source"] == "counter" else "#b5482a"
        parts.append(f'<path d="M{x:.1f} {top:.1f}V{bottom:.1f}" stroke="{colour}" opacity=".35"/>')
        parts.append(f'<circle cx="{x:.1f}" cy="{top:.1f}" r="5" fill="{colour}"/>')
        parts.append(
            f'<circle cx="{x:.1f}" cy="{bottom:.1f}" r="4" fill="white" stroke="{colour}"/>'
        )
        # Numbers of marks that are close to each other stand one below the other.
        y = top + 4
        while any(abs(x - other_x) < 24 and abs(y - other_y) < 14 for other_x, other_y in taken):
            y += 14
        taken.append((x, y))
        parts.append(_text(x + 9, y, str(number), "start", colour))
        name = f"{number}  {row['title']}, {row['accuracy']:.2%}"
        parts.append(_text(_WIDTH - _RIGHT + 25, _TOP + 22 * number, name, "start", colour))
    key = (("counters: certain, for every input", "#1f5fa8"), ("LFSRs: 95 % confidence", "#b5482a"))
    for line, (name, colour) in enumerate(key, len(table) + 2):
        parts.append(_text(_WIDTH - _RIGHT + 25, _TOP + 22 * line, name, "start", colour))
    parts.append("</svg>\n")
    return "\n".join(parts)


class _Axis:
    """A logarithmic axis over whole powers of ten."""

    def __init__(self, low: float, high: float, first: float, last: float) -> None:
        self._low, self._high = math.floor(math.log10(low)), math.ceil(math.log10(high))
        self._high = max(self._high, self._low + 1)
        self._first, self._last = first, last

    def powers(self) -> range:
        """Return the powers of ten that have a line."""
        return range(self._low, self._high + 1)

    def at(self, value: float) -> float:
        """Return where a value stands."""
        share = (math.log10(value) - self._low) / (self._high - self._low)
        return self._first + share * (self._last - self._first)


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="#ddd"/>'


def _text(x: float, y: float, text: str, anchor: str = "start", colour: str = "#333") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">'
        f"{escape(text)}</text>"
    )
