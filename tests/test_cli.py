"""The command line as a user runs it: what it leaves, what it says, and its exit codes."""

from __future__ import annotations

import html
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray

from model.manifest import Manifest, save_manifest
from tests.builders import NetworkFolder, small_network, snapshot
from tests.line import (
    REPOSITORY,
    certibit,
    check_refusal,
    command,
    network_folder,
    planned,
    visible_files,
)
from tests.outsider import main as somebody_elses_counts

# Many processes or many searches: as a whole more than the quick subset has time for.
pytestmark = pytest.mark.slow

# --- bad networks ---------------------------------------------------------------------------------

Spoil = Callable[[NetworkFolder], None]


def weight(layer: int, value: float) -> Spoil:
    def spoil(folder: NetworkFolder) -> None:
        folder.weights[f"layer_{layer}_weights"][1, 2] = value

    return spoil


def replaced(name: str, values: NDArray[Any]) -> Spoil:
    def spoil(folder: NetworkFolder) -> None:
        (folder.weights if name.startswith("layer") else folder.test)[name] = values

    return spoil


def feature(value: int) -> Spoil:
    def spoil(folder: NetworkFolder) -> None:
        folder.test["features"][3, 2] = value

    return spoil


def described(**changes: Any) -> Spoil:
    def spoil(folder: NetworkFolder) -> None:
        folder.description.update(changes)

    return spoil


def described_layer(index: int, **changes: Any) -> Spoil:
    def spoil(folder: NetworkFolder) -> None:
        folder.description["layers"][index].update(changes)

    return spoil


BAD_NETWORKS: dict[str, tuple[Spoil, list[str], list[str]]] = {
    "NaN weight": (weight(0, np.nan), [], ["weight (1, 2) of layer layer_0 is nan", "weights.npz"]),
    "infinite weight": (weight(1, -np.inf), [], ["weight (1, 2) of layer layer_1 is -inf"]),
    "NaN bias": (
        replaced("layer_1_biases", np.array([0.0, np.nan, 0.0])),
        [],
        ["bias (1,) of layer layer_1 is nan"],
    ),
    "shapes that do not chain": (
        replaced("layer_1_weights", np.zeros((3, 4))),
        [],
        ["layer layer_1 takes 4 inputs, but layer layer_0 has 5 outputs"],
    ),
    "weight beyond the scale": (
        weight(0, 1.25),
        [],
        ["weight (1, 2) of layer layer_0 is 1.25, beyond the scale", "power of two"],
    ),
    "no layers": (described(layers=[]), [], ["layers", "network.json"]),
    "no neurons": (
        replaced("layer_0_weights", np.zeros((0, 6))),
        [],
        ["weights of layer layer_0 have shape (0, 6)"],
    ),
    "feature out of range": (
        feature(16),
        [],
        ["feature 2 of vector 3 is 16, out of range", "-15 to 15"],
    ),
    "no vectors": (
        replaced("features", np.zeros((0, 6), dtype=np.int16)),
        [],
        ["features have shape (0, 6)", "at least one vector"],
    ),
    "counter of no power of two": (
        described_layer(1, bitstream_length=48),
        [],
        ["counter source cannot have a bitstream length of 48", "layer layer_1", "power of two"],
    ),
    "length beyond the accumulator": (
        described_layer(0, accumulator_width=8),
        ["--length", "4096"],
        ["bitstream length 4096 needs an accumulator of", "there are 8", "layer layer_0"],
    ),
    "length beyond all tables": (
        described(),
        ["--length", str(1 << 40)],
        ["bitstream length 1099511627776", "layer layer_0", "use at most 1048576"],
    ),
    "length of zero": (described(), ["--length", "0"], ["layer layer_0", "power of two"]),
    "length that is no number": (
        described(),
        ["--length", "64,many"],
        ["'64,many' is not a list of bitstream lengths", "LENGTH", "256 or 256,64"],
    ),
    "too many lengths": (
        described(),
        ["--length", "64,32,16"],
        ["3 bitstream lengths for 2 layers", "LENGTH"],
    ),
}


@pytest.fixture
def folder() -> NetworkFolder:
    """A legal network's folder, not written yet."""
    return NetworkFolder.of(
        small_network(np.random.default_rng(5), (6, 5, 3), operand_bits=4, length=64, vectors=12)
    )


