"""The command line: ``certibit`` or ``python -m tb``.

Exit codes: 0 PASS, 1 FAIL, also of a design that hangs, 2 an error of input, tools or evidence,
told in one line.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer
import typer.core
from rich.console import Console

from model.compression import compression_recipe
from model.errors import CertibitError, DesignFailure, InputError
from model.limits import MAX_LENGTH
from model.manifest import MANIFEST_FILE
from model.network import load_network
from model.source_choice import Adder, Encoding, SourceKind
from tb import fault_campaign, flow
from tb.campaigns import FAULTS_FILE
from tb.coverage import print_verdict, run_campaign
from tb.fault_tables import print_faults
from tb.mutation import mutate
from tb.mutation_tables import all_killed, print_mutation
from tb.reporting import REPORT_FILE
from tb.simulators import find_simulator
from tb.summary import print_summary

_SHIPPED = flow.SHIPPED_NETWORK

Number = TypeVar("Number", int, float)


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


class MethodName(StrEnum):
    """Names of planning methods on the command line."""

    CERTIFICATE = "certificate"
    HOEFFDING = "hoeffding"
    CHEBYSHEV = "chebyshev"
    SENSITIVITY = "sensitivity"


class TargetName(StrEnum):
    """What a target error is the error of."""

    OUTPUT = "output"
    LAYER = "layer"


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
Source = Annotated[
    SourceKind | None,
    typer.Option(help="Number sources of every layer. Default: counter, or what --method needs."),
]
_GATES, _PLAN, _COMPRESS = "Gates of all layers", "Precision plan", "Compression"
SeedOption = Annotated[
    int, typer.Option("--seed", min=0, help="From which seeds of LFSRs are drawn.")
]
EncodingOption = Annotated[
    Encoding | None,
    typer.Option(
        "--encoding",
        help="What a stream stands for. Default: what the network says, sign-magnitude.",
        rich_help_panel=_GATES,
    ),
]
AdderOption = Annotated[
    Adder | None,
    typer.Option(
        "--adder",
        help="What adds up a cycle's products. Default: what the network says, parallel-counter.",
        rich_help_panel=_GATES,
    ),
]
NeuronOption = Annotated[
    Literal["clip", "relu", "step", "lif"] | None,
    typer.Option(
        "--neuron",
        help="What follows in all layers but the last. Default: what the network says, clip.",
        rich_help_panel=_GATES,
    ),
]
StreamOption = Annotated[
    bool,
    typer.Option(
        "--stream",
        help="Spikes of lif neurons are the next layer's input streams, not decoded in between.",
        rich_help_panel=_GATES,
    ),
]
Method = Annotated[
    MethodName | None,
    typer.Option(
        help="Choose the bitstream lengths by this bound, in place of --length.",
        rich_help_panel=_PLAN,
    ),
]
TargetError = Annotated[
    float | None,
    typer.Option(
        help="Error that the plan has to guarantee; it is refused if it cannot.",
        rich_help_panel=_PLAN,
    ),
]
Target = Annotated[
    TargetName,
    typer.Option(
        help="Whether it is the error of the network's output or of each layer.",
        rich_help_panel=_PLAN,
    ),
]
Budget = Annotated[
    float | None,
    typer.Option(
        help="Largest sum of length x cost of a cycle; the tightest bounds that it buys.",
        rich_help_panel=_PLAN,
    ),
]
Cost = Annotated[
    str | None,
    typer.Option(
        help="Cost of a cycle of each layer, for instance its LUTs: 24000,4600. Default: 1.",
        rich_help_panel=_PLAN,
    ),
]
Family = Annotated[
    int | None,
    typer.Option(
        help="Vectors that a statistical bound holds for together. Default: the test set's.",
        rich_help_panel=_PLAN,
    ),
]
MinLength = Annotated[int, typer.Option(help="Shortest length of the plan.", rich_help_panel=_PLAN)]
MaxLength = Annotated[int, typer.Option(help="Longest length of the plan.", rich_help_panel=_PLAN)]
RemoveNeurons = Annotated[
    bool,
    typer.Option(
        "--remove-neurons",
        help="Remove neurons that are constant over all inputs, or that nothing reads.",
        rich_help_panel=_COMPRESS,
    ),
]
Activity = Annotated[
    float | None,
    typer.Option(
        help="Also remove neurons whose mean activation on the calibration data is below this;"
        " implies --remove-neurons.",
        rich_help_panel=_COMPRESS,
    ),
]
Prune = Annotated[
    float | None,
    typer.Option(help="Weights of smaller magnitude become 0.", rich_help_panel=_COMPRESS),
]
PruneShare = Annotated[
    float | None,
    typer.Option(
        help="This share of each layer's weights, the smallest, become 0.",
        rich_help_panel=_COMPRESS,
    ),
]
ConstantMargin = Annotated[
    float | None,
    typer.Option(
        help="Weights closer than this to 0, 1 or -1 become constant gates.",
        rich_help_panel=_COMPRESS,
    ),
]
WeightBits = Annotated[
    str | None,
    typer.Option(
        help="Bits of a weight's magnitude: one for all layers, or one a layer: 6,4.",
        rich_help_panel=_COMPRESS,
    ),
]
SynapseError = Annotated[
    float | None,
    typer.Option(
        help="Bits of each weight by itself, as this error of one synapse allows.",
        rich_help_panel=_COMPRESS,
    ),
]


def design_request(
    length: Length = None,
    source: Source = None,
    seed: SeedOption = 1,
    encoding: EncodingOption = None,
    adder: AdderOption = None,
    neuron: NeuronOption = None,
    stream: StreamOption = False,
    method: Method = None,
    target_error: TargetError = None,
    target: Target = TargetName.OUTPUT,
    budget: Budget = None,
    cost: Cost = None,
    family: Family = None,
    min_length: MinLength = 2,
    max_length: MaxLength = MAX_LENGTH,
    remove_neurons: RemoveNeurons = False,
    activity: Activity = None,
    prune: Prune = None,
    prune_share: PruneShare = None,
    constant_margin: ConstantMargin = None,
    weight_bits: WeightBits = None,
    synapse_error: SynapseError = None,
) -> flow.DesignRequest:
    """Put together what the options ask for."""
    if prune is not None and prune_share is not None:
        raise InputError(
            "both a magnitude and a share of weights to prune were given",
            "--prune, --prune-share",
            "give one of them",
        )
    mend = "give integers: 6 or 6,4"
    recipe: dict[str, Any] = {
        "remove_neurons": remove_neurons or activity is not None or None,
        "activity_threshold": activity,
        "prune_threshold": prune if prune_share is None else prune_share,
        "prune_method": None if prune_share is None else "percentile",
        "constant_margin": constant_margin,
        "weight_bits": _numbers(weight_bits, int, "bit widths", "--weight-bits", mend),
        "synapse_error": synapse_error,
    }
    recipe = {name: value for name, value in recipe.items() if value is not None}
    planning = {
        "--target-error": target_error,
        "--budget": budget,
        "--cost": cost,
        "--family": family,
    }
    if method is None:
        for name, value in planning.items():
            if value is not None:
                raise InputError(f"{name} is {value}, but nobody plans", name, "give --method, too")
    lengths = _numbers(length, int, "bitstream lengths", "LENGTH", "give integers: 256 or 256,64")
    return flow.DesignRequest(
        lengths,
        source,
        compression_recipe(**recipe) if recipe else None,
        None
        if method is None
        else flow.PrecisionRequest(
            method.value,
            target_error,
            target.value,
            budget,
            _numbers(cost, float, "costs", "--cost", "give numbers: 24000,4600"),
            family,
            min_length,
            max_length,
        ),
        flow.GatesRequest(
            encoding,
            adder,
            neuron,
            streams=stream or None,
        ),
        seed,
    )


def _designing(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `design_request`, in the place of its parameter `request`."""
    own = inspect.signature(command, eval_str=True).parameters
    shared = inspect.signature(design_request, eval_str=True).parameters

    @functools.wraps(command)
    def wrapped(**options: Any) -> None:
        request = design_request(**{name: options.pop(name) for name in shared})
        command(request=request, **options)

    parameters = [part for name, part in own.items() if name != "request"] + [*shared.values()]
    wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {part.name: part.annotation for part in parameters}
    return wrapped


