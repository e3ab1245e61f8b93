"""What the benches of single blocks share: streams of stimulus, words and bits, the pytest half.

Streams are arrays of bool with time on the last axis, as `model.gates` takes them. A block's vector
of bits in one cycle is a column of them, element e at bit e.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tb.bench_support import BENCH_BUILDS, HDL, bench_environment, bench_parameters, elaborate
from tb.coverage_monitors import sample_outputs
from tb.planes import from_planes
from tb.runner import run_bench
from tb.simulators import find_simulator


def stimulus(rng: random.Random, elements: int, cycles: int) -> NDArray[np.bool_]:
    """Draw streams: all zeros, all ones, a single one and a single zero, then bits at random.

    Parameters
    ----------
    rng : random.Random
        Where the bits come from.
    elements : int
        Number of streams.
    cycles : int
        Their length, 4 or more.

    Returns
    -------
    numpy.ndarray
        Shape (elements, cycles). Some cycles have few ones, some many.
    """
    generator = np.random.default_rng(rng.getrandbits(64))
    shares = generator.choice([0.02, 0.2, 0.5, 0.8, 0.98], cycles)
    streams: NDArray[np.bool_] = generator.random((elements, cycles)) < shares
    streams[:, 0] = streams[:, 2] = False
    streams[:, 1] = streams[:, 3] = True
    streams[-1, 2], streams[0, 3] = True, False
    return streams


def as_word(bits: NDArray[np.bool_]) -> int:
    """Return bits of any shape, the last axis fastest, as a vector with element e at bit e."""
    return int.from_bytes(np.packbits(bits.ravel(), bitorder="little").tobytes(), "little")


def numbers_of(word: int, elements: int, width: int) -> NDArray[np.int64]:
    """Return the numbers, of `width` bits each, that a plane vector holds."""
    return np.array(from_planes(word, elements, width))


def expect(
    handle: Any, expected: NDArray[np.bool_] | NDArray[np.int64], cycle: int, seen: str
) -> None:
    """Hold a port of the DUT to what it should be in this cycle.

    Parameters
    ----------
    handle : Any
        The port.
    expected : numpy.ndarray
        Its elements, of any shape: bits, or numbers as planes.
    cycle : int
        For the message.
    seen : str
        What the port depends on, for the message.
    """
    width = len(handle) // expected.size
    assert len(handle) == width * expected.size
    found = numbers_of(int(handle.value), expected.size, width).reshape(expected.shape)
    sample_outputs(found.ravel().tolist(), width)
    wrong = np.argwhere(found != expected)
    if len(wrong):
        at = tuple(wrong[0].tolist())
        raise AssertionError(
            f"{handle._name}: {len(wrong)} of {expected.size} elements are wrong in cycle {cycle}, "
            f"first {at}: RTL {found[at]}, golden {int(expected[at])}; {seen}"
        )


def vector_parameter(name: str) -> int:
    """Return a parameter that was given as a Verilog literal, ``24'h00ff01``."""
    return int(str(bench_parameters()[name]).partition("'h")[2], 16)


def run_block(
    module: str,
    simulator: str,
    parameter_set: str,
    parameters: Mapping[str, int | str],
    parts: Sequence[str] = (),
) -> None:
    """Build the bench of a module of hdl/ with its parameters, and run its tests.

    Parameters
    ----------
    module : str
        Name of the module, and of the bench after ``tb.test_``.
    simulator : str
        Name of the simulator.
    parameter_set : str
        Name of the parameters, for messages.
    parameters : mapping
        The parameters.
    parts : sequence of str
        Modules that it instantiates.
    """
    run_bench(
        name=f"{module}_{parameter_set}",
        toplevel=module,
        sources=[HDL / f"{name}.v" for name in (module, *parts)],
        module=f"tb.test_{module}",
        simulator=find_simulator(simulator),
        build_root=BENCH_BUILDS,
        parameters=parameters,
        env=bench_environment(parameters),
    )


def complaint(
    module: str, simulator: str, parameters: Mapping[str, int], parts: Sequence[str] = ()
) -> str:
    """Return what a simulator says to parameters that stop elaboration; empty if they do not.

    Parameters
    ----------
    module : str
        Name of the module.
    simulator : str
        Name of the simulator.
    parameters : mapping
        The parameters.
    parts : sequence of str
        Modules that it instantiates.
    """
    sources = [HDL / f"{name}.v" for name in (module, *parts)]
    done = elaborate(find_simulator(simulator), module, sources, parameters)
    return done.stdout if done.returncode else ""
