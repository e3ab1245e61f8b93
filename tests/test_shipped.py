"""The shipped network, signed off as `make` does it, in both simulators."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.line import REPOSITORY, certibit


@pytest.mark.slow
@pytest.mark.parametrize("simulator", ["verilator"])
def test_all_images_in_verilator(simulator: str) -> None:
    """Ten thousand images without a mismatch, and every witness at its certified error."""
    build = REPOSITORY / "build" / "shipped" / "256"
    done = certibit("run", "--length", "256", "--build", build, "--sim", simulator)
    assert done.returncode == 0, done.stdout + done.stderr
    check_all_images(build / "mnist_pca50", 0.975)


@pytest.mark.slow
@pytest.mark.parametrize("simulators", [("icarus", "verilator")])
def test_both_simulators_at_a_short_length(simulators: tuple[str, str]) -> None:
    """By default Icarus plays the first hundred images, and its counts are Verilator's."""
    build = REPOSITORY / "build" / "shipped" / "32"
    done = certibit("run", "--length", "32", "--build", build)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = build / "mnist_pca50"
    report = check_all_images(folder, 0.970)
    assert report["second_simulator"]["name"] == "icarus"
    assert report["second_simulator"]["vectors"] == 100
    with (
        np.load(folder / "counts_rtl.npz") as verilator,
        np.load(folder / "counts_rtl_icarus.npz") as icarus,
    ):
        for name in ("layer_0", "layer_1"):
            assert icarus[name].shape[0] == 100
            assert np.array_equal(icarus[name], verilator[name][:100])


def check_all_images(folder: Path, accuracy: float) -> dict[str, Any]:
    """Check a report of all images, and return it."""
    report: dict[str, Any] = json.loads((folder / "signoff.json").read_text())
    assert report["verdict"] == "PASS"
    assert report["accuracy"]["vectors"] == 10_000
    assert report["accuracy"]["rtl"] >= accuracy
    for layer in report["layers"]:
        assert layer["vectors"] == 10_000
        assert layer["mismatches"] == 0
        assert layer["witness_error"] == layer["certified_bound"]
    return report


@pytest.mark.slow
@pytest.mark.parametrize("simulator", ["verilator"])
def test_a_compressed_mixed_plan_in_verilator(simulator: str) -> None:
    """An average length of 24, a fifth of the weights wires or gone, 4 to 5 bits: signed off."""
    build = REPOSITORY / "build" / "shipped" / "compressed"
    done = certibit(
        "run",
        *("--method", "certificate", "--budget", "48", "--min-length", "16", "--max-length", "64"),
        *("--prune", "0.05", "--constant-margin", "0.02", "--weight-bits", "5,4"),
        *("--build", build, "--sim", simulator),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = check_all_images(build / "mnist_pca50", 0.975)
    lengths = [layer["bitstream_length"] for layer in report["layers"]]
    assert sum(lengths) / len(lengths) <= 24
    left = sum(layer["synapses"] - layer["constant_gates"] for layer in report["layers"])
    assert left < 0.81 * sum(report["compression"]["synapses_before"])


def test_the_trained_files_are_small() -> None:
    """The trained files stay small enough for a repository."""
    folder = REPOSITORY / "networks" / "mnist_pca50"
    assert sum(path.stat().st_size for path in folder.glob("*.npz")) < 1_000_000
