"""The training script's errors; the training itself needs MNIST, which is not shipped."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "networks" / "mnist_pca50" / "train.py"


def train(tmp_path: Path, mnist: str | None) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "MNIST"}
    if mnist is not None:
        environment["MNIST"] = mnist
    return subprocess.run(
        [sys.executable, str(SCRIPT), "--out", str(tmp_path / "out")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def wrong_layout(path: Path) -> None:
    np.savez(path, x_train=np.zeros((3, 28, 28), np.uint8), y_train=np.zeros(3, np.uint8))


def not_an_npz(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04 and then nothing")


@pytest.mark.parametrize("make", [wrong_layout, not_an_npz, None])
def test_a_useless_mnist_file_ends_in_one_line_and_exit_code_2(
    tmp_path: Path, make: object
) -> None:
    path = tmp_path / "mnist.npz"
    if callable(make):
        make(path)
    done = train(tmp_path, str(path))
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert str(path) in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_without_mnist_the_script_says_how_to_name_it(tmp_path: Path) -> None:
    done = train(tmp_path, None)
    assert done.returncode == 2
    assert "MNIST" in done.stderr
    assert "Traceback" not in done.stderr
