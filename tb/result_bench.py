"""What the benches of the result stages share: the handshakes, told by one model for all three.

A stage takes the accumulators of all neurons at once, works for some cycles and offers the result
until it is taken; while the result is offered the next one may be accepted in the very cycle in
which it goes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import cache
from math import ceil, floor
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer

from model.files import write_bytes_atomically
from tb.bench_support import bench_random, pauses
from tb.coverage_monitors import sample_clipping, watch_result_stage
from tb.planes import from_planes, to_planes

CLOCK_NS = 10


class StageModel:
    """One result at a time, offered `latency` cycles after it was accepted."""

    def __init__(self, latency: int) -> None:
        self.latency = latency
        self.age: int | None = None
        self.counts: list[int] = []

    def offers(self) -> bool:
        """Say whether a result is offered in this cycle."""
        return self.age is not None and self.age >= self.latency

    def ready(self, take: bool) -> bool:
        """Say whether counts offered in this cycle are accepted."""
        return self.age is None or (self.offers() and take)

    def step(self, *, counts: Sequence[int] | None, take: bool, clear: bool) -> None:
        """Pass a clock edge, with the counts that are offered."""
        accepted = counts is not None and self.ready(take)
        if clear or (self.offers() and take and not accepted):
            self.age = None
        elif accepted:
            self.age = 1
            self.counts = list(counts or ())
        elif self.age is not None:
            self.age += 1


class ResultBench:
    """Clock, reset, and a check of every cycle of a result stage.

    Parameters
    ----------
    dut : Any
        Handle of a stage, or of a module around stages that accept the same counts in step.
    neurons, acc_width : int
        Parameters of the stage.
    latency : int
        Cycles from acceptance to the offer.
    results : mapping
        For each output port, what it must show for the counts of all neurons: a function, and the
        number of planes.
    """

    def __init__(
        self,
        dut: Any,
        *,
        neurons: int,
        acc_width: int,
        latency: int,
        results: Mapping[str, tuple[Callable[[int], int], int]],
    ) -> None:
        self.dut = dut
        self.neurons = neurons
        self.acc_width = acc_width
        self.results = results
        self.model = StageModel(latency)
        self.rng = bench_random("result_bench")
        assert len(dut.acc_i) == neurons * acc_width
        for port, (_, planes) in results.items():
            assert len(getattr(dut, port)) == neurons * planes, port
        dut.rst_ni.value = 0
        dut.clear_i.value = 0
        dut.acc_valid_i.value = 0
        dut.result_ready_i.value = 0
        Clock(dut.clk_i, CLOCK_NS, unit="ns").start()
        watch_result_stage(dut)

    @property
    def range(self) -> tuple[int, int]:
        """The least and the largest count."""
        return -(1 << (self.acc_width - 1)), (1 << (self.acc_width - 1)) - 1

    def draw(self) -> list[int]:
        """Draw counts for all neurons: of any size, or just about a power of two."""
        low, high = self.range
        counts = []
        for _ in range(self.neurons):
            near = (1 << self.rng.randrange(self.acc_width)) + self.rng.randint(-2, 2)
            count = self.rng.choice((self.rng.randint(low, high), near, -near, 3 * near))
            counts.append(min(max(count, low), high))
        return counts

    async def reset(self) -> None:
        """Hold the reset for some cycles."""
        self.dut.rst_ni.value = 0
        self.model.age = None
        for _ in range(3):
            await RisingEdge(self.dut.clk_i)
        self._compare_flags(take=bool(self.dut.result_ready_i.value))
        self.dut.acc_valid_i.value = 0
        self.dut.rst_ni.value = 1

    async def cycle(
        self, counts: Sequence[int] | None = None, *, take: bool = True, clear: bool = False
    ) -> bool:
        """Pass a cycle with counts offered or none, comparing all; say if they were accepted."""
        dut, model = self.dut, self.model
        given = self.draw() if counts is None else counts  # noise where nothing is valid
        dut.acc_valid_i.value = counts is not None
        dut.acc_i.value = to_planes(given, self.acc_width)
        dut.result_ready_i.value = take
        dut.clear_i.value = clear
        await RisingEdge(dut.clk_i)
        self._compare_flags(take=take)
        if model.offers():
            for port, (function, planes) in self.results.items():
                word = int(getattr(dut, port).value)
                expected = [function(count) for count in model.counts]
                assert word == to_planes(expected, planes), (
                    f"{port} is {from_planes(word, self.neurons, planes)}, expected {expected},"
                    f" for counts {model.counts}"
                )
                sample_clipping(dut, port, model.counts, from_planes(word, self.neurons, planes))
        accepted = counts is not None and model.ready(take)
        model.step(counts=counts, take=take, clear=clear)
        return accepted

    def _compare_flags(self, *, take: bool) -> None:
        assert self.all_are(self.dut.result_valid_o, self.model.offers()), "result_valid_o"
        assert self.all_are(self.dut.acc_ready_o, self.model.ready(take)), "acc_ready_o"

    @staticmethod
    def all_are(flags: Any, value: bool) -> bool:
        """Say whether a flag, of every stage where there are several, has a value."""
        return int(flags.value) == ((1 << len(flags)) - 1) * value

    async def drain(self) -> None:
        """Let the last result be offered and taken."""
        while self.model.age is not None:
            await self.cycle()
        await self.cycle()

    async def give(self, counts: Sequence[int]) -> int:
        """Offer counts until they are accepted; return the number of cycles."""
        cycles = 1
        while not await self.cycle(counts):
            cycles += 1
        return cycles

    # --- what every stage is put through ------------------------------------------------------

    async def try_counts(self, counts: Sequence[int]) -> None:
        """Pass counts through, as many at a time as there are neurons, each in several places."""
        counts = list(counts)
        for shift in range(0, min(self.neurons, 3)):
            rotated = counts[shift:] + counts[:shift]
            for first in range(0, len(rotated), self.neurons):
                vector = rotated[first : first + self.neurons]
                await self.give(vector + self.draw()[len(vector) :])
        await self.drain()

    async def flow(self, period: int) -> None:
        """Accept results one after another, one each `period` cycles, with a taker that is there.

        Parameters
        ----------
        period : int
            Cycles from one acceptance to the next.
        """
        await self.give(self.draw())
        for _ in range(20):
            assert await self.give(self.draw()) == period
        await self.drain()

    async def wait_for_the_taker(self) -> None:
        """Hold results up for long: they stay, and nothing is accepted over them."""
        for wait in (1, 2, 30):
            await self.give(self.draw())
            while not self.model.offers():
                await self.cycle(take=False)
            for _ in range(wait):
                assert not await self.cycle(self.draw(), take=False)
            assert await self.cycle(self.draw()), "the next is accepted as the result goes"
        await self.drain()

    async def clear_at_each_point(self) -> None:
        """Clear in each cycle of a result's life, and when one comes: it is gone, nothing else."""
        for cycles in range(self.model.latency + 3):
            await self.give(self.draw())
            for _ in range(cycles):
                await self.cycle(take=False)
            await self.cycle(self.draw() if cycles % 2 else None, clear=True)
            assert self.model.age is None
            await self.cycle()
            await self.give(self.draw())
            await self.drain()
        await self.cycle(self.draw(), clear=True)
        await self.drain()

    async def reset_at_each_point(self) -> None:
        """Reset in each cycle of a result's life, without a clock edge."""
        for cycles in range(self.model.latency + 2):
            await self.give(self.draw())
            for _ in range(cycles):
                await self.cycle(take=False)
            await Timer(2, "ns")
            self.dut.rst_ni.value = 0
            await Timer(1, "ns")
            assert self.all_are(self.dut.result_valid_o, False)
            await self.reset()
            await self.give(self.draw())
            await self.drain()

    async def anything(self, idle: float, wait: float) -> None:
        """Put the stage through random pauses on both sides, clears and resets.

        Parameters
        ----------
        idle, wait : float
            Share of cycles in which nothing comes, and in which nothing is taken.
        """
        gaps, waits = pauses(self.rng, idle), pauses(self.rng, wait)
        counts = self.draw()
        for _ in range(300):
            if self.rng.random() < 0.01:
                await self.reset()
            accepted = await self.cycle(
                None if next(gaps) else counts,
                take=not next(waits),
                clear=self.rng.random() < 0.03,
            )
            if accepted:
                counts = self.draw()
        await self.drain()


