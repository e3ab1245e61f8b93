"""What the block benches share: reproducible randomness, pauses, and the check of parameters.

The first half is used inside the simulator, the second by the pytest functions of the benches.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cocotb

from tb.simulators import Simulator

REPOSITORY = Path(__file__).resolve().parent.parent
HDL = REPOSITORY / "hdl"
BENCH_BUILDS = REPOSITORY / "build" / "benches"
SIMULATORS = ("icarus", "verilator")

_PARAMETERS = "BENCH_PARAMETERS"


def bench_environment(parameters: Mapping[str, object]) -> dict[str, str]:
    """Tell a bench, through the environment, the parameters that its DUT was built with.

    Parameters
    ----------
    parameters : Mapping[str, object]
        Anything that JSON can hold.

    Returns
    -------
    dict[str, str]
        Environment variables for the simulator's process.
    """
    return {_PARAMETERS: json.dumps(dict(parameters))}


def bench_parameters() -> dict[str, int]:
    """Read in the simulator what `bench_environment` wrote.

    Returns
    -------
    dict[str, int]
        The parameters of the DUT.
    """
    found: dict[str, int] = json.loads(os.environ[_PARAMETERS])
    return found


def bench_random(purpose: str) -> random.Random:
    """Make a random generator that depends on the run's seed and its purpose only.

    Parameters
    ----------
    purpose : str
        Name of the test or the driver; different names give unrelated numbers.

    Returns
    -------
    random.Random
        Reproduced by running again with the same seed.
    """
    return random.Random(f"{cocotb.RANDOM_SEED}/{purpose}")


def pauses(rng: random.Random, share: float) -> Iterator[bool]:
    """Decide for each cycle whether a driver pauses, now in single cycles, now in bursts.

    Parameters
    ----------
    rng : random.Random
        Where the decisions come from.
    share : float
        Mean share of paused cycles, 0 (never) to 1 (always).

    Yields
    ------
    bool
        True for a paused cycle; without end.
    """
    if share in (0.0, 1.0):
        yield from itertools.repeat(bool(share))
    while True:
        paused = rng.random() < share
        yield from itertools.repeat(paused, rng.choice((1, 1, 1, 2, 3, 8)))


def elaborate(
    simulator: Simulator,
    toplevel: str,
    sources: Sequence[Path],
    parameters: Mapping[str, object],
) -> subprocess.CompletedProcess[str]:
    """Parse and elaborate a module without simulating it.

    Parameters
    ----------
    simulator : Simulator
        Which front end reads the sources.
    toplevel : str
        Module whose parameters are set.
    sources : Sequence[Path]
        Verilog files.
    parameters : Mapping[str, object]
        Parameter values.

    Returns
    -------
    subprocess.CompletedProcess[str]
        Its `returncode` is 0 if the module elaborated; `stdout` holds standard error too.
    """
    files = [str(source) for source in sources]
    if simulator.name == "icarus":
        settings = [f"-P{toplevel}.{name}={value}" for name, value in parameters.items()]
        command = [
            str(simulator.executable),
            "-g2005",
            "-t",
            "null",
            "-s",
            toplevel,
            *settings,
            *files,
        ]
    else:
        settings = [f"-G{name}={value}" for name, value in parameters.items()]
        command = [str(simulator.executable), "--lint-only", "--top-module", toplevel]
        command += [*settings, *files]
    return subprocess.run(
        command,
        env={**os.environ, **simulator.env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
