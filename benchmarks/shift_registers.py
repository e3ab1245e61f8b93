"""How often a shift register breaks Hoeffding's radius: `make registers`.

A register that shifts one bit a cycle has words that share all bits but one with their neighbours,
so its stream's mean varies more than that of independent cycles. For single streams every seed is
played, and every operand; for products of two streams random pairs of seeds are drawn. Tables and
picture go to ``docs/``.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.shift_register_chart import Curve, rate_chart
from model.bounds import hoeffding_half_width
from model.counting import full_counting_table
from model.errors import CertibitError, SignoffError
from model.files import read_bytes, write_bytes_atomically
from model.lfsr import Form, maximal_taps
from model.manifest import LfsrSource
from model.sequences import lfsr_states
from model.word_rank import word_rank

_REPOSITORY = Path(__file__).resolve().parent.parent
PAGE = _REPOSITORY / "docs" / "shift-registers.md"
PICTURE = _REPOSITORY / "docs" / "shift-registers.svg"

BITS = 8
LENGTHS = (64, 256, 1024)
PROBABILITIES = (0.05, 0.01, 0.0001)
PLANNED_WIDTHS = (16, 20, 24, 28, 32)
_LEVELS = 1 << BITS
_SEARCHED, _PLAYED = 1000, 100_000
_PICTURED = 256


@dataclass(frozen=True)
class Setting:
    """A register and the word that is taken from it.

    Attributes
    ----------
    title : str
        What the tables call it.
    places : tuple of int
        Bits of the state that make the word, its most significant bit first.
    apart : int
        Cycles whose words have no bit in common, nor have their multiples; for Galois words, whose
        windows of the output have none (docs/shift-registers.md).
    step, width : int
        Shifts a cycle, and bits of the register.
    form : {'fibonacci', 'galois'}
        Its form.
    taps : tuple of int
        Its taps; none: those of `model.lfsr.maximal_taps`.
    """

    title: str
    places: tuple[int, ...]
    apart: int
    step: int = 1
    width: int = 16
    form: Form = "fibonacci"
    taps: tuple[int, ...] = ()

    @property
    def period(self) -> int:
        """Number of states."""
        return (1 << self.width) - 1

    def source(self) -> LfsrSource:
        """Return the register, with the seed that is the cycle's first state."""
        return LfsrSource(
            form=self.form,
            sharing="layer",
            xor_constants=[0],
            width=self.width,
            taps=list(self.taps or maximal_taps(self.width)),
            step=self.step,
            seeds=[1],
        )

    def words(self) -> NDArray[np.int32]:
        """Return the word of every state, in the order of single shifts."""
        source = self.source().model_copy(update={"step": 1})
        states = lfsr_states(source, self.period)[0]
        words = np.zeros(self.period, dtype=np.int32)
        for place in self.places:
            words = words << 1 | (states >> np.uint32(place) & 1).astype(np.int32)
        return words


def _settings() -> tuple[Setting, ...]:
    upper = tuple(range(15, 7, -1))
    shuffled = list(range(16))
    random.Random("shift registers").shuffle(shuffled)
    rotated = tuple((15 - 12 - bit) % 16 for bit in range(BITS))
    top = tuple(range(19, 11, -1))
    return (
        Setting("16 shifts a cycle (leap-ahead)", upper, 1, 16),
        Setting("1 shift a cycle", upper, 8),
        Setting("1 shift, taps 16, 14, 13, 11", upper, 8, taps=(16, 14, 13, 11)),
        Setting("1 shift, word reversed", upper[::-1], 8),
        Setting("1 shift, state rotated by 12", rotated, 16),
        Setting("1 shift, state permuted", tuple(shuffled[:BITS]), 16),
        Setting("1 shift, Galois form", upper, 8, form="galois"),
        Setting("2 shifts a cycle", upper, 4, 2),
        Setting("4 shifts a cycle", upper, 2, 4),
        Setting("8 shifts a cycle", upper, 1, 8),
        Setting("20 bits, 20 shifts (leap-ahead)", top, 1, 20, 20),
        Setting("20 bits, 12 shifts", top, 1, 12, 20),
        Setting("20 bits, 20 shifts, taps 20, 17, 14, 8", top, 1, 20, 20, taps=(20, 17, 14, 8)),
    )