@cache
def stage_tests(make: Callable[[Any], ResultBench]) -> tuple[Any, ...]:
    """Return the cocotb tests of handshake, clear and reset that every result stage must pass.

    Parameters
    ----------
    make : callable
        Makes the test bench of a DUT.

    Returns
    -------
    tuple
        The tests; cocotb runs those that are among the names of the bench's module.
    """

    async def start(dut: Any) -> ResultBench:
        tb = make(dut)
        await tb.reset()
        return tb

    @cocotb.test(timeout_time=1, timeout_unit="ms")
    async def results_follow_each_other(dut: Any) -> None:
        """Accept counts in the cycle in which a result goes, if the taker never waits."""
        tb = await start(dut)
        await tb.flow(period=tb.model.latency)

    @cocotb.test(timeout_time=1, timeout_unit="ms")
    async def a_result_waits_for_its_taker(dut: Any) -> None:
        """Keep a result as it is, and accept nothing over it."""
        await (await start(dut)).wait_for_the_taker()

    @cocotb.test(timeout_time=1, timeout_unit="ms")
    async def clear_drops_a_result(dut: Any) -> None:
        """Clear in each cycle of its life."""
        await (await start(dut)).clear_at_each_point()

    @cocotb.test(timeout_time=1, timeout_unit="ms")
    async def reset_drops_a_result(dut: Any) -> None:
        """Reset in each cycle of its life, without a clock edge."""
        await (await start(dut)).reset_at_each_point()

    @cocotb.test(timeout_time=1, timeout_unit="ms")
    @cocotb.parametrize(idle=[0.0, 0.5], wait=[0.0, 0.7])
    async def anything_at_any_time(dut: Any, idle: float, wait: float) -> None:
        """Pause on both sides, clear and reset at random."""
        await (await start(dut)).anything(idle, wait)

    return (
        results_follow_each_other,
        a_result_waits_for_its_taker,
        clear_drops_a_result,
        reset_drops_a_result,
        anything_at_any_time,
    )


