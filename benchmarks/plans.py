"""The plans of a network beside each other, each signed off in RTL: `make plans`.

Uniform lengths, then plans of equal guaranteed end-to-end error by each method, then a mixed plan
and its compressed versions. Every row is planned, generated, simulated on the network's test
vectors in Verilator, signed off in full, and synthesised. Results are kept row by row: an
interrupted run goes on where it was.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.plan_chart import plan_chart
from benchmarks.synthesis import design_areas
from model.errors import CertibitError
from model.files import write_bytes_atomically
from model.manifest import Compression, manifest_digest
from model.network import Network, load_network
from model.plan import Design, save_design
from rtl_gen.generator import hdl_sources
from tb import flow

_REPOSITORY = Path(__file__).resolve().parent.parent
_SHIPPED = _REPOSITORY / "networks" / "mnist_pca50"
# What the shipped network guarantees at its own length, 256 in both layers, rounded up.
GUARANTEE = 22.3
_COMPRESSED = Compression(prune_threshold=0.05, constant_margin=0.02, weight_bits=[5, 4])


@dataclass(frozen=True)
class Row:
    """A row of the table: its title, and how its design is made."""

    title: str
    request: flow.DesignRequest


def rows() -> list[Row]:
    """Return the rows of the table."""

    def planned(**request: Any) -> flow.DesignRequest:
        return flow.DesignRequest(precision=flow.PrecisionRequest(**request))

    uniform = [
        Row(f"uniform {length}", flow.DesignRequest([length])) for length in (1024, 256, 64, 32, 16)
    ]
    mixed = flow.PrecisionRequest("certificate", total_budget=48, min_length=16, max_length=64)
    neurons = Compression(remove_neurons=True, activity_threshold=0.06)
    return [
        *uniform,
        Row("certificate plan", planned(method="certificate", target_error=GUARANTEE)),
        Row("Hoeffding plan", planned(method="hoeffding", target_error=GUARANTEE)),
        Row("sensitivity plan", planned(method="sensitivity", target_error=GUARANTEE)),
        # Of all test vectors at once Chebyshev's inequality guarantees nothing below 2**20 cycles.
        Row("Chebyshev plan", planned(method="chebyshev", target_error=GUARANTEE, vectors=1)),
        Row("mixed", flow.DesignRequest(precision=mixed)),
        Row(
            "mixed, pruned",
            flow.DesignRequest(precision=mixed, compression=Compression(prune_threshold=0.05)),
        ),
        Row(
            "mixed, pruned, quantised",
            flow.DesignRequest(precision=mixed, compression=_COMPRESSED),
        ),
        Row(
            "mixed, 30 % pruned, quantised",
            flow.DesignRequest(
                precision=mixed,
                compression=_COMPRESSED.model_copy(
                    update={"prune_threshold": 0.3, "prune_method": "percentile"}
                ),
            ),
        ),
        Row("mixed, fewer neurons", flow.DesignRequest(precision=mixed, compression=neurons)),
    ]


def measure(
    row: Row, network: Network, net: Path, design: Design, folder: Path, vectors: int | None
) -> dict[str, Any]:
    """Generate, simulate and sign off a row; return what the sign-off found.

    Parameters
    ----------
    row : Row
        The row.
    network : Network
        The trained network.
    net : pathlib.Path
        Its folder.
    design : Design
        The row's design.
    folder : pathlib.Path
        Build folder of the row.
    vectors : int, optional
        Number of test vectors; default: all.
    """
    kept = folder / "row.json"
    identity = _identity(design, vectors)
    if kept.exists():
        result: dict[str, Any] = json.loads(kept.read_text())
        if result["identity"] == identity:
            return result
    save_design(design, folder)
    flow.generate(design, folder)
    simulators = flow.choose_simulators("verilator")
    report = flow.simulate_and_sign_off(
        network, net, design, folder, simulators, vectors, lambda text: print(text, flush=True)
    )
    result = {
        "identity": identity,
        "verdict": report.verdict,
        "cycles_per_image": report.throughput.cycles / report.accuracy.vectors,
        "vectors": report.accuracy.vectors,
        "measured": report.end_to_end.max_abs_error,
        "measured_trained": report.end_to_end.max_abs_trained_error,
        "accuracy": report.accuracy.rtl,
        "cycles_per_second": report.throughput.cycles_per_second,
    }
    write_bytes_atomically(kept, (json.dumps(result, indent=2) + "\n").encode())
    return result


def _identity(design: Design, vectors: int | None) -> str:
    """Return the hash of what a row's result depends on."""
    parts = [manifest_digest(design.manifest), str(vectors)]
    parts += [path.read_text() for path in hdl_sources()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def guarantee(design: Design) -> tuple[float, str]:
    """Return a design's guaranteed end-to-end error, and for what it holds."""
    plan = design.manifest.precision
    if plan is None or plan.method == "certificate":
        return design.manifest.end_to_end_bound, "every input"
    several = "one image" if plan.vectors == 1 else f"{plan.vectors:,} images"
    return plan.end_to_end_bound, f"{several}, {plan.confidence:.0%}"


def collect(
    net: Path, build: Path, wanted: str | None, vectors: int | None
) -> list[dict[str, Any]]:
    """Measure the rows whose title holds a text, and synthesise them.

    Parameters
    ----------
    net : pathlib.Path
        Network folder.
    build : pathlib.Path
        Folder in which the rows' build folders are made.
    wanted : str, optional
        Only rows whose title holds this.
    vectors : int, optional
        Number of test vectors; default: all.
    """
    network = load_network(net)
    chosen = [row for row in rows() if wanted is None or wanted in row.title]
    begun = time.monotonic()
    designs, found = [], []
    for number, row in enumerate(chosen, 1):
        spent = (time.monotonic() - begun) / 60
        print(f"[{number}/{len(chosen)}, {spent:.0f} min] {row.title}", flush=True)
        design = flow.design_network(network, row.request)
        designs.append(design)
        place = build / row.title.replace(" ", "_").replace(",", "").replace("%", "percent")
        found.append(measure(row, network, net, design, place, vectors))
    areas = design_areas(designs, build / "area", lambda text: print(text, flush=True))
    table = []
    for row, design, result, area in zip(chosen, designs, found, areas, strict=True):
        bound, holds = guarantee(design)
        lut4 = sum(part.lut4 for part in area)
        table.append(
            {
                "title": row.title,
                "source": design.manifest.layers[0].x_source.kind,
                "lengths": [layer.bitstream_length for layer in design.manifest.layers],
                "synapses": sum(layer.synapses for layer in design.manifest.layers),
                "lut4": lut4,
                "flip_flops": sum(part.flip_flops for part in area),
                "lut4_cycles": lut4 * result["cycles_per_image"],
                "guaranteed": bound,
                "holds_for": holds,
                "guaranteed_trained": design.manifest.trained_bound,
                **{name: value for name, value in result.items() if name != "identity"},
            }
        )
    return table


def print_table(table: list[dict[str, Any]], console: Console) -> None:
    """Print the rows."""
    out = Table(box=None, padding=(0, 1, 0, 0))
    for heading in (
        "plan",
        "L",
        "cycles per\nimage",
        "LUT4",
        "LUT4 x\nMcycles",
        "guaran-\nteed",
        "holds for",
        "measured",
        "against\ntrained",
        "guaran-\nteed",
        "accuracy",
        "verdict",
    ):
        left = heading in ("plan", "holds for", "verdict")
        out.add_column(heading, justify="left" if left else "right", no_wrap=True)
    for row in table:
        out.add_row(
            row["title"],
            ", ".join(map(str, row["lengths"])),
            f"{row['cycles_per_image']:,.0f}",
            f"{row['lut4']:,}",
            f"{row['lut4_cycles'] / 1e6:,.2f}",
            f"{row['guaranteed']:.2f}",
            row["holds_for"],
            f"{row['measured']:.3f}",
            f"{row['measured_trained']:.3f}",
            f"{row['guaranteed_trained']:.2f}",
            f"{row['accuracy']:.2%}",
            row["verdict"],
        )
    console.print(out)


def main() -> int:
    """Measure, print and write the table.

    Returns
    -------
    int
        Exit code: 0, 1 if a row fails its sign-off, 2 for an error of input or tools.
    """
    parser = argparse.ArgumentParser(description="Plans of the shipped network, side by side.")
    parser.add_argument("--net", type=Path, default=_SHIPPED, help="network folder")
    parser.add_argument("--build", type=Path, default=Path("build/plans"), help="build folder")
    parser.add_argument("--only", help="only rows whose title holds this text")
    parser.add_argument("--vectors", type=int, help="only the first n test vectors")
    arguments = parser.parse_args()
    try:
        table = collect(arguments.net, arguments.build, arguments.only, arguments.vectors)
    except CertibitError as error:
        print(f"certibit: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; finished rows are kept, run it again", file=sys.stderr)
        return 130
    print_table(table, Console(highlight=False, width=150))
    path = arguments.build / "plans.json"
    write_bytes_atomically(path, (json.dumps(table, indent=2) + "\n").encode())
    picture = arguments.build / "plans.svg"
    write_bytes_atomically(picture, plan_chart(table).encode())
    print(f"table in {path}, picture in {picture}")
    return 0 if all(row["verdict"] == "PASS" for row in table) else 1


if __name__ == "__main__":
    sys.exit(main())
