"""Simulations of generated RTL: a whole network or one of its layers, in a harness, with cocotb."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.errors import BenchFailure, DesignFailure, ManifestError, SignoffError
from model.files import npz_bytes, write_bytes_atomically
from model.manifest import MANIFEST_FILE, LfsrSource, manifest_digest
from model.plan import Design
from rtl_gen.generator import HDL_FOLDER, TOP_MODULE, hdl_sources, layer_module
from tb.growth import shown_growth
from tb.harness import (
    BENCH_FILE,
    CYCLES_FILE,
    IDENTITY_FILE,
    INPUTS_FILE,
    LAYER_HARNESS,
    NETWORK_HARNESS,
    read_network_counts,
    read_trace,
    write_layer_harness,
    write_layer_stimulus,
    write_network_harness,
    write_network_stimulus,
    write_seeds,
)
from tb.runner import BenchResult, TestOutcome, read_outcomes, run_bench
from tb.simulators import Simulator
from tb.stream_probe import PROBE_DEFINE, write_stream_probe

RTL_FOLDER = "rtl"
_NETWORK_MODULE = "tb.network_bench"
_LAYER_MODULE = "tb.layer_bench"
_PROTOCOL_MODULE = "tb.protocol_bench"
# Always given: a filter left in the environment must not thin out a sign-off.
_ALL_TESTS = "."
_NO_RADIUS = "^(?!.*hoeffding_radius)"
_PLAY_TEST = "test_play_all_vectors"
_SEEDS_WAIVER = Path(__file__).with_name("verilog") / "seeds.vlt"
# The test that plays failed, or the design itself counted other vectors; a loop without a register,
# as Verilator ends it.
_DESIGN_AT_FAULT = (_PLAY_TEST, "test_registers_counted_every_vector", "did not converge")


@dataclass(frozen=True)
class Simulation:
    """What one simulation left behind.

    Attributes
    ----------
    simulator : Simulator
        Which simulator.
    seed : int
        The run's seed.
    inputs : numpy.ndarray
        Shape (vectors, fan_in): what was played.
    counts : tuple of numpy.ndarray
        For each layer that was simulated, shape (vectors, outputs), int64: signed counts.
    identity : str or None
        What the ID register said, as 64 hexadecimal digits; None where it was not read: layers have
        none.
    cycles : int
        Clock cycles from the first beat to the last result.
    seconds_build, seconds_sim : float
        Wall-clock seconds of the build (0 where it was there already) and of playing the vectors.
    results_xml : pathlib.Path
        cocotb's JUnit XML.
    failure : str or None
        Why cocotb tests failed, if they did.
    tests : tuple of TestOutcome
        What each cocotb test said.
    """

    simulator: Simulator
    seed: int
    inputs: NDArray[np.integer]
    counts: tuple[NDArray[np.int64], ...]
    identity: str | None
    cycles: int
    seconds_build: float
    seconds_sim: float
    results_xml: Path
    failure: str | None
    tests: tuple[TestOutcome, ...] = ()


def rtl_files(design: Design, folder: Path) -> list[Path]:
    """Return the generated files of a design, after checking that they are of this design.

    Parameters
    ----------
    design : Design
        The design.
    folder : pathlib.Path
        The design's build folder.

    Raises
    ------
    ManifestError
        If a file is missing or was generated from another manifest.
    """
    names = [layer_module(index) for index in range(len(design.manifest.layers))] + [TOP_MODULE]
    digest = manifest_digest(design.manifest)
    files = []
    for name in names:
        path = folder / RTL_FOLDER / f"{name}.v"
        try:
            text = path.read_text()
        except OSError as error:
            raise ManifestError(
                f"cannot read generated RTL: {error.strerror}",
                str(path),
                "generate it again (make)",
            ) from None
        if digest not in text:
            raise ManifestError(
                f"RTL from another manifest than {digest[:12]}...",
                str(path),
                "generate it again (make)",
            )
        files.append(path)
    return files


def simulate_network(
    design: Design,
    folder: Path,
    simulator: Simulator,
    inputs: NDArray[np.integer],
    *,
    run_name: str,
    seed: int = 1,
    adversarial: bool = False,
    probe: bool = False,
) -> Simulation:
    """Play feature vectors through the whole design.

    Parameters
    ----------
    design : Design
        The design.
    folder : pathlib.Path
        Its build folder, with manifest and RTL.
    simulator : Simulator
        Which simulator.
    inputs : numpy.ndarray
        Shape (vectors, fan_in), signed magnitudes.
    run_name : str
        Name of the run's folder in ``run/``.
    seed : int
        Seed of cocotb's generator.
    adversarial : bool
        Whether the vectors were made from the sources: a statistical radius does not speak of them,
        so the bench does not hold them to it.
    probe : bool
        Whether to write down every internal stream; see `tb.stream_probe`. Icarus only.

    Returns
    -------
    Simulation
        Counts of every layer.

    Raises
    ------
    SignoffError
        If the recording is incomplete; a `DesignFailure` where the design is at fault.
    """
    generated, run_dir = _prepare_network(design, folder, simulator, inputs, run_name)
    if probe:
        generated.append(write_stream_probe(design, folder))
    # A line of the output stream is "<TLAST> <count>": eleven characters.
    recording = run_dir / f"layer_{len(design.manifest.layers) - 1}.hex"
    size = 11 * len(inputs) * design.manifest.layers[-1].outputs
    with shown_growth(recording, size, f"{len(inputs)} vectors in {simulator.name}"):
        result, failure = _run(
            folder,
            simulator,
            run_dir,
            run_name,
            NETWORK_HARNESS,
            generated,
            _NETWORK_MODULE,
            seed,
            _NO_RADIUS if adversarial else _ALL_TESTS,
            defines={PROBE_DEFINE: None} if probe else None,
        )
    counts = _recorded(lambda: read_network_counts(design.manifest, run_dir, len(inputs)), failure)
    return _simulation(simulator, seed, inputs, counts, run_dir, result, failure)


@dataclass(frozen=True)
class ProtocolRun:
    """What the protocol bench left behind.

    Attributes
    ----------
    simulator : Simulator
        Which simulator.
    seed : int
        The run's seed.
    tests : tuple of TestOutcome
        What each test said.
    results_xml : pathlib.Path
        cocotb's JUnit XML.
    failure : str or None
        Why the run failed, if it did.
    """

    simulator: Simulator
    seed: int
    tests: tuple[TestOutcome, ...]
    results_xml: Path
    failure: str | None


def simulate_protocol(
    design: Design,
    folder: Path,
    simulator: Simulator,
    *,
    run_name: str,
    seed: int = 1,
    test_filter: str = _ALL_TESTS,
) -> ProtocolRun:
    """Run the protocol bench (`tb.protocol_bench`) on a whole design.

    Parameters
    ----------
    design : Design
        The design.
    folder : pathlib.Path
        Its build folder, with manifest and RTL.
    simulator : Simulator
        Which simulator.
    run_name : str
        Name of the run's folder in ``run/``.
    seed : int
        Seed of cocotb's generator, and of all pauses.
    test_filter : str
        Regular expression over the names of tests.
    """
    generated, run_dir = _prepare_network(design, folder, simulator, design.features[:1], run_name)
    _, failure = _run(
        folder,
        simulator,
        run_dir,
        run_name,
        NETWORK_HARNESS,
        generated,
        _PROTOCOL_MODULE,
        seed,
        test_filter,
    )
    results = run_dir / "results.xml"
    return ProtocolRun(simulator, seed, tuple(read_outcomes(results) or ()), results, failure)


def simulate_layer(
    design: Design,
    index: int,
    folder: Path,
    simulator: Simulator,
    inputs: NDArray[np.integer],
    *,
    run_name: str,
    seed: int = 1,
    seeds: Mapping[str, NDArray[np.integer]] | None = None,
) -> Simulation:
    """Play operand vectors through one layer of a design.

    Parameters
    ----------
    design : Design
        The design.
    index : int
        The layer's number.
    folder : pathlib.Path
        The design's build folder, with manifest and RTL.
    simulator : Simulator
        Which simulator.
    inputs : numpy.ndarray
        Shape (vectors, fan_in of the layer), signed magnitudes.
    run_name : str
        Name of the run's folder in ``run/``.
    seed : int
        Seed of cocotb's generator.
    seeds : mapping, optional
        States that the layer's shift registers (x, w, select) start from, shape (vectors,
        registers), in place of the manifest's. The model's counts are not those of such a run:
        nothing but its play is tested.

    Returns
    -------
    Simulation
        Counts of this layer.

    Raises
    ------
    SignoffError
        If the recording is incomplete; a `DesignFailure` where the design is at fault.
    """
    layer = design.manifest.layers[index]
    rtl = rtl_files(design, folder)[index]
    harness_folder = folder / (f"layer_{index}_seeds" if seeds else f"layer_{index}")
    harness_folder.mkdir(exist_ok=True)
    registers = {
        name: source.width * len(source.seeds)
        for name, source in (
            ("x", layer.x_source),
            ("w", layer.w_source),
            ("select", layer.select_source),
        )
        if isinstance(source, LfsrSource) and seeds is not None and name in seeds
    }
    width = design.manifest.operand_width
    # A round depth lets runs of different sizes share one build.
    depth = max(2 * layer.outputs, 1 << (len(inputs) - 1).bit_length())
    harness = write_layer_harness(layer, index, width, depth, harness_folder, registers)
    run_dir = _prepare_run(folder, run_name, simulator, inputs, {"layer": index})
    write_layer_stimulus(layer, width, inputs, run_dir)
    for name, bits in registers.items():
        assert seeds is not None
        write_seeds(name, bits // seeds[name].shape[1], seeds[name], run_dir)
    result, failure = _run(
        folder,
        simulator,
        run_dir,
        run_name,
        LAYER_HARNESS,
        [rtl, harness, *([_SEEDS_WAIVER] if registers else [])],
        _LAYER_MODULE,
        seed,
        _PLAY_TEST if seeds else _ALL_TESTS,
    )
    counts = _recorded(lambda: [read_trace(run_dir / "layer_0.hex", len(inputs), layer)], failure)
    return _simulation(simulator, seed, inputs, counts, run_dir, result, failure)


def _prepare_network(
    design: Design,
    folder: Path,
    simulator: Simulator,
    inputs: NDArray[np.integer],
    run_name: str,
) -> tuple[list[Path], Path]:
    """Return the generated files of a network in its harness, and the run's working folder."""
    generated = [*rtl_files(design, folder), write_network_harness(design.manifest, folder)]
    run_dir = _prepare_run(folder, run_name, simulator, inputs, {})
    write_network_stimulus(design.manifest, inputs, run_dir)
    return generated, run_dir


