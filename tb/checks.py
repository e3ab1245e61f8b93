"""A check of the sign-off, and the base of all parts of its report."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Verdict = Literal["PASS", "FAIL", "SKIPPED"]


class Record(BaseModel):
    """Base of the parts of the report."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Check(Record):
    """One check and what it found."""

    id: str
    verdict: Verdict
    detail: str


def verdict_of(held: bool) -> Verdict:
    """Return the verdict of what held, or did not."""
    return "PASS" if held else "FAIL"