def reencoded(count: int, multiplier: Fraction, width: int) -> int:
    """Re-encode a count as a magnitude: the nearest one, halves upwards, within the range.

    Parameters
    ----------
    count : int
        Signed count.
    multiplier : Fraction
        Magnitude steps of one count.
    width : int
        Bits of the magnitude.
    """
    nearest = floor(count * multiplier + Fraction(1, 2))
    return min(max(nearest, 0), (1 << width) - 1)


def edges(multiplier: Fraction, width: int) -> set[int]:
    """Return the counts about which the magnitude changes: at both ends, and here and there.

    Parameters
    ----------
    multiplier : Fraction
        Magnitude steps of one count.
    width : int
        Bits of the magnitude.
    """
    top = (1 << width) - 1
    magnitudes = {0, 1, 2, top // 3, top // 2 + 1, top - 1, top, top + 1, 2 * top, 4 * top + 3}
    firsts = {ceil((magnitude - Fraction(1, 2)) / multiplier) for magnitude in magnitudes}
    return {sign * (first + off) for first in firsts for off in (-1, 0, 1) for sign in (-1, 1)}


def write_wrapper(
    path: Path,
    module: str,
    *,
    neurons: int,
    acc_width: int,
    operand_width: int,
    variants: Sequence[Mapping[str, int]],
) -> None:
    """Write a module around several variants of a stage, which accept the same counts.

    Parameters
    ----------
    path : Path
        The file; the module has its name.
    module : str
        The stage.
    neurons, acc_width, operand_width : int
        Parameters of all variants.
    variants : sequence of mappings
        Further parameters of each; its result is ``magnitude_<number>_o``, its flags are bits of
        ``acc_ready_o`` and ``result_valid_o``.
    """
    inputs = ("clk_i", "rst_ni", "clear_i", "acc_valid_i", "result_ready_i")
    ports = [f"  input  wire {name}" for name in inputs]
    ports.append(f"  input  wire [{acc_width * neurons - 1}:0] acc_i")
    ports += [
        f"  output wire [{len(variants) - 1}:0] {name}"
        for name in ("acc_ready_o", "result_valid_o")
    ]
    ports += [
        f"  output wire [{operand_width * neurons - 1}:0] magnitude_{number}_o"
        for number in range(len(variants))
    ]
    shared = {"Neurons": neurons, "AccWidth": acc_width, "OperandWidth": operand_width}
    body = []
    for number, variant in enumerate(variants):
        given = ", ".join(f".{name}({value})" for name, value in {**shared, **variant}.items())
        joined = ", ".join(f".{name}({name})" for name in (*inputs, "acc_i"))
        body.append(
            f"  {module} #({given}) u_stage_{number} (\n    {joined},\n"
            f"    .acc_ready_o(acc_ready_o[{number}]), .result_valid_o(result_valid_o[{number}]),\n"
            f"    .magnitude_o(magnitude_{number}_o)\n  );\n"
        )
    text = f"module {path.stem} (\n" + ",\n".join(ports) + "\n);\n\n" + "\n".join(body)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes_atomically(path, (text + "\nendmodule\n").encode())
