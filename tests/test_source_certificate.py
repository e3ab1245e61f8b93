"""Source certificates: what is certain of number sources, and which ones are refused."""

from __future__ import annotations

from fractions import Fraction
from math import gcd
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from model.errors import InputError, SignoffError
from model.lfsr import advance, maximal_taps
from model.manifest import (
    CounterSource,
    HaltonSource,
    LayerStructure,
    LfsrSource,
    Source,
    SourceCertificate,
)
from model.plan import plan_design
from model.sequences import source_sequence
from model.source_certificate import certify_sources, cycles_apart, require_certified
from model.source_choice import Adder, SourceKind, choose_sources, sobol_source
from tb.flow import Simulators, simulate_and_sign_off
from tb.sample_networks import sample_network
from tb.simulators import Simulator
from tests.builders import check_message, random_design

WIDTH, TAPS = 16, maximal_taps(16)


def structure(x: Source, w: Source, select: Source | None = None, **changes: Any) -> LayerStructure:
    """Return a layer with these sources."""
    given: dict[str, Any] = {
        "name": "one",
        "fan_in": 4,
        "outputs": 3,
        "bitstream_length": 256,
        "input_signed": False,
        "adder": "parallel-counter" if select is None else "mux",
        "activation": "none",
        "scale_exponent": 0,
        "accumulator_width": 20,
        "x_source": x,
        "w_source": w,
        "select_source": select,
    }
    return LayerStructure(**(given | changes))


def lfsr(*seeds: int, **changes: Any) -> LfsrSource:
    """Return a 16-bit register, leaping."""
    given: dict[str, Any] = {
        "width": WIDTH,
        "taps": list(TAPS),
        "step": WIDTH,
        "sharing": "layer" if len(seeds) == 1 else "lane",
        "seeds": list(seeds),
        "xor_constants": [0],
    }
    return LfsrSource(**(given | changes))


def counter(reverse: bool, constant: int = 0) -> CounterSource:
    """Return a counter of 256 cycles."""
    return CounterSource(reversed=reverse, width=8, sharing="layer", xor_constants=[constant])


def certificate(layer: LayerStructure, *, apart: bool = False) -> SourceCertificate:
    """Certify a layer of 8-bit operands that is no streamed one."""
    return certify_sources(layer, 8, streamed=False, lanes_apart=apart)


def fault(layer: LayerStructure, *words: str, apart: bool = False) -> None:
    """Assert that the sources are refused, with these words."""
    faults = certificate(layer, apart=apart).faults
    assert any(all(word in one for word in words) for one in faults), (words, faults)


@pytest.mark.parametrize("kind", get_args(SourceKind))
@pytest.mark.parametrize("encoding", ["sign-magnitude", "bipolar"])
def test_planned_sources_are_certified(kind: SourceKind, encoding: Any) -> None:
    for adder in get_args(Adder):
        sources = choose_sources(
            kind,
            np.full((3, 4), 77, dtype=np.int32),
            256,
            8,
            input_signed=True,
            generator=np.random.default_rng(5),
            encoding=encoding,
            adder=adder,
        )
        layer = structure(sources.x, sources.w, sources.select, encoding=encoding)
        found = certificate(layer, apart=kind in ("lfsr-lane", "lfsr-sng"))
        assert found.faults == []
        assert found.worst is not None
        pairs = {"lfsr-lane": 4, "lfsr-sng": 12, "lfsr-rotated": 4}
        if not kind.endswith("-lane") or kind in pairs:
            assert found.worst.pairs == pairs.get(kind, 1)
        assert (found.select_period is not None) == (adder == "mux")
    if "lfsr" not in kind and kind != "halton":
        assert found.x_period == found.w_period == 256
    elif kind == "halton":
        assert (found.x_period, found.w_period, found.select_period) == (256, 729, 625)
    else:
        assert isinstance(layer.x_source, LfsrSource)
        period = (1 << layer.x_source.width) - 1
        assert found.x_period == found.w_period == period // gcd(period, layer.x_source.step)


def test_discrepancy_and_correlation_are_those_of_the_definitions() -> None:
    layer = structure(lfsr(77), lfsr(4711), bitstream_length=40)
    small = layer.model_copy(
        update={
            "x_source": lfsr(77, xor_constants=[0, 1, 2, 3], sharing="lane"),
        }
    )
    found = certify_sources(small, 3, streamed=False, lanes_apart=False).worst
    assert found is not None
    assert found.pairs == 4
    u = source_sequence(small.x_source, 40, 3)
    v = source_sequence(small.w_source, 40, 3)[0]
    worst, correlations = [], []
    for lane in range(4):
        errors = []
        scc = []
        for x in range(8):
            for w in range(9):
                xs, ws = u[lane] < x, v < w
                errors.append(abs(Fraction(int((xs & ws).sum()), 40) - Fraction(x * w, 64)))
                if x > 0 and 0 < w < 8:
                    scc.append(by_definition(xs, ws))
        worst.append(max(errors))
        correlations.append(float(np.mean(scc)))
    lane = worst.index(max(worst))
    assert (found.x_lane, found.w_lane) == (lane, 0)
    assert Fraction(found.numerator, found.denominator) == worst[lane]
    assert found.mean_scc == pytest.approx(correlations[lane], abs=1e-6)


