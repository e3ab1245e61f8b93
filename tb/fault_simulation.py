"""Simulations of designs with fault sites: one build, many jobs, no Python in the loop.

The harness `tb/templates/fault_harness.v.j2` reads jobs from a file and writes what came out; here
jobs are written, the simulation is built once per content and run, and its results are read.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from model.errors import SignoffError, ToolError
from model.files import write_bytes_atomically
from model.manifest import Manifest
from model.plan import Design
from tb.fault_netlist import PLACES, FaultyDesign, Site, instrument
from tb.harness import beats_per_packet, watchdog, write_network_stimulus
from tb.paths import plain_path
from tb.rendering import render_template
from tb.simulators import Simulator
from tb.tasks import make_settings, terminable

Kind = Literal["flip", "stuck-at-0", "stuck-at-1"]
KINDS: tuple[Kind, ...] = ("flip", "stuck-at-0", "stuck-at-1")
FAULT_HARNESS = "fault_harness"
SITE_SOURCE = Path(__file__).resolve().parent / "verilog" / "fault_site.v"
_BUILD_FORMAT = "1"


@dataclass(frozen=True)
class Job:
    """Vectors played with faults.

    Attributes
    ----------
    kind : {'flip', 'stuck-at-0', 'stuck-at-1'}
        What faults do.
    places : tuple of str
        Where random faults strike.
    rate : float
        Their probability, per bit and cycle.
    seed : int
        Of the sites' generators.
    site, bit, cycle : int
        A single fault's place, in place of random ones if `site` is not negative, and for a flip
        the cycle after the first beat was offered.
    first, vectors : int
        Which vectors.
    drain : int
        Cycles after the last result, in which more are recorded.
    """

    kind: Kind = "flip"
    places: tuple[str, ...] = ()
    rate: float = 0.0
    seed: int = 0
    site: int = -1
    bit: int = 0
    cycle: int = 0
    first: int = 0
    vectors: int = 1
    drain: int = 64

    def line(self, number: int) -> str:
        """Return the job as the harness reads it."""
        mask = sum(1 << PLACES.index(place) for place in self.places)
        single = self.site >= 0
        return (
            f"{number} {KINDS.index(self.kind)} {mask:x} {self.rate!r} {self.seed:x} {single:d}"
            f" {max(self.site, 0)} {self.bit} {self.cycle} {self.first} {self.vectors}"
            f" {self.drain}"
        )


@dataclass(frozen=True)
class Outcome:
    """What a job came to.

    Attributes
    ----------
    beats : list of tuple
        TLAST and TDATA of every beat, as written: digits, or x.
    why : int
        0 if all results came, else why the watchdog ended the run.
    cycles : int
        Clock cycles.
    host : str
        What the host reads in the registers at the end: status, packet errors, vectors in and out,
        and reads without an answer.
    injected : dict
        Faults that were injected, by site.
    """

    beats: list[tuple[str, str]]
    why: int
    cycles: int
    host: str
    injected: dict[int, int]

    @property
    def hung(self) -> bool:
        """Whether the watchdog ended the run."""
        return self.why != 0

    def whole(self, vectors: int, outputs: int) -> bool:
        """Return whether as many results came as were asked for, and TLAST stands where it must."""
        last = "".join(tlast for tlast, _ in self.beats)
        return last == ("0" * (outputs - 1) + "1") * vectors and not any(
            re.search("[xz]", data) for _, data in self.beats
        )

    def counts(self, vectors: int, outputs: int) -> NDArray[np.int64]:
        """Return the output counts of a whole run, shape (vectors, outputs)."""
        words = [int(data, 16) for _, data in self.beats]
        raw = np.array(words, dtype=np.uint32).astype(np.int32).astype(np.int64)
        return raw.reshape(vectors, outputs)


@dataclass(frozen=True)
class FaultBench:
    """A built simulation of a design with fault sites.

    Attributes
    ----------
    command : list of str
        The simulation.
    sites : tuple of Site
        Where faults can strike.
    design : Design
        Whose vectors are played.
    """

    command: list[str]
    sites: tuple[Site, ...]
    design: Design

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Play jobs, one after another, in one process.

        Raises
        ------
        SignoffError
            If the simulation did not end by itself, or not with every job's results.
        """
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            lines = [job.line(number) for number, job in enumerate(jobs)]
            (folder / "jobs.txt").write_text("\n".join(lines) + "\n")
            depth = max(job.first + job.vectors for job in jobs)
            write_network_stimulus(self.design.manifest, self.design.features[:depth], folder)
            with terminable():
                done = subprocess.run(
                    self.command, cwd=folder, capture_output=True, text=True, check=False
                )
            results = folder / "results.txt"
            text = results.read_text() if results.exists() else ""
            outcomes = read_outcomes(text)
            if done.returncode or len(outcomes) != len(jobs):
                said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
                raise SignoffError(
                    f"the simulation gave {len(outcomes)} of {len(jobs)} results and said: {said}",
                    self.command[-1],
                    "run it again; if it fails again, run that command by hand",
                )
        return outcomes


