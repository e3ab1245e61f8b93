"""A plugin of pytest that writes into a journal how every test ended.

``python -m pytest -p tb.coverage_recorder``, with the journal and its identity in the environment.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tb.journal import Journal

JOURNAL_VARIABLE = "CERTIBIT_COVERAGE_JOURNAL"
IDENTITY_VARIABLE = "CERTIBIT_COVERAGE_IDENTITY"


class Recorder:
    """Writes the outcome of each test as soon as it is known.

    Parameters
    ----------
    journal : Journal
        Where to.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take a test's own outcome, and whatever went wrong before and after it."""
        if report.when == "call" or report.outcome != "passed":
            self._journal.add(report.nodeid, report.outcome)


def pytest_configure(config: pytest.Config) -> None:
    """Record in the process that hears of all tests, not in pytest-xdist's workers."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        journal = Journal(Path(os.environ[JOURNAL_VARIABLE]), os.environ[IDENTITY_VARIABLE])
        config.pluginmanager.register(Recorder(journal))