def by_definition(x: NDArray[np.bool_], y: NDArray[np.bool_]) -> float:
    """SCC as A. Alaghi and J. P. Hayes define it (ICCD 2013)."""
    a, b = float((x & y).sum()), float((x & ~y).sum())
    c, d = float((~x & y).sum()), float((~x & ~y).sum())
    n = len(x)
    if a * d == b * c:
        return 0.0
    if a * d > b * c:
        size = n * min(a + b, a + c) - (a + b) * (a + c)
    else:
        size = (a + b) * (a + c) - n * max(a - d, 0)
    return (a * d - b * c) / size if size else 0.0


def test_one_and_the_same_source() -> None:
    fault(structure(counter(False), counter(False, 15)), "one and the same", "counter")
    fault(structure(counter(True), counter(True)), "x source", "w source", "one and the same")
    sobol = [sobol_source(dimension, 256, 8) for dimension in (1, 2)]
    fault(structure(sobol[1], sobol[1]), "one and the same", "sobol")
    renamed = sobol[0].model_copy(update={"dimension": 3})
    fault(structure(sobol[0], renamed), "one and the same", "sobol")
    halton = [
        HaltonSource(base=base, digits=8, sharing="layer", xor_constants=[0]) for base in (2, 3)
    ]
    fault(structure(halton[1], halton[1]), "one and the same", "halton")
    select = sobol_source(2, 256, 2)
    fault(structure(sobol[0], sobol[1], select), "w source", "select source", "one and the same")
    third = structure(sobol[0], sobol[1], sobol_source(3, 256, 2))
    assert certificate(third).faults == []


def test_the_same_words_from_other_kinds_are_correlated() -> None:
    """The counter read backwards is the first dimension of Sobol's sequence."""
    fault(structure(counter(True), sobol_source(1, 256, 8)), "x lane 0", "w lane 0", "SCC +1.000")
    fault(structure(counter(True, 255), sobol_source(1, 256, 8)), "SCC -1.000")


def test_a_discrepancy_beyond_independent_words() -> None:
    """Too few cycles for the correlation to count: 64 in which both words are nearly the same."""
    pair = (counter(True), sobol_source(1, 64, 8))
    layer = structure(pair[0].model_copy(update={"width": 6}), pair[1], bitstream_length=64)
    assert certificate(layer).faults == []
    # A register that stays at its seed for all but one bit: w words that hardly ever change.
    stuck = sobol_source(2, 64, 8).model_copy(update={"directions": [0, 0, 0, 0, 0, 128]})
    fault(structure(layer.x_source, stuck, bitstream_length=64), "discrepancy", "x lane 0")


@pytest.mark.parametrize("form", ["fibonacci", "galois"])
@pytest.mark.parametrize("delay", [0, 1, 4, 15, 16, 17, 32, -1, -32])
def test_registers_that_follow_each_other(form: Any, delay: int) -> None:
    seed = 0xBEEF
    other = advance(seed, delay % (2**WIDTH - 1), WIDTH, TAPS, form)
    layer = structure(lfsr(seed, form=form), lfsr(other, form=form))
    fault(layer, "follow each other", f"{delay} shifts apart")
    far = [advance(seed, 1000 * place, WIDTH, TAPS, form) for place in range(1, 7)]
    lanes = structure(lfsr(*far[:3], seed, form=form), lfsr(*far[3:], other, form=form))
    fault(lanes, "follow each other", "pair 3")
    further = advance(seed, 33, WIDTH, TAPS, form)
    assert certificate(structure(lfsr(seed, form=form), lfsr(further, form=form))).faults == []


def test_a_weights_register_that_follows_its_inputs() -> None:
    """Synapse (i, j) meets lane i."""
    x = lfsr(0x1111, 0x2222, 0x3333, 0x4444)
    own = [0x1000 + 977 * number for number in range(12)]
    own[2 * 3 + 1] = advance(0x3333, 5, WIDTH, TAPS)
    layer = structure(x, lfsr(*own, sharing="sng"))
    fault(layer, "pair 7", "5 shifts apart")
    own[2 * 3 + 1] = advance(0x2222, 5, WIDTH, TAPS)
    assert not any(
        "follow" in one for one in certificate(structure(x, lfsr(*own, sharing="sng"))).faults
    )


