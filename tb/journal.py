"""Long work that shows its progress, and that can be interrupted and taken up again."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Item = TypeVar("Item")

# A log gets a line this often.
_SECONDS_BETWEEN_LINES = 30.0


class Journal:
    """Results of a long job, kept on disk one by one.

    Every result is a line of JSON, written at once: what is done when the job is interrupted, or
    killed, is there when it is started again. A job with another identity begins from nothing.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    identity : str
        All that the results depend on, or its hash.
    """

    def __init__(self, path: Path, identity: str) -> None:
        self._path = path
        self.done: dict[str, Any] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        self._take_up(identity)

    def _take_up(self, identity: str) -> None:
        """Read what belongs to this job; a line that a killed job left half-written is dropped."""
        lines = self._path.read_text().splitlines(keepends=True) if self._path.exists() else []
        whole = [line for line in lines if line.endswith("\n")]
        if whole and json.loads(whole[0]) == {"identity": identity}:
            for line in whole[1:]:
                entry = json.loads(line)
                self.done[entry["key"]] = entry["result"]
            text = "".join(whole)
        else:
            text = json.dumps({"identity": identity}) + "\n"
        self._path.write_text(text)

    def add(self, key: str, result: Any) -> None:
        """Keep a result, a value that JSON can hold.

        Parameters
        ----------
        key : str
            What it is the result of.
        result : Any
            The result.
        """
        self.done[key] = result
        with open(self._path, "a") as file:
            file.write(json.dumps({"key": key, "result": result}) + "\n")
            file.flush()
            os.fsync(file.fileno())


def shown_progress(
    items: Iterable[Item], what: str, total: int, *, done: int = 0
) -> Iterator[Item]:
    """Go through items, showing how many are done and how long the rest will take.

    On a terminal a bar, elsewhere a line now and then.

    Parameters
    ----------
    items : iterable
        What is still to be done.
    what : str
        Name of the work.
    total : int
        Number of all items, with those done before.
    done : int
        Number of items that were done before.
    """
    console = Console(stderr=True)
    if console.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console, speed_estimate_period=600) as bar:
            task = bar.add_task(what, total=total, completed=done)
            for item in items:
                yield item
                bar.advance(task)
        return
    begun = told = time.monotonic()
    for number, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - told >= _SECONDS_BETWEEN_LINES or done + number == total:
            told = now
            left = (now - begun) / number * (total - done - number)
            print(
                f"{what}: {done + number} of {total}, some {left:.0f} s left",
                file=sys.stderr,
                flush=True,
            )
