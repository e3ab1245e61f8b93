"""Network benches: whole generated designs behind their AXI interfaces, against the golden model.

The tests are those of `tb.protocol_bench`, which every sign-off runs on its own design.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from model.plan import plan_design, save_design
from model.source_choice import SourceKind
from rtl_gen.generator import HDL_FOLDER, generate_rtl, hdl_sources
from tb.bench_support import BENCH_BUILDS
from tb.harness import (
    BENCH_FILE,
    NETWORK_HARNESS,
    write_network_harness,
    write_network_stimulus,
)
from tb.runner import run_bench
from tb.sample_networks import sample_network
from tb.simulate import RTL_FOLDER, rtl_files
from tb.simulators import find_simulator

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Case:
    """A network under test."""

    widths: tuple[int, ...]
    lengths: tuple[int, ...]
    source: SourceKind = "counter"
    operand_bits: int = 8
    signed: bool = True
    features_per_beat: int = 4
    style: dict[str, Any] = field(default_factory=dict)


CASES = {
    "smallest": Case((1, 1), (2,), operand_bits=1, signed=False, features_per_beat=1),
    "one_layer": Case((7, 4), (16,), features_per_beat=3),
    "two_layers": Case((6, 5, 3), (128, 32), "counter-lane", operand_bits=5),
    "short_then_long": Case((9, 3, 2), (4, 64), signed=False, features_per_beat=2),
    "divided": Case((5, 6, 4, 3), (37, 20, 9), "lfsr", features_per_beat=1),
    "two_banks": Case((4, 70, 2), (8, 8), "lfsr-lane", operand_bits=6, features_per_beat=8),
    "streams": Case((5, 6, 4, 3), (9, 9, 9), "sobol", style={"activation": "lif", "streams": True}),
    "bipolar_mux_step": Case(
        (5, 6, 3),
        (16, 8),
        style={"encoding": "bipolar", "adder": "mux", "activation": "step"},
    ),
}
RUNS = [("icarus", name) for name in CASES] + [
    ("verilator", "two_layers"),
    ("verilator", "divided"),
    ("verilator", "streams"),
]


@pytest.mark.parametrize(("simulator", "case"), RUNS)
def test_network(simulator: str, case: str) -> None:
    shape = CASES[case]
    folder = BENCH_BUILDS / "networks" / case
    network = sample_network(
        shape.widths,
        np.random.default_rng(len(case)),
        operand_bits=shape.operand_bits,
        signed=shape.signed,
        features_per_beat=shape.features_per_beat,
        **shape.style,
    )
    planned = plan_design(network, shape.lengths, shape.source)
    save_design(planned, folder)
    generate_rtl(planned, folder / RTL_FOLDER)
    harness = write_network_harness(planned.manifest, folder)
    run_dir = folder / f"run-{simulator}"
    run_dir.mkdir(exist_ok=True)
    write_network_stimulus(planned.manifest, planned.features, run_dir)
    (run_dir / BENCH_FILE).write_text(
        json.dumps({"manifest": str((folder / "manifest.json").resolve())})
    )
    run_bench(
        name=f"network_{case}",
        toplevel=NETWORK_HARNESS,
        sources=[
            *hdl_sources(),
            *rtl_files(planned, folder),
            harness,
            HDL_FOLDER / "lint" / "verilator.vlt",
        ],
        module="tb.protocol_bench",
        simulator=find_simulator(simulator),
        build_root=BENCH_BUILDS,
        run_dir=run_dir,
    )