def test_registers_that_miss_states() -> None:
    short = lfsr(5, taps=[16, 8])
    fault(structure(short, lfsr(0x1234)), "x source's taps", "not maximal")
    fault(structure(lfsr(0x1234), short), "w source's taps", "not maximal")


def test_lanes_that_a_bound_calls_independent() -> None:
    far = [advance(0xBEEF, 8000 * place, WIDTH, TAPS) for place in range(8)]
    apart = structure(lfsr(*far[:4]), lfsr(*far[4:]))
    assert certificate(apart, apart=True).faults == []
    same = structure(lfsr(*far[:4]), lfsr(*far[4:7], far[1]))
    fault(same, "x source's register 1", "w source's register 3", "same seed", apart=True)
    for shifts, met in ((127 * WIDTH, True), (128 * WIDTH + 1, False)):
        later = advance(far[3], shifts, WIDTH, TAPS)
        near = structure(lfsr(*far[:4]), lfsr(*far[4:7], later), bitstream_length=128)
        assert certificate(near).faults == []
        assert bool(certificate(near, apart=True).faults) == met
    later = advance(far[3], 255 * WIDTH, WIDTH, TAPS)
    near = structure(lfsr(*far[:4]), lfsr(far[4], later, *far[6:]))
    fault(near, "x source's register 3", "states of the w source's register 1", apart=True)


def test_a_select_source_that_is_the_sum_of_the_others() -> None:
    """At thirds of the cycle three states add up to zero; each pair is uncorrelated."""
    period = 2**WIDTH - 1
    thirds = [advance(0xBEEF, place * period // 3, WIDTH, TAPS) for place in range(3)]
    assert thirds[0] ^ thirds[1] ^ thirds[2] == 0
    layer = structure(*map(lfsr, thirds))
    assert certificate(layer).faults == [
        "the select source is a sum of the x source's and the w source's bits in pair 0"
    ]
    good = advance(0xBEEF, 12345, WIDTH, TAPS)
    assert certificate(structure(lfsr(thirds[0]), lfsr(thirds[1]), lfsr(good))).faults == []
    # In one lane of several, too.
    far = [advance(0xBEEF, 3000 * place, WIDTH, TAPS) for place in (5, 9, 13)]
    lanes = structure(lfsr(*far, thirds[0]), lfsr(*far[::-1], thirds[1]), lfsr(thirds[2]))
    fault(lanes, "select source", "pair 3")


def test_cycles_apart() -> None:
    assert cycles_apart(counter(True), 8) == 1
    assert cycles_apart(lfsr(1), 8) == 1
    assert cycles_apart(lfsr(1, step=1), 8) == 8
    assert cycles_apart(lfsr(1, step=3), 8) == 3
    assert cycles_apart(lfsr(1, step=1, rotations=[3]), 8) == 16
    assert cycles_apart(lfsr(1, step=1, form="galois"), 8) == 8


def test_streams_have_no_x_source() -> None:
    layer = structure(counter(True), counter(True))
    found = certify_sources(layer, 8, streamed=True, lanes_apart=False)
    assert found.worst is None
    assert found.x_period is None
    assert found.faults == []


def test_faulty_sources_are_refused(tmp_path: Path) -> None:
    design = plan_design(sample_network((4, 3, 2), np.random.default_rng(1), operand_bits=4), [16])
    require_certified(design.manifest.layers)
    first = design.manifest.layers[0]
    broken = first.model_copy(
        update={
            "source_certificate": first.source_certificate.model_copy(
                update={"faults": ["words of x lane 3 and w lane 3 are correlated"]}
            )
        }
    )
    with pytest.raises(InputError) as caught:
        require_certified([broken])
    check_message(caught.value, "x lane 3 and w lane 3", "layer layer0")


def test_the_sign_off_refuses_faulty_sources(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    design = random_design(rng, [3, 2], vectors=4)
    layer = design.manifest.layers[0]
    twin = layer.x_source
    faulty = certify_sources(
        layer.model_copy(update={"w_source": twin}), 3, streamed=False, lanes_apart=False
    )
    assert faulty.faults
    network = sample_network((3, 2), rng, operand_bits=3, vectors=4)
    planned = plan_design(network, [8])
    manifest = planned.manifest.model_copy(
        update={
            "layers": [planned.manifest.layers[0].model_copy(update={"source_certificate": faulty})]
        }
    )
    nobody = Simulators(Simulator("verilator", "0", Path("/nowhere"), {}), None, "")
    with pytest.raises(SignoffError) as refused:
        simulate_and_sign_off(
            network,
            tmp_path,
            type(planned)(manifest, planned.parameters, planned.features, planned.labels),
            tmp_path,
            nobody,
            None,
            print,
        )
    check_message(refused.value, "layer layer0", "other sources")