def _prepare_run(
    folder: Path,
    run_name: str,
    simulator: Simulator,
    inputs: NDArray[np.integer],
    extra: dict[str, int],
) -> Path:
    """Make a run's working folder, without recordings of an earlier run."""
    run_dir = folder / "run" / f"{run_name}-{simulator.name}"
    run_dir.mkdir(parents=True, exist_ok=True)
    for old in [*run_dir.glob("*.hex"), run_dir / CYCLES_FILE, run_dir / IDENTITY_FILE]:
        old.unlink(missing_ok=True)
    bench = {"manifest": str((folder / MANIFEST_FILE).resolve()), **extra}
    write_bytes_atomically(run_dir / BENCH_FILE, json.dumps(bench).encode())
    write_bytes_atomically(run_dir / INPUTS_FILE, npz_bytes({"features": inputs.astype(np.int16)}))
    return run_dir


def _run(
    folder: Path,
    simulator: Simulator,
    run_dir: Path,
    run_name: str,
    toplevel: str,
    generated: list[Path],
    module: str,
    seed: int,
    test_filter: str,
    *,
    defines: Mapping[str, int | str | None] | None = None,
) -> tuple[BenchResult | None, str | None]:
    """Build and run; a failed cocotb test is a finding, not the end."""
    try:
        result = run_bench(
            name=run_name,
            toplevel=toplevel,
            sources=[*hdl_sources(), *generated, HDL_FOLDER / "lint" / "verilator.vlt"],
            module=module,
            simulator=simulator,
            build_root=folder / "sim",
            run_dir=run_dir,
            seed=seed,
            test_filter=test_filter,
            defines=defines,
        )
    except BenchFailure as failure:
        return None, str(failure)
    return result, None


