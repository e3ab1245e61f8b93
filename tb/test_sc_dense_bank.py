"""Bench of hdl/sc_dense_bank.v: every accumulator in every cycle.

The model adds up lanes one by one, in plain integers; the end of each vector is held to the signed
sum that the layer is for, and whole vectors to the bit-by-bit golden model. Words are random, so no
source is needed.

Weights are constants of the bank. They are drawn from the case's name and handed over in a wrapper
module, which is written beside the builds.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from model.files import write_bytes_atomically
from model.lfsr import maximal_taps
from model.manifest import Layer, LfsrSource
from model.streams import evaluate_layer, source_words
from tb.bench_support import BENCH_BUILDS, HDL, SIMULATORS, bench_random, elaborate
from tb.functional_coverage import sample
from tb.planes import from_planes, literal, to_planes
from tb.runner import run_bench
from tb.simulators import find_simulator

pytestmark = pytest.mark.slow

CLOCK_NS = 10
WRAPPER = "sc_dense_bank_bench"
CASE_VARIABLE = "BENCH_CASE"


@dataclass(frozen=True)
class Case:
    """A bank and the weights in it."""

    name: str
    fan_in: int
    neurons: int
    width: int
    length: int
    shared: bool
    signed: bool
    full_scale: bool = False
    spare_bits: int = 0
    pruned: float | None = None

    @cached_property
    def weights(self) -> list[list[int]]:
        """Signed weights, a row a neuron, in steps of 2**-K; 2**K stands for one."""
        rng = random.Random(f"{self.name} weights")
        one = 1 << self.width

        def weight() -> int:
            if self.pruned is not None and rng.random() < self.pruned:
                return 0
            magnitude = one if self.full_scale else rng.randint(0, one)
            if rng.random() < 0.4 and not self.full_scale:
                magnitude = rng.choice((0, 1, one - 1, one))
            return rng.choice((-magnitude, magnitude))

        return [[weight() for _ in range(self.fan_in)] for _ in range(self.neurons)]

    @cached_property
    def biases(self) -> list[int]:
        """Biases in counts."""
        rng = random.Random(f"{self.name} biases")
        most = 3 * self.length
        if self.full_scale:
            return [rng.choice((-most, most)) for _ in range(self.neurons)]
        return [rng.randint(-most, most) for _ in range(self.neurons)]

    @cached_property
    def signs(self) -> list[list[int]]:
        """What the bank is told of signs: that of a weight of zero must not matter."""
        rng = random.Random(f"{self.name} signs")
        return [[int(w < 0) if w else rng.getrandbits(1) for w in row] for row in self.weights]

    @property
    def slots(self) -> int:
        """Lanes that are counted: all, or as many as the neuron with the most synapses has."""
        if self.pruned is None:
            return self.fan_in
        return max(1, *(sum(weight != 0 for weight in row) for row in self.weights))

    @property
    def stages(self) -> list[list[list[int]]]:
        """Which synapse moves where: for each stage and place a bit for each neuron."""
        if self.pruned is None:
            return []
        stages: list[list[list[int]]] = []
        # Where the synapses stand, in order; the last place of all is their own number.
        places = [[i for i, w in enumerate(row) if w] for row in self.weights]
        while not stages or any(at != list(range(len(at))) for at in places):
            step = 1 << len(stages)
            stage = [[0] * self.neurons for _ in range(self.fan_in)]
            for neuron, at in enumerate(places):
                for number, place in enumerate(at):
                    if (place - number) & step:
                        stage[place][neuron] = 1
                        at[number] -= step
                assert len(set(at)) == len(at)
            stages.append(stage)
        return stages

    @property
    def acc_width(self) -> int:
        """The fewest bits that hold every sum, and some to spare."""
        largest = max(map(abs, self.biases)) + self.slots * self.length
        return largest.bit_length() + 1 + self.spare_bits

    @property
    def preload(self) -> list[int]:
        """What accumulators start from: the bias, less the excess that is known beforehand."""
        if self.signed:
            return self.biases
        return [
            bias - self.length * sum(weight < 0 for weight in row)
            for bias, row in zip(self.biases, self.weights, strict=True)
        ]

    @property
    def sources(self) -> int:
        """Number of words a cycle."""
        return 1 if self.shared else self.fan_in

    def wrapper(self) -> str:
        """Return a module without parameters around the bank and its constants."""
        lanes = list(zip(*self.weights, strict=True))
        magnitude = to_planes([abs(w) for lane in lanes for w in lane], self.width + 1)
        sign = to_planes([bit for lane in zip(*self.signs, strict=True) for bit in lane], 1)
        stages = self.stages
        span = self.fan_in * self.neurons
        acc = self.acc_width * self.neurons
        constants = {
            "FanIn": self.fan_in,
            "Neurons": self.neurons,
            "OperandWidth": self.width,
            "Length": self.length,
            "Slots": self.slots,
            "ShiftStages": len(stages),
            "CountWidth": self.slots.bit_length(),
            "AccWidth": self.acc_width,
            "SharedSource": int(self.shared),
            "InputSigned": int(self.signed),
            "WeightMagnitude": literal(magnitude, (self.width + 1) * span),
            "WeightSign": literal(sign, span),
            "Preload": literal(to_planes(self.preload, self.acc_width), acc),
        }
        if stages:
            shift = to_planes([bit for stage in stages for place in stage for bit in place], 1)
            constants["LaneShift"] = literal(shift, len(stages) * span)
        given = ",\n".join(f"    .{name}({value})" for name, value in constants.items())
        inputs = {
            "clk_i": 1,
            "load_i": 1,
            "sign_i": 1,
            "count_i": 1,
            "x_i": self.fan_in,
            "x_sign_i": self.fan_in,
            "r_i": self.width * self.sources,
        }
        ports = [f"  input  wire [{width - 1}:0] {name}" for name, width in inputs.items()]
        ports.append(f"  output wire [{acc - 1}:0] acc_o")
        joined = ",\n".join(f"    .{name}({name})" for name in [*inputs, "acc_o"])
        return (
            f"module {WRAPPER} (\n" + ",\n".join(ports) + "\n);\n\n"
            f"  sc_dense_bank #(\n{given}\n  ) u_bank (\n{joined}\n  );\n\nendmodule\n"
        )


class BankModel:
    """The accumulators, lane by lane."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.sums = [0] * case.neurons

    def load(self) -> None:
        """Begin a vector."""
        self.sums = list(self.case.preload)

    def take_signs(self, x_signs: Sequence[int]) -> None:
        """Take off what will be counted too many."""
        for neuron, row in enumerate(self.case.weights):
            negative = sum(_negative(w, s) for w, s in zip(row, x_signs, strict=True))
            self.sums[neuron] -= self.case.length * negative

    def count(self, x: Sequence[int], x_signs: Sequence[int], words: Sequence[int]) -> None:
        """Add a cycle: products, of negative ones the complement."""
        seen = list(words) * (self.case.fan_in // self.case.sources)
        for neuron, row in enumerate(self.case.weights):
            for weight, bit, sign, word in zip(row, x, x_signs, seen, strict=True):
                product = bit and word < abs(weight)
                self.sums[neuron] += (not product) if _negative(weight, sign) else product


def _negative(weight: int, x_sign: int) -> bool:
    return weight != 0 and (weight < 0) != bool(x_sign)


class TB:
    """Clock, and a check of every accumulator in every cycle.

    Parameters
    ----------
    dut : Any
        Handle of a case's wrapper.
    """

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.case = CASES[os.environ[CASE_VARIABLE]]
        self.model = BankModel(self.case)
        self.rng = bench_random("sc_dense_bank")
        self.loaded = False
        dut.load_i.value = 0
        dut.sign_i.value = 0
        dut.count_i.value = 0
        dut.x_sign_i.value = 0
        Clock(dut.clk_i, CLOCK_NS, unit="ns").start()

    def sums(self) -> list[int]:
        """Read the accumulators."""
        case = self.case
        found = from_planes(int(self.dut.acc_o.value), case.neurons, case.acc_width, signed=True)
        for value, name in ((0, "all zeros"), (-1, "all ones")):
            if value in found:
                sample("block_outputs", "sc_dense_bank", name)
        return found

    def expected(self) -> list[int]:
        """Return the model's accumulators as the hardware holds them: sums wrap."""
        half = 1 << (self.case.acc_width - 1)
        return [(value + half) % (2 * half) - half for value in self.model.sums]

    def bits(self) -> list[int]:
        """Draw a bit for each lane."""
        return [self.rng.getrandbits(1) for _ in range(self.case.fan_in)]

    def signs(self) -> list[int]:
        """Draw a sign for each lane; inputs without signs are not negative."""
        return self.bits() if self.case.signed else [0] * self.case.fan_in

    def words(self) -> list[int]:
        """Draw the words of a cycle, near a weight rather often."""
        top = (1 << self.case.width) - 1
        weight = abs(self.rng.choice(self.rng.choice(self.case.weights)))
        near = min(max(weight + self.rng.choice((-1, 0, 1)), 0), top)
        return [self.rng.choice((near, self.rng.randint(0, top))) for _ in range(self.case.sources)]

    async def _edge(self, **controls: int) -> None:
        for control in ("load_i", "sign_i", "count_i"):
            getattr(self.dut, control).value = controls.get(control, 0)
        await RisingEdge(self.dut.clk_i)
        if self.loaded:
            assert self.sums() == self.expected()

    def _drive(self, x: Sequence[int], words: Sequence[int]) -> None:
        self.dut.x_i.value = to_planes(x, 1)
        self.dut.r_i.value = to_planes(words, self.case.width)

    async def begin(self, x_signs: Sequence[int]) -> None:
        """Load, with noise on the other inputs, and pass the sign cycle where there is one."""
        self._drive(self.bits(), self.words())
        await self._edge(load_i=1)
        self.model.load()
        self.loaded = True
        self.dut.x_sign_i.value = to_planes(x_signs, 1)
        if self.case.signed:
            self._drive(self.bits(), self.words())
            await self._edge(sign_i=1)
            self.model.take_signs(x_signs)

    async def count(self, x: Sequence[int], x_signs: Sequence[int], words: Sequence[int]) -> None:
        """Pass a counted cycle."""
        self._drive(x, words)
        await self._edge(count_i=1)
        self.model.count(x, x_signs, words)

    async def pause(self, cycles: int) -> None:
        """Pass cycles that count nothing, with noise on the inputs."""
        for _ in range(cycles):
            self._drive(self.bits(), self.words())
            await self._edge()

    async def vector(
        self,
        x: Sequence[Sequence[int]],
        x_signs: Sequence[int],
        words: Sequence[Sequence[int]],
    ) -> list[int]:
        """Pass a whole vector, one cycle for each row; return the signed sums it must give."""
        await self.begin(x_signs)
        sums = list(self.case.biases)
        for bits, cycle_words in zip(x, words, strict=True):
            await self.count(bits, x_signs, cycle_words)
            seen = list(cycle_words) * (self.case.fan_in // self.case.sources)
            for neuron, row in enumerate(self.case.weights):
                for weight, bit, sign, word in zip(row, bits, x_signs, seen, strict=True):
                    if bit and word < abs(weight):
                        sums[neuron] += -1 if _negative(weight, sign) else 1
        return sums

    async def random_vector(self) -> list[int]:
        """Pass a random vector; return the signed sums it must give."""
        cycles = range(self.case.length)
        return await self.vector(
            [self.bits() for _ in cycles], self.signs(), [self.words() for _ in cycles]
        )


async def start(dut: Any) -> TB:
    """Make a test bench, past the clock edge at time 0."""
    tb = TB(dut)
    await RisingEdge(dut.clk_i)
    return tb


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def vectors_back_to_back(dut: Any) -> None:
    """Each vector is loaded in the cycle after the last one's end: nothing leaks."""
    tb = await start(dut)
    sums = await tb.random_vector()
    for _ in range(3):
        assert tb.expected() == sums, "the model's own sums are not the signed ones"
        sums = await tb.random_vector()  # its first cycle compares the vector before
    await tb.pause(1)
    assert tb.sums() == sums


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def sums_stay_between_counted_cycles(dut: Any) -> None:
    """Cycles that are not counted, amid a vector and after it, change nothing."""
    tb = await start(dut)
    x_signs = tb.signs()
    await tb.begin(x_signs)
    for _ in range(min(tb.case.length, 12)):
        await tb.pause(tb.rng.choice((0, 1, 3)))
        await tb.count(tb.bits(), x_signs, tb.words())
    await tb.pause(20)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def every_word_meets_every_weight(dut: Any) -> None:
    """All words in turn, every input one."""
    tb = await start(dut)
    x_signs = tb.signs()
    await tb.begin(x_signs)
    ones = [1] * tb.case.fan_in
    for word in range(1 << tb.case.width):
        words = [(word + 5 * lane) % (1 << tb.case.width) for lane in range(tb.case.sources)]
        await tb.count(ones, x_signs, words)
    await tb.pause(1)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def an_abandoned_vector_leaves_no_trace(dut: Any) -> None:
    """A load at any point of a vector begins a new one."""
    tb = await start(dut)
    for cycles in (0, 1, tb.case.length - 1):
        x_signs = tb.signs()
        await tb.begin(x_signs)
        for _ in range(cycles):
            await tb.count(tb.bits(), x_signs, tb.words())
        sums = await tb.random_vector()
        await tb.pause(1)
        assert tb.sums() == sums


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def sums_reach_both_ends_of_their_range(dut: Any) -> None:
    """All products one, and all of one sign for the first neuron; then all of the other sign."""
    tb = await start(dut)
    case = tb.case
    x = [[1] * case.fan_in] * case.length
    words = [[0] * case.sources] * case.length
    for flip in (False, True):
        x_signs = [int((weight < 0) != flip) for weight in case.weights[0]]
        if not case.signed:
            x_signs = [0] * case.fan_in
        sums = await tb.vector(x, x_signs, words)
        await tb.pause(1)
        assert tb.sums() == sums
        if case.full_scale and case.signed:
            direction = -1 if flip else 1
            assert sums[0] == case.biases[0] + direction * case.fan_in * case.length


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_vector_gives_the_golden_models_counts(dut: Any) -> None:
    """With an LFSR's words and streams: each cycle's increment and the final counts."""
    tb = await start(dut)
    case = tb.case
    width = max(case.width, 8)
    lanes = case.sources

    def source() -> LfsrSource:
        return LfsrSource(
            width=width,
            taps=list(maximal_taps(width)),
            step=width,
            sharing="layer" if case.shared else "lane",
            seeds=[tb.rng.randrange(1, 1 << width) for _ in range(lanes)],
            xor_constants=[0],
        )

    # The parts of a layer that its streams depend on.
    parts: dict[str, Any] = {
        "fan_in": case.fan_in,
        "outputs": case.neurons,
        "bitstream_length": case.length,
        "x_source": source(),
        "w_source": source(),
    }
    layer = Layer.model_construct(**parts)
    top = (1 << case.width) - 1
    inputs = np.array([tb.rng.randint(-top if case.signed else 0, top) for _ in tb.bits()])
    golden = evaluate_layer(
        layer, np.array(case.weights), np.array(case.biases), inputs, case.width
    )
    x_signs = [int(value < 0) for value in inputs]
    await tb.begin(x_signs)
    weights = np.array(case.weights)
    opposite = (weights < 0) != np.array(x_signs, bool)
    excess = case.length * (opposite & (weights != 0)).sum(axis=1)
    sums = np.array(case.biases) - excess
    negative = excess // case.length
    words = source_words(layer.w_source, case.length, case.width, case.fan_in)
    for cycle, cycle_words in enumerate(words):
        await tb.count(golden.x_bits[cycle].astype(int).tolist(), x_signs, cycle_words[:lanes])
        sums += golden.increments[cycle] + negative
        assert tb.expected() == sums.tolist()
    await tb.pause(1)
    assert tb.sums() == golden.counts.tolist()


def _cases() -> dict[str, Case]:
    shapes = [
        # name, fan-in, neurons, K, Length, one source for all, inputs with sign
        ("smallest", 1, 1, 1, 2, True, True),
        ("one_input", 1, 3, 4, 3, False, False),
        ("two_inputs", 2, 1, 3, 7, True, False),
        ("three_inputs", 3, 3, 8, 16, True, True),
        ("five_inputs", 5, 64, 5, 7, False, True),
        ("seven_inputs", 7, 3, 8, 100, True, False),
        ("six_inputs", 6, 5, 6, 3, False, False),
        ("twelve_inputs", 12, 2, 7, 16, True, True),
        ("word_of_inputs", 64, 3, 8, 16, False, True),
        ("beyond_a_word", 65, 10, 8, 7, True, True),
        ("many", 129, 1, 2, 3, False, False),
    ]
    found = {shape[0]: Case(*shape) for shape in shapes}
    pruned = [
        (("nothing_pruned", 5, 3, 4, 8, True, True), 0.0),
        (("one_input_pruned", 1, 4, 3, 4, True, True), 0.5),
        (("all_pruned", 3, 2, 4, 4, True, True), 1.0),
        (("half_pruned", 13, 5, 6, 16, True, True), 0.5),
        (("half_pruned_unsigned", 17, 64, 4, 5, False, False), 0.5),
        (("mostly_pruned", 65, 7, 8, 7, False, True), 0.9),
    ]
    found |= {shape[0]: Case(*shape, pruned=share) for shape, share in pruned}
    found["full_scale"] = Case("full_scale", 15, 4, 3, 8, True, True, full_scale=True)
    found["wide_sums"] = Case("wide_sums", 4, 2, 4, 5, False, True, spare_bits=30)
    return found


CASES = _cases()
RUNS = [("icarus", name) for name in CASES] + [
    ("verilator", "five_inputs"),
    ("verilator", "three_inputs"),
    ("verilator", "half_pruned"),
]


@pytest.mark.parametrize(("simulator", "case"), RUNS)
def test_sc_dense_bank(simulator: str, case: str) -> None:
    wrapper = BENCH_BUILDS / "wrappers" / case / f"{WRAPPER}.v"
    _write(wrapper, CASES[case].wrapper())
    run_bench(
        name=f"sc_dense_bank_{case}",
        toplevel=WRAPPER,
        sources=[wrapper, HDL / "sc_dense_bank.v"],
        module="tb.test_sc_dense_bank",
        simulator=find_simulator(simulator),
        build_root=BENCH_BUILDS,
        env={CASE_VARIABLE: case},
    )


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes_atomically(path, text.encode())


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({"FanIn": 0, "CountWidth": 1}, "FanIn_must_be_positive"),
        ({"Neurons": 0}, "Neurons_must_be_positive"),
        ({"OperandWidth": 0}, "OperandWidth_must_be_positive"),
        ({"Length": 0}, "Length_must_be_positive"),
        ({"FanIn": 4, "CountWidth": 2}, "CountWidth_must_be_the_bits_of_Slots"),
        ({"FanIn": 3, "CountWidth": 3}, "CountWidth_must_be_the_bits_of_Slots"),
        ({"FanIn": 1, "CountWidth": 0}, "CountWidth_must_be_the_bits_of_Slots"),
        (
            {"FanIn": 4, "Slots": 3, "ShiftStages": 1, "CountWidth": 3},
            "CountWidth_must_be_the_bits_of_Slots",
        ),
        ({"FanIn": 4, "Slots": 0, "ShiftStages": 1}, "Slots_must_be_1_to_FanIn"),
        ({"FanIn": 1, "Slots": 2, "CountWidth": 2}, "Slots_must_be_1_to_FanIn"),
        ({"FanIn": 4, "Slots": 3, "CountWidth": 2}, "ShiftStages_0_needs_Slots_of_FanIn"),
        ({"FanIn": 3, "ShiftStages": -1, "CountWidth": 2}, "ShiftStages_0_needs_Slots_of_FanIn"),
        ({"FanIn": 3, "CountWidth": 2, "AccWidth": 2}, "AccWidth_must_exceed_CountWidth"),
    ],
)
def test_illegal_parameters_stop_elaboration(
    simulator: str, parameters: dict[str, int], rule: str
) -> None:
    sources = [HDL / "sc_dense_bank.v"]
    result = elaborate(find_simulator(simulator), "sc_dense_bank", sources, parameters)
    assert result.returncode != 0
    assert rule in result.stdout
