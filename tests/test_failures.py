"""Buckets of failures: what counts as the same message, and the command that reproduces it."""

from __future__ import annotations

import pytest

from tb.failures import Failure, bucket_failures, collect_failures, normalised, reproduces

RERUN = "WAVES=1 .venv/bin/certibit signoff --net 'my nets/a' --build build"
TOLD = (
    "20 of 1,040 counts differ, first at vector 3, neuron 1: RTL -7815, golden 377 (simulator seed"
    f" 17; with waves up to this vector: {RERUN} --sim icarus --vectors 4)"
)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (TOLD, "# of # counts differ, first at vector #, neuron #: RTL #, golden #"),
        ("largest error 1.5e-07, certificate 0.25", "largest error #, certificate #"),
        ("ID register is " + "0a" * 32 + ", not 12ab", "ID register is #, not #ab"),
        ("AssertionError: a\nassert 3 == 4", "AssertionError: a"),
        ("bad face of a cafe", "bad face of a cafe"),
        ("", ""),
    ],
)
def test_messages_without_what_differs(message: str, expected: str) -> None:
    assert normalised(message) == expected


def test_the_most_frequent_comes_first() -> None:
    failures = [
        Failure("identity", "the ID register was not read"),
        Failure("S1-counts-a", TOLD),
        Failure("S1-counts-b", TOLD.replace("vector 3", "vector 9")),
    ]
    first, second = bucket_failures(failures, RERUN, "verilator", 50)
    assert (first.count, first.first.where, first.others) == (2, "S1-counts-a", ("S1-counts-b",))
    assert (second.count, second.first.where) == (1, "identity")
    assert bucket_failures([], RERUN, "verilator", 50) == []


@pytest.mark.parametrize(
    ("where", "detail", "expected"),
    [
        ("S1-counts-a", TOLD, f"{RERUN} --sim icarus --vectors 4"),
        (
            "simulators-agree",
            "first in layer a, vector 6, n",
            f"{RERUN} --sim verilator --vectors 7",
        ),
        ("network-icarus: test_play", "hung after 2 of 50", f"{RERUN} --sim icarus --vectors 3"),
        ("manifest", "hidden is wrong", f"{RERUN} --sim verilator --vectors 1"),
        ("S4-sources-a", "too short", f"{RERUN} --sim verilator --vectors 1"),
        ("end-to-end", "largest output error 3", f"{RERUN} --sim verilator --vectors 50"),
        # A witness's number is none of a test vector.
        ("bench-witness_1-icarus", "vector 70, neuron 3", f"{RERUN} --sim icarus --vectors 50"),
        ("X-propagation", "vector 99 unknown", f"{RERUN} --sim verilator --vectors 50"),
    ],
)
def test_the_command_that_reproduces_it(where: str, detail: str, expected: str) -> None:
    assert reproduces(Failure(where, detail), RERUN, "verilator", 50) == expected


def test_a_bench_is_told_by_its_tests() -> None:
    checks = [
        {"id": "bench-network-icarus", "verdict": "FAIL", "detail": "test a failed"},
        {"id": "bench-witness_0-icarus", "verdict": "FAIL", "detail": "ended without a result"},
        {"id": "manifest", "verdict": "PASS", "detail": "fine"},
        {"id": "simulators-agree", "verdict": "SKIPPED", "detail": "there is none"},
    ]
    tests = [("network-icarus", "a", "AssertionError: no")]
    assert collect_failures(checks, tests) == [
        Failure("bench-witness_0-icarus", "ended without a result"),
        Failure("network-icarus: a", "AssertionError: no"),
    ]
