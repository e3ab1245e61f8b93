"""The line from a network folder to its sign-off, step by step."""

from __future__ import annotations

import fcntl
import os
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from model.adaptive_precision import AdaptivePrecisionManager
from model.compression import compress_network
from model.errors import DesignFailure, InputError, ManifestError, SignoffError, ToolError
from model.limits import MAX_LENGTH
from model.manifest import MANIFEST_FILE, Compression, export_schema, load_manifest
from model.network import Network, load_network, with_gates
from model.plan import Design, load_design, plan_design, save_design
from model.precision import Method, Scope
from model.quantise import quantise_biases, quantise_weights
from model.source_choice import Adder, Encoding, SourceKind
from rtl_gen.generator import generate_rtl
from tb.bias_runs import run_bias_tests
from tb.evidence import COUNTS_FILE, save_counts
from tb.protocol_checks import X_FILTER
from tb.reporting import REPORT_FILE, refresh_report, save_failed_run, save_report
from tb.signoff import (
    JUNIT_FILE,
    SIGNOFF_FILE,
    Inside,
    Signoff,
    WitnessRun,
    has_witnesses,
    nothing_inside,
    sign_off,
)
from tb.simulate import (
    RTL_FOLDER,
    ProtocolRun,
    Simulation,
    simulate_layer,
    simulate_network,
    simulate_protocol,
)
from tb.simulators import Simulator, find_simulator
from tb.stream_probe import compare_streams

SCHEMA_FILE = "manifest.schema.json"
SHIPPED_NETWORK = Path(__file__).resolve().parent.parent / "networks" / "mnist_pca50"
DEFAULT_ICARUS_VECTORS = 100
_PROBED_VECTORS = 3

Say = Callable[[str], None]


@dataclass(frozen=True)
class Simulators:
    """Which simulators a run uses.

    Attributes
    ----------
    main : Simulator
        Its counts are the evidence.
    second : Simulator or None
        Plays the first vectors too; its counts must be the same.
    why_no_second : str
        Why there is none, where there is none.
    """

    main: Simulator
    second: Simulator | None
    why_no_second: str


def choose_simulators(wanted: str | None) -> Simulators:
    """Choose the simulators of a run.

    Parameters
    ----------
    wanted : str or None
        ``verilator`` or ``icarus`` alone, or both where there are both: Verilator for all vectors,
        Icarus for the first ones.

    Raises
    ------
    ToolError
        If the simulator asked for is missing or too old.
    InputError
        If there is no simulator of that name.
    """
    if wanted is not None:
        return Simulators(find_simulator(wanted), None, f"only {wanted} was asked for")
    main = find_simulator("verilator")
    try:
        return Simulators(main, find_simulator("icarus"), "")
    except ToolError as error:
        return Simulators(main, None, f"skipped: {error}")


@dataclass(frozen=True)
class PrecisionRequest:
    """What a precision plan is asked for; see `model.AdaptivePrecisionManager.plan`.

    Attributes
    ----------
    method : {'hoeffding', 'chebyshev', 'sensitivity', 'certificate'}
        Which theorem.
    target_error : float or None
        Largest error; None leaves the choice to the budget.
    target : {'layer', 'output'}
        What it is the error of.
    total_budget : float or None
        Largest sum of length x cost of a cycle.
    cost_per_cycle : list of float or None
        For each layer.
    vectors : int or None
        Number of vectors that statistical bounds cover together; default: the test set's.
    min_length, max_length : int
        Range of lengths.
    """

    method: Method
    target_error: float | None = None
    target: Scope = "output"
    total_budget: float | None = None
    cost_per_cycle: list[float] | None = None
    vectors: int | None = None
    min_length: int = 2
    max_length: int = MAX_LENGTH


@dataclass(frozen=True)
class GatesRequest:
    """Which gates all layers are to have; None leaves what the network's description says.

    Attributes
    ----------
    encoding : {'unipolar', 'bipolar', 'sign-magnitude'} or None
        Encoding of the operands.
    adder : {'parallel-counter', 'mux'} or None
        What adds the products of a cycle.
    activation : {'clip', 'relu', 'step', 'lif'} or None
        Of all layers but the last.
    streams : bool or None
        Whether spikes are the next layer's input streams.
    """

    encoding: Encoding | None = None
    adder: Adder | None = None
    activation: Literal["clip", "relu", "step", "lif"] | None = None
    streams: bool | None = None


