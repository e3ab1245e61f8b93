"""Layers of every encoding, adder, neuron and source: two models, certificates, bounds."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.activations import activate
from model.counting import LayerCounter, lane_counts, layer_inputs
from model.design_bounds import (
    DEVIATION,
    EXACT,
    FRECHET,
    RANGE,
    certificate_of,
    certificate_theorem,
)
from model.errors import InputError
from model.forward import GoldenNetwork, layer_errors
from model.manifest import LayerStructure, LifNeuron
from model.network import LayerDescription, Network, NetworkDescription
from model.plan import Design, plan_design
from model.source_choice import Adder, Encoding, SourceKind, choose_sources
from model.spiking import CycleLayer, partial_deviations
from model.streams import evaluate_layer, next_magnitudes, written_out_lane_counts
from tests.builders import check_message

KINDS: tuple[SourceKind, ...] = (
    "counter",
    "counter-lane",
    "sobol",
    "sobol-lane",
    "halton",
    "lfsr",
    "lfsr-lane",
    "lfsr-sng",
    "lfsr-galois",
    "lfsr-rotated",
    "lfsr-shift",
)
ENCODINGS: tuple[Encoding, ...] = ("unipolar", "bipolar", "sign-magnitude")
ADDERS: tuple[Adder, ...] = ("parallel-counter", "mux")


def random_layer(
    rng: np.random.Generator,
    kind: SourceKind,
    encoding: Encoding,
    adder: Adder,
    *,
    fan_in: int = 3,
    outputs: int = 2,
    length: int = 16,
    operand_width: int = 3,
    lif: LifNeuron | None = None,
    signed: bool = True,
) -> tuple[LayerStructure, NDArray[np.int32]]:
    """Draw a layer with planned sources."""
    top = 1 << operand_width
    lowest = 0 if encoding == "unipolar" else -top
    weights = rng.integers(lowest, top + 1, (outputs, fan_in)).astype(np.int32)
    input_signed = signed and encoding != "unipolar"
    sources = choose_sources(
        kind,
        weights,
        length,
        operand_width,
        input_signed=input_signed,
        generator=rng,
        encoding=encoding,
        adder=adder,
    )
    layer = LayerStructure(
        name="layer",
        fan_in=fan_in,
        outputs=outputs,
        bitstream_length=length,
        input_signed=input_signed,
        encoding=encoding,
        adder=adder,
        activation="none" if lif is None else "lif",
        scale_exponent=0,
        accumulator_width=32,
        x_source=sources.x,
        w_source=sources.w,
        select_source=sources.select,
        lif=lif,
    )
    return layer, weights


def integrating(gain: int = 16, threshold: int = 16) -> LifNeuron:
    """Return a neuron that forgets nothing and never saturates."""
    return LifNeuron(
        width=24,
        fraction_bits=4,
        gain=gain,
        leak=0,
        leak_shift=0,
        threshold=threshold,
        reset="subtract",
        reset_value=0,
        refractory=0,
        floor=-(1 << 23),
    )


def leaky(**changes: object) -> LifNeuron:
    """Return a neuron with everything that a neuron can have."""
    given = {
        "width": 9,
        "fraction_bits": 4,
        "gain": 24,
        "leak": 5,
        "leak_shift": 2,
        "threshold": 30,
        "reset": "value",
        "reset_value": -7,
        "refractory": 2,
        "floor": -20,
    }
    return LifNeuron.model_validate(given | changes)


def inputs_of(layer: LayerStructure, operand_width: int) -> NDArray[np.int64]:
    """Return every input that one lane can have, signs included."""
    top = (1 << operand_width) - 1
    return np.arange(-top if layer.input_signed else 0, top + 1)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.data())
def test_the_models_agree_on_every_style(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(KINDS))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    length = data.draw(st.sampled_from([1, 2, 8, 32] if "counter" in kind else [1, 2, 7, 33]))
    operand_width = data.draw(st.integers(1, 4))
    lif = data.draw(st.sampled_from([None, integrating(), leaky(), leaky(reset="subtract")]))
    layer, weights = random_layer(
        rng,
        kind,
        data.draw(st.sampled_from(ENCODINGS)),
        data.draw(st.sampled_from(ADDERS)),
        fan_in=data.draw(st.integers(1, 6)),
        outputs=data.draw(st.integers(1, 4)),
        length=length,
        operand_width=operand_width,
        lif=lif,
        signed=data.draw(st.booleans()),
    )
    biases = rng.integers(-9, 10, layer.outputs)
    inputs = rng.choice(inputs_of(layer, operand_width), (5, layer.fan_in))
    slow = [evaluate_layer(layer, weights, biases, row, operand_width) for row in inputs]
    by_cycles = CycleLayer(layer, weights, biases, operand_width)
    assert np.array_equal(by_cycles.counts(inputs), [part.counts for part in slow])
    if lif is None:
        tables = LayerCounter(layer, weights, biases, operand_width)
        assert np.array_equal(tables.counts(inputs), [part.counts for part in slow])
        given_inputs = layer_inputs(layer, operand_width)
        for one, other in zip(
            lane_counts(layer, weights, operand_width),
            written_out_lane_counts(layer, given_inputs, weights, operand_width),
            strict=True,
        ):
            assert np.array_equal(one, other)
    else:
        spikes = by_cycles.spikes(inputs)
        for one, part in zip(spikes, slow, strict=True):
            assert part.spikes is not None
            assert np.array_equal(one, part.spikes)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.data())
def test_the_models_agree_on_streams(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    lif = data.draw(st.sampled_from([None, integrating(), leaky()]))
    layer, weights = random_layer(
        rng,
        data.draw(st.sampled_from(KINDS)),
        data.draw(st.sampled_from(ENCODINGS[::2])),
        data.draw(st.sampled_from(ADDERS)),
        fan_in=data.draw(st.integers(1, 6)),
        lif=lif,
        signed=False,
    )
    biases = rng.integers(-9, 10, layer.outputs)
    streams = rng.random((4, layer.bitstream_length, layer.fan_in)) < 0.5
    slow = [evaluate_layer(layer, weights, biases, part, 3) for part in streams]
    counts = CycleLayer(layer, weights, biases, 3).counts(streams)
    assert np.array_equal(counts, [part.counts for part in slow])
    certificate = certificate_of(layer, weights, 3, biases, streamed=True)
    theorem = certificate_theorem(layer, weights, biases, streamed=True)
    if lif is None:
        assert theorem == (FRECHET if layer.adder == "parallel-counter" else RANGE)
        exact = streams.sum(axis=1) @ weights.T / (8 * layer.bitstream_length)
        errors = np.abs((counts - biases) / layer.bitstream_length - exact)
        bound = certificate.numerators.max(axis=0) / certificate.denominator
        assert (errors <= bound + 1e-12).all()
    else:
        assert theorem == RANGE


def test_frechet_bounds_are_attained() -> None:
    """By a stream that is one where the weight's is, and as often."""
    layer, weights = random_layer(
        np.random.default_rng(2), "sobol", "unipolar", "parallel-counter", fan_in=1, outputs=9
    )
    weights[:, 0] = np.arange(9)
    own = evaluate_layer(layer, weights, np.zeros(9, np.int64), np.array([7]), 3).w_bits[:, :, 0]
    certificate = certificate_of(layer, weights, 3, streamed=True)
    for neuron in range(9):
        stream = own[:, neuron][:, None]
        count = evaluate_layer(layer, weights, np.zeros(9, np.int64), stream, 3).counts[neuron]
        exact = Fraction(int(stream.sum()), 16) * Fraction(neuron, 8)
        bound = Fraction(int(certificate.numerators[0, neuron]), certificate.denominator)
        assert Fraction(int(count), 16) - exact == bound


