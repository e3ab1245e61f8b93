"""The testplan: what verification has to have seen, in a file that both people and benches read.

A goal has axes, and its bins are their product: a goal with the axes phase and handshake asks for
every phase with every handshake. Combinations that cannot be stand in the plan too, each with its
reason; one that is seen all the same is a failure, since then the reason is wrong.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from model.errors import InputError

TESTPLAN_FILE = Path(__file__).with_name("testplan.json")
Bin = tuple[str, ...]

_ANY = "*"
_NAME = re.compile(r"[a-z][a-z0-9_]*")


class _PlanPart(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Impossible(_PlanPart):
    """Combinations that cannot occur.

    Attributes
    ----------
    bins : list of list of str
        One value for each axis; ``*`` stands for all of them.
    reason : str
        Why not.
    """

    bins: list[list[str]] = Field(min_length=1)
    reason: str = Field(min_length=1)


class Goal(_PlanPart):
    """One line of the testplan.

    Attributes
    ----------
    id : str
        Short name, by which benches report: ``layer_back_pressure``.
    goal, stimulus, check : str
        What is to be shown, what is driven for it, and what would notice a defect.
    stage : {'V1', 'V2', 'V3'}
        From which stage on it is demanded: V1 the block works, V2 in all its cases, V3 with
        everything that may go wrong.
    tests : list of str
        pytest functions, or single cases of them, that serve it.
    axes : dict of str to list of str
        What is to be seen.
    impossible : list of Impossible
        Combinations of several axes that cannot occur.
    """

    id: str
    goal: str = Field(min_length=1)
    stimulus: str = Field(min_length=1)
    check: str = Field(min_length=1)
    stage: Literal["V1", "V2", "V3"]
    tests: list[str] = Field(min_length=1)
    axes: dict[str, list[str]] = Field(min_length=1)
    impossible: list[Impossible] = []

    @model_validator(mode="after")
    def _names_are_sound(self) -> Self:
        for name in (self.id, *self.axes):
            if not _NAME.fullmatch(name):
                raise ValueError(f"goal {self.id}: {name!r} is not a name such as layer_reset")
        for axis, values in self.axes.items():
            if not values or len(set(values)) < len(values):
                raise ValueError(f"goal {self.id}: axis {axis} is empty or has a value twice")
        for entry in self.impossible:
            for pattern in entry.bins:
                if len(pattern) != len(self.axes) or not any(
                    _matches(pattern, bin_) for bin_ in self.all_bins()
                ):
                    raise ValueError(f"goal {self.id}: no bin matches {pattern}")
        return self

    def all_bins(self) -> list[Bin]:
        """Return all combinations of the axes, those that cannot occur among them."""
        return list(itertools.product(*self.axes.values()))

    def bins(self) -> list[Bin]:
        """Return the combinations that are asked for."""
        return [bin_ for bin_ in self.all_bins() if self.why_impossible(bin_) is None]

    def why_impossible(self, bin_: Bin) -> str | None:
        """Return why a combination cannot occur; None if it can."""
        for entry in self.impossible:
            if any(_matches(pattern, bin_) for pattern in entry.bins):
                return entry.reason
        return None


class Testplan(_PlanPart):
    """The whole plan."""

    __test__ = False  # pytest: not a class of tests

    schema_: Literal["certibit-testplan/1"] = Field(alias="schema")
    goals: list[Goal] = Field(min_length=1)

    @model_validator(mode="after")
    def _ids_differ(self) -> Self:
        ids = [goal.id for goal in self.goals]
        if len(set(ids)) < len(ids):
            raise ValueError(f"goal {max(ids, key=ids.count)} stands there twice")
        return self

    def tests(self) -> list[str]:
        """Return all tests that the goals name, each once, in order."""
        return list(dict.fromkeys(test for goal in self.goals for test in goal.tests))


def load_testplan(path: Path = TESTPLAN_FILE) -> Testplan:
    """Read a testplan.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Raises
    ------
    InputError
        If it is not one.
    """
    try:
        return Testplan.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(
            f"the testplan cannot be read: {error.strerror}", str(path), "restore it"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(f"not a testplan: {place}: {first['msg']}", str(path), "mend it") from None


@cache
def testplan() -> Testplan:
    """Return the testplan of this repository."""
    return load_testplan()


testplan.__test__ = False  # type: ignore[attr-defined]


def bin_name(bin_: Sequence[str]) -> str:
    """Return the name of a bin: its values, joined."""
    return " x ".join(bin_)


def _matches(pattern: Sequence[str], bin_: Sequence[str]) -> bool:
    return all(asked in (_ANY, value) for asked, value in zip(pattern, bin_, strict=True))
