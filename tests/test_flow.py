"""The line from a network to its sign-off: what it orders, what it leaves, and planted defects."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray

import tb.report
from model.errors import DesignFailure, InputError, ManifestError, SignoffError, ToolError
from model.forward import GoldenNetwork
from model.manifest import manifest_digest
from model.network import load_network
from model.plan import Design
from rtl_gen import generator
from tb import flow, simulate
from tb.evidence import load_counts
from tb.signoff import Inside, Signoff, WitnessRun
from tb.simulate import Simulation, rtl_files
from tb.simulators import Simulator
from tests.builders import check_message, snapshot
from tests.line import network_folder, planned, sign_off_again, visible_files
from tests.test_signoff import fabricate_inside, outcomes

EVIDENCE = {"counts_rtl.npz", "junit.xml", "report.html", "signoff.json"}
MAIN = Simulator("verilator", "99.0", Path("nowhere"), {})
SECOND = Simulator("icarus", "98.0", Path("nowhere"), {})


def quiet(_text: str) -> None:
    """Say nothing."""


# --- without a simulator: the flow around simulations that are only pretended ---------------------


@dataclass
class Pretence:
    """Takes the place of simulations: golden counts, and a note of what was asked for."""

    asked: list[tuple[str, str, int]]

    def network(
        self,
        design: Design,
        folder: Path,
        simulator: Simulator,
        inputs: NDArray[np.integer],
        *,
        run_name: str,
    ) -> Simulation:
        self.asked.append((simulator.name, run_name, len(inputs)))
        counts = GoldenNetwork(design.manifest, design.parameters).counts(inputs)
        return Simulation(
            simulator=simulator,
            seed=1,
            inputs=inputs,
            counts=tuple(counts),
            identity=manifest_digest(design.manifest),
            cycles=1000,
            seconds_build=0.0,
            seconds_sim=0.5,
            results_xml=folder / "run" / f"{run_name}-{simulator.name}" / "results.xml",
            failure=None,
            tests=outcomes(["network_bench.test_outputs_are_never_unknown"]),
        )

    def inside(
        self, design: Design, _folder: Path, simulators: flow.Simulators, _seed: int, say: flow.Say
    ) -> Inside:
        say("look inside")
        return fabricate_inside(design)

    def witnesses(
        self, design: Design, index: int, folder: Path, simulator: Simulator
    ) -> WitnessRun:
        inputs = design.certificate(index).witnesses
        inputs = inputs.reshape(-1, inputs.shape[-1])
        manifest = design.manifest.model_copy(update={"layers": [design.manifest.layers[index]]})
        alone = replace(
            design,
            manifest=manifest,
            parameters=type(design.parameters)(
                (design.parameters.weights[index],),
                (design.parameters.biases[index],),
                (design.parameters.widths[index],),
            ),
        )
        run = self.network(alone, folder, simulator, inputs, run_name=f"witness_{index}")
        return WitnessRun(run, run.counts[0])


@pytest.fixture
def pretence(monkeypatch: pytest.MonkeyPatch) -> Pretence:
    """Replace simulations."""
    pretence = Pretence([])
    monkeypatch.setattr(flow, "simulate_network", pretence.network)
    monkeypatch.setattr(flow, "drive_witnesses", pretence.witnesses)
    monkeypatch.setattr(flow, "look_inside", pretence.inside)
    return pretence


def sign_off_pretended(
    net: Path,
    folder: Path,
    *,
    second: Simulator | None = None,
    main: Simulator = MAIN,
    vectors: int | None = None,
    say: flow.Say = quiet,
) -> Signoff:
    return flow.simulate_and_sign_off(
        load_network(net),
        net,
        flow.read_design(folder),
        folder,
        flow.Simulators(main, second, "" if second else "there is none"),
        vectors,
        say,
    )


def test_all_vectors_in_verilator_and_the_first_hundred_in_icarus(
    pretence: Pretence, tmp_path: Path
) -> None:
    net = network_folder(tmp_path / "net", (3, 2, 2), length=8, vectors=130)
    _, folder = planned(net, tmp_path)
    report = sign_off_pretended(net, folder, second=SECOND)
    assert report.verdict == "PASS"
    assert pretence.asked == [
        ("verilator", "network", 130),
        ("icarus", "network", 100),
        ("verilator", "witness_0", 4),
        ("verilator", "witness_1", 4),
    ]
    assert report.second_simulator is not None
    assert (report.second_simulator.name, report.second_simulator.vectors) == ("icarus", 100)


@pytest.mark.parametrize(
    ("main", "second", "vectors", "expected"),
    [
        (MAIN, SECOND, 120, [("verilator", 120), ("icarus", 120)]),
        (MAIN, SECOND, 7, [("verilator", 7), ("icarus", 7)]),
        (MAIN, None, None, [("verilator", 130)]),
        (SECOND, None, None, [("icarus", 100)]),
        (SECOND, None, 130, [("icarus", 130)]),
    ],
)
def test_how_many_vectors(
    pretence: Pretence,
    tmp_path: Path,
    main: Simulator,
    second: Simulator | None,
    vectors: int | None,
    expected: list[tuple[str, int]],
) -> None:
    net = network_folder(tmp_path / "net", (3, 2, 2), length=8, vectors=130)
    design, folder = planned(net, tmp_path)
    sign_off_pretended(net, folder, main=main, second=second, vectors=vectors)
    assert [(name, count) for name, run, count in pretence.asked if run == "network"] == expected
    rows, counts = load_counts(design.manifest, folder / "counts_rtl.npz")
    assert rows.tolist() == list(range(expected[0][1]))
    assert [len(part) for part in counts] == [expected[0][1]] * 2


@pytest.mark.parametrize("vectors", [-1, 0, 13])
def test_vectors_out_of_range(pretence: Pretence, tmp_path: Path, vectors: int) -> None:
    net = network_folder(tmp_path / "net")
    _, folder = planned(net, tmp_path)
    with pytest.raises(InputError) as error:
        sign_off_pretended(net, folder, vectors=vectors)
    check_message(error.value, f"{vectors} vectors", "there are 12", "VECTORS", "use 1 to 12")
    assert pretence.asked == []


def test_progress_is_told(pretence: Pretence, tmp_path: Path) -> None:
    net = network_folder(tmp_path / "net")
    _, folder = planned(net, tmp_path)
    told: list[str] = []
    sign_off_pretended(net, folder, say=told.append)
    assert told[0] == "simulate 12 vectors in verilator 99.0 ..."
    assert re.fullmatch(r"  done in \d+\.\d s, 1,000 cycles, 2,000 cycles/s", told[1])
    assert told[2] == "drive the certificates' witnesses in verilator 99.0 ..."


def test_evidence_of_an_earlier_run_does_not_outlive_a_run_that_ends_early(
    pretence: Pretence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = network_folder(tmp_path / "net")
    _, folder = planned(net, tmp_path)
    sign_off_pretended(net, folder, second=SECOND)
    assert {path.name for path in folder.iterdir()} >= EVIDENCE | {"counts_rtl_icarus.npz"}

    def hang(*_args: Any, **_options: Any) -> Simulation:
        raise SignoffError("the simulation recorded 0 of 12 words", "layer_0.hex", "look")

    monkeypatch.setattr(flow, "simulate_network", hang)
    with pytest.raises(SignoffError):
        sign_off_pretended(net, folder)
    left = {path.name for path in folder.iterdir()}
    assert not left & (EVIDENCE | {"counts_rtl_icarus.npz"})
    assert "manifest.json" in left


def test_evidence_of_another_simulator_does_not_outlive_a_run_without_it(
    pretence: Pretence, tmp_path: Path
) -> None:
    net = network_folder(tmp_path / "net")
    _, folder = planned(net, tmp_path)
    sign_off_pretended(net, folder, second=SECOND)
    sign_off_pretended(net, folder)
    assert not (folder / "counts_rtl_icarus.npz").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"sizes": (6, 5, 3), "length": 64, "vectors": 11},
        {"sizes": (6, 4, 3), "length": 64},
        {"sizes": (7, 5, 3), "length": 64},
        {"sizes": (6, 3), "length": 64},
    ],
    ids=["vectors", "hidden", "features", "layers"],
)
def test_a_design_of_another_network(
    pretence: Pretence, tmp_path: Path, change: dict[str, Any]
) -> None:
    _, folder = planned(network_folder(tmp_path / "net"), tmp_path)
    other = network_folder(tmp_path / "other", **change)
    with pytest.raises(ManifestError) as error:
        sign_off_pretended(other, folder)
    check_message(error.value, "planned from another network", str(folder), "plan step again")
    assert pretence.asked == []


@pytest.mark.parametrize("part", ["layer_0_weights", "layer_1_biases", "features", "labels"])
def test_a_network_that_was_trained_again(pretence: Pretence, tmp_path: Path, part: str) -> None:
    net = network_folder(tmp_path / "net")
    _, folder = planned(net, tmp_path)
    path = net / ("weights.npz" if part.startswith("layer") else "test.npz")
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    value = arrays[part].flat[0]
    arrays[part].flat[0] = value / 2 if part.startswith("layer") else (value + 1) % 3
    np.savez(path, **arrays)
    with pytest.raises(ManifestError, match="planned from another network"):
        sign_off_pretended(net, folder)


def test_a_second_run_in_the_same_folder_is_refused(pretence: Pretence, tmp_path: Path) -> None:
    net = network_folder(tmp_path / "net", (3, 2), length=8)
    _, folder = planned(net, tmp_path)
    refusals = []

    def start_another(_: str) -> None:
        try:
            sign_off_pretended(net, folder)
        except ToolError as error:
            refusals.append(str(error))

    assert sign_off_pretended(net, folder, say=start_another).verdict == "PASS"
    assert len(refusals) > 0
    assert all("another run is working" in refusal for refusal in refusals)
    assert sign_off_pretended(net, folder).verdict == "PASS"


def test_rtl_of_another_manifest(tmp_path: Path) -> None:
    net = network_folder(tmp_path / "net")
    _, folder = planned(net, tmp_path)
    design = flow.plan_network(net, folder, flow.DesignRequest([32]))[1]
    with pytest.raises(ManifestError) as error:
        rtl_files(design, folder)
    check_message(error.value, "RTL from another manifest", "certibit_layer_0.v", "generate it")
    flow.generate(design, folder)
    assert [path.name for path in rtl_files(design, folder)] == [
        "certibit_layer_0.v",
        "certibit_layer_1.v",
        "certibit_top.v",
    ]


@pytest.mark.parametrize("name", ["certibit_layer_1.v", "certibit_top.v"])
def test_missing_rtl(tmp_path: Path, name: str) -> None:
    design, folder = planned(network_folder(tmp_path / "net"), tmp_path)
    (folder / "rtl" / name).unlink()
    with pytest.raises(ManifestError) as error:
        rtl_files(design, folder)
    check_message(error.value, "cannot read generated RTL: No such file", name, "generate it again")


def test_the_wanted_simulator(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"verilator": MAIN, "icarus": SECOND}

    def find(name: str) -> Simulator:
        if name not in there:
            raise ToolError(f"{name} was not found", "PATH", "install it")
        return there[name]

    monkeypatch.setattr(flow, "find_simulator", find)
    assert flow.choose_simulators(None) == flow.Simulators(MAIN, SECOND, "")
    assert flow.choose_simulators("icarus").main is SECOND
    assert flow.choose_simulators("icarus").second is None
    assert flow.choose_simulators("verilator").why_no_second == "only verilator was asked for"
    del there["icarus"]
    only = flow.choose_simulators(None)
    assert (only.main, only.second) == (MAIN, None)
    assert only.why_no_second == "skipped: icarus was not found (PATH): install it"
    with pytest.raises(ToolError):
        flow.choose_simulators("icarus")
    # Verilator is what a sign-off rests on: without it there is none.
    there["icarus"] = SECOND
    del there["verilator"]
    with pytest.raises(ToolError, match="verilator was not found"):
        flow.choose_simulators(None)


def test_a_run_without_icarus_says_so(
    pretence: Pretence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        flow,
        "choose_simulators",
        lambda _wanted: flow.Simulators(MAIN, None, "skipped: no, buy it"),
    )
    told: list[str] = []
    net = network_folder(tmp_path / "net")
    report, folder = flow.run_all(net, tmp_path, None, None, flow.DesignRequest(), told.append)
    assert told[0] == "Icarus Verilog is skipped: no, buy it"
    assert folder == tmp_path / "small"
    skipped = [check for check in report.checks if check.verdict == "SKIPPED"]
    assert [check.id for check in skipped] == ["simulators-agree"]
    assert report.verdict == "PASS"


# --- killed, or out of room, at every step --------------------------------------------------------

# Everything that a file or folder comes to be, or to be gone, by.
STEPS = ("fsync", "replace", "rename", "unlink", "mkdir")
# Those of them that need room on the disk.
ROOM = ("fsync", "replace", "rename")


def count_steps(
    act: Callable[[], None], monkeypatch: pytest.MonkeyPatch, names: Sequence[str] = STEPS
) -> int:
    """Return how many steps there are."""
    steps = 0

    def at_step() -> None:
        nonlocal steps
        steps += 1

    with monkeypatch.context() as patch:
        watch_steps(patch, at_step, names)
        act()
    return steps


def watch_steps(
    patch: pytest.MonkeyPatch, at_step: Callable[[], None], names: Sequence[str] = STEPS
) -> None:
    """Call `at_step` before every step; what stands between two steps is hidden from readers."""
    for name in names:
        original = getattr(os, name)

        def step(*args: Any, _original: Any = original, **options: Any) -> Any:
            at_step()
            return _original(*args, **options)

        patch.setattr(os, name, step)


def kill_at(step: int, act: Callable[[], None]) -> None:
    """Do it in a child process that is killed, as by SIGKILL or a power cut, at a step."""
    child = os.fork()
    if child == 0:
        left = step

        def at_step() -> None:
            nonlocal left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

        try:
            watch_steps(pytest.MonkeyPatch(), at_step)
            act()
        finally:
            os._exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@dataclass
class Line:
    """A build folder with a whole old run in it, and what a new run of another length makes."""

    net: Path
    folder: Path
    spare: Path
    old: dict[str, bytes]
    new: dict[str, bytes]

    def again(self) -> None:
        """Do all of the new run."""
        flow.plan_network(self.net, self.folder, flow.DesignRequest([16]))
        flow.generate(flow.read_design(self.folder), self.folder)
        sign_off_pretended(self.net, self.folder)

    def restore(self) -> None:
        """Put the old run back."""
        shutil.rmtree(self.folder)
        shutil.copytree(self.spare, self.folder)

    def check_files(self) -> None:
        """Every product is the old whole one or the new whole one; what loads is of one run."""
        found = visible_files(self.folder)
        for name, content in found.items():
            assert content in (self.old.get(name), self.new.get(name)), name
        try:
            design = flow.read_design(self.folder)
            rtl_files(design, self.folder)
        except ManifestError as error:
            check_message(error, "again (make)")
            return
        digest = manifest_digest(design.manifest)
        run = self.old if self.old["manifest.sha256"].decode().split()[0] == digest else self.new
        for name in run:
            if name.startswith("rtl/") or name in ("manifest.json", "weights.npz", "test.npz"):
                assert found[name] == run[name], name

    def check_rerun(self) -> None:
        """A run after it is whole."""
        self.again()
        assert visible_files(self.folder) == self.new


@pytest.fixture
def line(tmp_path: Path, pretence: Pretence, monkeypatch: pytest.MonkeyPatch) -> Line:
    # Drawing writes no file, and takes longer than all the rest.
    monkeypatch.setattr(tb.report, "_layer_plots", lambda _design, _folder: [])
    net = network_folder(tmp_path / "net", length=32, vectors=3)
    folder, spare = tmp_path / "build" / "small", tmp_path / "spare"
    planned(net, tmp_path / "build")
    sign_off_pretended(net, folder)
    shutil.copytree(folder, spare)
    old = visible_files(folder)
    line = Line(net, folder, spare, old, {})
    line.again()
    line.new = visible_files(folder)
    assert old.keys() == line.new.keys()
    assert EVIDENCE | {"manifest.json", "manifest.sha256", "rtl/certibit_top.v"} <= old.keys()
    line.restore()
    return line


def test_a_run_that_is_killed_at_any_step(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = count_steps(line.again, monkeypatch)
    # Eight files with a sync and a rename each, the folder of the RTL, the evidence that goes.
    assert steps > 20
    for step in range(steps):
        line.restore()
        kill_at(step, line.again)
        line.check_files()
        if step % 6 == 0:
            line.check_rerun()


def test_a_first_run_that_is_killed_at_any_step(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(line.folder)
    steps = count_steps(line.again, monkeypatch)
    for step in range(steps):
        shutil.rmtree(line.folder, ignore_errors=True)
        kill_at(step, line.again)
        line.check_files()
    line.check_rerun()


def test_a_disk_that_is_full_at_any_step(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = count_steps(line.again, monkeypatch, ROOM)
    for step in range(steps):
        line.restore()
        left = step

        def at_step() -> None:
            nonlocal left
            left -= 1
            if left == -1:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            watch_steps(patch, at_step, ROOM)
            with pytest.raises(OSError, match="No space left"):
                line.again()
        line.check_files()
        # Unlike a killed run this one cleans up after itself.
        assert list(line.folder.rglob(".*")) == []
    line.check_rerun()


# --- with a simulator: defects in the hardware ----------------------------------------------------


def failed(report: Signoff) -> set[str]:
    return {check.id for check in report.checks if check.verdict == "FAIL"}


def detail(report: Signoff, identity: str) -> str:
    return next(check.detail for check in report.checks if check.id == identity)


@pytest.fixture
def hdl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, str], None]:
    """Return a function that plants a defect in a copy of the hand-written primitives."""
    copy = tmp_path / "hdl"
    shutil.copytree(generator.HDL_FOLDER, copy)
    monkeypatch.setattr(generator, "HDL_FOLDER", copy)
    monkeypatch.setattr(simulate, "HDL_FOLDER", copy)

    def plant(name: str, right: str, wrong: str) -> None:
        text = (copy / name).read_text()
        assert text.count(right) == 1
        (copy / name).write_text(text.replace(right, wrong))

    return plant


@pytest.mark.slow
@pytest.mark.parametrize("simulator", ["icarus"])
def test_a_comparator_with_one_too_many(
    simulator: str, tmp_path: Path, hdl: Callable[[str, str, str], None]
) -> None:
    # r <= a instead of r < a.
    hdl("sc_sng_bank.v", "less_than = {Lanes{1'b0}};", "less_than = {Lanes{1'b1}};")
    net = network_folder(tmp_path / "net", (6, 3), length=16)
    _, folder = planned(net, tmp_path)
    report = sign_off_again(net, folder, simulator)
    assert report.verdict == "FAIL"
    assert {
        "S1-counts-layer_0",
        "witness-layer_0",
        "bench-network-icarus",
        "bench-witness_0-icarus",
    } <= failed(report)
    assert not {"identity", "manifest"} & failed(report)
    assert json.loads((folder / "signoff.json").read_text())["verdict"] == "FAIL"
    assert "<failure" in (folder / "junit.xml").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("simulator", ["icarus"])
def test_a_bias_that_is_not_loaded(
    simulator: str, tmp_path: Path, hdl: Callable[[str, str, str], None]
) -> None:
    hdl("sc_dense_bank.v", "acc_q <= Preload;", "acc_q <= {AccWidth*N{1'b0}};")
    net = network_folder(tmp_path / "net", (6, 3), length=16)
    design, folder = planned(net, tmp_path)
    report = sign_off_again(net, folder, simulator)
    assert {"S1-counts-layer_0", "S2-certificate-layer_0", "witness-layer_0"} <= failed(report)
    with np.load(folder / "counts_rtl.npz") as archive:
        counts = archive["layer_0"]
    golden = GoldenNetwork(design.manifest, design.parameters).counts(design.features)[0]
    # What is missing from every count is just the bias.
    assert (golden - counts == design.parameters.biases[0]).all()
    vector, neuron = np.argwhere(golden != counts)[0].tolist()
    assert (
        f"vector {vector}, neuron {neuron}: RTL {counts[vector, neuron]},"
        f" golden {golden[vector, neuron]}"
    ) in detail(report, "S1-counts-layer_0")
    assert report.layers[0].mismatches == (golden != counts).sum()


@pytest.mark.slow
@pytest.mark.parametrize("simulator", ["icarus"])
def test_an_activation_that_is_cut_instead_of_rounded(
    simulator: str, tmp_path: Path, hdl: Callable[[str, str, str], None]
) -> None:
    hdl("sc_result_clip.v", "if (Rounds != 0) carry = acc[RoundPlane*N +: N];", "")
    net = network_folder(tmp_path / "net", length=64)
    _, folder = planned(net, tmp_path)
    report = sign_off_again(net, folder, simulator)
    # The first layer counts rightly, its result is wrong: the second one's counts show it, and the
    # second layer alone, in its own bench, is without fault.
    assert {"S1-counts-layer_1", "bench-network-icarus"} <= failed(report)
    assert not {"S1-counts-layer_0", "witness-layer_1", "bench-witness_1-icarus"} & failed(report)
    assert "layer layer_1: " in detail(report, "bench-network-icarus")


@pytest.mark.slow
@pytest.mark.parametrize("simulator", ["icarus"])
def test_a_design_that_hangs(
    simulator: str, tmp_path: Path, hdl: Callable[[str, str, str], None]
) -> None:
    hdl("sc_layer_ctrl.v", "if (cycle_q == LastCycle[CycleWidth-1:0]) state_d", "if (0) state_d")
    net = network_folder(tmp_path / "net", (6, 3), length=16)
    _, folder = planned(net, tmp_path)
    (folder / "signoff.json").write_text('{"verdict": "PASS"}')
    with pytest.raises(DesignFailure) as error:
        sign_off_again(net, folder, simulator)
    check_message(error.value, "recorded 0 of 36 words", "hung after 0 of 12 vectors", "seed 1")
    check_failed_run(error.value, folder, "hung after 0 of 12 vectors", "--sim icarus --vectors 1")


def check_failed_run(failure: DesignFailure, folder: Path, *words: str) -> None:
    """Hold the files of a design that gave no counts against what they must say."""
    assert EVIDENCE & set(snapshot(folder)) == EVIDENCE - {"counts_rtl.npz"}
    assert failure.__notes__ == [f"report in {folder / 'report.html'}"]
    report = json.loads((folder / "signoff.json").read_text())
    assert (report["verdict"], report["stage"], report["seed"]) == ("FAIL", "none", 1)
    assert report["simulator"]["name"] == "icarus"
    assert [check["id"] for check in report["checks"]] == ["bench-network-icarus"]
    root = ElementTree.parse(folder / "junit.xml").getroot()
    assert root.find("testsuite[@name='signoff']/testcase/failure") is not None
    assert root.find("testsuite[@name='network-icarus']/testcase/failure") is not None
    page = (folder / "report.html").read_text()
    assert "FAIL: sign-off of small" in page
    for word in words:
        assert word in page


@pytest.mark.slow
@pytest.mark.parametrize("simulator", ["icarus"])
def test_a_design_that_says_unknown_values(
    simulator: str, tmp_path: Path, hdl: Callable[[str, str, str], None]
) -> None:
    hdl("sc_dense_bank.v", "acc_q <= Preload;", "acc_q <= {AccWidth*N{1'bx}};")
    net = network_folder(tmp_path / "net", (6, 3), length=16)
    _, folder = planned(net, tmp_path)
    with pytest.raises(DesignFailure) as error:
        sign_off_again(net, folder, simulator)
    check_message(error.value, "unknown values (X)", "layer_0.hex", "WAVES=1")
    check_failed_run(error.value, folder, "recorded unknown values (X)", "--sim icarus --vectors")


def test_a_disk_that_is_full_is_no_fault_of_the_design() -> None:
    def read() -> list[NDArray[np.int64]]:
        raise SignoffError("the simulation recorded 3 of 36 words", "layer_0.hex", "look")

    with pytest.raises(SignoffError) as error:
        simulate._recorded(read, None)
    assert not isinstance(error.value, DesignFailure)
    for failure, kind in [
        ("test test_counts_equal_golden failed: the recording is short", SignoffError),
        ("test test_play_all_vectors failed: OSError: [Errno 28] No space left", SignoffError),
        ("the simulation was stopped after 3600 s", SignoffError),
        ("test test_play_all_vectors failed: hung after 0 of 12 vectors", DesignFailure),
        ("test test_id failed: 0 (and 1 more: test_play_all_vectors)", DesignFailure),
        ("test test_registers_counted_every_vector failed: registers say 1", DesignFailure),
        ("the simulation ended with 1: %Error: Settle region did not converge", DesignFailure),
    ]:
        with pytest.raises(SignoffError) as error:
            simulate._recorded(read, failure)
        assert type(error.value) is kind, failure


def test_the_command_of_the_shipped_network_needs_no_net() -> None:
    assert flow._make_argument(flow.SHIPPED_NETWORK) == ""
    assert flow._make_argument(Path("networks") / "mnist_pca50" / ".") == ""
    assert flow._make_argument(Path("/somewhere/my nets")) == "'/somewhere/my nets'"
    # Nor does the page say where the checkout lies.
    inside = flow.SHIPPED_NETWORK.parent / "digits"
    assert flow._make_argument(inside) == "networks/digits"
    assert flow._rerun(inside, Path("build/digits")).endswith("--net networks/digits --build build")


@pytest.mark.slow
@pytest.mark.parametrize("simulator", ["icarus"])
def test_a_test_filter_in_the_environment_does_not_thin_out_a_sign_off(
    simulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COCOTB_TEST_FILTER", "test_play_all_vectors")
    net = network_folder(tmp_path / "net", (6, 3), length=16)
    _, folder = planned(net, tmp_path)
    report = sign_off_again(net, folder, simulator)
    assert report.verdict == "PASS"
    text = (folder / "run" / "network-icarus" / "results.xml").read_text()
    assert "test_id_is_the_manifests" in text
    assert "test_counts_equal_golden" in text
