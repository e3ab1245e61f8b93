"""Nothing half-written looks whole: full disks, killed runs, failures half-way."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from model.errors import InputError, ManifestError
from model.files import npz_bytes, read_bytes, read_npz, write_bytes_atomically
from model.manifest import load_manifest
from model.plan import plan_design, save_design
from tests.builders import check_message, small_network, snapshot

REPOSITORY = Path(__file__).parents[1]

# What every subprocess below begins with.
PROLOGUE = """
import os, resource, sys, time
from pathlib import Path
import numpy as np
import model.files
from model.files import write_bytes_atomically
from model.plan import plan_design, save_design
from rtl_gen.generator import generate_rtl
from tests.builders import small_network

folder = Path(sys.argv[1])
"""


def start(code: str, *arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROLOGUE + textwrap.dedent(code), *map(str, arguments)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_writing_and_replacing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_bytes_atomically(path, b"old")
    write_bytes_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o027])
def test_files_are_as_readable_as_the_umask_says(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write_bytes_atomically(tmp_path / "file", b"")
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~mask


@pytest.mark.parametrize("step", ["fsync", "chmod", "replace"])
@pytest.mark.parametrize("failure", [OSError("no space"), KeyboardInterrupt()])
def test_a_failure_at_any_step_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, failure: BaseException
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(type(failure)):
        write_bytes_atomically(path, b"new")
    monkeypatch.undo()
    assert snapshot(tmp_path) == {"file": b"old"}


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_bytes_atomically(tmp_path / "nowhere" / "file", b"")
    assert not list(tmp_path.iterdir())


# The kernel refuses to let any file grow beyond a limit, as it does on a full disk. Python ignores
# SIGXFSZ, so the write fails with an OSError.
FULL_DISK = """
(folder / "file").write_bytes(b"old")
design = plan_design(small_network(np.random.default_rng(1)))
other = plan_design(small_network(np.random.default_rng(2)))
save_design(design, folder / "design")
generate_rtl(design, folder / "rtl")
print("ready", flush=True)
sys.stdin.readline()
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
failed = 0
for write in (
    lambda: write_bytes_atomically(folder / "file", b"new" * 1000),
    lambda: write_bytes_atomically(folder / "other", b"new" * 1000),
    lambda: save_design(other, folder / "design"),
    lambda: generate_rtl(other, folder / "rtl"),
    lambda: generate_rtl(other, folder / "rtl_of_another"),
):
    try:
        write()
    except OSError:
        failed += 1
print(failed)
"""


def test_a_full_disk_leaves_everything_as_it_was(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROLOGUE + FULL_DISK, str(tmp_path)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    before = snapshot(tmp_path)
    assert {"file", "design/manifest.json", "rtl/certibit_top.v"} <= before.keys()
    output, _ = process.communicate("go\n", timeout=60)
    assert (process.returncode, output) == (0, "5\n")
    assert snapshot(tmp_path) == before
    assert not list(tmp_path.rglob(".*"))
    assert not (tmp_path / "rtl_of_another").exists()


# Stops for ever just before the n-th file gets its final name.
BLOCKED = """
turns = int(sys.argv[2])
replace = os.replace

def blocked(*arguments):
    global turns
    if turns == 0:
        print("blocked", flush=True)
        time.sleep(600)
    turns -= 1
    replace(*arguments)

os.replace = blocked
save_design(plan_design(small_network(np.random.default_rng(2))), folder)
"""


@pytest.mark.parametrize("turn", range(4))
def test_a_killed_run_never_looks_whole(tmp_path: Path, turn: int) -> None:
    """Killed before each of the four files of a design is in place, over an older design."""
    old = plan_design(small_network(np.random.default_rng(1)))
    path = save_design(old, tmp_path)
    before = snapshot(tmp_path)
    process = start(BLOCKED, tmp_path, str(turn))
    assert process.stdout is not None
    assert process.stdout.readline() == "blocked\n"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    changed = {name for name, data in before.items() if (tmp_path / name).read_bytes() != data}
    order = ["weights.npz", "test.npz", "manifest.json"]
    assert changed == set(order[:turn])
    if turn == 0:
        assert load_manifest(path) == old.manifest
    else:
        with pytest.raises(ManifestError) as caught:
            load_manifest(path)
        check_message(caught.value, str(tmp_path), "run the plan step again")
    # What the killed run leaves has a hidden name, and the next run is not disturbed by it.
    left = [name for name in snapshot(tmp_path) if name not in before]
    assert len(left) == 1
    assert left[0].startswith(".")
    again = plan_design(small_network(np.random.default_rng(2)))
    assert load_manifest(save_design(again, tmp_path)) == again.manifest


def test_a_run_killed_in_the_middle_of_a_new_design(tmp_path: Path) -> None:
    folder = tmp_path / "design"
    process = start(BLOCKED, folder, "2")
    assert process.stdout is not None
    assert process.stdout.readline() == "blocked\n"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert not (folder / "manifest.json").exists()
    with pytest.raises(ManifestError) as caught:
        load_manifest(folder / "manifest.json")
    check_message(caught.value, "cannot read", "manifest.json")


def test_archives_of_equal_arrays_are_equal_bytes() -> None:
    arrays: dict[str, NDArray[Any]] = {
        "a": np.arange(12).reshape(3, 4),
        "b": np.zeros(2, dtype=np.float32),
    }
    assert npz_bytes(arrays) == npz_bytes({name: array.copy() for name, array in arrays.items()})
    assert npz_bytes(arrays) != npz_bytes(arrays | {"b": np.ones(2, dtype=np.float32)})


def test_archives_are_read_back(tmp_path: Path) -> None:
    arrays: dict[str, NDArray[Any]] = {
        "a": np.arange(12).reshape(3, 4),
        "b": np.zeros(2, dtype=np.float32),
    }
    path = tmp_path / "a.npz"
    path.write_bytes(npz_bytes(arrays))
    found = read_npz(path, {"b": "some zeros"}, InputError, "mend it")
    assert list(found) == ["b"]
    assert found["b"].dtype == np.float32
    with pytest.raises(InputError) as caught:
        read_npz(path, {"c": "what nobody wrote"}, InputError, "mend it")
    check_message(caught.value, "array c (what nobody wrote) is missing", str(path), "mend it")


def test_the_reason_of_the_system_is_told(tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as caught:
        read_bytes(tmp_path / "a", ManifestError, "mend it")
    check_message(caught.value, "No such file or directory", str(tmp_path / "a"), "mend it")
