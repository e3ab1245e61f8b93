"""What pytest has to know about benches, for the conftest.py of both test folders.

A bench's file holds cocotb tests, which run inside a simulator, and at its bottom the pytest
functions that build and run them. Only the latter are pytest's. A pytest function gets its marker
from its parameter: ``@pytest.mark.parametrize("simulator", ["icarus", "verilator"])``.
"""

from __future__ import annotations

import inspect

import pytest

from model.errors import ToolError
from tb.simulators import find_simulator

_SIMULATORS = ("icarus", "verilator")


def pytest_pycollect_makeitem(name: str, obj: object) -> list[pytest.Item] | None:
    """Leave cocotb's tests and other coroutines to the simulator."""
    if type(obj).__module__.partition(".")[0] == "cocotb" or inspect.iscoroutinefunction(obj):
        return []
    return None


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what runs in which simulator, so that `-m` can choose."""
    for simulator in _SIMULATORS:
        if simulator in _parameters(item):
            item.add_marker(simulator)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the benches in Icarus out where there is no Icarus; `report_header` says so.

    Verilator comes with the Python environment: without it the benches fail.
    """
    if why_no_icarus() is None:
        return
    left_out = [item for item in items if "icarus" in _parameters(item)]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def report_header() -> list[str]:
    """Return the lines that tell which simulators the benches run in."""
    lines = []
    for name in _SIMULATORS:
        try:
            simulator = find_simulator(name)
        except ToolError as error:
            lines.append(f"{name}: {error}")
        else:
            lines.append(f"{name}: {simulator.version} ({simulator.executable})")
    return lines


def why_no_icarus() -> str | None:
    """Return why there is no Icarus Verilog, or None where there is."""
    try:
        find_simulator("icarus")
    except ToolError as error:
        return str(error)
    return None


def _parameters(item: pytest.Item) -> list[object]:
    callspec = getattr(item, "callspec", None)
    return [v for v in callspec.params.values() if isinstance(v, str)] if callspec else []