@dataclass(frozen=True)
class DesignRequest:
    """What kind of design is to be planned.

    Attributes
    ----------
    lengths : list of int or None
        Bitstream lengths; default: the network's own. Not together with `precision`.
    source : SourceKind or None
        Number sources; default: counters, or the first that the method gives a bound for.
    compression : Compression or None
        What to leave out first.
    precision : PrecisionRequest or None
        Who chooses the lengths.
    gates : GatesRequest
        What layers are made of.
    seed : int
        From which the seeds of LFSRs are drawn.
    """

    lengths: list[int] | None = None
    source: SourceKind | None = None
    compression: Compression | None = None
    precision: PrecisionRequest | None = None
    gates: GatesRequest = GatesRequest()
    seed: int = 1


def plan_network(net: Path, folder: Path, request: DesignRequest) -> tuple[Network, Design]:
    """Plan a network and write its manifest.

    Parameters
    ----------
    net : pathlib.Path
        Network folder.
    folder : pathlib.Path
        Build folder.
    request : DesignRequest
        What is to be planned.

    Raises
    ------
    InputError
        If the network or the request is not legal, or the precision plan misses its target.
    """
    network = load_network(net)
    design = design_network(network, request)
    save_design(design, folder)
    export_schema(folder / SCHEMA_FILE)
    return network, design


def design_network(network: Network, request: DesignRequest) -> Design:
    """Plan a design of a network that is loaded already; see `plan_network`."""
    wanted, gates = request.precision, request.gates
    network = with_gates(
        network, gates.encoding, gates.adder, gates.activation, streams=gates.streams
    )
    if wanted is None:
        return plan_design(
            network,
            request.lengths,
            request.source or "counter",
            request.seed,
            compression=request.compression,
        )
    if request.lengths is not None:
        raise InputError(
            "both bitstream lengths and a precision plan, which chooses them, were asked for",
            "LENGTH, --method",
            "give one of them",
        )
    if wanted.target_error is None and wanted.total_budget is None:
        raise InputError(
            f"a {wanted.method} plan needs to know what it is to reach",
            "--method",
            "give --target-error, --budget or both",
        )
    manager = AdaptivePrecisionManager.from_network(
        network,
        wanted.cost_per_cycle,
        compression=request.compression,
        vectors=wanted.vectors,
        min_length=wanted.min_length,
        max_length=wanted.max_length,
        seed=request.seed,
    )
    return manager.design(
        manager.plan(
            wanted.method,
            wanted.target_error,
            wanted.target,
            wanted.total_budget,
            request.source,
            strict=True,
        )
    )


def read_design(folder: Path) -> Design:
    """Read a planned design from its build folder."""
    return load_design(load_manifest(folder / MANIFEST_FILE), folder)


def simulate_and_sign_off(
    network: Network,
    net: Path,
    design: Design,
    folder: Path,
    simulators: Simulators,
    vectors: int | None,
    say: Say,
    *,
    second_vectors: int | None = None,
    page: bool = True,
    counts_only: bool = False,
) -> Signoff:
    """Simulate a generated design and judge what came out.

    Parameters
    ----------
    network : Network
        The real-number network.
    net : pathlib.Path
        Its folder, for the command that repeats a failing run.
    design : Design
        The design made of it, whose RTL stands in `folder`.
    folder : pathlib.Path
        Build folder; evidence and report are written there.
    simulators : Simulators
        Which simulators to use.
    vectors : int, optional
        Number of test vectors; default: all in Verilator, 100 in Icarus.
    say : callable
        Told what happens.
    second_vectors : int, optional
        Number of test vectors of the second simulator; default: as many as of the first, 100 where
        that plays all.
    page : bool
        Whether the page is written, too; a campaign of many runs does without its plots.
    counts_only : bool
        Whether to leave out what looks beyond the counts of the test vectors: protocol, bias,
        internal streams. Their checks are SKIPPED.

    Returns
    -------
    Signoff
        The report.

    Raises
    ------
    ManifestError
        If the design was planned from another network, or the RTL is of another design.
    InputError
        If there are not that many vectors.
    SignoffError
        If a simulation left no complete recording.
    DesignFailure
        If it left none because the design hung or gave unknown values; the report, with the verdict
        FAIL, is written.
    ToolError
        If another run is working in the folder.
    """
    with _sole_user(folder):
        try:
            return _simulate_and_sign_off(
                network,
                net,
                design,
                folder,
                simulators,
                vectors,
                second_vectors,
                say,
                page=page,
                counts_only=counts_only,
            )
        except DesignFailure as failure:
            used = [part for part in (simulators.main, simulators.second) if part is not None]
            written = save_failed_run(
                failure, design, folder, _rerun(net, folder), used, _make_argument(net), page=page
            )
            failure.add_note(f"report in {written}")
            raise


