"""Every combination of encoding, adder, neuron and source on real digits: `make combinations`.

Each row is a design of one of the two networks of `networks.digits.train`: planned, generated,
simulated on all test images in Verilator and on the first ones in Icarus, its witnesses driven, and
signed off. Rows are kept as they are finished: an interrupted run goes on where it was. Results go
to ``docs/combinations.json``, and as a table to ``docs/combinations.md``.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from model.activations import slope
from model.design_bounds import DEVIATION, EXACT, FRECHET, RANGE
from model.errors import CertibitError, SignoffError
from model.files import read_bytes, write_bytes_atomically
from model.forward import (
    GoldenNetwork,
    accuracy,
    float_forward,
    layer_errors,
    quantised_forward,
)
from model.manifest import Layer, manifest_digest
from model.network import Network, save_network, with_gates
from model.plan import Design, plan_design
from model.source_choice import Adder, Encoding, SourceKind
from networks.digits.train import Settings, train
from tb import flow
from tb.signoff import Signoff

_REPOSITORY = Path(__file__).resolve().parent.parent
PAGE = _REPOSITORY / "docs" / "combinations.md"
RESULTS = _REPOSITORY / "docs" / "combinations.json"
BEGIN, END = "<!-- make combinations: begin -->", "<!-- make combinations: end -->"

Neuron = Literal["clip", "LIF", "LIF, streamed"]
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)
ADDERS: tuple[Adder, ...] = get_args(Adder)
NEURONS: tuple[Neuron, ...] = ("clip", "LIF")
SOURCES: tuple[SourceKind, ...] = ("counter", "sobol", "lfsr")

_ICARUS_IMAGES = 5
_THEOREMS = {EXACT: "exact", DEVIATION: "deviation", FRECHET: "Frechet", RANGE: "range"}
_HEADINGS = (
    "encoding",
    "adder",
    "neuron",
    "source",
    "L",
    "float",
    "golden = RTL",
    "hidden error",
    "certificate",
    "Hoeffding",
    "theorems",
    "output error",
    "end-to-end bound",
    "images",
    "verdict",
)


@dataclass(frozen=True)
class Row:
    """A design of the table."""

    encoding: Encoding
    adder: Adder
    neuron: Neuron
    source: SourceKind

    @property
    def name(self) -> str:
        """Name of the design and of its folders."""
        parts = (self.encoding, self.adder, self.neuron, self.source)
        return "_".join(parts).replace("-", "_").replace(", ", "_").lower()

    @property
    def length(self) -> int:
        """Bitstream length of both layers.

        A MUX adder sees one of 64 products a cycle, and bipolar zeros are as noisy as it gets. With
        1,024 cycles a certificate of such a layer is above its radius, which the sign-off refuses.
        """
        if self.adder == "parallel-counter":
            return 256
        return 4096 if self.encoding == "bipolar" else 1024

    def network(self, settings: Settings | None = None) -> Network:
        """Return the trained network with the row's gates and name.

        Parameters
        ----------
        settings : Settings, optional
            How it is trained; default: as the table's are.
        """
        signed = self.encoding != "unipolar"
        trained = (
            train(signed=signed) if settings is None else train(signed=signed, settings=settings)
        )
        network = with_gates(
            trained,
            self.encoding,
            self.adder,
            "clip" if self.neuron == "clip" else "lif",
            streams=self.neuron == "LIF, streamed",
        )
        description = network.description.model_copy(update={"name": self.name})
        return Network(
            description, network.weights, network.biases, network.features, network.labels
        )


def rows() -> list[Row]:
    """Return the rows of the table: all combinations, then streams, then the other sources."""
    combinations = [Row(*parts) for parts in itertools.product(ENCODINGS, ADDERS, NEURONS, SOURCES)]
    encodings: tuple[Encoding, ...] = ("unipolar", "sign-magnitude")
    sources: tuple[SourceKind, ...] = ("sobol", "lfsr")
    streams = itertools.product(encodings, sources)
    others = [kind for kind in get_args(SourceKind) if kind not in SOURCES]
    return [
        *combinations,
        *(Row(encoding, "parallel-counter", "LIF, streamed", kind) for encoding, kind in streams),
        *(Row("sign-magnitude", "parallel-counter", "clip", kind) for kind in others),
    ]


def measure(row: Row, build: Path) -> tuple[dict[str, Any], bool]:
    """Take a row through the whole line, unless that was done before.

    Parameters
    ----------
    row : Row
        The row.
    build : pathlib.Path
        Folder in which the row's network and build folder are made.

    Returns
    -------
    result : dict
        What the table and the file of results say of it.
    fresh : bool
        Whether this call measured it.
    """
    net, folder = build / "networks" / row.name, build / row.name
    save_network(row.network(), net)
    network, design = flow.plan_network(
        net, folder, flow.DesignRequest(lengths=[row.length], source=row.source)
    )
    kept = folder / "row.json"
    identity = _identity(design)
    if kept.exists():
        known: dict[str, Any] = json.loads(kept.read_text())
        if known.pop("identity") == identity:
            return known, False
    flow.generate(design, folder)
    report = flow.simulate_and_sign_off(
        network,
        net,
        design,
        folder,
        flow.choose_simulators(None),
        None,
        lambda text: print(f"  {text}", flush=True),
        second_vectors=_ICARUS_IMAGES,
        page=False,
    )
    result = summary(row, network, design, report)
    content = json.dumps({"identity": identity, **result}, indent=2) + "\n"
    write_bytes_atomically(kept, content.encode())
    return result, True


def _identity(design: Design) -> str:
    """Return the hash of what a row's result depends on: the design, and all that judges it."""
    places = [("hdl", "*.v"), ("rtl_gen", "**/*.*"), ("model", "*.py"), ("tb", "**/*.*")]
    files = [path for folder, kind in places for path in (_REPOSITORY / folder).glob(kind)]
    used = [path for path in files if path.suffix in (".v", ".py", ".j2", ".vlt")]
    content = [manifest_digest(design.manifest).encode(), str(_ICARUS_IMAGES).encode()]
    for path in sorted(used):
        # Benches of single blocks take no part.
        if not path.name.startswith("test_"):
            content.append(path.read_bytes())
    return hashlib.sha256(b"\0".join(content)).hexdigest()


