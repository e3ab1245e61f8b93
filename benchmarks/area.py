"""What compression saves in gates: `make area`.

The layers of a network are generated as trained and after each kind of compression, synthesised to
four-input look-up tables, and counted. The accuracy beside them is the bit-true model's on the
network's test vectors.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.synthesis import Area, design_areas, version
from model.errors import CertibitError
from model.files import write_bytes_atomically
from model.forward import GoldenNetwork, accuracy
from model.manifest import Compression
from model.network import load_network
from model.plan import Design, plan_design

_SHIPPED = Path(__file__).resolve().parent.parent / "networks" / "mnist_pca50"

VARIANTS: dict[str, Compression | None] = {
    "as trained": None,
    "6-bit weights": Compression(weight_bits=[6]),
    "4-bit weights": Compression(weight_bits=[4]),
    "bits of each synapse": Compression(synapse_error=0.05),
    "constant gates": Compression(constant_margin=0.05),
    "pruned below .05": Compression(prune_threshold=0.05),
    "30 % pruned": Compression(prune_threshold=0.3, prune_method="percentile"),
    "50 % pruned": Compression(prune_threshold=0.5, prune_method="percentile"),
    "fewer neurons": Compression(remove_neurons=True, activity_threshold=0.06),
    "all of it": Compression(
        remove_neurons=True,
        activity_threshold=0.06,
        prune_threshold=0.3,
        prune_method="percentile",
        constant_margin=0.05,
        weight_bits=[4],
    ),
}


def print_table(
    designs: dict[str, Design], areas: list[list[Area]], scores: list[float], console: Console
) -> None:
    """Print a row for each layer of each variant."""
    table = Table(box=None, padding=(0, 1, 0, 0))
    for heading in (
        "variant",
        "layer",
        "neurons",
        "synapses",
        "wires",
        "LUT4",
        "flip-\nflops",
        "LUT4 per\nsynapse",
        "LUT4 of\ntrained",
        "deviation",
        "accuracy",
    ):
        left = heading in ("variant", "layer")
        table.add_column(heading, justify="left" if left else "right", no_wrap=True)
    first = areas[0]
    for (title, design), row, score in zip(designs.items(), areas, scores, strict=True):
        for index, (layer, area) in enumerate(zip(design.manifest.layers, row, strict=True)):
            table.add_row(
                "" if index else title,
                layer.name,
                str(layer.outputs),
                f"{layer.synapses:,}",
                f"{layer.constant_gates:,}",
                f"{area.lut4:,}",
                f"{area.flip_flops:,}",
                f"{area.lut4 / max(layer.synapses, 1):.2f}",
                f"{area.lut4 / first[index].lut4:.0%}",
                f"{layer.deviation:.3f}",
                "" if index else f"{score:.2%}",
            )
    console.print(table)


def main() -> int:
    """Synthesise, print and write the table.

    Returns
    -------
    int
        Exit code: 0, or 2 for an error of input or tools.
    """
    parser = argparse.ArgumentParser(description="Area of a network's layers, compressed or not.")
    parser.add_argument("--net", type=Path, default=_SHIPPED, help="network folder")
    parser.add_argument("--length", type=int, default=32, help="bitstream length of all layers")
    parser.add_argument("--build", type=Path, default=Path("build/plans"), help="build folder")
    arguments = parser.parse_args()
    try:
        network = load_network(arguments.net)
        designs = {
            title: plan_design(network, [arguments.length], compression=recipe)
            for title, recipe in VARIANTS.items()
            if network.calibration is not None or recipe is None or not recipe.activity_threshold
        }
        areas = design_areas(
            list(designs.values()),
            arguments.build / "area",
            lambda text: print(text, flush=True),
        )
    except CertibitError as error:
        print(f"certibit: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; finished layers are kept, run it again", file=sys.stderr)
        return 130
    scores = [
        accuracy(
            GoldenNetwork(design.manifest, design.parameters).counts(design.features)[-1],
            design.labels,
        )
        for design in designs.values()
    ]
    print_table(designs, areas, scores, Console(highlight=False, width=120))
    print(f"L = {arguments.length}, {version()}, LUTs of up to four inputs, no carry chains")
    rows = [
        {
            "variant": title,
            "layer": layer.name,
            "neurons": layer.outputs,
            "synapses": layer.synapses,
            "wires": layer.constant_gates,
            "comparator_bits": layer.comparator_bits,
            "lut4": area.lut4,
            "flip_flops": area.flip_flops,
            "accuracy": score,
        }
        for (title, design), row, score in zip(designs.items(), areas, scores, strict=True)
        for layer, area in zip(design.manifest.layers, row, strict=True)
    ]
    path = arguments.build / "area.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes_atomically(path, (json.dumps(rows, indent=2) + "\n").encode())
    print(f"table in {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