SETTINGS = _settings()
INDEPENDENT = "independent bits"


def stream_counts(setting: Setting, length: int) -> NDArray[np.int64]:
    """Return how many seeds give a stream of each operand each number of ones.

    Parameters
    ----------
    setting : Setting
        The register.
    length : int
        Bitstream length L.

    Returns
    -------
    numpy.ndarray
        Shape (``2**K - 1``, L + 1), for the operands from 1 on; rows add up to all seeds.
    """
    period = setting.period
    rings = math.gcd(setting.step, period)
    order = np.arange(rings)[:, None] + setting.step * np.arange(period // rings)[None, :]
    words = setting.words()[order % period]
    found = np.empty((_LEVELS - 1, length + 1), dtype=np.int64)
    sums = np.zeros((rings, period // rings + length + 1), dtype=np.int32)
    for operand in range(1, _LEVELS):
        bits = words < operand
        np.cumsum(np.concatenate([bits, bits[:, :length]], axis=1), axis=1, out=sums[:, 1:])
        counts = sums[:, length:-1] - sums[:, : -1 - length]
        found[operand - 1] = np.bincount(counts.ravel(), minlength=length + 1)
    return found


def independent_counts(length: int) -> NDArray[np.float64]:
    """Return the probability of each number of ones, for streams of independent bits."""
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, length + 1)))])
    ones = np.arange(length + 1)
    ways = factorials[-1] - factorials - factorials[::-1]
    p = np.arange(1, _LEVELS)[:, None] / _LEVELS
    return np.asarray(np.exp(ways + ones * np.log(p) + (length - ones) * np.log1p(-p)))


def worst_pair(setting: Setting) -> tuple[int, int]:
    """Return the operands whose product breaks the radius of 5 % most often, among some seeds."""
    words, cycles = setting.words(), setting.step * np.arange(_PICTURED)
    generator = np.random.default_rng([1, *setting.places])
    products = np.outer(np.arange(_LEVELS + 1), np.arange(_LEVELS + 1)) * _PICTURED
    limit = hoeffding_half_width(_PICTURED, PROBABILITIES[0]) * _PICTURED * _LEVELS**2
    broken = np.zeros(products.shape, dtype=np.int64)
    for x_seed, w_seed in generator.integers(0, setting.period, (_SEARCHED, 2)).tolist():
        x, w = (words[(cycles + seed) % setting.period] for seed in (x_seed, w_seed))
        table = full_counting_table(x, w, BITS).astype(np.int64) * _LEVELS**2
        broken += np.abs(table - products) > limit
    x_operand, w_operand = np.unravel_index(int(broken.argmax()), broken.shape)
    return int(x_operand), int(w_operand)


def product_counts(setting: Setting, pair: tuple[int, int], length: int) -> NDArray[np.int64]:
    """Return the ones of the product's stream, for random pairs of seeds.

    Parameters
    ----------
    setting : Setting
        Both registers, which differ in their seeds only.
    pair : tuple of int
        The operands.
    length : int
        Bitstream length L.
    """
    words, period = setting.words(), setting.period
    generator = np.random.default_rng([2, length, *setting.places])
    seeds = generator.integers(0, period, (_PLAYED, 2))
    bits = [words < operand for operand in pair]
    cycles = setting.step * np.arange(length)
    counts = np.empty(_PLAYED, dtype=np.int64)
    for start in range(0, _PLAYED, 10_000):
        part = slice(start, start + 10_000)
        x, w = (of[(seeds[part, index, None] + cycles) % period] for index, of in enumerate(bits))
        counts[part] = (x & w).sum(axis=1)
    return counts