def summary(row: Row, network: Network, design: Design, report: Signoff) -> dict[str, Any]:
    """Return what the table says of a signed-off design.

    Parameters
    ----------
    row : Row
        The row.
    network : Network
        The trained network.
    design : Design
        The design made of it.
    report : Signoff
        Its sign-off.
    """
    second = report.second_simulator
    return {
        **bounds(row, network, design),
        "accuracy_float": report.accuracy.float_,
        "accuracy_quantised": report.accuracy.quantised,
        "accuracy_golden": report.accuracy.golden,
        "accuracy_rtl": report.accuracy.rtl,
        "hidden_error": report.layers[0].max_abs_error * _in_activations(design.manifest.layers[0]),
        "output_error": report.end_to_end.max_abs_error,
        "images": report.accuracy.vectors,
        "images_icarus": 0 if second is None else second.vectors,
        "cycles": report.throughput.cycles,
        "verdict": report.verdict,
        "failed": [check.id for check in report.checks if check.verdict == "FAIL"],
    }


def bounds(row: Row, network: Network, design: Design) -> dict[str, Any]:
    """Return the part of a row that is certain before anything is simulated.

    Parameters
    ----------
    row : Row
        The row.
    network : Network
        The trained network.
    design : Design
        The design made of it.
    """
    layers = design.manifest.layers
    unit = _in_activations(layers[0])
    return {
        "encoding": row.encoding,
        "adder": row.adder,
        "neuron": row.neuron,
        "source": row.source,
        "lengths": [layer.bitstream_length for layer in layers],
        "theorems": [_THEOREMS[layer.certificate.theorem] for layer in layers],
        "hidden_certificate": layers[0].certificate.value * unit,
        "hidden_radius": layers[0].hoeffding.radius * unit,
        "end_to_end_bound": design.manifest.end_to_end_bound,
        # Activations are 0 to 1, so that no output moves further than this.
        "output_range": float(np.abs(network.weights[-1]).sum(axis=1).max()),
    }


def _in_activations(layer: Layer) -> float:
    """Return what a layer's error is multiplied by to be one of its activation."""
    return 1.0 if layer.lif is not None else float(slope(layer))