def test_frechet_bounds_know_that_a_stream_is_not_its_weight() -> None:
    """An LFSR's stream has more or fewer ones than its weight says."""
    layer, weights = random_layer(
        np.random.default_rng(2), "lfsr", "unipolar", "parallel-counter", fan_in=1, outputs=9
    )
    weights[:, 0] = np.arange(9)
    own = evaluate_layer(layer, weights, np.zeros(9, np.int64), np.array([7]), 3).w_bits[:, :, 0]
    certificate = certificate_of(layer, weights, 3, streamed=True)
    more = 0
    for neuron in range(9):
        ones = int(own[:, neuron].sum())
        more += ones * 8 > neuron * 16
        error = Fraction(ones, 16) * (1 - Fraction(neuron, 8))
        assert error <= Fraction(int(certificate.numerators[0, neuron]), certificate.denominator)
        assert error > Fraction(ones * (16 - ones), 256) or ones * 8 <= neuron * 16
    assert more


@settings(derandomize=True, deadline=None, max_examples=80)
@given(st.data())
def test_certificates_are_the_largest_errors_there_are(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(KINDS))
    layer, weights = random_layer(
        np.random.default_rng(data.draw(st.integers(0, 2**32 - 1))),
        kind,
        data.draw(st.sampled_from(ENCODINGS)),
        data.draw(st.sampled_from(ADDERS)),
        fan_in=data.draw(st.integers(1, 3)),
        outputs=2,
        length=data.draw(st.sampled_from([1, 4, 16])),
        operand_width=2,
        signed=data.draw(st.booleans()),
    )
    assert certificate_theorem(layer, weights, None, streamed=False) == EXACT
    every = np.array(list(itertools.product(inputs_of(layer, 2), repeat=layer.fan_in)))
    counter = LayerCounter(layer, weights, np.zeros(2, dtype=np.int64), 2)
    errors = counter.counts(every) * 16 - every @ weights.T * layer.bitstream_length
    certificate = certificate_of(layer, weights, 2)
    assert certificate.numerators.tolist() == [errors.max(0).tolist(), (-errors).max(0).tolist()]
    for direction, neuron in itertools.product((0, 1), (0, 1)):
        witness = certificate.witnesses[direction, neuron].astype(np.int64)
        count = counter.counts(witness[None])[0, neuron]
        error = count * 16 - witness @ weights[neuron] * layer.bitstream_length
        assert error * (-1) ** direction == certificate.numerators[direction, neuron]


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.data())
def test_partial_deviations_are_the_largest_there_are(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(KINDS))
    lif = integrating(threshold=data.draw(st.sampled_from([8, 16, 40])))
    layer, weights = random_layer(
        np.random.default_rng(data.draw(st.integers(0, 2**32 - 1))),
        kind,
        data.draw(st.sampled_from(ENCODINGS)),
        data.draw(st.sampled_from(ADDERS)),
        fan_in=data.draw(st.integers(1, 3)),
        length=data.draw(st.sampled_from([1, 4, 16])),
        operand_width=2,
        lif=lif,
        signed=data.draw(st.booleans()),
    )
    biases = np.array([3, -5])
    every = np.array(list(itertools.product(inputs_of(layer, 2), repeat=layer.fan_in)))
    sums = every @ weights.T
    up, down = np.zeros(2, np.int64), np.zeros(2, np.int64)
    rates = []
    for row, total in zip(every, sums, strict=True):
        streams = evaluate_layer(layer, weights, biases, row, 2)
        cycles = np.arange(1, layer.bitstream_length + 1)[:, None]
        deviation = streams.increments.cumsum(axis=0) * 16 - cycles * total
        up, down = np.maximum(up, deviation.max(0)), np.maximum(down, -deviation.min(0))
        rates.append(streams.counts / layer.bitstream_length)
    numerators, witnesses = partial_deviations(layer, weights, 2)
    assert numerators.tolist() == [up.tolist(), down.tolist()]
    cycles = np.arange(1, layer.bitstream_length + 1)
    for direction, neuron in itertools.product((0, 1), (0, 1)):
        witness = witnesses[direction, neuron].astype(np.int64)
        steps = evaluate_layer(layer, weights, biases, witness, 2).increments[:, neuron]
        deviation = steps.cumsum() * 16 - cycles * (witness @ weights[neuron])
        reached = (deviation * (-1) ** direction).max()
        assert max(int(reached), 0) == numerators[direction, neuron]
    # And the bound of the rate that follows holds for every input.
    assert certificate_theorem(layer, weights, biases, streamed=False) == DEVIATION
    certificate = certificate_of(layer, weights, 2, biases)
    errors = np.array(rates) - activate(layer, sums / 16 + biases / lif.gain)
    bounds = certificate.numerators / certificate.denominator
    assert (errors <= bounds[0] + 1e-12).all()
    assert (-errors <= bounds[1] + 1e-12).all()


