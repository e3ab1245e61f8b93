"""Planning: refused inputs, and every bound of the manifest recomputed by other means."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.counting import LayerCounter
from model.design_bounds import bound_layers
from model.deviation import trained_deviations
from model.errors import InputError, ManifestError
from model.forward import GoldenNetwork, layer_errors
from model.lfsr import is_maximal, shift
from model.manifest import (
    CounterSource,
    Layer,
    LayerStructure,
    LfsrSource,
    load_manifest,
    manifest_digest,
)
from model.network import Network
from model.plan import Design, load_design, plan_design, save_design
from model.quantise import quantise_biases, quantise_weights
from model.source_choice import SourceKind
from model.xor_constants import CertificateScan
from tests.builders import check_message, random_design, small_network

KINDS: list[SourceKind] = ["counter", "counter-lane", "lfsr", "lfsr-lane"]
COUNTERS: list[SourceKind] = ["counter", "counter-lane"]
LFSRS: list[SourceKind] = ["lfsr", "lfsr-lane"]


def network(
    *,
    length: int = 16,
    accumulator_width: int | None = None,
    signed: bool = True,
    bias: float = 0.5,
) -> Network:
    return small_network(
        np.random.default_rng(1),
        length=length,
        accumulator_width=accumulator_width,
        signed=signed,
        bias=bias,
    )


# --- refused --------------------------------------------------------------------------------------


def refused(
    source: Network, *words: str, lengths: list[int] | None = None, kind: SourceKind = "counter"
) -> None:
    with pytest.raises(InputError) as caught:
        plan_design(source, lengths, kind)
    check_message(caught.value, *words)


@pytest.mark.parametrize("kind", COUNTERS)
@pytest.mark.parametrize("length", [-16, -1, 0, 3, 12, 100, 257, 2**20 - 1])
def test_a_counter_length_that_is_no_power_of_two(kind: SourceKind, length: int) -> None:
    words = (f"bitstream length of {length}", "layer layer_0", "power of two")
    refused(network(length=length), *words, kind=kind)
    refused(network(), *words, lengths=[length], kind=kind)
    refused(network(), words[0], "layer layer_1", words[2], lengths=[16, length], kind=kind)


@pytest.mark.parametrize("kind", LFSRS)
@pytest.mark.parametrize("length", [-16, -1, 0])
def test_an_lfsr_length_below_one(kind: SourceKind, length: int) -> None:
    refused(network(length=length), f"length {length}", "layer layer_0", "1 or more", kind=kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [2**20 + 1, 2**21, 2**31, 2**45, 2**64, 2**100])
def test_a_length_beyond_every_table(kind: SourceKind, length: int) -> None:
    """Refused before anything of that size is computed or allocated."""
    words = (f"bitstream length {length}", "at most 1048576")
    refused(network(length=length), *words, "layer layer_0", kind=kind)
    refused(network(), *words, "layer layer_1", lengths=[16, length], kind=kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_length_beyond_every_accumulator(kind: SourceKind) -> None:
    """2048 synapses x 2**20 cycles are 2**31: the output stream has 32 bits."""
    wide = small_network(np.random.default_rng(1), (2049, 1), vectors=1, bias=0)
    wide.weights[0][:] = 0.5
    wide.weights[0][0, 7] = 0
    words = ("bitstream length 1048576", "accumulator of 33 bits", "there are 32", "shorter")
    refused(wide, *words, "layer layer_0", lengths=[2**20], kind=kind)


@pytest.mark.parametrize("bias", [2.0**27, 1e15, 1e30, 1e300])
def test_a_bias_beyond_every_accumulator(bias: float) -> None:
    """One output alone, so that nothing else gives it away; int64 must not wrap."""
    legal = network()
    biases = legal.biases[1].copy()
    for value in (bias, -bias):
        biases[1] = value
        spoilt = replace(legal, biases=(legal.biases[0], biases))
        refused(spoilt, "layer layer_1", "accumulator", "there are 32", "biases")


def test_a_length_beyond_the_accumulator_of_the_user() -> None:
    """5 inputs x 16 cycles and biases of up to half: 88 at most, which takes 8 bits."""
    assert plan_design(network(accumulator_width=8)).manifest.layers[0].accumulator_width == 8
    assert plan_design(network(accumulator_width=32)).manifest.layers[0].accumulator_width == 32
    words = ("bitstream length 16", "accumulator of 8 bits", "there are 7", "wider accumulator")
    refused(network(accumulator_width=7), *words, "layer layer_0")
    refused(network(accumulator_width=8), "length 64", "there are 8", lengths=[64])
    refused(network(accumulator_width=8), "layer layer_1", lengths=[16, 64])


@pytest.mark.parametrize("lengths", [[], [16, 16, 16]])
def test_a_list_of_lengths_that_does_not_fit(lengths: list[int]) -> None:
    refused(network(), f"{len(lengths)} bitstream lengths for 2 layers", "LENGTH", lengths=lengths)


def test_only_the_last_layer_may_pass_counts_on() -> None:
    legal = network()
    layers = [layer.model_copy(update={"activation": "none"}) for layer in legal.description.layers]
    description = legal.description.model_copy(update={"layers": layers})
    refused(replace(legal, description=description), "has no activation", "layer layer_0", '"clip"')
    layers = [layer.model_copy(update={"activation": "clip"}) for layer in layers]
    description = legal.description.model_copy(update={"layers": layers})
    refused(
        replace(legal, description=description),
        "last layer has the activation clip",
        "layer layer_1",
        '"none"',
    )


def test_nothing_is_written_by_planning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plan_design(network())
    with pytest.raises(InputError):
        plan_design(network(), [3])
    assert not list(tmp_path.iterdir())


# --- what a plan holds ----------------------------------------------------------------------------


def test_lengths_one_for_all_or_one_each() -> None:
    def lengths(chosen: list[int] | None) -> list[int]:
        manifest = plan_design(network(), chosen).manifest
        return [layer.bitstream_length for layer in manifest.layers]

    assert lengths(None) == [16, 16]
    assert lengths([32]) == [32, 32]
    assert lengths([64, 8]) == [64, 8]


def test_lfsrs_take_any_length() -> None:
    assert plan_design(network(), [37, 3], "lfsr-lane").manifest.layers[1].bitstream_length == 3


@pytest.mark.parametrize("kind", COUNTERS)
@pytest.mark.parametrize("signed", [False, True])
def test_counter_pairs_have_the_constants_of_the_scan(kind: SourceKind, signed: bool) -> None:
    design = plan_design(network(signed=signed), [32, 8], kind)
    for index, layer in enumerate(design.manifest.layers):
        x, w = layer.x_source, layer.w_source
        assert isinstance(x, CounterSource)
        assert isinstance(w, CounterSource)
        assert (x.reversed, w.reversed) == (False, True)
        assert 1 << x.width == 1 << w.width == layer.bitstream_length
        assert x.xor_constants == [0]
        assert layer.input_signed == (signed and index == 0)
        scan = CertificateScan(
            design.parameters.weights[index],
            layer.bitstream_length,
            4,
            input_signed=layer.input_signed,
        )
        best = [scan.best_shared()] if kind == "counter" else scan.best_per_lane()
        assert w.xor_constants == best
        assert w.sharing == ("layer" if kind == "counter" else "lane")
        everywhere = best * (layer.fan_in if kind == "counter" else 1)
        bound = Fraction(scan.certificate(everywhere), layer.bitstream_length * 256)
        assert bound == Fraction(layer.certificate.numerator, layer.certificate.denominator)


@pytest.mark.parametrize("kind", LFSRS)
def test_lfsrs_leap_ahead_from_seeds_of_their_own(kind: SourceKind) -> None:
    design = plan_design(network(), source=kind)
    for layer in design.manifest.layers:
        for source in (layer.x_source, layer.w_source):
            assert isinstance(source, LfsrSource)
            assert source.step == source.width
            assert is_maximal(source.width, source.taps)
            assert len(source.seeds) == (layer.fan_in if kind == "lfsr-lane" else 1)
            assert source.sharing == ("lane" if kind == "lfsr-lane" else "layer")
    other = plan_design(network(), source=kind, seed=2)
    assert manifest_digest(other.manifest) != manifest_digest(design.manifest)


@pytest.mark.parametrize("kind", LFSRS)
@pytest.mark.parametrize("length", [2, 500])
def test_no_register_comes_across_the_states_of_another(kind: SourceKind, length: int) -> None:
    """All states between two words count: a register one shift behind is not independent."""
    design = plan_design(network(), [length], kind)
    layer = design.manifest.layers[0]
    visited: set[int] = set()
    total = 0
    for source in (layer.x_source, layer.w_source):
        assert isinstance(source, LfsrSource)
        for state in source.seeds:
            for _ in range(length * source.step):
                visited.add(state)
                state = shift(state, source.width, source.taps)
            total += length * source.step
    assert len(visited) == total


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", [0.0, 0.5, 40.0])
def test_the_accumulator_is_the_narrowest_that_cannot_overflow(
    kind: SourceKind, bias: float
) -> None:
    design = plan_design(network(bias=bias), source=kind)
    for index, layer in enumerate(design.manifest.layers):
        biases = design.parameters.biases[index].tolist()
        extremes = [b + sign * layer.fan_in * 16 for b in biases for sign in (-1, 1)]
        half = 1 << layer.accumulator_width - 1
        assert all(-half <= extreme < half for extreme in extremes)
        assert any(abs(extreme) >= half // 2 for extreme in extremes)


def hoeffding_by_hand(layer: Layer, norm: float, confidence: float, vectors: int) -> float:
    each = (1 - confidence) / (layer.outputs * vectors)
    return norm * math.sqrt(math.log(2 / each) / (2 * layer.bitstream_length))


@pytest.mark.parametrize("kind", KINDS)
def test_radii_and_quantisation_terms(kind: SourceKind) -> None:
    """Recomputed from THEORY 2 and 4."""
    design = plan_design(network(), [64, 32], kind)
    assert design.manifest.confidence == 0.95
    assert design.manifest.vectors == 7
    for layer, family in zip(design.manifest.layers, (4 * 7, 3 * 7), strict=True):
        bound = layer.hoeffding
        norm = math.sqrt(layer.fan_in) if kind == "lfsr-lane" else layer.fan_in
        assert bound.norm == ("norm2" if kind == "lfsr-lane" else "norm1")
        assert bound.norm_value == pytest.approx(norm, rel=1e-15)
        assert bound.family_size == family
        assert bound.confidence == 0.95
        assert bound.radius == pytest.approx(hoeffding_by_hand(layer, norm, 0.95, 7), rel=1e-12)
        assert ("fixed" in bound.assumption) == (kind in COUNTERS)
        assert layer.quantisation.weight == 1 / 32
        assert layer.quantisation.bias == 0.5 / layer.bitstream_length
    assert [layer.quantisation.reencoding for layer in design.manifest.layers] == [1 / 32, 0]


def test_registers_of_their_own_are_needed_for_norm2() -> None:
    """XOR constants on a shared register, or a shared source on one side, are not independent."""
    design = plan_design(network(), source="lfsr-lane")
    layer, weights = design.manifest.layers[0], design.parameters.weights[:1]
    x, w = layer.x_source, layer.w_source
    assert isinstance(x, LfsrSource)
    constants = {"seeds": x.seeds[:1], "xor_constants": [1, 2, 3, 4, 5]}
    shared = {"seeds": x.seeds[:1], "sharing": "layer"}

    def norm_of(changed: LayerStructure) -> str:
        nothing = [np.zeros(4, dtype=np.int64)]
        (bound,) = bound_layers([changed], weights, nothing, [np.zeros(4)], 4, 0.95, 7)
        return bound.hoeffding.norm

    for x_change, w_change, norm in (
        ({}, {}, "norm2"),
        (constants, {}, "norm1"),
        ({}, constants, "norm1"),
        (shared, {}, "norm1"),
        ({}, shared, "norm1"),
    ):
        changed = layer.model_copy(
            update={
                "x_source": x.model_copy(update=x_change),
                "w_source": w.model_copy(update=w_change),
            }
        )
        assert norm_of(changed) == norm
    # 10 registers of 16 bits have 6553 states each: 410 words, each 16 shifts after the last.
    for length, norm in ((400, "norm2"), (420, "norm1")):
        longer = layer.model_copy(update={"bitstream_length": length})
        assert norm_of(longer) == norm


@pytest.mark.parametrize("kind", KINDS)
def test_certificates_hold_and_witnesses_reach_them(kind: SourceKind) -> None:
    design = plan_design(network(), [32, 16], kind)
    errors = layer_errors(
        design.manifest,
        design.parameters,
        design.features,
        GoldenNetwork(design.manifest, design.parameters).counts(design.features),
    )
    for index, layer in enumerate(design.manifest.layers):
        record = layer.certificate
        bound = Fraction(record.numerator, record.denominator)
        assert record.value == float(bound)
        assert np.abs(errors[index]).max() <= record.value
        counter = LayerCounter(
            layer, design.parameters.weights[index], design.parameters.biases[index], 4
        )
        count = int(counter.counts(np.array([record.witness]))[0, record.output])
        weights = design.parameters.weights[index][record.output].tolist()
        exact = sum(x * w for x, w in zip(record.witness, weights, strict=True))
        measured = Fraction(
            count - int(design.parameters.biases[index][record.output]), layer.bitstream_length
        ) - Fraction(exact, 256)
        assert record.sign * measured == bound
        anew = design.certificate(index)
        assert anew.bound == bound
        direction, output = anew.worst
        assert (output, 1 - 2 * direction) == (record.output, record.sign)
        assert anew.witnesses[direction, output].tolist() == record.witness


@pytest.mark.parametrize("kind", COUNTERS)
@pytest.mark.parametrize("length", [2, 16, 256, 1024])
def test_counter_certificates_are_within_the_radius(kind: SourceKind, length: int) -> None:
    """What the manifest says makes the radius sound for fixed sources."""
    for layer in plan_design(network(), [length], kind).manifest.layers:
        assert layer.certificate.value <= layer.hoeffding.radius


def test_bound_layers_is_what_the_planner_does() -> None:
    trained = network()
    design = plan_design(trained)
    manifest, parameters = design.manifest, design.parameters
    everyone = [range(layer.outputs) for layer in manifest.layers]
    lengths = [layer.bitstream_length for layer in manifest.layers]
    again = bound_layers(
        manifest.layers,
        parameters.weights,
        parameters.biases,
        trained_deviations(trained, parameters.weights, parameters.biases, lengths, everyone),
        4,
        manifest.confidence,
        manifest.vectors,
    )
    assert again == manifest.layers


# --- quantisation ---------------------------------------------------------------------------------


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=20), st.integers(1, 15))
def test_weights_are_rounded_by_half_a_step_at_most(values: list[float], bits: int) -> None:
    found = quantise_weights(np.array(values), bits)
    assert found.dtype == np.int32
    for value, weight in zip(values, found.tolist(), strict=True):
        # A float of the last place below a half may round up.
        assert abs(Fraction(value) * 2**bits - weight) <= Fraction(1, 2) + Fraction(1, 2**50)
        assert weight * value >= 0


def test_halves_of_weights_go_away_from_zero() -> None:
    steps = np.array([0.5, -0.5, 1.5, -1.5, 0.25, -0.25, 0, 16, -16, 15.5])
    assert quantise_weights(steps / 16, 4).tolist() == [1, -1, 2, -2, 0, 0, 0, 16, -16, 16]


def test_halves_of_biases_go_up() -> None:
    counts = np.array([0.5, -0.5, 1.5, -1.5, 0.25, 100.75, -100.75])
    assert quantise_biases(counts / 16, 16).tolist() == [1, 0, 2, -1, 0, 101, -101]


# --- files ----------------------------------------------------------------------------------------


def test_a_saved_design_is_loaded_as_it_was(tmp_path: Path) -> None:
    for design in (plan_design(network()), random_design(np.random.default_rng(0), [3, 4, 2])):
        path = save_design(design, tmp_path / "a" / "b")
        again = load_design(load_manifest(path), path.parent)
        assert counts_of(again) == counts_of(design)
        assert sorted(p.name for p in path.parent.iterdir()) == [
            "manifest.json", "manifest.sha256", "test.npz", "weights.npz",
        ]  # fmt: skip


def counts_of(design: Design) -> list[list[list[int]]]:
    golden = GoldenNetwork(design.manifest, design.parameters)
    return [layer.tolist() for layer in golden.counts(design.features)]


def test_a_missing_array_is_named(tmp_path: Path) -> None:
    design = plan_design(network())
    save_design(design, tmp_path)
    (tmp_path / "test.npz").replace(tmp_path / "weights.npz")
    with pytest.raises(ManifestError) as caught:
        load_design(design.manifest, tmp_path)
    check_message(caught.value, "layer_0_weights", "weights.npz", "plan step again")


def test_a_scale_that_no_divider_is_made_for() -> None:
    network = small_network(np.random.default_rng(1), operand_bits=4)
    first = network.description.layers[0].model_copy(update={"scale_exponent": -16})
    description = network.description.model_copy(
        update={"layers": [first, *network.description.layers[1:]]}
    )
    with pytest.raises(InputError, match="scale exponent -16 with bitstream length 300001"):
        plan_design(replace(network, description=description), [300_001], "lfsr")