@app.command()
@_designing
def run(
    request: flow.DesignRequest,
    net: Net = _SHIPPED,
    sim: Sim = None,
    vectors: Vectors = None,
    build: Build = Path("build"),
) -> None:
    """Do everything: plan, generate, simulate, sign off."""
    console = Console(highlight=False)
    report, folder = flow.run_all(net, build, sim.value if sim else None, vectors, request, _say)
    print_summary(report, console)
    console.print(f"evidence in {folder}", soft_wrap=True, markup=False)
    console.print(f"report in {folder / REPORT_FILE}", soft_wrap=True, markup=False)
    _finish(report.verdict)


@app.command()
@_designing
def plan(request: flow.DesignRequest, net: Net = _SHIPPED, build: Build = Path("build")) -> None:
    """Write a network's manifest."""
    folder = build / load_network(net).description.name
    flow.plan_network(net, folder, request)
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
    console.print(f"report in {folder / REPORT_FILE}", soft_wrap=True, markup=False)
    _finish(report.verdict)


@app.command("mutate")
def mutate_command(
    only: Annotated[
        str | None, typer.Option(help="Only these: planted or netlist. Default: both.")
    ] = None,
    sim: Annotated[
        SimulatorName, typer.Option(help="The simulator that judges; Icarus builds faster.")
    ] = SimulatorName.ICARUS,
    jobs: Annotated[int, typer.Option(help="How many runs at a time.")] = os.cpu_count() or 1,
    seed: Annotated[int, typer.Option(help="From which mutants of the netlist are drawn.")] = 1,
    build: Build = Path("build"),
) -> None:
    """Plant defects, and see whether the sign-off kills each of them."""
    record = mutate(build, only, sim.value, jobs, seed)
    print_mutation(record, Console(highlight=False))
    _finish("PASS" if all_killed(record) else "FAIL")


