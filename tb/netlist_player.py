"""The simulation that plays one stimulus against all mutants of a netlist: build it, run it."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.errors import ToolError
from model.files import write_bytes_atomically
from model.manifest import Manifest
from tb.harness import feature_beats
from tb.netlist import SELECT, Netlist
from tb.port_stimulus import INPUT_BITS, OUTPUT_BITS, Stimulus
from tb.rendering import render_template
from tb.simulators import Simulator

STIMULUS_FILE = "stimulus.bin"
PACKETS_FILE = "packets.bin"


@dataclass(frozen=True)
class Played:
    """What one mutant did.

    Attributes
    ----------
    number : int
        The mutant; 0 is the design itself.
    cycle : int
        The first cycle in which an output was not what was expected; -1 if all were.
    field : str
        Which output.
    counts : list of int or None
        What came out of undisturbed packets; None if it hung or framed packets wrongly.
    """

    number: int
    cycle: int
    field: str
    counts: list[int] | None


@dataclass(frozen=True)
class NetlistPlayer:
    """A compiled player with its stimuli.

    Attributes
    ----------
    executable : pathlib.Path
        The simulation.
    folder : pathlib.Path
        Where its stimuli are.
    packets, outputs, watchdog : int
        Undisturbed packets, beats of each result, cycles without progress that count as a hang.
    """

    executable: Path
    folder: Path
    packets: int
    outputs: int
    watchdog: int

    def with_stimulus(self, stimulus: Stimulus) -> NetlistPlayer:
        """Return the same simulation with another stimulus."""
        write_bytes_atomically(self.folder / STIMULUS_FILE, stimulus.cycles.tobytes())
        return self

    def play(self, first: int, last: int) -> Iterator[Played]:
        """Play mutants in turn.

        Parameters
        ----------
        first, last : int
            Which, both ends included.

        Raises
        ------
        ToolError
            If the simulation ends before its time.
        """
        command = [
            str(self.executable.resolve()),
            STIMULUS_FILE,
            PACKETS_FILE,
            *map(str, (self.packets, self.outputs, self.watchdog, first, last)),
        ]
        with subprocess.Popen(
            command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                assert process.stdout is not None
                assert process.stderr is not None
                expected = first
                for line in process.stdout:
                    played = _read(line)
                    assert played.number == expected, line
                    expected += 1
                    yield played
                said = process.stderr.read()
            finally:
                process.kill()  # nobody reads on, if it is still running
        if expected <= last:
            complaint = (said.strip() or "it said nothing").splitlines()[-1]
            raise ToolError(
                f"the simulation stopped at mutant {expected}: {complaint}",
                str(self.executable),
                "run it again; if it stops there again, that netlist cannot be simulated",
            )


def _read(line: str) -> Played:
    """Read a line of the simulation."""
    told, _, counts = line.partition("|")
    number, cycle, field = told.split()
    words = counts.split()
    whole = words[0] not in ("hang", "framing")
    return Played(int(number), int(cycle), field, [int(w) for w in words] if whole else None)


def build_player(
    netlist: Netlist,
    manifest: Manifest,
    stimulus: Stimulus,
    features: NDArray[np.integer],
    simulator: Simulator,
) -> NetlistPlayer:
    """Write the stimuli and compile the simulation.

    Parameters
    ----------
    netlist : Netlist
        With its mutants.
    manifest : Manifest
        Its design.
    stimulus : Stimulus
        Played cycle by cycle.
    features : numpy.ndarray
        Shape (vectors, fan_in): the undisturbed packets.
    simulator : Simulator
        Verilator.

    Raises
    ------
    ToolError
        If it does not compile.
    """
    folder = netlist.folder
    write_bytes_atomically(folder / STIMULUS_FILE, stimulus.cycles.tobytes())
    write_bytes_atomically(folder / PACKETS_FILE, _packets(manifest, features))
    text = render_template(
        "netlist_player.cpp.j2",
        top=netlist.top,
        select=SELECT,
        input_bits=INPUT_BITS,
        output_bits=OUTPUT_BITS,
    )
    driver = folder / "netlist_player.cpp"
    executable = folder / "obj" / f"V{netlist.top}"
    built = folder / "built.txt"
    content = hashlib.sha256(
        text.encode() + netlist.verilog.read_bytes() + simulator.version.encode()
    ).hexdigest()
    player = NetlistPlayer(
        executable=executable,
        folder=folder,
        packets=len(features),
        outputs=manifest.layers[-1].outputs,
        watchdog=16 * max(layer.bitstream_length for layer in manifest.layers) + 512,
    )
    if executable.exists() and built.exists() and built.read_text() == content:
        return player
    built.unlink(missing_ok=True)
    write_bytes_atomically(driver, text.encode())
    command = [
        *(
            str(simulator.executable),
            "--cc",
            "--exe",
            "--build",
            "--no-assert",
            "-Wno-fatal",
            "-Wno-lint",
        ),
        *("-O3", "--x-assign", "unique", "--x-initial", "unique", "--top-module", netlist.top),
        *("--Mdir", "obj", "-j", "2", netlist.verilog.name, driver.name),
    ]
    environ = {**os.environ, **simulator.env}
    # The compiler takes longer than the simulation.
    environ["MAKEFLAGS"] = simulator.env["MAKEFLAGS"].replace("-O2", "-O1")
    done = subprocess.run(
        command,
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[0]
        raise ToolError(f"Verilator failed: {said}", str(folder), "build that netlist by hand")
    built.write_text(content)
    return player


def _packets(manifest: Manifest, features: NDArray[np.integer]) -> bytes:
    """Return packets as words of data and of TLAST."""
    fields = feature_beats(manifest, features)
    places = 16 * np.arange(fields.shape[2], dtype=np.uint64)
    data = (fields.astype(np.uint64) << places).sum(axis=2, dtype=np.uint64)
    beats = np.zeros((*data.shape, 2), dtype="<u8")
    beats[:, :, 0] = data
    beats[:, -1, 1] = 1
    return beats.tobytes()
