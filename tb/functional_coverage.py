"""Functional coverage: benches report what they saw of the goals of the testplan.

`sample` counts one bin of a goal by cocotb-coverage, whose cover points are made from the plan.
Without CERTIBIT_FUNCTIONAL_COVERAGE, which names the file that is left behind, nothing is counted,
and cocotb-coverage need not be installed.
"""

from __future__ import annotations

import ast
import atexit
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

from model.errors import SignoffError
from tb.coverage_runs import FUNCTIONAL_VARIABLE
from tb.testplan import Bin, Goal, testplan

ENABLED = bool(os.environ.get(FUNCTIONAL_VARIABLE))
_ROOT = "certibit"
_CROSS = "Cross"


def sample(goal: str, *values: str) -> None:
    """Count one bin of a goal.

    Parameters
    ----------
    goal : str
        Its id.
    *values : str
        What was seen on each axis, in the plan's order. A value that the axis does not have is not
        counted.
    """
    if ENABLED:
        _sampler(goal)(*values)


@cache
def _sampler(goal: str) -> Callable[..., None]:
    """Make the cover points of a goal."""
    _export_at_exit()
    found = [entry for entry in testplan().goals if entry.id == goal]
    if not found:
        raise KeyError(f"the testplan has no goal {goal}")
    return make_sampler(found[0])


def make_sampler(goal: Goal) -> Callable[..., None]:
    """Make a function that counts a goal's bins.

    Parameters
    ----------
    goal : Goal
        Of the testplan.
    """
    # Not at the top: it belongs to the test extra.
    from cocotb_coverage.coverage import CoverCross, CoverPoint, coverage_section

    names = [f"{_ROOT}.{goal.id}.{axis}" for axis in goal.axes]
    points = [
        CoverPoint(name, xf=lambda *values, place=place: values[place], bins=values)
        for place, (name, values) in enumerate(zip(names, goal.axes.values(), strict=True))
    ]
    if len(points) > 1:
        points.append(CoverCross(f"{_ROOT}.{goal.id}.{_CROSS}", items=names))
    number = len(goal.axes)

    @coverage_section(*points)  # type: ignore[untyped-decorator]
    def counted(*values: str) -> None:
        assert len(values) == number, f"goal {goal.id} has {number} axes"

    sampler: Callable[..., None] = counted
    return sampler


@cache
def _export_at_exit() -> None:
    atexit.register(export, Path(os.environ[FUNCTIONAL_VARIABLE]))


def export(path: Path) -> None:
    """Write everything that was counted.

    Parameters
    ----------
    path : pathlib.Path
        An XML file of cocotb-coverage.
    """
    from cocotb_coverage.coverage import coverage_db

    coverage_db.export_to_xml(filename=str(path))


def read_hits(path: Path, goals: list[Goal]) -> dict[str, dict[Bin, int]]:
    """Read what one run has seen.

    Parameters
    ----------
    path : pathlib.Path
        What `export` wrote.
    goals : list of Goal
        Of the testplan.

    Returns
    -------
    dict
        For each goal that the run reported on, the hits of each bin.

    Raises
    ------
    SignoffError
        If the file is not such a file.
    """
    try:
        root = ElementTree.parse(path).getroot().find(_ROOT)
        hits: dict[str, dict[Bin, int]] = {}
        for goal in goals:
            point = _CROSS if len(goal.axes) > 1 else next(iter(goal.axes))
            found = None if root is None else root.find(f"{goal.id}/{point}")
            if found is None:
                continue
            hits[goal.id] = {
                _bin(entry.attrib["bin"], goal): int(entry.attrib["hits"]) for entry in found
            }
    except (OSError, ElementTree.ParseError, KeyError, ValueError, SyntaxError) as error:
        raise SignoffError(
            f"not a functional coverage file: {error}", str(path), "run the coverage again"
        ) from None
    return hits


def _bin(text: str, goal: Goal) -> Bin:
    if len(goal.axes) == 1:
        return (text,)
    values: Bin = ast.literal_eval(text)
    return values
