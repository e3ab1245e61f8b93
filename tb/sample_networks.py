"""Small random networks for benches: every extreme of the operands occurs in them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from model.manifest import LifNeuron
from model.network import LayerDescription, Network, NetworkDescription
from model.source_choice import Adder, Encoding

# Every term of the neuron's equation at work, and both ends of its range.
EVERY_TERM_NEURON = LifNeuron(
    width=10,
    fraction_bits=4,
    gain=24,
    leak=5,
    leak_shift=2,
    threshold=30,
    reset="value",
    reset_value=-7,
    refractory=2,
    floor=-20,
)


def sample_network(
    widths: Sequence[int],
    generator: np.random.Generator,
    *,
    operand_bits: int = 8,
    signed: bool = True,
    scale_exponents: Sequence[int] | None = None,
    vectors: int = 16,
    last_activation: str = "none",
    features_per_beat: int = 4,
    encoding: Encoding = "sign-magnitude",
    adder: Adder = "parallel-counter",
    activation: str = "clip",
    lif: LifNeuron | None = None,
    streams: bool = False,
) -> Network:
    """Make a network with random weights, biases and features.

    Parameters
    ----------
    widths : sequence of int
        Inputs of the network and outputs of each layer: (6, 5, 3) has two layers.
    generator : numpy.random.Generator
        Where the numbers come from.
    operand_bits : int
        Operand width K in bits.
    signed : bool
        Whether features may be negative.
    scale_exponents : sequence of int, optional
        Power-of-two scale of each layer; default: 0.
    vectors : int
        Number of feature vectors.
    last_activation : {'none', 'clip'}
        Activation of the last layer.
    features_per_beat : int
        Of the input stream.
    encoding : {'unipolar', 'bipolar', 'sign-magnitude'}
        Of all layers; in unipolar encoding weights and features have no sign.
    adder : {'parallel-counter', 'mux'}
        Of all layers.
    activation : {'clip', 'relu', 'step', 'lif'}
        Of all layers but the last.
    lif : LifNeuron, optional
        Parameters of neurons that spike.
    streams : bool
        Whether spikes are the next layer's input streams.

    Returns
    -------
    Network
        About a tenth of the weights are 0, -1 or +1 each; the first vectors hold the extremes.
    """
    layers = len(widths) - 1
    exponents = list(scale_exponents) if scale_exponents is not None else [0] * layers
    weights, biases = [], []
    for fan_in, outputs in pairwise(widths):
        lowest = 0 if encoding == "unipolar" else -1
        weight = generator.uniform(lowest, 1, (outputs, fan_in))
        special = generator.integers(0, 10, weight.shape)
        weight[special == 0] = 0.0
        weight[special == 1] = 1.0
        weight[special == 2] = lowest
        weights.append(weight)
        biases.append(generator.uniform(-2, 2, outputs))
    signed = signed and encoding != "unipolar"
    top = (1 << operand_bits) - 1
    features = generator.integers(-top if signed else 0, top + 1, (vectors, widths[0]))
    for row, value in enumerate((0, top, -top if signed else top)):
        if row < vectors - 1:
            features[row] = value
    return Network(
        NetworkDescription(
            name="sample",
            operand_bits=operand_bits,
            confidence=0.95,
            features_per_beat=features_per_beat,
            input_signed=signed,
            layers=[
                LayerDescription(
                    name=f"layer{index}",
                    encoding=encoding,
                    adder=adder,
                    activation=activation if index < layers - 1 else last_activation,
                    lif=lif if index < layers - 1 else None,
                    streams=streams and index < layers - 1,
                    scale_exponent=exponents[index],
                    bitstream_length=256,
                )
                for index in range(layers)
            ],
        ),
        tuple(weights),
        tuple(biases),
        features.astype(np.int16),
        generator.integers(0, widths[-1], vectors),
    )
