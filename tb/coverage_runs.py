"""Where the runs of benches leave their coverage.

With CERTIBIT_COVERAGE set, `tb.runner.run_bench` builds with code coverage in Verilator, and every
run leaves a folder of its own below that of its pytest test: `CODE_FILE` in Verilator's format,
`FUNCTIONAL_FILE` in cocotb-coverage's. Without it nothing changes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tb.tasks import digest

FOLDER_VARIABLE = "CERTIBIT_COVERAGE"
FUNCTIONAL_VARIABLE = "CERTIBIT_FUNCTIONAL_COVERAGE"
CODE_FILE = "coverage.dat"
FUNCTIONAL_FILE = "functional.xml"


@dataclass(frozen=True)
class RunCoverage:
    """What one run is given so that it leaves its coverage.

    Attributes
    ----------
    env : dict of str to str
        For the simulation's process.
    plusargs : list of str
        For a simulation in Verilator.
    """

    env: dict[str, str]
    plusargs: list[str]


def folder_of_test(root: Path, node: str) -> Path:
    """Return the folder of a pytest test's runs.

    Parameters
    ----------
    root : pathlib.Path
        What CERTIBIT_COVERAGE says.
    node : str
        The test's node id.
    """
    return root / digest(node)[:16]


def coverage_of_run(told: str, simulator: str) -> RunCoverage | None:
    """Make the folder of a run; None where no coverage is asked for.

    Parameters
    ----------
    told : str
        All that makes this run another than the test's other ones.
    simulator : str
        Name of the simulator.
    """
    root = os.environ.get(FOLDER_VARIABLE)
    if not root:
        return None
    node = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]
    folder = folder_of_test(Path(root).absolute(), node) / digest(told)[:16]
    folder.mkdir(parents=True, exist_ok=True)
    return RunCoverage(
        env={FUNCTIONAL_VARIABLE: str(folder / FUNCTIONAL_FILE)},
        plusargs=[f"+verilator+coverage+file+{folder / CODE_FILE}"]
        if simulator == "verilator"
        else [],
    )