@pytest.mark.parametrize("case", BAD_NETWORKS)
def test_a_bad_network(folder: NetworkFolder, tmp_path: Path, case: str) -> None:
    spoil, arguments, words = BAD_NETWORKS[case]
    spoil(folder)
    net = folder.write(tmp_path / "net")
    build = tmp_path / "build"
    done = certibit("run", "--net", net, "--build", build, "--sim", "verilator", *arguments)
    check_refusal(done, *words)
    assert not build.exists() or visible_files(build) == {}


def test_a_last_layer_that_clips(folder: NetworkFolder, tmp_path: Path) -> None:
    folder.description["layers"][1]["activation"] = "clip"
    net = folder.write(tmp_path / "net")
    done = certibit("run", "--net", net, "--build", tmp_path / "build", "--sim", "verilator")
    check_refusal(
        done, "the last layer has the activation clip", "layer layer_1", 'activation to "none"'
    )
    assert not (tmp_path / "build" / "small" / "rtl").exists()


def test_a_network_that_is_not_there(tmp_path: Path) -> None:
    done = certibit("run", "--net", tmp_path / "nowhere", "--build", tmp_path / "build")
    check_refusal(done, "No such file or directory", "nowhere/network.json", "point NET at")
    assert not (tmp_path / "build").exists()