def read_outcomes(text: str) -> list[Outcome]:
    """Read what the harness wrote; a job without its last line is not there."""
    outcomes = []
    beats: list[tuple[str, str]] = []
    injected: dict[int, int] = {}
    for line in text.splitlines():
        kind, *fields = line.split()
        if kind == "job":
            beats, injected = [], {}
        elif kind == "beat":
            beats.append((fields[0], fields[1]))
        elif kind == "site":
            injected[int(fields[0])] = int(fields[1])
        elif kind == "end" and len(fields) == 7:
            outcomes.append(
                Outcome(beats, int(fields[0]), int(fields[1]), " ".join(fields[2:]), injected)
            )
    return outcomes


def build_fault_bench(
    design: Design, top: str, sources: Sequence[Path], simulator: Simulator, root: Path
) -> FaultBench:
    """Put fault sites into a design and compile it with its harness, once per content.

    Parameters
    ----------
    design : Design
        The design, for the vectors' format.
    top : str
        The top module.
    sources : sequence of pathlib.Path
        Its Verilog files.
    simulator : Simulator
        Which simulator.
    root : pathlib.Path
        Folder of the builds.

    Raises
    ------
    ToolError
        If a tool is missing or fails.
    """
    harness = _harness_text(design.manifest, top)
    content = hashlib.sha256(f"{_BUILD_FORMAT} {simulator.name} {simulator.version}\0".encode())
    own = [SITE_SOURCE, Path(__file__).with_name("fault_netlist.py")]
    for path in [*sources, *own]:
        content.update(path.name.encode() + b"\0" + path.read_bytes())
    content.update(harness.encode())
    final = root.absolute() / f"{simulator.name}-{top}-faults-{content.hexdigest()[:12]}"
    sites_file = final / "sites.json"
    if not sites_file.exists():
        final.parent.mkdir(parents=True, exist_ok=True)
        print(f"building {final.name} ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix=f".{final.name}.", dir=final.parent) as place:
            staging = Path(place)
            faulty = instrument(top, sources, staging)
            write_bytes_atomically(staging / f"{FAULT_HARNESS}.v", harness.encode())
            product = _compile(faulty, simulator, staging)
            whole = staging / "whole"
            whole.mkdir()
            os.replace(product, whole / FAULT_HARNESS)
            os.replace(faulty.verilog, whole / faulty.verilog.name)
            listed = json.dumps([dataclasses.asdict(site) for site in faulty.sites])
            (whole / sites_file.name).write_text(listed)
            shutil.rmtree(final, ignore_errors=True)
            os.rename(whole, final)
    sites = tuple(
        Site(**{**entry, "bits": tuple(entry["bits"])})
        for entry in json.loads(sites_file.read_text())
    )
    program = str(final / FAULT_HARNESS)
    return FaultBench(
        [_vvp(simulator), "-n", program] if simulator.name == "icarus" else [program],
        sites,
        design,
    )


def _vvp(simulator: Simulator) -> str:
    found = shutil.which("vvp", path=simulator.env["PATH"])
    assert found is not None  # find_simulator looked for it
    return found


def _harness_text(manifest: Manifest, top: str) -> str:
    """Return the harness of a design."""
    longest = max(layer.bitstream_length for layer in manifest.layers)
    beats = beats_per_packet(manifest)
    widest = max(
        beats,
        *(max(layer.fan_in, layer.outputs, layer.bitstream_length) for layer in manifest.layers),
    )
    return render_template(
        f"{FAULT_HARNESS}.v.j2",
        top=top,
        beats=beats,
        beat_width=16 * manifest.features_per_beat,
        depth=manifest.vectors,
        watchdog=watchdog(longest),
        patience=4 * len(manifest.layers) * (widest + 64),
    )


def _compile(faulty: FaultyDesign, simulator: Simulator, folder: Path) -> Path:
    """Compile the harness and the faulty netlist; return the executable."""
    files = [folder / f"{FAULT_HARNESS}.v", SITE_SOURCE, faulty.verilog]
    if simulator.name == "icarus":
        product = folder / f"{FAULT_HARNESS}.vvp"
        command = [str(simulator.executable), "-g2005", "-s", FAULT_HARNESS, "-o", str(product)]
        _call([*command, *map(str, files)], simulator, folder)
        return product
    plain = plain_path(folder)
    command = [str(simulator.executable), "--cc", "--exe", "--main", "--timing", "-O3"]
    # The netlist is Yosys' own Verilog, which nobody lints. Wide words stay loops: expanded, they
    # make megabytes of C++.
    command += ["--x-assign", "fast", "--expand-limit", "8", "-Wno-lint", "-Wno-fatal"]
    command += ["--top-module", FAULT_HARNESS, "--Mdir", str(plain / "obj"), "-o", FAULT_HARNESS]
    _call([*command, *(str(plain_path(file)) for file in files)], simulator, folder)
    make = ["make", "-C", str(plain / "obj"), "-f", f"V{FAULT_HARNESS}.mk", "-j2", FAULT_HARNESS]
    settings, extra = make_settings()
    _call([*make, *settings], simulator, folder, extra)
    return folder / "obj" / FAULT_HARNESS


def _call(
    command: list[str], simulator: Simulator, folder: Path, extra: dict[str, str] | None = None
) -> None:
    with terminable():
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **simulator.env, **(extra or {})},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()
        said = next((line for line in lines if "error" in line.lower()), lines[-1])
        raise ToolError(
            f"{simulator.name} {simulator.version} could not build the faulty design: {said}",
            command[0],
            "read the message; the netlist is what tb/fault_netlist.py made",
        )