def _recorded(
    read: Callable[[], list[NDArray[np.int64]]], failure: str | None
) -> list[NDArray[np.int64]]:
    """Read a recording; where it is not whole, the run's own failure is the reason.

    It is the design's where the vectors could not be played to their end: a full disk cuts a
    recording short while the bench sees every result.
    """
    try:
        return read()
    except SignoffError as error:
        if failure is None:
            raise
        at_fault = isinstance(error, DesignFailure) or (
            "OSError" not in failure and any(words in failure for words in _DESIGN_AT_FAULT)
        )
        raise (DesignFailure if at_fault else SignoffError)(
            f"{error.what}, since {failure}", error.where, error.what_to_do
        ) from None


def _simulation(
    simulator: Simulator,
    seed: int,
    inputs: NDArray[np.integer],
    counts: list[NDArray[np.int64]],
    run_dir: Path,
    result: BenchResult | None,
    failure: str | None,
) -> Simulation:
    """Collect what a run left behind."""
    identity_path = run_dir / IDENTITY_FILE
    identity = identity_path.read_text() if identity_path.exists() else None
    cycles_path = run_dir / CYCLES_FILE
    cycles = int(json.loads(cycles_path.read_text())["cycles"]) if cycles_path.exists() else 0
    played = (
        [test.seconds for test in result.tests if test.name.endswith(_PLAY_TEST)] if result else []
    )
    return Simulation(
        simulator=simulator,
        seed=seed,
        inputs=inputs,
        counts=tuple(counts),
        identity=identity,
        cycles=cycles,
        seconds_build=result.seconds_build if result else 0.0,
        seconds_sim=sum(played),
        results_xml=run_dir / "results.xml",
        failure=failure,
        tests=tuple(read_outcomes(run_dir / "results.xml") or ()),
    )
