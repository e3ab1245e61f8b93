"""Failures of a sign-off in buckets: those that say the same are told once, with one command."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_NUMBER = re.compile(r"\b[0-9a-f]{12,}\b|[-+]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?")
_COMMAND = re.compile(r"(?:WAVES=1 )?\S*certibit signoff .*?--vectors \d+")
# What a detail says of its rerun is not part of the message.
_RERUN = re.compile(r" ?\((?:simulator )?seed \d+;[^()]*\)|: rerun with waves.*", re.DOTALL)
_VECTOR = re.compile(r"\bvector (\d+)|\bhung after (\d+) of")
_SIMULATORS = ("verilator", "icarus")


@dataclass(frozen=True)
class Failure:
    """One failed check, or one failed cocotb test.

    Attributes
    ----------
    where : str
        Id of the check, or run and test.
    detail : str
        What it says.
    """

    where: str
    detail: str


@dataclass(frozen=True)
class Bucket:
    """Failures with the same message, but for the numbers in it.

    Attributes
    ----------
    message : str
        The message, with ``#`` for numbers.
    count : int
        How many failures.
    first : Failure
        The first of them.
    others : tuple of str
        Where else.
    command : str
        What reproduces the first.
    """

    message: str
    count: int
    first: Failure
    others: tuple[str, ...]
    command: str

    @property
    def told(self) -> str:
        """What the first of them says, without the command, which stands by itself."""
        return _RERUN.sub("", self.first.detail).strip()


def normalised(message: str) -> str:
    """Return a message without what differs from instance to instance.

    Parameters
    ----------
    message : str
        Of a failure.
    """
    first_line = _RERUN.sub("", message).strip().partition("\n")[0]
    return _NUMBER.sub("#", first_line)


def collect_failures(
    checks: Sequence[Mapping[str, Any]], tests: Sequence[tuple[str, str, str]]
) -> list[Failure]:
    """Return all failures: of checks, then of cocotb tests.

    A check ``bench-<run>`` repeats what a test of that run says, so it stays out where the test is
    there.

    Parameters
    ----------
    checks : sequence of mapping
        The checks of ``signoff.json``.
    tests : sequence of tuple of str
        Run, test and message, from `tb.junit.cocotb_failures`.
    """
    told = {f"bench-{run}" for run, _, _ in tests}
    failures = [
        Failure(check["id"], check["detail"])
        for check in checks
        if check["verdict"] == "FAIL" and check["id"] not in told
    ]
    return failures + [Failure(f"{run}: {test}", message) for run, test, message in tests]


def bucket_failures(
    failures: Sequence[Failure], rerun: str, simulator: str, vectors: int
) -> list[Bucket]:
    """Group failures by message, the most frequent first.

    Parameters
    ----------
    failures : sequence of Failure
        All of them.
    rerun : str
        Command that simulates the RTL again, without simulator and number of vectors.
    simulator : str
        The main simulator.
    vectors : int
        How many vectors were played.
    """
    groups: dict[str, list[Failure]] = {}
    for failure in failures:
        groups.setdefault(normalised(failure.detail), []).append(failure)
    buckets = [
        Bucket(
            message,
            len(group),
            group[0],
            tuple(failure.where for failure in group[1:]),
            reproduces(group[0], rerun, simulator, vectors),
        )
        for message, group in groups.items()
    ]
    return sorted(buckets, key=lambda bucket: -bucket.count)


def reproduces(failure: Failure, rerun: str, simulator: str, vectors: int) -> str:
    """Return the one command that makes a failure happen again.

    Parameters
    ----------
    failure : Failure
        The failure; a command in its detail comes first, then the vector that it names.
    rerun, simulator, vectors
        As for `bucket_failures`.
    """
    told = _COMMAND.search(failure.detail)
    if told:
        return told[0]
    name = next((part for part in _SIMULATORS if part in failure.where), simulator)
    if failure.where.startswith(("manifest", "precision", "S4-", "identity")):
        # Nothing in it depends on the vectors.
        vectors = 1
    vector = _VECTOR.search(failure.detail)
    if vector and not failure.where.startswith(("witness", "bench-witness")):
        vectors = min(vectors, int(vector[1] or vector[2]) + 1)
    return f"{rerun} --sim {name} --vectors {max(vectors, 1)}"
