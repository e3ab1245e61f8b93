"""LUT4 and flip-flops of generated layers, by Yosys."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from model.errors import ToolError
from model.files import write_bytes_atomically
from model.plan import Design
from rtl_gen.generator import hdl_sources, layer_module, render_design
from tb.yosys import version, yosys

# What `synth -lut 4` does, without its passes for memories, state machines and arithmetic, of which
# a layer has none, and with ABC's mapper alone: some 2 % more LUTs in a seventh of the time.
SCRIPT = (
    "hierarchy -check -top {top}",
    "proc",
    "flatten",
    "opt -nodffe -nosdff",
    "opt -full",
    "techmap",
    "opt",
    "abc9 -lut 4 -script +&if,-a",
    "opt_clean",
    "tee -q -o stat.json stat -json",
)


@dataclass(frozen=True)
class Area:
    """What a layer is made of.

    Attributes
    ----------
    lut4 : int
        Look-up tables of up to four inputs.
    flip_flops : int
        Flip-flops, some with enable and with set or reset.
    """

    lut4: int
    flip_flops: int


def design_areas(
    designs: Sequence[Design], cache: Path, say: Callable[[str], None], jobs: int | None = None
) -> list[list[Area]]:
    """Synthesise the layers of designs, each different one once.

    Parameters
    ----------
    designs : sequence of Design
        The designs.
    cache : pathlib.Path
        Folder in which results are kept.
    say : callable
        Told what is done.
    jobs : int, optional
        Processes at a time; default: one for each core.

    Returns
    -------
    list of list of Area
        For each design one for each layer.
    """
    release = version()
    work: dict[str, tuple[str, str]] = {}
    keys: list[list[str]] = []
    for design in designs:
        texts = render_design(design)
        keys.append([])
        for index in range(len(design.manifest.layers)):
            name = layer_module(index)
            # Comments hold the design's digest; they are no part of the layer.
            text = re.sub(r"//.*", "", texts[f"{name}.v"])
            key = _key(release, name, text)
            work[key] = (name, text)
            keys[-1].append(key)
    areas: dict[str, Area] = {}
    missing = []
    for key in work:
        path = cache / f"{key}.json"
        if path.exists():
            areas[key] = Area(**json.loads(path.read_text()))
        else:
            missing.append(key)
    if missing:
        say(f"synthesise {len(missing)} layers in {release} ...")
    with ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
        results = pool.map(lambda key: synthesise(*work[key]), missing)
        for number, (key, area) in enumerate(zip(missing, results, strict=True), 1):
            areas[key] = area
            cache.mkdir(parents=True, exist_ok=True)
            write_bytes_atomically(cache / f"{key}.json", json.dumps(area.__dict__).encode())
            say(f"  {number} of {len(missing)}: {area.lut4:,} LUT4, {area.flip_flops:,} flip-flops")
    return [[areas[key] for key in row] for row in keys]


def synthesise(top: str, text: str) -> Area:
    """Synthesise one module on top of the primitives.

    Parameters
    ----------
    top : str
        The module's name.
    text : str
        Its Verilog.

    Raises
    ------
    ToolError
        If Yosys fails.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / f"{top}.v").write_text(text)
        for source in hdl_sources():
            shutil.copy(source, folder)
        names = [source.name for source in hdl_sources() if source.name.startswith("sc_")]
        commands = [f"read_verilog {' '.join(names)} {top}.v", *SCRIPT]
        done = subprocess.run(
            [yosys(), "-q", "-p", "; ".join(commands).format(top=top)],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ToolError(
                f"Yosys failed: {(done.stderr.strip() or done.stdout.strip()).splitlines()[-1]}",
                top,
                "synthesise the generated layer by hand to see why",
            )
        cells = json.loads((folder / "stat.json").read_text())["modules"][f"\\{top}"][
            "num_cells_by_type"
        ]
    flip_flops = sum(
        count for name, count in cells.items() if re.match(r"\$_(S?DFF|ALDFF|DFFSR)", name)
    )
    return Area(int(cells.get("$lut", 0)), int(flip_flops))


def _key(release: str, name: str, text: str) -> str:
    """Return the hash of all that a result depends on."""
    parts = [release, *SCRIPT, name, text, *(path.read_text() for path in hdl_sources())]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
