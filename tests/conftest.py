"""pytest: tests of this folder that use a simulator are collected as the benches are."""

from tb.collection import (
    pytest_collection_modifyitems,
    pytest_itemcollected,
    pytest_pycollect_makeitem,
)

__all__ = [
    "pytest_collection_modifyitems",
    "pytest_itemcollected",
    "pytest_pycollect_makeitem",
]
