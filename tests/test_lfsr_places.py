"""Where the LFSRs of a layer start: apart on the cycle of states, and not sums of each other."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from model.counting import select_sequence
from model.lfsr import is_maximal
from model.manifest import LfsrSource
from model.plan import plan_design
from model.sequences import lfsr_states, source_sequence
from model.source_choice import LEAP_TAPS, Encoding, SourceKind
from model.word_rank import word_rank
from tb.sample_networks import sample_network

_KINDS: list[SourceKind] = ["lfsr", "lfsr-lane", "lfsr-sng", "lfsr-galois", "lfsr-shift"]


def sources(kind: SourceKind, encoding: Encoding, adder: str) -> tuple[LfsrSource, ...]:
    network = sample_network(
        (9, 6, 2),
        np.random.default_rng(3),
        operand_bits=6,
        encoding=encoding,
        adder="mux" if adder == "mux" else "parallel-counter",
    )
    found = plan_design(network, [64], kind).manifest.layers[0].sources
    assert all(isinstance(source, LfsrSource) for source in found)
    return tuple(source for source in found if isinstance(source, LfsrSource))


@pytest.mark.parametrize("adder", ["pc", "mux"])
@pytest.mark.parametrize("kind", _KINDS)
def test_no_three_registers_add_up_to_zero(kind: SourceKind, adder: str) -> None:
    """Registers at thirds of the cycle would: each word is the sum of the two others then."""
    states = np.concatenate([lfsr_states(part, 2) for part in sources(kind, "bipolar", adder)])
    first = set(states[:, 0].tolist())
    assert len(first) == len(states)
    for index, one in enumerate(states[:, 0]):
        assert not first & set((states[index + 1 :, 0] ^ one).tolist())


@pytest.mark.parametrize("encoding", ["unipolar", "bipolar", "sign-magnitude"])
def test_registers_hold_the_bits_of_all_words_that_meet(encoding: Encoding) -> None:
    """With fewer, some bits of x, w and select would be a sum of others."""
    for part in sources("lfsr", encoding, "mux"):
        assert part.width >= 2 * (6 + (encoding == "bipolar")) + 4


def test_the_select_word_is_independent_of_what_it_selects() -> None:
    """The sum of the leading bits of x, w and select is a fair coin, not a constant."""
    network = sample_network(
        (16, 4, 2), np.random.default_rng(3), operand_bits=6, encoding="bipolar", adder="mux"
    )
    layer = plan_design(network, [4096], "lfsr").manifest.layers[0]
    words = [source_sequence(part, 4096, 7)[0] >> 6 for part in (layer.x_source, layer.w_source)]
    ones = (words[0] ^ words[1] ^ (select_sequence(layer) >> 3)).mean()
    assert abs(ones - 0.5) < 5 * 0.5 / 64


def test_stretches_of_all_registers_are_apart() -> None:
    for kind in _KINDS:
        found = sources(kind, "sign-magnitude", "mux")
        seen: list[int] = []
        for part in found:
            steps = part.model_copy(update={"step": 1})
            seen += lfsr_states(steps, 64 * part.step).ravel().tolist()
        assert all(one != other for one, other in pairwise(sorted(seen))), kind


@pytest.mark.parametrize("width", LEAP_TAPS)
def test_neighbouring_words_of_a_leap_have_no_relation_that_can_be_avoided(width: int) -> None:
    taps = LEAP_TAPS[width]
    assert is_maximal(width, taps)
    for form in ("fibonacci", "galois"):
        source = LfsrSource(
            form=form,
            width=width,
            taps=list(taps),
            step=width,
            sharing="layer",
            seeds=[1],
            xor_constants=[0],
        )
        for bits in range(1, 11):
            assert word_rank(source, bits, (0, 1)) == min(2 * bits, width), (form, bits)
