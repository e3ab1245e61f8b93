"""The journal of a long job: what is kept of a job that was ended, and progress that is told."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tb import journal
from tb.journal import Journal, shown_progress


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "work" / "journal.jsonl"


def test_a_job_is_taken_up_where_it_ended(path: Path) -> None:
    first = Journal(path, "job 1")
    assert first.done == {}
    first.add("a", {"killed": True, "by": ["S1"]})
    first.add("b", None)
    first.add("c/é\n", 3.5)
    again = Journal(path, "job 1")
    assert again.done == {"a": {"killed": True, "by": ["S1"]}, "b": None, "c/é\n": 3.5}
    again.add("d", "last")
    assert Journal(path, "job 1").done == again.done | {"d": "last"}


def test_a_later_result_of_the_same_key_counts(path: Path) -> None:
    first = Journal(path, "job")
    first.add("a", 1)
    first.add("a", 2)
    assert Journal(path, "job").done == {"a": 2}


def test_a_job_of_another_identity_begins_from_nothing(path: Path) -> None:
    Journal(path, "job 1").add("a", 1)
    other = Journal(path, "job 2")
    assert other.done == {}
    other.add("b", 2)
    # What the first job left is gone for good.
    assert Journal(path, "job 1").done == {}


def test_a_half_written_last_line_is_dropped(path: Path) -> None:
    whole = Journal(path, "job")
    whole.add("a", 1)
    kept = path.read_bytes()
    whole.add("b", {"long": "result"})
    last = path.read_bytes()[len(kept) :]
    for cut in range(len(last)):
        path.write_bytes(kept + last[:cut])
        again = Journal(path, "job")
        assert again.done == {"a": 1}
        # And the next result does not stick to what was cut.
        again.add("c", 3)
        assert Journal(path, "job").done == {"a": 1, "c": 3}
    path.write_bytes(kept + last)
    assert Journal(path, "job").done == {"a": 1, "b": {"long": "result"}}


@pytest.mark.parametrize("content", ["", '{"identity"', '{"identity": "job"}'])
def test_a_half_written_head(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(content)
    begun = Journal(path, "job")
    assert begun.done == {}
    begun.add("a", 1)
    assert Journal(path, "job").done == {"a": 1}


def test_what_was_added_outlives_a_kill(path: Path) -> None:
    child = os.fork()
    if child == 0:
        try:
            job = Journal(path, "job")
            for number in range(5):
                job.add(str(number), number)
            os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert Journal(path, "job").done == {str(number): number for number in range(5)}


def test_every_line_is_json(path: Path) -> None:
    job = Journal(path, "job")
    job.add("a", [1, 2])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == [{"identity": "job"}, {"key": "a", "result": [1, 2]}]


# --- progress -------------------------------------------------------------------------------------


class Clock:
    """A clock that goes on by some seconds whenever it is read."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def monotonic(self) -> float:
        self.now += self.step
        return self.now


def lines(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    step: float,
    total: int,
    done: int = 0,
) -> list[str]:
    monkeypatch.setattr(journal, "time", Clock(step))
    monkeypatch.setenv("TERM", "dumb")
    items = list(range(total - done))
    assert list(shown_progress(items, "mutants", total, done=done)) == items
    told = capsys.readouterr()
    assert told.out == ""
    return told.err.splitlines()


def test_a_log_gets_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Ten seconds an item: every third item is told.
    assert lines(monkeypatch, capsys, 10.0, 7) == [
        "mutants: 3 of 7, some 40 s left",
        "mutants: 6 of 7, some 10 s left",
        "mutants: 7 of 7, some 0 s left",
    ]


def test_a_quick_job_tells_only_its_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lines(monkeypatch, capsys, 0.001, 200) == ["mutants: 200 of 200, some 0 s left"]


def test_what_was_done_before_counts_but_not_for_the_speed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lines(monkeypatch, capsys, 40.0, 12, done=10) == [
        "mutants: 11 of 12, some 40 s left",
        "mutants: 12 of 12, some 0 s left",
    ]


def test_nothing_left_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lines(monkeypatch, capsys, 10.0, 4, done=4) == []


def test_items_are_taken_one_by_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An item is not begun before the one ahead of it is finished, so that it can be journalled."""
    begun: list[int] = []

    def work() -> object:
        for number in range(3):
            begun.append(number)
            yield number

    for number in shown_progress(work(), "work", 3):  # type: ignore[var-annotated, arg-type]
        assert begun == list(range(number + 1))
    assert "work: 3 of 3" in capsys.readouterr().err
