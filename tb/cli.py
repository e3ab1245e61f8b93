"""The command line: ``certibit`` or ``python -m tb``.

Exit codes: 0 PASS, 1 FAIL, 2 an error of input, tools or evidence, told in one line.
"""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core
from rich.console import Console

from model.errors import CertibitError, InputError
from model.network import load_network
from tb import flow
from tb.summary import print_summary

REPOSITORY = Path(__file__).resolve().parent.parent
_SHIPPED = REPOSITORY / "networks" / "mnist_pca50"


class _Interrupted(Exception):
    """Ctrl-C, under a name that typer does not turn into an exit code of its own, in silence."""


class _Commands(typer.core.TyperGroup):
    """The commands, whose interruption reaches `main`."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise _Interrupted from None


app = typer.Typer(
    cls=_Commands,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="From a trained network to stochastic-computing RTL whose error is certified.",
)


class SimulatorName(StrEnum):
    """Names of simulators on the command line."""

    VERILATOR = "verilator"
    ICARUS = "icarus"


class SourceName(StrEnum):
    """Names of source kinds on the command line."""

    COUNTER = "counter"
    COUNTER_LANE = "counter-lane"
    LFSR = "lfsr"
    LFSR_LANE = "lfsr-lane"


Net = Annotated[Path, typer.Option(help="Network folder.")]
Build = Annotated[Path, typer.Option(help="Folder of all build products.")]
Sim = Annotated[
    SimulatorName | None,
    typer.Option(help="Only this simulator. Default: Verilator, and Icarus where it is installed."),
]
Vectors = Annotated[
    int | None,
    typer.Option(help="Only the first n test vectors. Default: all in Verilator, 100 in Icarus."),
]
Length = Annotated[
    str | None,
    typer.Option(help="Bitstream length: one for all layers, or one a layer: 256,64."),
]
Source = Annotated[SourceName, typer.Option(help="Number sources of every layer.")]


@app.command()
def run(
    net: Net = _SHIPPED,
    sim: Sim = None,
    vectors: Vectors = None,
    length: Length = None,
    source: Source = SourceName.COUNTER,
    build: Build = Path("build"),
) -> None:
    """Do everything: plan, generate, simulate, sign off."""
    console = Console(highlight=False)
    report, folder = flow.run_all(
        net, build, sim.value if sim else None, vectors, _lengths(length), source.value, _say
    )
    print_summary(report, console)
    console.print(f"evidence in {folder}", soft_wrap=True, markup=False)
    _finish(report.verdict)


@app.command()
def plan(
    net: Net = _SHIPPED,
    length: Length = None,
    source: Source = SourceName.COUNTER,
    build: Build = Path("build"),
) -> None:
    """Write a network's manifest."""
    folder = build / load_network(net).description.name
    flow.plan_network(net, folder, _lengths(length), source.value)
    print(folder / "manifest.json")


@app.command()
def generate(net: Net = _SHIPPED, build: Build = Path("build")) -> None:
    """Generate the RTL of a planned network."""
    folder = build / load_network(net).description.name
    flow.generate(flow.read_design(folder), folder)
    print(folder / "rtl")


@app.command()
def signoff(
    net: Net = _SHIPPED,
    sim: Sim = None,
    vectors: Vectors = None,
    build: Build = Path("build"),
) -> None:
    """Simulate and sign off a planned network with the RTL that stands there."""
    console = Console(highlight=False)
    network = load_network(net)
    folder = build / network.description.name
    design = flow.read_design(folder)
    simulators = flow.choose_simulators(sim.value if sim else None)
    report = flow.simulate_and_sign_off(network, net, design, folder, simulators, vectors, _say)
    print_summary(report, console)
    _finish(report.verdict)


def main() -> None:
    """Run the command line; errors of the user end in one line and exit code 2."""
    try:
        app(standalone_mode=True)
    except CertibitError as error:
        print(f"certibit: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:
        where = error.filename or "the file system"
        print(
            f"certibit: {error.strerror or error} ({where}): make room or permit writing there,"
            " then run it again",
            file=sys.stderr,
        )
        _abandon_output()
        raise SystemExit(2) from None
    except MemoryError as error:
        print(
            f"certibit: not enough memory ({str(error) or 'this machine'}): use shorter bitstreams"
            " or a smaller network",
            file=sys.stderr,
        )
        raise SystemExit(2) from None
    except (KeyboardInterrupt, _Interrupted):
        print("certibit: interrupted; finished builds are kept, run it again", file=sys.stderr)
        raise SystemExit(130) from None


def _abandon_output() -> None:
    """Let nothing be written any more: what could not be written cannot at the exit either."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _say(text: str) -> None:
    """Tell progress at once, also when the output is a file."""
    print(text, flush=True)


def _lengths(text: str | None) -> list[int] | None:
    """Parse a list of bitstream lengths."""
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(
            f"{text!r} is not a list of bitstream lengths", "LENGTH", "give integers: 256 or 256,64"
        ) from None


def _finish(verdict: str) -> None:
    """End with the exit code of the verdict."""
    if verdict != "PASS":
        raise typer.Exit(1)
