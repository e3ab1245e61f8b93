"""Code coverage of the Verilog sources, from what Verilator's simulations leave.

Verilator writes one line a coverage point: its place, its kind and how often it was reached. Points
of all instances, parameterisations and runs of one place are one point here, reached if any of them
was. Line coverage has a point for each basic block and for each arm of a branch, also for the arm
of an ``if`` that nobody wrote; toggle coverage has two for each bit of each signal of at most 256
bits, its rise and its fall.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from model.errors import InputError, SignoffError
from tb.campaigns import Exclusion, FileCoverage

Kind = Literal["line", "toggle"]
EXCLUSIONS_FILE = Path(__file__).with_name("coverage_exclusions.json")

_HEADER = "# SystemC::Coverage-3"
_FIELDS = re.compile("\x01([^\x02]*)\x02([^\x01]*)")
_BIT = re.compile(r"(.*)\[(\d+)\]")
_KINDS: dict[str, Kind] = {"line": "line", "branch": "line", "toggle": "toggle"}
_EDGES = {"0->1": "rises", "1->0": "falls"}


@dataclass(frozen=True, order=True)
class Point:
    """One thing that a simulation can reach.

    Attributes
    ----------
    file : str
        Verilog file, as its path from the top of the sources.
    line, column : int
        Its place there. The column tells the arms of one branch apart.
    kind : {'line', 'toggle'}
        What is counted.
    name : str
        ``block``, ``case``, ``if``, ``else``, ``cond_then``, ``cond_else``; or ``count_q[3]:0->1``.
    """

    file: str
    line: int
    column: int
    kind: Kind
    name: str


def read_points(path: Path, top: Path) -> dict[Point, int]:
    """Read what one simulation reached.

    Parameters
    ----------
    path : pathlib.Path
        Verilator's file.
    top : pathlib.Path
        Folder of the sources: points of files outside, such as harnesses, are left out.

    Returns
    -------
    dict of Point to int
        Hits; instances of one module are added up.

    Raises
    ------
    SignoffError
        If the file is not such a file, or not whole.
    """
    text = path.read_text(errors="replace")
    if not text.startswith(_HEADER) or not text.endswith("\n"):
        raise SignoffError("not a whole coverage file", str(path), "run the coverage again")
    names: dict[str, str | None] = {}
    points: dict[Point, int] = {}
    for row in text.splitlines()[1:]:
        place, _quote, hits = row.rpartition("' ")
        fields = dict(_FIELDS.findall(place.removeprefix("C '")))
        try:
            where, kind = fields["f"], _KINDS[fields["t"]]
            point = (int(fields["l"]), int(fields["n"]), kind, fields["o"])
            number = int(hits)
        except (KeyError, ValueError):
            raise SignoffError(
                f"a line that is no coverage point: {row[:60]!r}", str(path), "run it again"
            ) from None
        if where not in names:
            names[where] = _name_below(where, top)
        name = names[where]
        if name is not None:
            key = Point(name, *point)
            points[key] = points.get(key, 0) + number
    return points


def merge(parts: Iterable[dict[Point, int]]) -> dict[Point, int]:
    """Add up what several simulations reached."""
    merged: dict[Point, int] = {}
    for part in parts:
        for point, hits in part.items():
            merged[point] = merged.get(point, 0) + hits
    return merged


# --- exclusions -----------------------------------------------------------------------------------


class ExclusionRule(BaseModel):
    """Points that need not be reached.

    Attributes
    ----------
    file : str
        The Verilog file.
    kind : {'line', 'toggle'}
        Of which table.
    match : str
        Regular expression for the whole of a signal's edge, ``carry[0]:0->1``; or, of line
        coverage, for the whole of ``name: text``, where the text is that of the source line without
        what indents it.
    reason : str
        Why they cannot be reached, or need not be.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    kind: Kind
    match: str
    reason: str = Field(min_length=1)


class _Exclusions(BaseModel):
    model_config = ConfigDict(extra="forbid")

    schema_: Literal["certibit-coverage-exclusions/1"] = Field(alias="schema")
    exclusions: list[ExclusionRule]


def load_exclusions(path: Path = EXCLUSIONS_FILE) -> list[ExclusionRule]:
    """Read the exclusions.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Raises
    ------
    InputError
        If it is not one, or a regular expression is none.
    """
    try:
        rules = _Exclusions.model_validate_json(path.read_bytes()).exclusions
        for rule in rules:
            re.compile(rule.match)
    except (OSError, ValidationError, re.error) as error:
        raise InputError(
            f"not a file of coverage exclusions: {' '.join(str(error).split())}",
            str(path),
            "mend it",
        ) from None
    return rules


def judge(
    points: dict[Point, int], rules: Sequence[ExclusionRule], top: Path, kind: Kind
) -> tuple[list[FileCoverage], list[Exclusion]]:
    """Hold what was reached to what there is.

    Parameters
    ----------
    points : dict of Point to int
        Hits of all points.
    rules : sequence of ExclusionRule
        What need not be reached; only what was not reached is excluded by them.
    top : pathlib.Path
        Folder of the sources.
    kind : {'line', 'toggle'}
        Which points.

    Returns
    -------
    list of FileCoverage
        One for each file with points.
    list of Exclusion
        The rules of this kind and how often each was used.
    """
    rules = [rule for rule in rules if rule.kind == kind]
    used = [0] * len(rules)
    files = []
    chosen = sorted(point for point in points if point.kind == kind)
    for file, group in groupby(chosen, key=lambda point: point.file):
        text = (top / file).read_text().splitlines()
        of_file = list(group)
        missing = []
        excluded = 0
        for point in of_file:
            if points[point]:
                continue
            matching = [
                number
                for number, rule in enumerate(rules)
                if rule.file == file and re.fullmatch(rule.match, _described(point, text))
            ]
            for number in matching:
                used[number] += 1
            if matching:
                excluded += 1
            else:
                missing.append(point)
        files.append(
            FileCoverage(
                file=file,
                points=len(of_file),
                covered=sum(points[point] > 0 for point in of_file),
                excluded=excluded,
                missing=_shown(missing, text),
            )
        )
    return files, [
        Exclusion(**json.loads(rule.model_dump_json()), used=times)
        for rule, times in zip(rules, used, strict=True)
    ]


def _described(point: Point, text: Sequence[str]) -> str:
    """Return what the regular expression of an exclusion is held to."""
    if point.kind == "toggle":
        return point.name
    return f"{point.name}: {text[point.line - 1].strip()}"


def _shown(points: Sequence[Point], text: Sequence[str]) -> list[str]:
    """Name points for a reader; bits of one signal stand together."""
    shown = []
    signals: dict[tuple[int, str, str], list[int]] = {}
    for point in points:
        if point.kind == "line":
            shown.append(f"line {point.line}: {_described(point, text)}")
            continue
        signal, _, edge = point.name.rpartition(":")
        found = _BIT.fullmatch(signal)
        name, bit = (found[1], [int(found[2])]) if found else (signal, [])
        signals.setdefault((point.line, name, edge), []).extend(bit)
    for (line, name, edge), bits in signals.items():
        index = f"[{','.join(map(str, sorted(bits)))}]" if bits else ""
        shown.append(f"line {line}: {name}{index} never {_EDGES.get(edge, edge)}")
    return shown


def _name_below(file: str, top: Path) -> str | None:
    """Return a file's path from the top; None if it is not below."""
    try:
        return Path(file).resolve().relative_to(top.resolve()).as_posix()
    except ValueError:
        return None