def test_what_reflects_forgets_or_rests_has_no_certificate() -> None:
    layer, weights = random_layer(
        np.random.default_rng(1), "sobol", "bipolar", "parallel-counter", lif=integrating()
    )
    assert certificate_theorem(layer, weights, np.array([1, 2]), streamed=False) == DEVIATION
    for change in (
        {"floor": 0},
        {"floor": -100},
        {"width": 8, "floor": -128},
        {"leak_shift": 3},
        {"refractory": 1},
        {"reset": "value"},
    ):
        neuron = integrating().model_copy(update=change)
        other = layer.model_copy(update={"lif": neuron})
        assert certificate_theorem(other, weights, np.array([1, 2]), streamed=False) == RANGE
        assert certificate_of(other, weights, 3, np.array([1, 2])).bound == 1
    assert certificate_theorem(layer, weights, np.array([1 << 22, 0]), streamed=False) == RANGE


# --- networks -------------------------------------------------------------------------------------


def network(
    encoding: str = "sign-magnitude",
    adder: str = "parallel-counter",
    activation: str = "clip",
    *,
    sizes: tuple[int, ...] = (5, 4, 3),
    exponent: int = -1,
    lif: LifNeuron | None = None,
    streams: bool = False,
    seed: int = 0,
    last: dict[str, object] | None = None,
) -> Network:
    """Return a random network of a style."""
    rng = np.random.default_rng(seed)
    layers = []
    for index in range(len(sizes) - 1):
        style: dict[str, object] = {"encoding": encoding, "adder": adder}
        if index < len(sizes) - 2:
            style |= {"activation": activation, "lif": lif, "streams": streams}
        else:
            style |= {"activation": "none", **(last or {})}
        layers.append(
            LayerDescription.model_validate(
                {
                    "name": f"layer_{index}",
                    "scale_exponent": exponent,
                    "bitstream_length": 32,
                    **style,
                }
            )
        )
    low = 0.0 if encoding == "unipolar" else -1.0
    return Network(
        NetworkDescription(
            name="styled",
            operand_bits=4,
            confidence=0.95,
            input_signed=encoding != "unipolar",
            layers=layers,
        ),
        tuple(rng.uniform(low, 1, (b, a)) for a, b in itertools.pairwise(sizes)),
        tuple(rng.uniform(-1, 1, b) for b in sizes[1:]),
        rng.integers(0 if encoding == "unipolar" else -15, 16, (20, sizes[0])).astype(np.int16),
        np.zeros(20, dtype=np.int64),
    )


