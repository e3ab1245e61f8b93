"""The generator: the same text every time, all files or none, and its layout."""

from __future__ import annotations

import itertools
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.manifest import LfsrSource, manifest_digest
from model.plan import Design, plan_design
from model.source_choice import SourceKind
from rtl_gen.generator import (
    BANK_NEURONS,
    TOP_MODULE,
    generate_rtl,
    hdl_sources,
    layer_module,
    render_design,
)
from tests.builders import SOURCE_KINDS, random_design, small_network, snapshot, with_sources

KINDS: list[SourceKind] = ["counter", "counter-lane", "lfsr", "lfsr-lane"]


def planned(seed: int = 1, kind: SourceKind = "counter") -> Design:
    return plan_design(small_network(np.random.default_rng(seed)), source=kind)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_design_gives_the_same_text(kind: SourceKind, tmp_path: Path) -> None:
    generate_rtl(planned(kind=kind), tmp_path / "one")
    generate_rtl(planned(kind=kind), tmp_path / "two")
    assert snapshot(tmp_path / "one") == snapshot(tmp_path / "two")
    generate_rtl(planned(2, kind=kind), tmp_path / "three")
    assert snapshot(tmp_path / "one") != snapshot(tmp_path / "three")


def test_one_file_a_layer_and_the_top(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "rtl"
    design = planned()
    files = generate_rtl(design, folder)
    assert [path.name for path in files] == [
        "certibit_layer_0.v", "certibit_layer_1.v", "certibit_top.v",
    ]  # fmt: skip
    assert sorted(folder.iterdir()) == sorted(files)
    assert {path.name: path.read_text() for path in files} == render_design(design)
    for path in files:
        assert re.findall(r"^module (\w+)", path.read_text(), re.M) == [path.stem]
    assert folder.stat().st_mode & 0o777 == 0o755


def test_the_digest_is_in_every_file_and_in_the_id_register() -> None:
    design = planned()
    digest = manifest_digest(design.manifest)
    texts = render_design(design)
    for text in texts.values():
        assert digest in text.split("`default_nettype")[0]
    assert f".Id(256'h{digest})" in texts[f"{TOP_MODULE}.v"]


def test_a_new_design_replaces_the_old_files(tmp_path: Path) -> None:
    folder = tmp_path / "rtl"
    generate_rtl(plan_design(small_network(np.random.default_rng(1), (3, 2, 2, 2))), folder)
    assert (folder / "certibit_layer_2.v").exists()
    generate_rtl(planned(), folder)
    assert {name: data.decode() for name, data in snapshot(folder).items()} == render_design(
        planned()
    )
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("there", [False, True], ids=["nothing there", "an old design there"])
@pytest.mark.parametrize("step", ["write", "chmod", "rename"])
@pytest.mark.parametrize("turn", [0, 1, 2])
def test_all_files_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool, step: str, turn: int
) -> None:
    """Whatever step fails, and whichever turn it is of it, the folder is as it was."""
    folder = tmp_path / "rtl"
    if there:
        generate_rtl(planned(), folder)
    before = snapshot(tmp_path)
    method = {"write": "write_text", "chmod": "chmod", "rename": "rename"}[step]
    original = getattr(Path, method)
    calls = itertools.count()
    failed = []

    def fail(path: Path, *arguments: object, **options: object) -> object:
        if next(calls) == turn:
            failed.append(path)
            raise OSError(28, "No space left on device")
        return original(path, *arguments, **options)

    monkeypatch.setattr(Path, method, fail)
    try:
        generate_rtl(planned(2), folder)
        finished = True
    except OSError:
        finished = False
    monkeypatch.undo()
    # A step that has fewer turns does not fail: then the new design is there.
    assert finished == (not failed)
    assert finished == (turn >= {"write": 3, "chmod": 1, "rename": 2 if there else 1}[step])
    if finished:
        assert folder.is_dir()
        texts = render_design(planned(2))
        assert snapshot(tmp_path) == {f"rtl/{name}": texts[name].encode() for name in texts}
    else:
        assert snapshot(tmp_path) == before
        assert folder.exists() == there
    assert [path.name for path in tmp_path.iterdir()] in ([], ["rtl"])