@pytest.mark.parametrize("name", ["network.json", "weights.npz", "test.npz"])
def test_a_truncated_network_file(folder: NetworkFolder, tmp_path: Path, name: str) -> None:
    net = folder.write(tmp_path / "net")
    content = (net / name).read_bytes()
    (net / name).write_bytes(content[: len(content) // 2])
    done = certibit("plan", "--net", net, "--build", tmp_path / "build")
    check_refusal(done, str(net / name))
    assert not (tmp_path / "build").exists()


# --- bad arguments --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--vectors", "many"],
        ["run", "--sim", "modelsim"],
        ["run", "--source", "dice"],
        ["run", "--seed", "-1"],
        ["run", "--net"],
        ["run", "left over"],
        ["fly"],
    ],
    ids=" ".join,
)
def test_misuse(tmp_path: Path, arguments: list[str]) -> None:
    done = certibit(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert "Error" in done.stderr


@pytest.mark.parametrize("vectors", ["0", "13", "-1"])
def test_vectors_out_of_range(tmp_path: Path, vectors: str) -> None:
    net = network_folder(tmp_path / "net")
    build = tmp_path / "build"
    done = certibit(
        "run", "--net", net, "--build", build, "--sim", "verilator", "--vectors", vectors
    )
    check_refusal(done, f"{vectors} vectors were asked for, there are 12", "VECTORS", "1 to 12")
    assert not (build / "small" / "run").exists()


@pytest.mark.parametrize("place", ["build", "build/small"])
def test_a_file_in_the_place_of_the_build_folder(tmp_path: Path, place: str) -> None:
    net = network_folder(tmp_path / "net")
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    done = certibit("plan", "--net", net, "--build", tmp_path / "build")
    check_refusal(done, str(path), "permit writing there")
    assert path.read_text() == "mine"


def test_help_tells_the_commands() -> None:
    done = certibit("--help")
    assert done.returncode == 0
    for word in ("run", "plan", "generate", "signoff"):
        assert re.search(rf"\b{word}\b", done.stdout)


# --- precision plans and compression --------------------------------------------------------------

REQUESTS_REFUSED: dict[str, tuple[list[str], list[str]]] = {
    "a target beyond reach": (
        ["--method", "certificate", "--target-error", "0.01"],
        ["target_error 0.01 is not met", "best reachable error is", "layer layer_", "certificate"],
    ),
    "a target that needs longer streams": (
        ["--method", "hoeffding", "--target-error", "1", "--max-length", "64"],
        ["target_error 1 is not met", "it would need length", "layer layer_", "max_length"],
    ),
    "a target of the layers": (
        ["--method", "hoeffding", "--target-error", "0.5", "--target", "layer", "--max-length=64"],
        ["target_error 0.5 is not met", "it would need length", "layer layer_0"],
    ),
    "a budget below the shortest": (
        ["--method", "certificate", "--budget", "3"],
        ["total_budget is 3", "use 4"],
    ),
    "nothing to reach": (["--method", "certificate"], ["--target-error, --budget or both"]),
    "lengths and a method": (
        ["--method", "certificate", "--budget", "64", "--length", "32"],
        ["both bitstream lengths and a precision plan"],
    ),
    "a target without a method": (["--target-error", "1"], ["nobody plans", "--method"]),
    "a method for other sources": (
        ["--method", "certificate", "--budget", "64", "--source", "lfsr"],
        ["source is 'lfsr'", "gives no bound"],
    ),
    "costs that are no numbers": (
        ["--method", "certificate", "--budget", "64", "--cost", "1,x"],
        ["'1,x' is not a list of costs", "24000,4600"],
    ),
    "too many costs": (
        ["--method", "certificate", "--budget", "64", "--cost", "1,2,3"],
        ["cost_per_cycle"],
    ),
    "bits beyond the operands": (["--weight-bits", "5"], ["weight_bits is 5", "1 to 4"]),
    "bits that are no numbers": (["--weight-bits", "few"], ["'few' is not a list of bit widths"]),
    "streams of two lengths": (
        ["--neuron", "lif", "--stream", "--length", "64,32"],
        ["layer layer_0 streams 64 cycles to layer layer_1, which counts 32", "the same length"],
    ),
    "two ways to prune": (["--prune", "0.1", "--prune-share", "0.1"], ["give one of them"]),
    "two ways to quantise": (
        ["--weight-bits", "3", "--synapse-error", "0.1"],
        ["exclude each other", "docs/compression.md"],
    ),
    "a negative threshold": (["--prune", "-1"], ["prune_threshold is -1"]),
    "no calibration data": (["--activity", "0.1"], ["no calibration data", "network.json"]),
}


@pytest.mark.parametrize("case", REQUESTS_REFUSED)
def test_a_request_that_cannot_be_met(tmp_path: Path, case: str) -> None:
    arguments, words = REQUESTS_REFUSED[case]
    net = network_folder(tmp_path / "net")
    done = certibit("plan", "--net", net, "--build", tmp_path / "build", *arguments)
    check_refusal(done, *words)
    assert not (tmp_path / "build").exists()


@pytest.mark.slow
@pytest.mark.parametrize("simulator", ["icarus"])
def test_a_compressed_plan_is_signed_off(simulator: str, tmp_path: Path) -> None:
    net = network_folder(tmp_path / "net")
    rest = ("--net", net, "--build", tmp_path / "build", "--sim", simulator)
    done = certibit(
        "run",
        *rest,
        *("--method", "certificate", "--target-error", "1.5", "--cost", "3,1"),
        *("--prune-share", "0.3", "--constant-margin", "0.05", "--weight-bits", "3"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "build" / "small"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["precision"]["end_to_end_bound"] == manifest["end_to_end_bound"] <= 1.5
    assert manifest["compression"]["recipe"]["prune_method"] == "percentile"
    # 9 of 30 and 4 of 15; rounding may make more of them zero.
    assert [layer["synapses"] for layer in manifest["layers"]] <= [21, 11]
    with np.load(folder / "weights.npz") as arrays:
        assert (arrays["layer_0_weights"] % 2 == 0).all()
        assert (arrays["layer_0_widths"] == 3).all()
    report = json.loads((folder / "signoff.json").read_text())
    assert report["verdict"] == "PASS"
    assert report["compression"]["synapses_before"] == [30, 15]
    # The same design once more, from what stands in the folder.
    assert certibit("signoff", *rest).returncode == 0
    # A plan that misses its target is refused, whoever wrote it.
    edited = json.loads((folder / "manifest.json").read_text())
    missed = "target_error 1 is not met: it would need length 64; the best reachable error is 1.2"
    edited["precision"]["shortfalls"] = [missed]
    save_manifest(Manifest.model_validate(edited), folder)
    check_refusal(certibit("signoff", *rest), missed, "manifest.json", "plan it anew")
    assert (folder / "signoff.json").exists()


# --- bad manifests and RTL ------------------------------------------------------------------------


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def edit(path: Path) -> None:
    text = path.read_text()
    assert text.count('"radius": ') == 2
    path.write_text(text.replace('"radius": ', '"radius": 1', 1))


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("harm", "name", "words"),
    [
        (cut, "manifest.json", ["manifest truncated", "the plan step"]),
        (edit, "manifest.json", ["the manifest was edited after it was written", "the plan step"]),
        (damage, "weights.npz", ["not the one that the manifest names", "the plan step"]),
        (damage, "test.npz", ["not the one that the manifest names", "the plan step"]),
        (Path.unlink, "manifest.json", ["cannot read: No such file", "the plan step"]),
        (Path.unlink, "rtl/certibit_layer_1.v", ["cannot read generated RTL", "generate it again"]),
        (Path.unlink, "rtl/certibit_top.v", ["cannot read generated RTL", "generate it again"]),
    ],
    ids=lambda value: (
        value.__name__ if callable(value) else value if isinstance(value, str) else ""
    ),
)
def test_a_bad_build_folder(
    tmp_path: Path, harm: Callable[[Path], None], name: str, words: list[str]
) -> None:
    net = network_folder(tmp_path / "net")
    _, folder = planned(net, tmp_path / "build")
    harm(folder / name)
    before = snapshot(folder)
    rest = ("--net", net, "--build", tmp_path / "build")
    check_refusal(certibit("signoff", *rest, "--sim", "verilator"), str(folder / name), *words)
    if not name.startswith("rtl"):
        check_refusal(certibit("generate", *rest), str(folder / name), *words)
    assert snapshot(folder) == before


def test_rtl_of_another_manifest(tmp_path: Path) -> None:
    net = network_folder(tmp_path / "net")
    _, folder = planned(net, tmp_path / "build")
    rest = ("--net", net, "--build", tmp_path / "build")
    done = certibit("plan", *rest, "--length", "32,16")
    assert done.returncode == 0
    assert done.stdout == f"{folder / 'manifest.json'}\n"
    done = certibit("signoff", *rest, "--sim", "verilator")
    check_refusal(done, "RTL from another manifest", "rtl/certibit_layer_0.v", "generate it again")
    assert not (folder / "signoff.json").exists()


def test_a_network_that_changed_after_it_was_planned(tmp_path: Path) -> None:
    net = network_folder(tmp_path / "net")
    planned(net, tmp_path / "build")
    network_folder(net, (6, 4, 3))
    done = certibit("signoff", "--net", net, "--build", tmp_path / "build", "--sim", "verilator")
    check_refusal(done, "planned from another network", "manifest.json", "the plan step")


# --- simulators -----------------------------------------------------------------------------------


def tools(tmp_path: Path) -> dict[str, str]:
    """Return an environment whose PATH leads to the build tools and to nothing else."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for tool in ("g++", "make", "perl", "sh"):
        found = shutil.which(tool)
        assert found is not None
        (folder / tool).symlink_to(found)
    return {"PATH": str(folder)}


@pytest.mark.parametrize("present", ["none", "old"])
@pytest.mark.parametrize("step", ["run", "signoff"])
def test_no_icarus_that_is_new_enough(tmp_path: Path, step: str, present: str) -> None:
    net = network_folder(tmp_path / "net")
    env = tools(tmp_path)
    told = "Icarus Verilog was not found (11.0 or later is needed)"
    if present == "old":
        old = tmp_path / "tools" / "iverilog"
        old.write_text("#!/bin/sh\necho 'Icarus Verilog version 10.3 (stable) ()'\n")
        old.chmod(0o755)
        told = f"11.0 or later is needed, found only 10.3 at {old}"
    if step == "signoff":
        planned(net, tmp_path / "build")
    rest = ("--net", net, "--build", tmp_path / "build")
    done = certibit(step, *rest, "--sim", "icarus", env=env)
    check_refusal(done, told, "PATH", "apt-get install iverilog")
    assert not (tmp_path / "build" / "small" / "run").exists()


# --- a full disk, a killed and an interrupted run -------------------------------------------------


@pytest.mark.parametrize("name", ["weights.npz", "manifest.json", "manifest.schema.json"])
def test_a_full_disk_while_planning(tmp_path: Path, name: str) -> None:
    net = network_folder(tmp_path / "net")
    _, folder = planned(net, tmp_path / "build", [32, 16])
    old = visible_files(folder)
    new = visible_files(planned(net, tmp_path / "other")[1])
    room = len(new[name]) - 1
    rest = ("--net", net, "--build", tmp_path / "build")
    check_refusal(
        certibit("plan", *rest, largest_file=room), "File too large", "make room", "run it again"
    )
    found = visible_files(folder)
    assert found.keys() == old.keys()
    assert found[name] == old[name]
    for other, content in found.items():
        assert content in (old[other], new[other]), other
    assert list(folder.rglob(".*")) == []
    assert certibit("plan", *rest).returncode == 0
    assert (folder / "manifest.json").read_bytes() == new["manifest.json"]


def test_a_full_disk_while_generating(tmp_path: Path) -> None:
    net = network_folder(tmp_path / "net")
    _, folder = planned(net, tmp_path / "build")
    before = snapshot(folder)
    room = len(before["rtl/certibit_layer_0.v"]) - 1
    rest = ("--net", net, "--build", tmp_path / "build")
    check_refusal(certibit("generate", *rest, largest_file=room), "File too large", "make room")
    assert snapshot(folder) == before
    shutil.rmtree(folder / "rtl")
    check_refusal(certibit("generate", *rest, largest_file=room), "File too large", "make room")
    assert not (folder / "rtl").exists()
    assert list(folder.rglob(".*")) == []


@pytest.mark.slow
@pytest.mark.parametrize("simulator", ["icarus"])
def test_a_full_disk_while_simulating(simulator: str, tmp_path: Path) -> None:
    net = network_folder(tmp_path / "net", (2, 12), length=16, vectors=200)
    _, folder = planned(net, tmp_path / "build")
    before = visible_files(folder)
    arguments = ("signoff", "--net", net, "--build", tmp_path / "build", "--sim", simulator)
    # The harness does not fit; then it does, but the compiled simulation does not.
    check_refusal(certibit(*arguments, largest_file=1000), "File too large", "make room")
    assert visible_files(folder) == before
    check_refusal(certibit(*arguments, largest_file=20_000), "icarus", "could not build")
    assert not list((folder / "sim").glob("*/*.vvp"))
    # Once it is built, the harness fits, but not all of what the simulation records.
    assert certibit(*arguments).returncode == 0
    recording = (folder / "run" / "network-icarus" / "layer_0.hex").stat().st_size
    room = recording - 100
    assert (folder / "network_harness.v").stat().st_size <= room
    done = certibit(*arguments, largest_file=room)
    check_refusal(done, "the simulation recorded", "of 1200 words", "the disk is full")
    for name in ("signoff.json", "junit.xml", "counts_rtl.npz"):
        assert not (folder / name).exists()


def test_a_full_disk_behind_standard_output(tmp_path: Path) -> None:
    net = network_folder(tmp_path / "net")
    with open("/dev/full", "w") as full:
        done = certibit(
            "run",
            "--net",
            net,
            "--build",
            tmp_path / "build",
            "--sim",
            "verilator",
            stdout=full.fileno(),
        )
    check_refusal(done, "No space left on device", "make room")


def begin(*arguments: str | Path) -> subprocess.Popen[str]:
    """Start the command line."""
    return subprocess.Popen(
        command(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        # A job in the background of a script ignores Ctrl-C, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait until something is there, while the process is alive."""
    end = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("simulator", ["icarus"])
@pytest.mark.parametrize("source", ["counter-lane", "lfsr", "lfsr-lane"])
def test_every_kind_of_source_is_signed_off(source: str, simulator: str, tmp_path: Path) -> None:
    """Also where the worst case lies beyond the radius, which speaks of random seeds only."""
    net = network_folder(tmp_path / "net", (40, 3, 2), length=64)
    build = tmp_path / "build"
    done = certibit("run", "--net", net, "--build", build, "--sim", simulator, "--source", source)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((build / "small" / "signoff.json").read_text())
    assert report["verdict"] == "PASS"
    layer = report["layers"][0]
    beyond = layer["certified_bound"] > layer["hoeffding_radius"]
    assert beyond == (source == "lfsr-lane")


@pytest.mark.slow
@pytest.mark.parametrize("simulator", ["icarus"])
def test_a_killed_simulation(simulator: str, tmp_path: Path) -> None:
    net = network_folder(tmp_path / "net", (6, 3), length=16)
    folder = tmp_path / "build" / "small"
    arguments = ("run", "--net", net, "--build", tmp_path / "build", "--sim", simulator)
    run = folder / "run"
    for moment in (run / "network-icarus" / "run.json", run / "network-icarus" / "layer_0.hex"):
        process = begin(*arguments)
        wait_for(moment.exists, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        for name in ("signoff.json", "junit.xml", "counts_rtl.npz"):
            assert not (folder / name).exists()
        for build in (folder / "sim").glob("icarus-*"):
            assert {path.name for path in build.iterdir()} >= {"build.json", "build.log"}
    done = certibit(*arguments)
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "signoff.json").read_text())["verdict"] == "PASS"
    # And once more in the midst of the witnesses: the counts are there, and whole.
    process = begin(*arguments)
    wait_for(lambda: not (folder / "signoff.json").exists(), process)
    wait_for((folder / "counts_rtl.npz").exists, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (folder / "signoff.json").exists()
    with np.load(folder / "counts_rtl.npz") as archive:
        assert archive["layer_0"].tolist() == somebody_elses_counts(folder)[0]


@pytest.mark.parametrize("simulator", ["icarus"])
def test_an_interrupted_simulation(simulator: str, tmp_path: Path) -> None:
    net = network_folder(tmp_path / "net", (6, 3), length=16)
    folder = tmp_path / "build" / "small"
    process = begin("run", "--net", net, "--build", tmp_path / "build", "--sim", simulator)
    wait_for((folder / "run" / "network-icarus" / "layer_0.hex").exists, process)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    check_interruption(process, told)
    assert not (folder / "signoff.json").exists()


def test_an_interrupted_plan(tmp_path: Path) -> None:
    net = network_folder(tmp_path / "net")
    (net / "test.npz").unlink()
    os.mkfifo(net / "test.npz")
    process = begin("plan", "--net", net, "--build", tmp_path / "build")
    # Opening waits until the command has opened its end: then it waits for data.
    with open(net / "test.npz", "wb"):
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    check_interruption(process, told)
    assert not (tmp_path / "build").exists()


def check_interruption(process: subprocess.Popen[str], told: str) -> None:
    assert process.returncode == 130
    lines = [line for line in told.splitlines() if not line.startswith("building ")]
    assert lines == ["certibit: interrupted; finished builds are kept, run it again"]


# --- PASS -----------------------------------------------------------------------------------------

KEYS: dict[str, list[str]] = {
    "": [
        *("schema", "network", "manifest_sha256", "simulator", "seed", "verdict", "checks"),
        *("layers", "end_to_end", "accuracy", "throughput"),
    ],
    "simulator": ["name", "version"],
    "checks": ["id", "verdict", "detail"],
    "layers": [
        *("name", "bitstream_length", "bit_width", "fan_in", "outputs", "vectors", "mismatches"),
        *("max_abs_error", "certified_bound", "witness_error", "hoeffding_radius", "confidence"),
        "family_size",
    ],
    "end_to_end": ["max_abs_error", "bound"],
    "accuracy": ["float", "quantised", "golden", "rtl", "vectors"],
    "throughput": ["cycles", "seconds_build", "seconds_sim", "cycles_per_second"],
}


def check_evidence(folder: Path, vectors: int) -> dict[str, Any]:
    """Hold the evidence of a run that passed against what other tools rely on."""
    report: dict[str, Any] = json.loads((folder / "signoff.json").read_text())
    for name, keys in KEYS.items():
        parts = report[name] if name else report
        for part in parts if isinstance(parts, list) else [parts]:
            assert set(keys) <= set(part), name
    assert report["schema"] == "certibit-signoff/1"
    assert report["verdict"] == "PASS"
    assert {check["verdict"] for check in report["checks"]} <= {"PASS", "SKIPPED"}
    digest = (folder / "manifest.sha256").read_text().split()[0]
    assert report["manifest_sha256"] == digest
    expected = somebody_elses_counts(folder)
    with np.load(folder / "counts_rtl.npz") as archive:
        assert archive["vectors"].tolist() == list(range(vectors))
        for index, layer in enumerate(report["layers"]):
            counts = archive[f"layer_{index}"]
            assert counts.tolist() == expected[index][:vectors]
            assert (layer["vectors"], layer["mismatches"]) == (vectors, 0)
            assert layer["witness_error"] == layer["certified_bound"] > 0
            assert layer["max_abs_error"] <= layer["certified_bound"]
    root = ElementTree.parse(folder / "junit.xml").getroot()
    suites = {suite.get("name"): suite for suite in root.iter("testsuite")}
    assert len(list(suites["signoff"])) == len(report["checks"])
    for suite in suites.values():
        assert int(suite.get("tests", "-1")) == len(suite.findall("testcase")) > 0
        assert int(suite.get("failures", "-1")) == len(suite.findall("*/failure")) == 0
        assert int(suite.get("skipped", "-1")) == len(suite.findall("*/skipped"))
    return report


@pytest.mark.slow
@pytest.mark.parametrize("simulator", ["icarus"])
def test_pass(simulator: str, tmp_path: Path) -> None:
    net = network_folder(tmp_path / "net")
    # Brackets are markup to the library that prints the table.
    build = tmp_path / "a [/red] build"
    arguments = ("run", "--net", net, "--build", build, "--sim", simulator)
    done = certibit(*arguments, "--length", "64,32")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    lines = done.stdout.splitlines()
    folder = build / "small"
    assert lines[-3:] == [
        "PASS",
        f"evidence in {folder}",
        f"report in {folder / 'report.html'}",
    ]
    rows = [line.split() for line in lines]
    table = {row[0]: row for row in rows if row and row[0] in ("layer_0", "layer_1")}
    assert table["layer_0"][1:5] == ["64", "6", "12", "0"]
    assert table["layer_1"][1:5] == ["32", "5", "12", "0"]
    assert {row[-1] for row in table.values()} == {"PASS"}
    report = check_evidence(build / "small", 12)
    assert report["simulator"]["name"] == simulator
    assert report["throughput"]["seconds_build"] > 0
    assert report["throughput"]["cycles"] > 12 * 64
    assert {check["id"] for check in report["checks"] if check["verdict"] == "SKIPPED"} == {
        "simulators-agree"
    }
    before = snapshot(build / "small")
    # The same page, without a simulation.
    (folder / "report.html").unlink()
    rewritten = certibit("report", "--net", net, "--build", build)
    assert (rewritten.returncode, rewritten.stderr) == (0, "")
    assert rewritten.stdout == f"{folder / 'report.html'}\n"
    assert snapshot(folder)["report.html"] == before["report.html"]
    again = certibit(*arguments, "--length", "64,32", "--vectors", "5")
    assert again.returncode == 0
    # Nothing is built twice, also for another number of vectors.
    assert "building" not in again.stderr
    report = check_evidence(build / "small", 5)
    assert report["throughput"]["seconds_build"] == 0
    after = snapshot(build / "small")
    for name in before:
        if name.startswith(("rtl/", "sim/", "manifest", "weights", "test.npz")):
            assert after[name] == before[name]


@pytest.mark.slow
@pytest.mark.verilator
@pytest.mark.parametrize("simulator", ["icarus"])
def test_pass_in_both_simulators(simulator: str, tmp_path: Path) -> None:
    net = network_folder(tmp_path / "net", (6, 3))
    done = certibit("run", "--net", net, "--build", tmp_path / "build")
    assert done.returncode == 0, done.stderr
    report = check_evidence(tmp_path / "build" / "small", 12)
    assert report["simulator"]["name"] == "verilator"
    assert report["second_simulator"]["name"] == simulator
    assert {check["verdict"] for check in report["checks"]} == {"PASS"}
    folder = tmp_path / "build" / "small"
    with (
        np.load(folder / "counts_rtl.npz") as main,
        np.load(folder / f"counts_rtl_{simulator}.npz") as second,
    ):
        assert main.files == second.files
        for name in main.files:
            assert (main[name] == second[name]).all()


# --- FAIL -----------------------------------------------------------------------------------------


def flip_a_weight_bit(path: Path) -> None:
    """Change one neuron's weight in the constants of generated RTL; the digest stays."""
    lines = path.read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if "// plane 3, last lane first" in line)
    found = re.match(r"( +\d+'h)([0-9a-f])", lines[start + 1])
    assert found is not None
    digit = format(int(found[2], 16) ^ 1, "x")
    lines[start + 1] = found[1] + digit + lines[start + 1][found.end() :]
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.slow
@pytest.mark.parametrize("simulator", ["icarus"])
def test_fail_for_a_wrong_weight(simulator: str, tmp_path: Path) -> None:
    net = network_folder(tmp_path / "net", (6, 3), length=16)
    _, folder = planned(net, tmp_path / "build")
    flip_a_weight_bit(folder / "rtl" / "certibit_layer_0.v")
    done = certibit("signoff", "--net", net, "--build", tmp_path / "build", "--sim", simulator)
    assert done.returncode == 1, done.stderr
    assert "certibit:" not in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stdout.splitlines()[-2:] == ["FAIL", f"report in {folder / 'report.html'}"]
    report = json.loads((folder / "signoff.json").read_text())
    assert report["verdict"] == "FAIL"
    verdicts = {check["id"]: check["verdict"] for check in report["checks"]}
    assert verdicts["manifest"] == verdicts["identity"] == "PASS"
    assert verdicts["S1-counts-layer_0"] == verdicts["bench-network-icarus"] == "FAIL"
    # What is told is what is in the counts.
    expected = np.array(somebody_elses_counts(folder)[0])
    with np.load(folder / "counts_rtl.npz") as archive:
        counts = archive["layer_0"]
    wrong = np.argwhere(counts != expected)
    # A weight of one neuron is wrong, no other.
    assert set(wrong[:, 1].tolist()) == {0}
    assert report["layers"][0]["mismatches"] == len(wrong)
    vector, neuron = wrong[0].tolist()
    told = next(c["detail"] for c in report["checks"] if c["id"] == "S1-counts-layer_0")
    assert (
        f"{len(wrong)} of 36 counts differ, first at vector {vector}, neuron {neuron}:"
        f" RTL {counts[vector, neuron]}, golden {expected[vector, neuron]}"
    ) in told
    assert f"FAIL S1-counts-layer_0: {told[:20]}" in done.stdout
    root = ElementTree.parse(folder / "junit.xml").getroot()
    assert root.find("testsuite[@name='signoff']/testcase[@name='identity']") is not None
    assert root.find("testsuite/testcase[@name='S1-counts-layer_0']/failure") is not None
    # The command that it names repeats just that, with waves.
    rerun = re.search(r"(WAVES=1) \.venv/bin/certibit (.+)\)$", told)
    assert rerun is not None
    assert shlex.split(rerun[2])[-1] == str(vector + 1)
    again = certibit(*shlex.split(rerun[2]), env={"WAVES": "1"})
    assert again.returncode == 1, again.stderr
    repeated = json.loads((folder / "signoff.json").read_text())
    assert repeated["layers"][0]["vectors"] == vector + 1
    told_again = next(c["detail"] for c in repeated["checks"] if c["id"] == "S1-counts-layer_0")
    assert f"first at vector {vector}, neuron {neuron}" in told_again
    assert list((folder / "run" / "network-icarus").glob("*.fst"))


@pytest.mark.parametrize("simulator", ["icarus"])
@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        (".vector_valid_i(vector_valid_i)", ".vector_valid_i(1'b0)", "hung after 0 of 12 vectors"),
        (".result_ready_i(acc_ready)", ".result_ready_i(1'b0)", "words, which are too many"),
        (".r_i(x_word)", ".r_i({OperandWidth{1'bx}})", "recorded unknown values (X)"),
    ],
    ids=["hangs", "too many", "unknown"],
)
def test_fail_for_a_design_without_counts(
    simulator: str, tmp_path: Path, right: str, wrong: str, told: str
) -> None:
    net = network_folder(tmp_path / "net", (6, 3), length=16)
    _, folder = planned(net, tmp_path / "build")
    layer = folder / "rtl" / "certibit_layer_0.v"
    assert layer.read_text().count(right) == 1
    layer.write_text(layer.read_text().replace(right, wrong))
    done = certibit("signoff", "--net", net, "--build", tmp_path / "build", "--sim", simulator)
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines()[-2:] == ["FAIL", f"report in {folder / 'report.html'}"]
    assert told in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert told in (folder / "report.html").read_text()
    report = json.loads((folder / "signoff.json").read_text())
    assert report["verdict"] == "FAIL"
    # What the page says reproduces it.
    rerun = re.search(r"<pre>WAVES=1 \.venv/bin/certibit (.+?)</pre>", page_text(folder))
    assert rerun is not None
    again = certibit(*shlex.split(rerun[1]), env={"WAVES": "1"})
    assert again.returncode == 1
    assert told.partition(" of ")[0] in again.stderr
    # The design is mended, and so is the verdict.
    layer.write_text(layer.read_text().replace(wrong, right))
    done = certibit("signoff", "--net", net, "--build", tmp_path / "build", "--sim", simulator)
    assert done.returncode == 0, done.stderr
    assert "PASS: sign-off of small" in page_text(folder)