def bit_by_bit(design: Design, row: NDArray[np.integer]) -> list[list[int]]:
    """Return the counts of every layer for one vector, by the slow model."""
    inputs: NDArray[np.generic] = row
    counts = []
    width = design.manifest.operand_width
    for layer, weight, bias in zip(
        design.manifest.layers, design.parameters.weights, design.parameters.biases, strict=True
    ):
        streams = evaluate_layer(layer, weight, bias, inputs, width)  # type: ignore[arg-type]
        counts.append(streams.counts.tolist())
        inputs = np.array(next_magnitudes(layer, streams.counts, width))
        if layer.streams:
            assert streams.spikes is not None
            inputs = streams.spikes
    return counts


STYLES = [
    pytest.param(
        encoding, adder, activation, streams, id=f"{encoding}-{adder}-{activation}{streams}"
    )
    for encoding in ENCODINGS
    for adder in ADDERS
    for activation, streams in (("clip", False), ("step", False), ("lif", False), ("lif", True))
    if not (streams and encoding == "bipolar")
]


@pytest.mark.parametrize("kind", ["counter", "sobol", "lfsr", "lfsr-sng"])
@pytest.mark.parametrize(("encoding", "adder", "activation", "streams"), STYLES)
def test_networks_stay_within_their_bounds(
    encoding: str, adder: str, activation: str, streams: bool, kind: SourceKind
) -> None:
    trained = network(encoding, adder, activation, sizes=(5, 4, 4, 3), streams=streams)
    design = plan_design(trained, source=kind)
    manifest = design.manifest
    counts = GoldenNetwork(manifest, design.parameters).counts(design.features)
    assert [part[7].tolist() for part in counts] == bit_by_bit(design, design.features[7])
    errors = layer_errors(manifest, design.parameters, design.features, counts)
    for layer, error in zip(manifest.layers, errors, strict=True):
        worst = float(np.abs(error).max())
        assert 0 < worst <= layer.certificate.value + 1e-12
        assert layer.hoeffding.radius > 0
    # Against real arithmetic, computed here.
    levels = 16
    activation_values = design.features / levels
    for index, (weight, bias) in enumerate(zip(trained.weights, trained.biases, strict=True)):
        sums = activation_values @ weight.T + bias
        layer = manifest.layers[index]
        if activation == "clip":
            activation_values = np.clip(sums / 2, 0, 1)
        elif activation == "step":
            activation_values = (sums >= 0).astype(np.float64)
        else:
            activation_values = np.clip(sums / 2, 0, 1)
        estimate = counts[index] / layer.bitstream_length
        reference = sums if layer.lif is None else activation_values
        assert np.abs(estimate - reference).max() <= layer.trained_bound + 1e-12