def test_the_old_design_is_deleted_only_after_the_new_one_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run killed while it deletes must not leave part of the old design under its name."""
    folder = tmp_path / "rtl"
    generate_rtl(planned(), folder)
    delete = shutil.rmtree
    seen = []

    def watch(path: Path, *arguments: object, **options: object) -> None:
        assert Path(path) != folder
        seen.append({name: data.decode() for name, data in snapshot(folder).items()})
        delete(path, ignore_errors=True)

    monkeypatch.setattr(shutil, "rmtree", watch)
    generate_rtl(planned(2), folder)
    assert seen == [render_design(planned(2))]


def check_layout(texts: dict[str, str]) -> None:
    for name, text in texts.items():
        assert text.endswith("`default_nettype wire\n")
        assert "\t" not in text
        assert text.isascii()
        for number, line in enumerate(text.split("\n"), 1):
            assert len(line) <= 100, f"{name}:{number} has {len(line)} columns: {line}"
            assert line == line.rstrip(), f"{name}:{number} ends in blanks"


@pytest.mark.parametrize("seed", range(12))
def test_layout_of_every_kind_of_source(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = small_network(rng, (200, 5, 3), length=64)
    kinds = rng.permutation(SOURCE_KINDS).tolist()
    check_layout(render_design(with_sources(plan_design(network), rng, kinds, "lane")))


def register(**changes: object) -> LfsrSource:
    """A register of 16 bits for the 5 inputs of the planned design."""
    legal = {"width": 16, "taps": [16, 15, 13, 4], "step": 16, "sharing": "lane"}
    return LfsrSource.model_validate(legal | {"seeds": [1], "xor_constants": [0]} | changes)


def layer_with(source: LfsrSource) -> str:
    """Return the first layer's text, with this source of its x operands."""
    design = planned()
    layers = list(design.manifest.layers)
    layers[0] = layers[0].model_copy(update={"x_source": source})
    manifest = design.manifest.model_copy(update={"layers": layers})
    return render_design(replace(design, manifest=manifest))["certibit_layer_0.v"]


def test_lanes_of_one_register_share_it() -> None:
    """Rotations and constants are wires and inverters; only seeds cost registers."""
    for changes in (
        {"rotations": [0, 3, 6, 9, 12]},
        {"xor_constants": [1, 2, 3, 4, 5]},
        {"rotations": [5], "xor_constants": [1, 2, 3, 4, 5]},
    ):
        text = layer_with(register(**changes))
        assert ".Lanes(1)" in text
        assert text.count("sc_lfsr_source") == 1
        assert ".r_i(x_planes)" in text
    seeds = layer_with(register(seeds=[1, 2, 3, 4, 5], xor_constants=[7]))
    assert ".Lanes(5)" in seeds
    assert "x_planes" not in seeds


def test_only_galois_registers_say_so() -> None:
    assert "Galois" not in layer_with(register())
    assert ".Galois(1)" in layer_with(register(form="galois"))


def test_layers_without_a_counter_do_not_use_the_cycle() -> None:
    """A Sobol source counts cycles; Halton sources and registers have states of their own."""
    rng = np.random.default_rng(3)
    for kinds, unused in (
        (("sobol", "halton"), False),
        (("fibonacci", "counter"), False),
        (("halton", "galois"), True),
    ):
        texts = render_design(with_sources(planned(), rng, kinds, "layer"))
        assert ("unused_cycle" in texts["certibit_layer_0.v"]) == unused


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("length", [2, 4096])
def test_layout_of_planned_designs(kind: SourceKind, signed: bool, length: int) -> None:
    network = small_network(np.random.default_rng(1), (9, 70, 3), signed=signed)
    check_layout(render_design(plan_design(network, [length], kind)))


