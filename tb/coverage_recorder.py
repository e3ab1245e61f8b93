"""A plugin of pytest that writes into a journal how every test ended.

``python -m pytest -p tb.coverage_recorder``, with the journal and its identity in the environment.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tb.journal import Journal
from tb.tasks import REPOSITORY, digest
from tb.testplan import testplan

JOURNAL_VARIABLE = "CERTIBIT_COVERAGE_JOURNAL"
IDENTITY_VARIABLE = "CERTIBIT_COVERAGE_IDENTITY"


def test_identity(node: str) -> str:
    """Return the hash of what a test's outcome depends on and others' do not.

    Parameters
    ----------
    node : str
        Its node id.

    Returns
    -------
    str
        Of its file, and of the goals that it serves.
    """
    file = node.partition("::")[0]
    function = node.partition("[")[0]
    goals = [
        goal.model_dump_json()
        for goal in testplan().goals
        if any(entry.partition("[")[0] == function for entry in goal.tests)
    ]
    return digest("\0".join([(REPOSITORY / file).read_text(), *goals]))


test_identity.__test__ = False  # type: ignore[attr-defined]


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
            result = {"outcome": report.outcome, "identity": test_identity(report.nodeid)}
            self._journal.add(report.nodeid, result)


def pytest_configure(config: pytest.Config) -> None:
    """Record in the process that hears of all tests, not in pytest-xdist's workers."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        journal = Journal(Path(os.environ[JOURNAL_VARIABLE]), os.environ[IDENTITY_VARIABLE])
        config.pluginmanager.register(Recorder(journal))
