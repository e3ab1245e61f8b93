"""pytest: collect the benches of this folder, and say which simulators they run in."""

from tb.collection import (
    pytest_collection_modifyitems,
    pytest_itemcollected,
    pytest_pycollect_makeitem,
    report_header,
)

__all__ = [
    "pytest_collection_modifyitems",
    "pytest_itemcollected",
    "pytest_pycollect_makeitem",
    "pytest_report_header",
]


def pytest_report_header() -> list[str]:
    """Tell the simulators at the top of the report."""
    return report_header()