@pytest.mark.parametrize("seed", range(12))
def test_layout_of_any_design(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = [1, *rng.integers(1, 7, 3).tolist()]
    check_layout(render_design(random_design(rng, sizes, operand_width=1 + seed % 8)))


@pytest.mark.parametrize(
    "kind", [KINDS[0], *(pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS[1:])]
)
def test_layout_of_wide_layers(kind: SourceKind) -> None:
    """Many inputs, many banks of neurons, long counts."""
    network = small_network(np.random.default_rng(1), (130, 10 * BANK_NEURONS + 1, 2), vectors=2)
    check_layout(render_design(plan_design(network, [8, 2], kind)))


def test_layout_of_long_counts() -> None:
    design = plan_design(small_network(np.random.default_rng(1)), [1 << 17])
    check_layout(render_design(design))


def test_weights_are_packed_as_the_banks_read_them() -> None:
    """Magnitude planes, signs and preload of a bank, unpacked from the generated constants."""
    network = small_network(np.random.default_rng(5), (3, BANK_NEURONS + 6, 2), signed=False)
    design = plan_design(network)
    text = render_design(design)[f"{layer_module(0)}.v"]
    layer = design.manifest.layers[0]
    weights, biases = design.parameters.weights[0], design.parameters.biases[0]
    for bank, first in enumerate((0, BANK_NEURONS)):
        part = weights[first : first + BANK_NEURONS]
        neurons = len(part)
        words = {
            name: literals(text, f"{name}{bank}", neurons)
            for name in ("Magnitude", "Sign", "Preload")
        }
        assert len(words["Magnitude"]) == 5 * 3
        assert len(words["Preload"]) == layer.accumulator_width
        for neuron, row in enumerate(part.tolist()):
            for lane, weight in enumerate(row):
                planes = enumerate(words["Magnitude"][lane::3])
                assert sum((word >> neuron & 1) << k for k, word in planes) == abs(weight)
                assert words["Sign"][lane] >> neuron & 1 == (weight < 0)
            # Lanes of negative weight count their zeros: L too much each, taken off beforehand.
            start = int(biases[first + neuron]) - 16 * sum(weight < 0 for weight in row)
            preload = sum((word >> neuron & 1) << k for k, word in enumerate(words["Preload"]))
            assert preload == start % (1 << layer.accumulator_width)


@pytest.mark.parametrize("zeros", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_synapses_close_ranks_past_weights_of_zero(zeros: float) -> None:
    """Follow every synapse through the stages: it ends in the place of its own number."""
    rng = np.random.default_rng(3)
    fan_in, neurons = 19, 7
    network = small_network(rng, (fan_in, neurons, 2))
    network.weights[0][rng.random((neurons, fan_in)) < zeros] = 0
    design = plan_design(network)
    weights = design.parameters.weights[0]
    text = render_design(design)[f"{layer_module(0)}.v"]
    number = {
        name: int(found[1])
        for name in ("Slots", "ShiftStages", "CountWidth")
        if (found := re.search(rf"\.{name}\((\d+)\)", text))
    }
    most = max(1, int((weights != 0).sum(axis=1).max()))
    assert number["Slots"] == most
    assert number["CountWidth"] == most.bit_length()
    words = literals(text, "LaneShift0", neurons) if number["ShiftStages"] else []
    assert len(words) == number["ShiftStages"] * fan_in
    for neuron, row in enumerate(weights.tolist()):
        at = [lane for lane, weight in enumerate(row) if weight]
        for stage in range(number["ShiftStages"]):
            stays = [not words[stage * fan_in + place] >> neuron & 1 for place in at]
            moving = sum(word >> neuron & 1 for word in words[stage * fan_in :][:fan_in])
            assert moving == stays.count(False), "something moves that is no synapse"
            at = [
                place if stay else place - (1 << stage)
                for place, stay in zip(at, stays, strict=True)
            ]
            assert len(set(at)) == len(at), "two synapses meet"
        assert at == list(range(len(at)))


def literals(text: str, name: str, width: int) -> list[int]:
    """Return the words of a generated constant, the first lane first."""
    found = re.search(rf"\b{name} = \{{\n(.*?)\n  \}};", text, re.S)
    assert found is not None
    body = re.sub(r"//.*", "", found[1])
    words = [literal.strip() for literal in body.split(",")]
    assert all(word.startswith(f"{width}'h") for word in words)
    return [int(word.split("'h")[1], 16) for word in reversed(words)]


def test_the_primitives_are_one_module_a_file() -> None:
    sources = hdl_sources()
    assert sources == sorted(sources)
    used = set()
    for text in render_design(planned(kind="lfsr-lane")).values():
        used |= set(re.findall(r"^  (\w+) #?\(", text, re.M)) - {"localparam", "input", "output"}
    names = {path.stem for path in sources}
    assert {name for name in used if name.startswith(("sc_", "axi"))} <= names