def radius(length: int, apart: int, probability: float) -> float:
    """Return the radius of a mean: cycles so far apart are independent."""
    return hoeffding_half_width(max(1, length // apart), probability)


def exceedance(
    shares: NDArray[np.floating], means: NDArray[np.float64], limit: float
) -> NDArray[np.float64]:
    """Return the share of streams whose mean is farther off than a limit, for each operand.

    Parameters
    ----------
    shares : numpy.ndarray
        Shape (operands, L + 1): share of the streams with each number of ones.
    means : numpy.ndarray
        Shape (operands,): what their means should be.
    limit : float
        The radius.
    """
    length = shares.shape[1] - 1
    beyond = np.abs(np.arange(length + 1) / length - means[:, None]) > limit
    return np.asarray((shares * beyond).sum(axis=1))


def variance_ratio(shares: NDArray[np.floating], means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the variance of the streams' means, relative to that of independent cycles."""
    length = shares.shape[1] - 1
    found = np.arange(length + 1) / length
    mean = shares @ found
    return np.asarray((shares @ found**2 - mean**2) * length / (means * (1 - means)))


@dataclass(frozen=True)
class Row:
    """What one setting does at one length.

    Attributes
    ----------
    title, operands : str
        The setting, and what is encoded.
    variance : float
        Of the mean, relative to independent cycles.
    cycles : int
        How many cycles count as independent.
    plain, inflated : tuple of float
        Share of seeds beyond the radius of all cycles, and of the independent ones only.
    """

    title: str
    operands: str
    variance: float
    cycles: int
    plain: tuple[float, ...]
    inflated: tuple[float, ...]

    def cells(self) -> str:
        """Return a line of the table."""
        shares = (*self.plain, *self.inflated)
        return (
            f"| {self.title} | {self.operands} | {self.variance:.2f} | "
            + " | ".join(map(_percent, shares[: len(PROBABILITIES)]))
            + f" | {self.cycles} | "
            + " | ".join(map(_percent, shares[len(PROBABILITIES) :]))
            + " |"
        )


def stream_row(title: str, shares: NDArray[np.floating], apart: int) -> Row:
    """Return a row of single streams, with the largest share of each column over all operands.

    The operand that is named, and whose variance is given, breaks the plain 5 % radius most often.
    """
    length = shares.shape[1] - 1
    means = np.arange(1, _LEVELS) / _LEVELS

    def broken(cycles_apart: int) -> NDArray[np.float64]:
        limits = (radius(length, cycles_apart, probability) for probability in PROBABILITIES)
        return np.stack([exceedance(shares, means, limit) for limit in limits])

    plain = broken(1)
    worst = int(plain[0].argmax())
    return Row(
        title,
        str(worst + 1),
        float(variance_ratio(shares, means)[worst]),
        max(1, length // apart),
        tuple(plain.max(axis=1).tolist()),
        tuple(broken(apart).max(axis=1).tolist()),
    )


def product_row(setting: Setting, pair: tuple[int, int], length: int) -> Row:
    """Return a row of products of two streams."""
    counts = product_counts(setting, pair, length)
    shares = np.bincount(counts, minlength=length + 1)[None] / len(counts)
    means = np.array([pair[0] * pair[1] / _LEVELS**2])

    def broken(apart: int) -> tuple[float, ...]:
        limits = (radius(length, apart, probability) for probability in PROBABILITIES)
        return tuple(float(exceedance(shares, means, limit)[0]) for limit in limits)

    return Row(
        setting.title,
        f"{pair[0]} x {pair[1]}",
        float(variance_ratio(shares, means)[0]),
        max(1, length // setting.apart),
        broken(1),
        broken(setting.apart),
    )


def all_shares(length: int) -> dict[str, NDArray[np.float64]]:
    """Return, for every setting, the share of seeds with each number of ones for each operand."""
    shares = {INDEPENDENT: independent_counts(length)}
    for setting in SETTINGS:
        shares[setting.title] = stream_counts(setting, length) / setting.period
    return shares


def stream_table(shares: Mapping[str, NDArray[np.float64]]) -> str:
    """Return the table of single streams of one length."""
    apart = {setting.title: setting.apart for setting in SETTINGS}
    rows = [stream_row(title, part, apart.get(title, 1)) for title, part in shares.items()]
    return _table("operand", rows)


def product_table(pairs: Sequence[tuple[int, int]], length: int) -> str:
    """Return the table of products of one length."""
    rows = [product_row(*part, length) for part in zip(SETTINGS, pairs, strict=True)]
    return _table("operands", rows)


def rank_table(cycles: int = 256) -> str:
    """Return the table of what is exact: ranks of pairs of words over all seeds."""
    table = [
        f"| register, taps | step | 1 apart | 2 apart | 3 apart | dependent pairs of {cycles} |",
        "|---|---|---|---|---|---|",
    ]
    for width in PLANNED_WIDTHS:
        for step in (BITS, width - BITS, width):
            if step == width - BITS == BITS:
                continue
            source = Setting("", (), 1, step, width).source()
            ranks = [word_rank(source, BITS, (0, apart)) for apart in range(1, cycles)]
            short = sum(cycles - apart for apart, rank in enumerate(ranks, 1) if rank < 2 * BITS)
            share = short / (cycles * (cycles - 1) // 2)
            taps = ", ".join(map(str, source.taps))
            near = " | ".join(map(str, ranks[:3]))
            table.append(f"| {width}: {taps} | {step} | {near} | {_percent(share)} |")
    return "\n".join(table) + "\n"


def picture(shares: Mapping[str, NDArray[np.float64]]) -> str:
    """Return how often the radii are broken against what they promise, as SVG."""
    means = np.arange(1, _LEVELS) / _LEVELS
    length = _PICTURED
    across = np.logspace(-4.5, math.log10(0.5), 70)
    one = next(part for part in SETTINGS if part.step == 1)
    leap = SETTINGS[0]

    def curve(name: str, title: str, apart: int) -> Curve:
        row = stream_row(title, shares[title], 1)
        place = int(row.operands) - 1
        own, mean = shares[title][place : place + 1], means[place : place + 1]
        rates = [exceedance(own, mean, radius(length, apart, d))[0] for d in across.tolist()]
        return Curve(f"{name}, operand {row.operands}", across, np.array(rates))

    return rate_chart(
        f"Seeds that break Hoeffding's radius, L = {length}, K = {BITS}, all seeds of 16 bits",
        [
            curve("1 shift a cycle, plain radius", one.title, 1),
            curve("1 shift a cycle, inflated radius", one.title, one.apart),
            curve("16 shifts a cycle, plain radius", leap.title, 1),
            curve("independent bits, plain radius", INDEPENDENT, 1),
        ],
    )


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %" if share else "0"


def _table(what: str, rows: Sequence[Row]) -> str:
    """Lay rows out in Markdown."""
    plain = " | ".join(f"d = {probability:g}" for probability in PROBABILITIES)
    lines = [
        f"| register | {what} | variance | plain, {plain} | cycles | inflated, {plain} |",
        "|" + "---|" * (4 + 2 * len(PROBABILITIES)),
    ]
    return "\n".join(lines + [row.cells() for row in rows]) + "\n"


def parts() -> tuple[dict[str, str], str]:
    """Measure everything: the page's parts by name, and the picture."""
    pairs = [worst_pair(setting) for setting in SETTINGS]
    content = {"ranks": rank_table()}
    drawn = ""
    for length in LENGTHS:
        shares = all_shares(length)
        content[f"streams {length}"] = stream_table(shares)
        content[f"products {length}"] = product_table(pairs, length)
        if length == _PICTURED:
            drawn = picture(shares)
    return content, drawn


def with_part(page: str, name: str, content: str) -> str:
    """Return a page with what stands between the marks of a part exchanged.

    Raises
    ------
    SignoffError
        If the marks are not there.
    """
    begin, end = (f"<!-- make registers: {name}: {edge} -->" for edge in ("begin", "end"))
    before, found, rest = page.partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise SignoffError(
            "the place of a table is not marked", str(PAGE), f"put {begin} and {end} there"
        )
    return f"{before}{begin}\n{content}{end}{after}"


def main() -> int:
    """Measure, print and write.

    Returns
    -------
    int
        Exit code: 0, or 2 for an error of input.
    """
    argparse.ArgumentParser(description="Shift registers against Hoeffding's radius.").parse_args()
    try:
        page = read_bytes(PAGE, SignoffError, "restore it").decode()
        content, drawn = parts()
        for name, table in content.items():
            page = with_part(page, name, table)
            print(f"{name}\n\n{table}")
        write_bytes_atomically(PAGE, page.encode())
        write_bytes_atomically(PICTURE, drawn.encode())
    except CertibitError as error:
        print(f"certibit: {error}", file=sys.stderr)
        return 2
    print(f"also in {PAGE.relative_to(_REPOSITORY)}, the picture in docs/{PICTURE.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