def test_what_arrives_at_a_neuron_is_multiplied_by_its_slope() -> None:
    trained = network(activation="lif", sizes=(5, 4, 4, 3), exponent=-2)
    design = plan_design(trained, [512], "sobol")
    first, second = (design.certificate(index) for index in (0, 1))
    arriving = np.minimum(first.numerators.max(axis=0) / first.denominator + 1 / 32, 1)
    weights = np.abs(design.parameters.weights[1]) / 16
    bound = weights @ arriving / 4 + second.numerators.max(axis=0) / second.denominator
    assert bound.max() < 1
    assert design.manifest.layers[1].propagated_bound == pytest.approx(bound.max(), rel=1e-12)


def refused(trained: Network, *words: str, lengths: list[int] | None = None) -> None:
    """A plan is refused with a message that says what, where and what to do."""
    with pytest.raises(InputError) as caught:
        plan_design(trained, lengths)
    check_message(caught.value, *words)


def test_styles_that_do_not_go_together() -> None:
    signed = network("unipolar")
    refused(
        network("sign-magnitude", last={"encoding": "unipolar"}), "unipolar", "weights", "layer_1"
    )
    inputs = Network(
        signed.description.model_copy(update={"input_signed": True}),
        signed.weights,
        signed.biases,
        signed.features,
        signed.labels,
    )
    refused(inputs, "unipolar", "inputs", "layer_0")
    refused(network(lif=leaky()), "another activation", "layer_0")
    refused(network(activation="lif", lif=leaky(noise_bits=2)), "noise", "layer_0")
    refused(network(streams=True), "only spikes are streams", "layer_0")
    refused(
        network(activation="lif", streams=True, last={"encoding": "bipolar"}),
        "only spikes are streams",
        "layer_0",
    )
    refused(network(activation="relu"), "can reach 1", "layer_0", "scale_exponent")
    refused(network(last={"activation": "relu"}), "the last layer", "relu")


def test_a_relu_that_cannot_saturate_is_a_clip() -> None:
    design = plan_design(network(activation="relu", exponent=-3))
    clipped = plan_design(network(activation="clip", exponent=-3))
    for one, other in zip(design.manifest.layers, clipped.manifest.layers, strict=True):
        assert one.certificate == other.certificate
        assert one.propagated_bound == other.propagated_bound


def test_planned_neurons_never_saturate() -> None:
    for adder in ADDERS:
        for exponent in (-3, 0, 2):
            trained = network("bipolar", adder, "lif", exponent=exponent)
            layer = plan_design(trained, [512]).manifest.layers[0]
            assert layer.lif is not None
            assert layer.certificate.theorem == DEVIATION
            assert Fraction(layer.lif.gain, layer.lif.threshold) == Fraction(2) ** exponent


def test_a_membrane_that_cannot_be_wide_enough() -> None:
    trained = network("sign-magnitude", "mux", "lif", exponent=16)
    assert plan_design(trained, [1024]).manifest.layers[0].lif is not None
    wide = network("sign-magnitude", "mux", "lif", exponent=16, sizes=(65, 4, 3))
    refused(wide, "never saturates", "layer_0", "shorter bitstream", lengths=[1 << 14])


def test_the_radius_counts_what_is_independent() -> None:
    """The one-bit shift has words with K - 1 common bits; bipolar products have twice the range."""
    trained = network("sign-magnitude")
    leap = plan_design(trained, source="lfsr").manifest.layers[0].hoeffding
    shift = plan_design(trained, source="lfsr-shift").manifest.layers[0].hoeffding
    assert shift.radius == pytest.approx(leap.radius * 2)  # 32 cycles, 8 of them independent
    assert "4 apart" in shift.theorem
    lanes = plan_design(trained, source="lfsr-lane").manifest.layers[0].hoeffding
    synapses = plan_design(trained, source="lfsr-sng").manifest.layers[0].hoeffding
    assert lanes.norm == synapses.norm == "norm2"
    bipolar = plan_design(network("bipolar"), source="lfsr-lane").manifest.layers[0].hoeffding
    assert bipolar.radius == pytest.approx(2 * lanes.radius)
    mux = plan_design(network("bipolar", "mux"), source="lfsr").manifest.layers[0].hoeffding
    assert (mux.norm, mux.norm_value) == ("range", 16.0)
    mux = plan_design(network("unipolar", "mux"), source="lfsr").manifest.layers[0].hoeffding
    assert (mux.norm, mux.norm_value) == ("range", 8.0)
