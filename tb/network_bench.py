"""cocotb tests of a whole network: play the vectors, hold what came out to the model.

Run by `tb.simulate.simulate_network` in a folder that holds ``bench.json``, ``inputs.npz`` and the
stimulus; the harness leaves its recordings there.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, Timer
from cocotbext.axi import AxiLiteBus, AxiLiteMaster
from numpy.typing import NDArray

from model.forward import GoldenNetwork, layer_errors
from model.manifest import load_manifest, manifest_digest
from model.plan import Design, load_design
from tb.coverage_monitors import sample_design
from tb.harness import (
    BENCH_FILE,
    CYCLES_FILE,
    IDENTITY_FILE,
    INPUTS_FILE,
    read_network_counts,
)

_REGISTER_ID = 0x000
_REGISTER_VECTORS_IN = 0x02C  # then vectors out and packet errors


@cache
def bench() -> dict[str, Any]:
    """Return what this run is about: the manifest's path."""
    content: dict[str, Any] = json.loads(Path(BENCH_FILE).read_text())
    return content


@cache
def design() -> Design:
    """Return the design under test, from its manifest."""
    path = Path(bench()["manifest"])
    return load_design(load_manifest(path), path.parent)


@cache
def inputs() -> NDArray[np.int16]:
    """Return the feature vectors that this run plays."""
    with np.load(INPUTS_FILE) as archive:
        features: NDArray[np.int16] = archive["features"]
    return features


@cache
def evidence() -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]], NDArray[np.int16]]:
    """Return recorded counts, golden counts and the features that both belong to."""
    measured = read_network_counts(design().manifest, Path(), len(inputs()))
    golden = GoldenNetwork(design().manifest, design().parameters).counts(inputs())
    return measured, golden, inputs()


def drive_clock(dut: Any) -> None:
    """Drive the clock from Python until the test ends, for drivers that sample at its edges."""
    dut.free_running.value = 0
    Clock(dut.clk, 10, "ns").start()


async def reset(dut: Any) -> None:
    """Hold the design in reset for a few cycles."""
    dut.play.value = 0
    dut.rst_n.value = 0
    await ClockCycles(dut.clk, 4)
    dut.rst_n.value = 1
    await ClockCycles(dut.clk, 2)


@cocotb.test()
async def test_id_is_the_manifests(dut: Any) -> None:
    """The ID register is the SHA-256 of the manifest that this sign-off is about."""
    drive_clock(dut)
    await reset(dut)
    master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst_n, False)
    words = await master.read_dwords(_REGISTER_ID, 8, byteorder="little")
    identity = "".join(f"{word:08x}" for word in words)
    Path(IDENTITY_FILE).write_text(identity)
    assert identity == manifest_digest(design().manifest), (
        f"RTL from another manifest: its ID register is {identity}"
    )
    sample_design(design().manifest)


@cocotb.test()
async def test_play_all_vectors(dut: Any) -> None:
    """Every vector goes in and every result comes out."""
    dut.free_running.value = 1
    await reset(dut)
    dut.vectors.value = len(inputs())
    dut.play.value = 1
    await RisingEdge(dut.ended)
    await ClockCycles(dut.clk, 1)
    assert not int(dut.hung.value), (
        f"hung after {int(dut.packets_out.value)} of {len(inputs())} vectors"
    )
    Path(CYCLES_FILE).write_text(json.dumps({"cycles": int(dut.cycles.value)}))


@cocotb.test()
async def test_registers_counted_every_vector(dut: Any) -> None:
    """The design itself counted as many vectors in and out as were played, and no broken packet."""
    drive_clock(dut)
    master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst_n, False)
    counted = await master.read_dwords(_REGISTER_VECTORS_IN, 3, byteorder="little")
    assert counted == [len(inputs()), len(inputs()), 0], (
        f"registers say {counted[0]} vectors in, {counted[1]} out, {counted[2]} packet errors;"
        f" {len(inputs())} vectors were played"
    )


@cocotb.test()
async def test_counts_equal_golden(dut: Any) -> None:
    """S1: every count of every layer and vector equals the golden count."""
    await Timer(1, "ns")
    measured, golden, _ = evidence()
    for layer, rtl, model in zip(design().manifest.layers, measured, golden, strict=True):
        wrong = np.argwhere(rtl != model)
        assert not len(wrong), (
            f"layer {layer.name}: {len(wrong)} of {rtl.size} counts differ, first at vector"
            f" {wrong[0][0]}, neuron {wrong[0][1]}: RTL {rtl[tuple(wrong[0])]},"
            f" golden {model[tuple(wrong[0])]}"
        )


@cocotb.test()
async def test_error_within_certificate(dut: Any) -> None:
    """S2: the measured error of every layer is within its exact certificate."""
    await Timer(1, "ns")
    measured, _, features = evidence()
    errors = layer_errors(design().manifest, design().parameters, features, measured)
    for layer, error in zip(design().manifest.layers, errors, strict=True):
        worst = float(np.abs(error).max())
        assert worst <= layer.certificate.value, (
            f"layer {layer.name}: error {worst} exceeds the certificate {layer.certificate.value}"
        )


@cocotb.test()
async def test_error_within_hoeffding_radius(dut: Any) -> None:
    """S2: the measured error of every layer is within the manifest's Hoeffding radius."""
    await Timer(1, "ns")
    measured, _, features = evidence()
    errors = layer_errors(design().manifest, design().parameters, features, measured)
    for layer, error in zip(design().manifest.layers, errors, strict=True):
        worst = float(np.abs(error).max())
        assert worst <= layer.hoeffding.radius, (
            f"layer {layer.name}: error {worst} exceeds the radius {layer.hoeffding.radius}"
            f" at L = {layer.bitstream_length}"
        )


@cocotb.test()
async def test_outputs_are_never_unknown(dut: Any) -> None:
    """No X reached an output in all of the above; only a simulator with X can say so."""
    await Timer(1, "ns")
    assert not int(dut.unknown.value), f"{int(dut.unknown.value)} cycles with X at an output"