def page_text(folder: Path) -> str:
    return html.unescape((folder / "report.html").read_text())


def test_no_sign_off_to_report(tmp_path: Path) -> None:
    net = network_folder(tmp_path / "net")
    planned(net, tmp_path / "build")
    done = certibit("report", "--net", net, "--build", tmp_path / "build")
    check_refusal(done, "cannot read", "signoff.json", "sign it off (make)")


@pytest.mark.parametrize("simulator", ["icarus"])
def test_fail_for_another_identity(simulator: str, tmp_path: Path) -> None:
    net = network_folder(tmp_path / "net", (6, 3), length=16)
    design, folder = planned(net, tmp_path / "build")
    top = folder / "rtl" / "certibit_top.v"
    text = top.read_text()
    found = re.search(r"\.Id\(256'h([0-9a-f]{64})\)", text)
    assert found is not None
    other = format(int(found[1], 16) ^ 1, "064x")
    top.write_text(text.replace(f"256'h{found[1]}", f"256'h{other}"))
    assert found[1] in top.read_text()
    done = certibit("signoff", "--net", net, "--build", tmp_path / "build", "--sim", simulator)
    assert done.returncode == 1, done.stderr
    report = json.loads((folder / "signoff.json").read_text())
    wrong = {check["id"] for check in report["checks"] if check["verdict"] == "FAIL"}
    assert wrong == {
        "identity",
        "protocol-registers",
        "bench-streams-icarus",
        "bench-network-icarus",
        "bench-witness_0-icarus",
    }
    told = next(check["detail"] for check in report["checks"] if check["id"] == "identity")
    assert f"its ID register is {other}, not {found[1]}" in told
    assert design.manifest.network == report["network"]
