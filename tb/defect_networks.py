"""Small networks on which planted defects show: between them they hold every block of a design.

Weights, biases and features are random, with every extreme; biases and scales are such that sums
leave the range of the next layer's operands at both ends, so that clamps and rounding matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.manifest import LifNeuron
from model.network import Network
from model.source_choice import Adder, Encoding, SourceKind
from tb.sample_networks import EVERY_TERM_NEURON, sample_network

VECTORS = 16


@dataclass(frozen=True)
class DefectNetwork:
    """A network that defects are planted in, and how it is planned.

    Attributes
    ----------
    seed : int
        From which weights, biases and features are drawn.
    sizes : tuple of int
        Inputs of the network and outputs of each layer.
    lengths : tuple of int
        Bitstream length of each layer.
    source : SourceKind
        Number sources of every layer.
    encoding, adder, activation, streams, lif
        As `tb.sample_networks.sample_network` takes them.
    signed : bool
        Whether features may be negative.
    operand_bits : int
        Operand width K in bits.
    exponent : int
        Power-of-two scale of every layer.
    """

    seed: int
    sizes: tuple[int, ...]
    lengths: tuple[int, ...]
    source: SourceKind
    encoding: Encoding = "sign-magnitude"
    adder: Adder = "parallel-counter"
    activation: str = "clip"
    streams: bool = False
    lif: LifNeuron | None = None
    signed: bool = True
    operand_bits: int = 4
    exponent: int = -1

    def network(self, name: str) -> Network:
        """Draw the network."""
        drawn = sample_network(
            self.sizes,
            np.random.default_rng(self.seed),
            operand_bits=self.operand_bits,
            signed=self.signed,
            scale_exponents=[self.exponent] * (len(self.sizes) - 1),
            vectors=VECTORS,
            encoding=self.encoding,
            adder=self.adder,
            activation=self.activation,
            lif=self.lif,
            streams=self.streams,
        )
        description = drawn.description.model_copy(update={"name": name})
        return Network(description, drawn.weights, drawn.biases, drawn.features, drawn.labels)

    def plan_options(self) -> list[str]:
        """Return the options of ``certibit plan`` that plan it."""
        return ["--source", self.source, "--length", ",".join(map(str, self.lengths))]


# Resets by subtraction; its membrane saturates.
_SUBTRACTING = LifNeuron(
    width=6,
    fraction_bits=2,
    gain=5,
    leak=1,
    leak_shift=0,
    threshold=14,
    reset="subtract",
    reset_value=0,
    refractory=0,
    floor=-25,
)

DEFECT_NETWORKS: dict[str, DefectNetwork] = {
    # The first layer is the faster one: it waits for the second.
    "counter_pair": DefectNetwork(39, (6, 5, 4), (64, 128), "counter", operand_bits=5),
    "lfsr_lanes": DefectNetwork(2, (6, 5, 4), (37, 50), "lfsr-lane", operand_bits=5),
    "lfsr_galois_step": DefectNetwork(3, (6, 5, 4), (64, 45), "lfsr-galois", activation="step"),
    "sobol_unsigned": DefectNetwork(4, (7, 5, 4), (37, 64), "sobol-lane", signed=False),
    "halton_mux": DefectNetwork(5, (6, 5, 4), (64, 100), "halton", adder="mux"),
    "bipolar_mux": DefectNetwork(
        6, (6, 5, 4), (64, 128), "counter", encoding="bipolar", adder="mux"
    ),
    "bipolar_counter": DefectNetwork(30, (6, 5, 4), (64, 80), "sobol", encoding="bipolar"),
    "own_sources": DefectNetwork(8, (5, 4, 3), (64, 40), "lfsr-sng"),
    "spiking_stream": DefectNetwork(
        9, (6, 5, 4, 3), (50,), "sobol", activation="lif", streams=True, lif=EVERY_TERM_NEURON
    ),
    "spiking_counts": DefectNetwork(
        10, (6, 5, 3), (64, 100), "lfsr", activation="lif", lif=_SUBTRACTING
    ),
}
