"""What compression saves in gates: `make area`.

The layers of a network are generated as trained and after each kind of compression, synthesised to
four-input look-up tables, and counted. The accuracy beside them is the bit-true model's on the
network's test vectors.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.synthesis import Area, design_areas
from model.errors import CertibitError
from model.files import write_bytes_atomically
from model.forward import GoldenNetwork, accuracy
from model.manifest import Compression
from model.network import load_network
from model.plan import Design, plan_design
from model.source_choice import SourceKind
from tb.yosys import version

_SHIPPED = Path(__file__).resolve().parent.parent / "networks" / "mnist_pca50"


@dataclass(frozen=True)
class Variant:
    """A design of the table: what is left out of the network, and its number sources."""

    title: str
    recipe: Compression | None = None
    source: SourceKind = "counter"


_THIRD = {"prune_threshold": 0.3, "prune_method": "percentile"}
_NEURONS = {"remove_neurons": True, "activity_threshold": 0.06}

VARIANTS = (
    Variant("as trained"),
    Variant("6-bit weights", Compression(weight_bits=[6])),
    Variant("4-bit weights", Compression(weight_bits=[4])),
    Variant("bits of each synapse", Compression(synapse_error=0.05)),
    Variant("constant gates", Compression(constant_margin=0.05)),
    Variant("pruned below .05", Compression(prune_threshold=0.05)),
    Variant("30 % pruned", Compression.model_validate(_THIRD)),
    Variant("50 % pruned", Compression(prune_threshold=0.5, prune_method="percentile")),
    Variant("fewer neurons", Compression.model_validate(_NEURONS)),
    Variant(
        "all of it",
        Compression.model_validate(
            {**_THIRD, **_NEURONS, "constant_margin": 0.05, "weight_bits": [4]}
        ),
    ),
    Variant("lane constants", None, "counter-lane"),
    Variant("same, 4-bit weights", Compression(weight_bits=[4]), "counter-lane"),
)


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
        # Firing rates need calibration data; a network without them goes without these rows.
        chosen = [
            part
            for part in VARIANTS
            if network.calibration is not None
            or part.recipe is None
            or part.recipe.activity_threshold is None
        ]
        designs = {
            part.title: plan_design(
                network, [arguments.length], part.source, compression=part.recipe
            )
            for part in chosen
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
