"""Progress of a simulation by the size of its recording."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tb import growth


def test_lines_say_how_much_is_there_and_how_long_the_rest_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(growth, "_SECONDS_BETWEEN_LINES", 0.02)
    path = tmp_path / "recording"
    with growth.shown_growth(path, 1000, "10 vectors"):
        time.sleep(0.05)
        for size in (200, 400, 600):
            path.write_bytes(bytes(size))
            time.sleep(0.1)
    told = capsys.readouterr().err.splitlines()
    assert told
    assert all(line.startswith("10 vectors: ") and line.endswith(" s left") for line in told)
    assert "10 vectors: 60 %" in told[-1]


def test_nothing_is_told_of_what_is_over_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with growth.shown_growth(tmp_path / "never", 10, "quick"):
        pass
    assert capsys.readouterr().err == ""


def test_a_failure_in_the_block_ends_the_watch(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"), growth.shown_growth(tmp_path / "f", 10, "w"):
        raise ValueError("no")
