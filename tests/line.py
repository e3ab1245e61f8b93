"""What the tests of the whole line share: small network folders, the command line as a user runs
it, and counts that none of Certibit's own code has computed."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from model.network import load_network
from model.plan import Design
from tb import flow
from tb.signoff import Signoff
from tests.builders import NetworkFolder, small_network
from tests.outsider import numbers

REPOSITORY = Path(__file__).resolve().parents[1]


def network_folder(
    folder: Path, sizes: Sequence[int] = (6, 5, 3), *, length: int = 64, vectors: int = 12
) -> Path:
    """Write a small network's folder."""
    network = small_network(
        np.random.default_rng(5), sizes, operand_bits=4, length=length, vectors=vectors
    )
    return NetworkFolder.of(network).write(folder)


def planned(net: Path, build: Path, lengths: Sequence[int] | None = None) -> tuple[Design, Path]:
    """Plan a network and generate its RTL; return the design and its folder."""
    folder = build / load_network(net).description.name
    request = flow.DesignRequest(None if lengths is None else list(lengths))
    design = flow.plan_network(net, folder, request)[1]
    flow.generate(design, folder)
    return design, folder


def sign_off_again(net: Path, folder: Path, simulator: str) -> Signoff:
    """Simulate the RTL that stands in a build folder and sign it off, in this process."""
    network = load_network(net)
    return flow.simulate_and_sign_off(
        network,
        net,
        flow.read_design(folder),
        folder,
        flow.choose_simulators(simulator),
        None,
        lambda _text: None,
    )


def command(*arguments: str | Path) -> list[str]:
    """Return the command line that a user types."""
    return [sys.executable, "-m", "tb", *(str(argument) for argument in arguments)]


def certibit(
    *arguments: str | Path,
    env: Mapping[str, str] | None = None,
    largest_file: int | None = None,
    stdout: int | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run the command line; no file that it writes can grow beyond `largest_file` bytes."""

    def fill_the_disk() -> None:
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    return subprocess.run(
        command(*arguments),
        stdout=subprocess.PIPE if stdout is None else stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=400,
        check=False,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **(env or {})},
        preexec_fn=fill_the_disk,
    )


def check_refusal(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Hold the end of a command against the rule: one line, three parts, exit code 2."""
    assert done.returncode == 2, done.stderr
    told = [line for line in done.stderr.splitlines() if not line.startswith("building ")]
    assert len(told) == 1, done.stderr
    assert re.fullmatch(r"certibit: .+ \(.+\): .+", told[0]), told[0]
    assert "Traceback" not in (done.stdout or "") + done.stderr
    for word in words:
        assert word in told[0], f"{word!r} is not in {told[0]!r}"


def visible_files(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder that a reader would take for a product."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def lane_numbers(manifest: Mapping[str, Any], index: int, source: str) -> list[list[int]]:
    """Return r(t) of every lane of a layer's source, as the manifest's words define it."""
    layer = manifest["layers"][index]
    return [
        numbers(layer[source], lane, layer["bitstream_length"], manifest["operand_width"])
        for lane in range(layer["fan_in"])
    ]


def lane_count(x: int, w: int, x_numbers: Sequence[int], w_numbers: Sequence[int]) -> int:
    """Return the signed count of one lane over a whole bitstream."""
    both = sum(u < abs(x) and v < abs(w) for u, v in zip(x_numbers, w_numbers, strict=True))
    return both if (x < 0) == (w < 0) else -both


def outside_counts(
    manifest: Mapping[str, Any],
    index: int,
    weights: Sequence[Sequence[int]],
    biases: Sequence[int],
    inputs: Sequence[Sequence[int]],
) -> list[list[int]]:
    """Return one layer's counts for vectors of signed magnitudes, from the manifest's words."""
    u = lane_numbers(manifest, index, "x_source")
    v = lane_numbers(manifest, index, "w_source")
    return [
        [
            bias + sum(lane_count(*lane) for lane in zip(vector, row, u, v, strict=True))
            for row, bias in zip(weights, biases, strict=True)
        ]
        for vector in inputs
    ]