def _simulate_and_sign_off(
    network: Network,
    net: Path,
    design: Design,
    folder: Path,
    simulators: Simulators,
    vectors: int | None,
    second_vectors: int | None,
    say: Say,
    *,
    page: bool,
    counts_only: bool,
) -> Signoff:
    """Do what `simulate_and_sign_off` says, in a folder that nobody else works in."""
    _check_origin(network, design, folder)
    _check_promises(design, folder)
    main_vectors = _vector_count(design, simulators.main, vectors)
    _remove_evidence(folder)
    with _told(say, f"simulate {main_vectors} vectors in {_name(simulators.main)}") as note:
        main = simulate_network(
            design,
            folder,
            simulators.main,
            design.features[:main_vectors],
            run_name="network",
        )
        note(_speed(main))
    save_counts(design.manifest, main.counts, folder / COUNTS_FILE)
    second = None
    if simulators.second is not None:
        wanted = vectors if second_vectors is None else second_vectors
        count = min(main_vectors, DEFAULT_ICARUS_VECTORS if wanted is None else wanted)
        with _told(say, f"simulate {count} vectors in {_name(simulators.second)}") as note:
            second = simulate_network(
                design, folder, simulators.second, design.features[:count], run_name="network"
            )
            note(_speed(second))
        save_counts(
            design.manifest,
            second.counts,
            folder / COUNTS_FILE.replace(".npz", f"_{simulators.second.name}.npz"),
        )
    with _told(say, f"drive the certificates' witnesses in {_name(simulators.main)}"):
        witnesses = [
            drive_witnesses(design, index, folder, simulators.main)
            if has_witnesses(design, index)
            else None
            for index in range(len(design.manifest.layers))
        ]
    inside = (
        nothing_inside(design, "only counts were asked for")
        if counts_only
        else look_inside(design, folder, simulators, main.seed, say)
    )
    with _told(say, "judge it and write the report"):
        report = sign_off(
            network,
            design,
            main,
            witnesses,
            second,
            simulators.why_no_second,
            _rerun(net, folder),
            inside,
        )
        runs: list[Simulation | ProtocolRun] = [main]
        runs += [run.simulation for run in witnesses if run] + inside.simulations
        runs += [second] if second is not None else []
        for protocol in (inside.protocol, inside.protocol_with_x):
            runs += [protocol] if isinstance(protocol, ProtocolRun) else []
        return save_report(report, runs, design, folder, _make_argument(net), page=page)


def look_inside(
    design: Design,
    folder: Path,
    simulators: Simulators,
    seed: int,
    say: Say,
) -> Inside:
    """Check the protocol, test for bias; in Icarus look for X, and at the streams of all banks.

    Parameters
    ----------
    design : Design
        The design.
    folder : pathlib.Path
        Its build folder.
    simulators : Simulators
        Which simulators to use.
    seed : int
        From which the vectors of the bias tests are drawn.
    say : callable
        Told what happens.
    """
    with _told(say, f"check the protocol in {_name(simulators.main)}"):
        protocol = simulate_protocol(design, folder, simulators.main, run_name="protocol")
    with _told(say, f"test each layer for bias in {_name(simulators.main)}"):
        bias = [
            run_bias_tests(design, index, folder, simulators.main, seed)
            for index in range(len(design.manifest.layers))
        ]
    icarus = next(
        (part for part in (simulators.main, simulators.second) if part and part.name == "icarus"),
        None,
    )
    if icarus is None:
        return Inside(protocol, None, f"needs Icarus: {simulators.why_no_second}", bias)
    with_x = None
    if protocol.simulator.name != "icarus":
        with _told(say, f"look for X in {_name(icarus)}"):
            with_x = simulate_protocol(
                design, folder, icarus, run_name="protocol", test_filter=X_FILTER
            )
    inputs = design.features[:_PROBED_VECTORS]
    with _told(say, f"compare the internal streams of {len(inputs)} vectors in {_name(icarus)}"):
        try:
            run = simulate_network(design, folder, icarus, inputs, run_name="streams", probe=True)
            found = compare_streams(design, inputs, run.results_xml.parent)
            return Inside(protocol, with_x, found, bias, probed=run)
        except SignoffError as error:
            # What was recorded is not whole: the design does not work as it should.
            return Inside(protocol, with_x, str(error), bias, streams_failed=True)