def predict(row: Row) -> dict[str, Any]:
    """Return what the golden model says of a row, without any RTL.

    Parameters
    ----------
    row : Row
        The row.

    Returns
    -------
    dict
        The parts of `summary` that depend on no simulation.
    """
    network = row.network()
    design = plan_design(network, [row.length], row.source)
    features, manifest, parameters = design.features, design.manifest, design.parameters
    counts = GoldenNetwork(manifest, parameters).counts(features)
    errors = layer_errors(manifest, parameters, features, counts)
    quantised = quantised_forward(manifest, parameters, features)[-1]
    estimate = counts[-1] / manifest.layers[-1].bitstream_length
    return {
        **bounds(row, network, design),
        "accuracy_float": accuracy(float_forward(network, features)[-1], design.labels),
        "accuracy_quantised": accuracy(quantised, design.labels),
        "accuracy_golden": accuracy(counts[-1], design.labels),
        "hidden_error": float(np.abs(errors[0]).max()) * _in_activations(manifest.layers[0]),
        "output_error": float(np.abs(estimate - quantised).max()),
        "images": len(features),
    }


def collect(chosen: Sequence[Row], build: Path) -> list[dict[str, Any]]:
    """Measure rows one after another, and say how far it is.

    Parameters
    ----------
    chosen : sequence of Row
        The rows.
    build : pathlib.Path
        Build folder.
    """
    begun = time.monotonic()
    results: list[dict[str, Any]] = []
    times: list[float] = []
    for number, row in enumerate(chosen):
        now = time.monotonic()
        # Rows that were kept take no time, and say nothing of the others.
        mean = sum(times) / len(times) / 60 if times else 0.0
        left = f", about {mean * (len(chosen) - number):.0f} left" if times else ""
        progress = f"{number + 1}/{len(chosen)}, {(now - begun) / 60:.0f} min{left}"
        print(f"[{progress}] {row.name}", flush=True)
        result, fresh = measure(row, build)
        results.append(result)
        if fresh:
            times.append(time.monotonic() - now)
    return results


def table(results: Sequence[dict[str, Any]]) -> str:
    """Return results as a table in Markdown; bounds that bound nothing are in parentheses."""

    def bounded(value: float, most: float) -> str:
        return f"{value:.3f}" if value < most else f"({value:.2f})"

    lines = [f"| {' | '.join(_HEADINGS)} |", "|" + "---|" * len(_HEADINGS)]
    for result in results:
        golden, rtl = result["accuracy_golden"], result["accuracy_rtl"]
        cells = [
            result["encoding"],
            {"parallel-counter": "parallel counter", "mux": "MUX"}[result["adder"]],
            result["neuron"],
            result["source"],
            ", ".join(map(str, dict.fromkeys(result["lengths"]))),
            f"{result['accuracy_float']:.1%}",
            f"{golden:.1%}" if golden == rtl else f"{golden:.1%}, RTL {rtl:.1%}",
            f"{result['hidden_error']:.3f}",
            bounded(result["hidden_certificate"], 1),
            bounded(result["hidden_radius"], 1),
            ", ".join(result["theorems"]),
            f"{result['output_error']:.3f}",
            bounded(result["end_to_end_bound"], result["output_range"]),
            f"{result['images']} + {result['images_icarus']}",
            result["verdict"],
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def with_table(page: str, text: str) -> str:
    """Return a page with the table between its marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SignoffError(
            "the place of the table is not marked", str(PAGE), f"put {BEGIN} and {END} there"
        )
    return f"{before}{begin}\n{text}{end}{after}"


def main() -> int:
    """Measure, print, and write results and page.

    Returns
    -------
    int
        Exit code: 0, 1 if a row fails its sign-off, 2 for an error of input or tools.
    """
    parser = argparse.ArgumentParser(description="Every combination of gates on real digits.")
    parser.add_argument("--build", type=Path, default=Path("build/combinations"), help="folder")
    parser.add_argument("--only", help="only rows whose name holds this text; not written to docs")
    arguments = parser.parse_args()
    chosen = [row for row in rows() if arguments.only is None or arguments.only in row.name]
    try:
        results = collect(chosen, arguments.build)
        text = table(results)
        print(text)
        if arguments.only is None:
            page = read_bytes(PAGE, SignoffError, "restore it").decode()
            write_bytes_atomically(PAGE, with_table(page, text).encode())
            write_bytes_atomically(RESULTS, (json.dumps(results, indent=2) + "\n").encode())
            print(f"in {PAGE.relative_to(_REPOSITORY)} and {RESULTS.relative_to(_REPOSITORY)}")
    except CertibitError as error:
        print(f"certibit: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; finished rows are kept, run it again", file=sys.stderr)
        return 130
    return 0 if all(result["verdict"] == "PASS" for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