@app.command()
def report(net: Net = _SHIPPED, build: Build = Path("build")) -> None:
    """Write the report anew with what campaigns have found since; nothing is simulated."""
    print(flow.rewrite_report(net, build))


@app.command()
def coverage(
    build: Build = Path("build"),
    jobs: Annotated[int, typer.Option(min=1, help="Tests that run at the same time.")] = 2,
) -> None:
    """Measure code and functional coverage of the benches, and hold it to the testplan."""
    verdict = run_campaign(build / "coverage", jobs)
    print_verdict(verdict, Console(highlight=False))
    _finish("FAIL" if verdict.faults else "PASS")


@app.command()
def faults(
    net: Net = _SHIPPED,
    build: Build = Path("build"),
    rates: Annotated[
        str, typer.Option(help="Probabilities of a fault, per bit and cycle.")
    ] = "1e-4,1e-3,1e-2,1e-1",
    vectors: Annotated[int, typer.Option(help="Test vectors of each rate.")] = 300,
    singles: Annotated[
        int, typer.Option(help="Single faults of each block and kind, at most; 0: none.")
    ] = 200,
    single_vectors: Annotated[int, typer.Option(help="Vectors that a single fault sees.")] = 2,
    seed: Annotated[int, typer.Option(help="Everything random comes from it.")] = 1,
    binary: Annotated[
        bool, typer.Option(help="Also strike a binary design of the same network.")
    ] = True,
    sim: Annotated[SimulatorName, typer.Option(help="Simulator.")] = SimulatorName.VERILATOR,
    jobs: Annotated[int, typer.Option(help="Simulations at a time.")] = os.cpu_count() or 1,
) -> None:
    """Inject faults into the simulated netlist of a network, as it is planned."""
    request = fault_campaign.FaultRequest(
        tuple(_numbers(rates, float, "rates", "--rates", "give numbers: 1e-4,1e-2") or ()),
        vectors,
        singles,
        single_vectors,
        seed,
        binary,
        jobs,
    )
    folder = build / load_network(net).description.name
    if not (folder / MANIFEST_FILE).exists():
        flow.plan_network(net, folder, flow.DesignRequest())
        flow.generate(flow.read_design(folder), folder)
    design = flow.read_design(folder)
    simulator = find_simulator(sim.value)
    record = fault_campaign.run_campaign(design, folder, simulator, request, _say)
    if record is None:
        raise typer.Exit(1)
    print_faults(record, Console(highlight=False))
    _say(f"record in {folder / FAULTS_FILE}")


def main() -> None:
    """Run the command line; errors of the user end in one line and exit code 2."""
    try:
        app(standalone_mode=True)
    except DesignFailure as failure:
        # No user's error, but a finding: the design hung, or gave unknown values.
        print("\n".join(["FAIL", *getattr(failure, "__notes__", [])]), flush=True)
        print(f"certibit: {failure}", file=sys.stderr)
        raise SystemExit(1) from None
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


def _numbers(
    text: str | None, kind: Callable[[str], Number], what: str, where: str, mend: str
) -> list[Number] | None:
    """Parse a list of numbers."""
    if text is None:
        return None
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{text!r} is not a list of {what}", where, mend) from None


def _finish(verdict: str) -> None:
    """End with the exit code of the verdict."""
    if verdict != "PASS":
        raise typer.Exit(1)