def drive_witnesses(design: Design, index: int, folder: Path, simulator: Simulator) -> WitnessRun:
    """Drive every witness of a layer's certificate through the RTL.

    The first layer's go through the whole design, those of later layers through the layer alone,
    since a network may have no input that makes its hidden layers say just that.

    Parameters
    ----------
    design : Design
        The design.
    index : int
        The layer's number.
    folder : pathlib.Path
        Build folder.
    simulator : Simulator
        Which simulator.
    """
    witnesses = design.certificate(index).witnesses
    inputs = witnesses.reshape(-1, witnesses.shape[-1])
    name = f"witness_{index}"
    if index == 0:
        simulation = simulate_network(
            design, folder, simulator, inputs, run_name=name, adversarial=True
        )
    else:
        simulation = simulate_layer(design, index, folder, simulator, inputs, run_name=name)
    return WitnessRun(simulation, simulation.counts[0])


def generate(design: Design, folder: Path) -> None:
    """Generate a design's RTL into its build folder."""
    generate_rtl(design, folder / RTL_FOLDER)


def run_all(
    net: Path,
    build: Path,
    wanted_simulator: str | None,
    vectors: int | None,
    request: DesignRequest,
    say: Say,
) -> tuple[Signoff, Path]:
    """Do everything: plan, generate, simulate, sign off.

    Parameters
    ----------
    net : pathlib.Path
        Network folder.
    build : pathlib.Path
        Folder in which the network's build folder is made.
    wanted_simulator : str, optional
        ``verilator`` or ``icarus``; default: both.
    vectors : int, optional
        Number of test vectors.
    request : DesignRequest
        What is to be planned.
    say : callable
        Told what happens.

    Returns
    -------
    report : Signoff
        The report.
    folder : pathlib.Path
        The network's build folder.
    """
    simulators = choose_simulators(wanted_simulator)
    if simulators.second is None and wanted_simulator is None:
        say(f"Icarus Verilog is {simulators.why_no_second}")
    network = load_network(net)
    folder = build / network.description.name
    with _told(say, f"plan {network.description.name}"):
        network, design = plan_network(net, folder, request)
    with _told(say, f"generate RTL in {folder / RTL_FOLDER}"):
        generate(design, folder)
    return simulate_and_sign_off(network, net, design, folder, simulators, vectors, say), folder


