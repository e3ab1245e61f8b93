"""How close the sign-off's simulation comes to the bare simulator: `make bench`.

The same generated design in the same harness, with the same vectors, simulated in turn by Verilator
under cocotb, as the sign-off does it, and by a bare Verilator executable without Python. What
counts is the ratio: both are measured side by side, so the machine's own speed cancels.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from model.errors import CertibitError, ToolError
from model.network import load_network
from model.plan import plan_design, save_design
from rtl_gen.generator import HDL_FOLDER, generate_rtl, hdl_sources
from tb.harness import write_network_harness, write_network_stimulus
from tb.simulate import RTL_FOLDER, simulate_network
from tb.simulators import Simulator, find_simulator

_REPOSITORY = Path(__file__).resolve().parent.parent

_DRIVER = """\
`timescale 1ns / 1ps
module driver;
  network_harness harness ();
  integer vectors;
  initial begin
    if (!$value$plusargs("vectors=%d", vectors)) $fatal;
    #50 harness.rst_n = 1'b1;
    #50 harness.vectors = vectors;
    harness.play = 1'b1;
    @(posedge harness.ended);
    $display("cycles %0d", harness.cycles);
    $finish;
  end
endmodule
"""


def build_bare(sources: list[Path], folder: Path, simulator: Simulator) -> Path:
    """Compile the harness with a Verilog driver into an executable without Python.

    Parameters
    ----------
    sources : list of pathlib.Path
        Verilog files of the design and its harness.
    folder : pathlib.Path
        Where to build.
    simulator : Simulator
        Verilator.

    Returns
    -------
    pathlib.Path
        The executable.

    Raises
    ------
    ToolError
        If Verilator fails.
    """
    driver = folder / "driver.v"
    driver.write_text(_DRIVER)
    command = [str(simulator.executable), "--binary", "--timing", "-O3", "--x-assign", "fast"]
    command += ["--unroll-count", "10000", "--unroll-stmts", "10000000", "--top-module", "driver"]
    command += ["--Mdir", str(folder / "bare"), "-j", "2", str(driver), *map(str, sources)]
    done = subprocess.run(
        command, env={**os.environ, **simulator.env}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ToolError(
            f"Verilator failed: {done.stderr.strip().splitlines()[0]}", "bare build", "see above"
        )
    return folder / "bare" / "Vdriver"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--net", type=Path, default=_REPOSITORY / "networks" / "mnist_pca50")
    parser.add_argument("--vectors", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    simulator = find_simulator("verilator")
    design = plan_design(load_network(arguments.net))
    inputs = design.features[: arguments.vectors]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_design(design, folder)
        rtl = generate_rtl(design, folder / RTL_FOLDER)
        harness = write_network_harness(design.manifest, folder)
        write_network_stimulus(design.manifest, inputs, folder)
        waivers = HDL_FOLDER / "lint" / "verilator.vlt"
        bare = build_bare([*hdl_sources(), *rtl, harness, waivers], folder, simulator)
        rates: dict[str, list[float]] = {"under cocotb": [], "bare": []}
        for _ in range(arguments.rounds):
            run = simulate_network(design, folder, simulator, inputs, run_name="speed")
            rates["under cocotb"].append(run.cycles / run.seconds_sim)
            begun = time.perf_counter()
            told = subprocess.run(
                [str(bare), f"+vectors={len(inputs)}"],
                cwd=folder,
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            seconds = time.perf_counter() - begun
            cycles = next(int(line.split()[1]) for line in told.splitlines() if "cycles" in line)
            rates["bare"].append(cycles / seconds)
    print(f"{simulator.name} {simulator.version}, {design.manifest.network}, {len(inputs)} vectors")
    for name, values in rates.items():
        print(
            f"{name:>14}: {statistics.median(values):>12,.0f} cycles/s"
            f" ({min(values):,.0f} to {max(values):,.0f})"
        )
    ratios = [c / b for c, b in zip(rates["under cocotb"], rates["bare"], strict=True)]
    print(f"{'ratio':>14}: {statistics.median(ratios):.2f} of the bare simulator")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CertibitError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        sys.exit(2)
