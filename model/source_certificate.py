"""The source certificate of a layer: what must be true of its number sources before anything else.

Of each source the exact period, of each pair of words that meet at a multiplier the exact star
discrepancy over all operand pairs and the mean correlation (SCC), of registers their distance on
the cycle of states. A pair that is correlated gives a biased product at any length, and no bound
that rests on independence speaks of it (docs/theory.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from model.bounds import hoeffding_half_width
from model.certificate import error_table
from model.correlation import level_counts, scc_table
from model.counting import counting_table, select_width
from model.errors import InputError
from model.lfsr import advance, is_maximal
from model.manifest import (
    CounterSource,
    HaltonSource,
    Layer,
    LayerStructure,
    LfsrSource,
    SobolSource,
    Source,
    SourceCertificate,
    SourcePair,
)
from model.sequences import lfsr_states, source_sequence
from model.source_facts import source_period

# A layer of independent sources is refused with at most this probability.
_FALSE_ALARM = 1e-6
# The mean SCC of a word with itself, inverted or not, is above; that of independent words is below,
# by five standard deviations at the shortest length: shorter streams have too few ones.
_LARGEST_SCC = 0.5
_SHORTEST_FOR_SCC = 128


def certify_sources(
    layer: LayerStructure, operand_width: int, *, streamed: bool, lanes_apart: bool
) -> SourceCertificate:
    """Certify the sources of a layer; what is wrong with them stands in the result.

    Parameters
    ----------
    layer : LayerStructure
        The layer.
    operand_width : int
        Operand width K in bits.
    streamed : bool
        Whether its inputs are the spikes of the layer before: its x source is not there then.
    lanes_apart : bool
        Whether a bound says that all lanes are independent of each other.

    Returns
    -------
    SourceCertificate
        What was found.
    """
    width = layer.word_width(operand_width)
    select = layer.select_source
    inputs = [] if streamed else [("x", layer.x_source)]
    meeting = [(*inputs[0], "w", layer.w_source)] if inputs else []
    if select is not None:
        meeting += [(*one, "select", select) for one in (*inputs, ("w", layer.w_source))]
    faults = [*_register_faults(layer, streamed=streamed)]
    for role, source, other_role, other in meeting:
        faults += _apart_faults((role, source), (other_role, other), layer.bitstream_length)
    if select is not None and not streamed:
        faults += _selection_faults(layer, operand_width)
    if lanes_apart:
        faults += _stretch_faults(layer)
    worst = None
    if not streamed:
        worst, correlated = _worst_pair(layer, width)
        faults += correlated
    return SourceCertificate(
        x_period=None if streamed else source_period(layer.x_source, width),
        w_period=source_period(layer.w_source, width),
        select_period=None if select is None else source_period(select, select_width(layer.fan_in)),
        worst=worst,
        faults=faults,
    )


def require_certified(layers: Sequence[Layer]) -> None:
    """Refuse layers whose sources failed their certificate.

    Parameters
    ----------
    layers : sequence of Layer
        The layers of a manifest.

    Raises
    ------
    InputError
        If taps are not maximal, sources of one multiplier are one and the same or follow each
        other closely, or a pair is correlated; the pair is named.
    """
    for layer in layers:
        for fault in layer.source_certificate.faults:
            raise InputError(
                fault,
                f"layer {layer.name}",
                "use other kinds, dimensions, taps, seeds, constants or rotations",
            )


def cycles_apart(source: Source, window: int) -> int:
    """Return how far apart cycles must be for an LFSR's words to have no bit in common.

    A word is a window of the register's output bits, which move on by `step` bits a cycle.

    Parameters
    ----------
    source : Source
        The source; of other kinds than LFSRs the answer is 1, and means nothing.
    window : int
        Bits of a word that are looked at.
    """
    if not isinstance(source, LfsrSource):
        return 1
    # A Galois word is a bijective function of as many output bits; a rotated one may have bits from
    # both ends of the register (`model.word_rank` computes both exactly).
    if any(source.rotations):
        window = source.width
    return -(-window // source.step)


def _register_faults(layer: LayerStructure, *, streamed: bool) -> Iterator[str]:
    """Find registers that do not run through all states."""
    for role, source in _named(layer):
        if streamed and role == "x":
            continue
        if isinstance(source, LfsrSource) and not is_maximal(
            source.width, source.taps, source.form
        ):
            yield (
                f"the {role} source's taps {source.taps} are not maximal: its period is not"
                f" 2**{source.width} - 1"
            )


def _apart_faults(one: tuple[str, Source], other: tuple[str, Source], length: int) -> Iterator[str]:
    """Find two sources of a multiplier, or of a MUX adder, that are driven by the same thing."""
    (role, source), (other_role, second) = one, other
    same = False
    if isinstance(source, LfsrSource) and isinstance(second, LfsrSource):
        yield from _delay_faults(role, source, other_role, second)
    elif isinstance(source, CounterSource) and isinstance(second, CounterSource):
        same = source.reversed == second.reversed
    elif isinstance(source, SobolSource) and isinstance(second, SobolSource):
        # In their first two cycles all dimensions are alike.
        alike = length > 2 and source.directions == second.directions
        same = source.dimension == second.dimension or alike
    elif isinstance(source, HaltonSource) and isinstance(second, HaltonSource):
        same = source.base == second.base
    if same and set(source.rotations) & set(second.rotations):
        yield (
            f"the {role} source and the {other_role} source are one and the same: a {source.kind}"
            " that differs in constants at most"
        )


def _delay_faults(
    role: str, source: LfsrSource, other_role: str, second: LfsrSource
) -> Iterator[str]:
    """Find registers of a lane that follow each other so closely that their words share bits.

    Delays up to twice the width are looked at: near the width, the taps make one word of bits of
    the other.
    """
    alike = (
        source.width == second.width
        and source.form == second.form
        and set(source.taps) == set(second.taps)
        and source.step == second.step
    )
    if not alike or not is_maximal(source.width, source.taps, source.form):
        return
    reach = 2 * source.width
    period = (1 << source.width) - 1
    known: dict[int, dict[int, int]] = {}
    for lane, (seed, other_seed) in enumerate(_lane_seeds(source, second)):
        if seed not in known:
            state = advance(seed, (-reach) % period, source.width, source.taps, source.form)
            delays = {}
            for delay in range(-reach, reach + 1):
                delays[state] = delay
                state = advance(state, 1, source.width, source.taps, source.form)
            known = {seed: delays}
        apart = known[seed].get(other_seed)
        if apart is not None:
            yield (
                f"registers of the {role} source and the {other_role} source follow each other:"
                f" pair {lane}, {apart} shifts apart, and up to {reach} are hazardous"
            )
            return


def _lane_seeds(source: LfsrSource, second: LfsrSource) -> Iterator[tuple[int, int]]:
    """Yield the seeds that meet, lane by lane, synapse by synapse where those have their own."""
    most = max(len(source.seeds), len(second.seeds))
    for lane in range(most):
        pair = []
        for part in (source, second):
            # Synapse (i, j) stands at i * outputs + j.
            per_lane = lane * len(part.seeds) // most if len(part.seeds) > 1 else 0
            pair.append(part.seeds[per_lane])
        yield pair[0], pair[1]


def _selection_faults(layer: LayerStructure, operand_width: int) -> Iterator[str]:
    """Find registers of a MUX adder of which the select's leading bits are sums of the others'.

    Each pair of words may be uncorrelated all the same. A sum of bits of registers with the same
    taps is constant for ever if it is constant for more cycles than they have bits.
    """
    sources = (layer.x_source, layer.w_source, layer.select_source)
    registers = [source for source in sources if isinstance(source, LfsrSource)]
    if len(registers) < 3:
        return
    width, selects = layer.word_width(operand_width), select_width(layer.fan_in)
    # Beyond the bits of all registers together nothing stays constant by chance.
    cycles = 4 * sum(source.width for source in registers)
    words = [
        source_sequence(source, cycles, size)
        for source, size in zip(registers, (width, width, selects), strict=True)
    ]
    lanes = max(len(part) for part in words[:2])
    for lane in range(lanes):
        leading = []
        for part, size in zip(words, (width, width, selects), strict=True):
            own = part[lane * len(part) // lanes if len(part) > 1 else 0]
            leading.append([own >> (size - 1 - place) & 1 for place in range(min(2, size))])
        for chosen in product(*(range(1, 1 << len(bits)) for bits in leading)):
            total = np.zeros(cycles, dtype=np.int32)
            for bits, mask in zip(leading, chosen, strict=True):
                for place, bit in enumerate(bits):
                    if mask >> place & 1:
                        total = total ^ bit
            if total.min() == total.max():
                yield (
                    "the select source is a sum of the x source's and the w source's bits in pair"
                    f" {lane}"
                )
                return


def _stretch_faults(layer: LayerStructure) -> Iterator[str]:
    """Find registers of different lanes that run through the same states within a vector."""
    sources = [(role, part) for role, part in _named(layer) if isinstance(part, LfsrSource)]
    names = [
        f"the {role} source's register {number}"
        for role, source in sources
        for number in range(len(source.seeds))
    ]
    seeds = np.array([seed for _, source in sources for seed in source.seeds], dtype=np.int64)
    order = np.argsort(seeds, kind="stable")
    rising = seeds[order]
    twice = np.flatnonzero(rising[1:] == rising[:-1])
    if len(twice):
        first, second = sorted(order[twice[0] : twice[0] + 2].tolist())
        yield f"{names[first]} and {names[second]} have the same seed"
        return
    position = 0
    for _, source in sources:
        shifting = source.model_copy(
            update={"step": 1, "xor_constants": [0], "rotations": [0], "sharing": "layer"}
        )
        for seed in source.seeds:
            one = shifting.model_copy(update={"seeds": [seed]})
            states = lfsr_states(one, layer.bitstream_length * source.step)[0].astype(np.int64)[1:]
            at = np.searchsorted(rising, states).clip(max=len(rising) - 1)
            met = order[at[rising[at] == states]]
            met = met[met != position]
            if len(met):
                yield (
                    f"{names[position]} runs through the states of {names[int(met[0])]} within a"
                    " vector, but a bound calls them independent"
                )
                return
            position += 1


def _worst_pair(layer: LayerStructure, width: int) -> tuple[SourcePair, list[str]]:
    """Return the pair with the largest discrepancy, and what is wrong with any pair."""
    length = layer.bitstream_length
    x_words = source_sequence(layer.x_source, length, width)
    w_words = source_sequence(layer.w_source, length, width)
    apart = max(cycles_apart(source, width) for source in (layer.x_source, layer.w_source))
    pairs = max(len(x_words), len(w_words))
    limit = hoeffding_half_width(max(1, length // apart), _FALSE_ALARM / (pairs * 4**width))
    seen: set[bytes] = set()
    worst: SourcePair | None = None
    faults: list[str] = []
    for lane in range(pairs):
        x_lane = lane * len(x_words) // pairs if len(x_words) > 1 else 0
        w_lane = lane * len(w_words) // pairs if len(w_words) > 1 else 0
        x_word, w_word = x_words[x_lane], w_words[w_lane]
        key = x_word.tobytes() + w_word.tobytes()
        if key in seen:
            continue
        seen.add(key)
        pair = _certify_pair(x_word, w_word, width, x_lane, w_lane)
        names = f"words of x lane {x_lane} and w lane {w_lane}"
        if length >= _SHORTEST_FOR_SCC and abs(pair.mean_scc) > _LARGEST_SCC:
            faults.append(
                f"{names} are correlated: SCC {pair.mean_scc:+.3f} on average over all operands,"
                f" at most {_LARGEST_SCC} is allowed"
            )
        elif pair.numerator > limit * pair.denominator:
            faults.append(
                f"{names} have the discrepancy {pair.numerator / pair.denominator:.4f}, beyond"
                f" {limit:.4f} of independent ones"
            )
        if worst is None or pair.numerator > worst.numerator:
            worst = pair
    assert worst is not None
    return worst.model_copy(update={"pairs": len(seen)}), faults[:1]


def _certify_pair(
    x_word: NDArray[np.int32], w_word: NDArray[np.int32], width: int, x_lane: int, w_lane: int
) -> SourcePair:
    """Return discrepancy and correlation of two sequences of words."""
    length = len(x_word)
    table = counting_table(x_word, w_word, width)
    errors = np.abs(error_table(table, length, width))
    correlation = scc_table(table, level_counts(w_word, width))[1:, 1:-1]
    return SourcePair(
        pairs=1,
        x_lane=x_lane,
        w_lane=w_lane,
        numerator=int(errors.max()),
        denominator=length << (2 * width),
        # Rounded: sums of many floats may differ in their last digits from machine to machine.
        mean_scc=round(float(correlation.mean()), 6) + 0.0 if correlation.size else 0.0,
    )


def _named(layer: LayerStructure) -> list[tuple[str, Source]]:
    """Return the sources of a layer with their names."""
    return list(zip(("x", "w", "select"), layer.sources, strict=False))