@contextmanager
def _sole_user(folder: Path) -> Iterator[None]:
    """Keep a second run out of a build folder: both would write the same recordings."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ToolError(
                "another run is working in this folder",
                str(folder),
                "wait for it, or give this one a folder of its own with --build",
            ) from None
        yield
    finally:
        os.close(lock)


def _check_origin(network: Network, design: Design, folder: Path) -> None:
    """Refuse to hold a design to a network that it was not planned from."""
    if not _is_of(network, design):
        raise ManifestError(
            "the design was planned from another network than this one, or from an older one",
            str(folder / MANIFEST_FILE),
            "run the plan step again (make)",
        )


def _is_of(network: Network, design: Design) -> bool:
    """Return whether a network, compressed by the manifest's recipe, gives the design's arrays."""
    manifest, parameters = design.manifest, design.parameters
    if len(network.weights) != len(manifest.layers):
        return False
    record = manifest.compression
    recipe = Compression() if record is None else record.recipe
    shapes = [part.shape for part in parameters.weights]
    try:
        smaller = compress_network(
            network, recipe, parameters.widths if recipe.given_widths else None
        )
    except InputError:
        return False
    if [part.shape for part in smaller.network.weights] != shapes:
        return False
    if record is not None and record.kept != list(smaller.kept):
        return False
    weights = [quantise_weights(part, manifest.operand_width) for part in smaller.network.weights]
    biases = [
        quantise_biases(part, layer.bias_unit)
        for part, layer in zip(smaller.network.biases, manifest.layers, strict=True)
    ]
    pairs: list[tuple[NDArray[Any], NDArray[Any]]] = [
        *zip(weights, parameters.weights, strict=True),
        *zip(biases, parameters.biases, strict=True),
        *zip(smaller.widths, parameters.widths, strict=True),
        (network.features, design.features),
        (network.labels, design.labels),
    ]
    return all(np.array_equal(ours, planned) for ours, planned in pairs)


def _check_promises(design: Design, folder: Path) -> None:
    """Refuse to sign off what says itself that it misses its target, or has faulty sources."""
    for layer in design.manifest.layers:
        for fault in layer.source_certificate.faults:
            raise SignoffError(
                f"layer {layer.name}: {fault}",
                str(folder / MANIFEST_FILE),
                "plan it with other sources, then sign it off",
            )
    plan = design.manifest.precision
    if plan is not None and plan.shortfalls:
        raise SignoffError(
            plan.shortfalls[0], str(folder / MANIFEST_FILE), "plan it anew, then sign it off"
        )


def _remove_evidence(folder: Path) -> None:
    """Remove an earlier run's evidence: a run that ends early must not leave it standing."""
    for name in (SIGNOFF_FILE, JUNIT_FILE, REPORT_FILE):
        (folder / name).unlink(missing_ok=True)
    for counts in folder.glob(COUNTS_FILE.replace(".npz", "*.npz")):
        counts.unlink()


def _vector_count(design: Design, simulator: Simulator, vectors: int | None) -> int:
    """Return how many test vectors a simulator is to play."""
    available = len(design.features)
    if vectors is None:
        return min(available, DEFAULT_ICARUS_VECTORS) if simulator.name == "icarus" else available
    if not 1 <= vectors <= available:
        raise InputError(
            f"{vectors} vectors were asked for, there are {available}",
            "VECTORS",
            f"use 1 to {available}",
        )
    return vectors


def rewrite_report(net: Path, build: Path) -> Path:
    """Write a sign-off's files anew with what campaigns have found since; simulate nothing.

    Parameters
    ----------
    net : pathlib.Path
        Network folder.
    build : pathlib.Path
        Folder of all build products.

    Returns
    -------
    pathlib.Path
        The page.
    """
    folder = build / load_network(net).description.name
    design = read_design(folder)
    with _sole_user(folder):
        return refresh_report(design, folder, _make_argument(net))


def _rerun(net: Path, folder: Path) -> str:
    """Return the command that simulates the RTL of a folder again, with waves."""
    command = "WAVES=1 .venv/bin/certibit signoff"
    build = _quoted(_from_checkout(folder.parent))
    return f"{command} --net {_quoted(_from_checkout(net))} --build {build}"


def _from_checkout(path: Path) -> Path:
    """Return a path as seen from the checkout, where it lies in it: evidence names no machine."""
    checkout = SHIPPED_NETWORK.parent.parent
    whole = path.absolute()
    return whole.relative_to(checkout) if whole.is_relative_to(checkout) else path


def _make_argument(net: Path) -> str:
    """Return a network folder as make's NET takes it; the shipped network needs none."""
    return "" if net.resolve() == SHIPPED_NETWORK else _quoted(_from_checkout(net))


def _quoted(path: Path) -> str:
    """Return a path as a shell takes it."""
    return shlex.quote(str(path))


def _name(simulator: Simulator) -> str:
    """Return a simulator's name and version."""
    return f"{simulator.name} {simulator.version}"


def _speed(simulation: Simulation) -> str:
    """Return how fast a simulation was."""
    if not simulation.seconds_sim:
        return ""
    rate = simulation.cycles / simulation.seconds_sim
    return f"{simulation.cycles:,} cycles, {rate:,.0f} cycles/s"


@contextmanager
def _told(say: Say, what: str) -> Iterator[Callable[[str], None]]:
    """Say what is being done, and when it is done how long it took."""
    notes: list[str] = []
    begun = time.monotonic()
    say(f"{what} ...")
    yield notes.append
    extra = "".join(f", {note}" for note in notes if note)
    say(f"  done in {time.monotonic() - begun:.1f} s{extra}")
