"""The sample networks whose netlists are mutated: small, and between them every kind of part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.manifest import LifNeuron
from model.plan import Design, plan_design
from model.source_choice import Adder, Encoding, SourceKind
from tb.sample_networks import sample_network


@dataclass(frozen=True)
class Sample:
    """A network to mutate.

    Attributes
    ----------
    name : str
        Short name, the first part of its mutants' ids.
    sizes : tuple of int
        Inputs, and outputs of each layer.
    lengths : tuple of int
        Bitstream length of each layer.
    source : str
        Kind of the number sources.
    seed : int
        Of weights and inputs: chosen so that each output takes as many values as it can.
    """

    name: str
    sizes: tuple[int, ...]
    lengths: tuple[int, ...]
    source: SourceKind
    seed: int
    operand_bits: int = 2
    signed: bool = True
    encoding: Encoding = "sign-magnitude"
    adder: Adder = "parallel-counter"
    activation: str = "clip"
    lif: LifNeuron | None = None
    streams: bool = False
    scale_exponents: tuple[int, ...] = (-1, 0)
    features_per_beat: int = 2

    def design(self) -> Design:
        """Plan the network; the same each time."""
        network = sample_network(
            self.sizes,
            np.random.default_rng(self.seed),
            operand_bits=self.operand_bits,
            signed=self.signed,
            scale_exponents=self.scale_exponents,
            vectors=48,
            features_per_beat=self.features_per_beat,
            encoding=self.encoding,
            adder=self.adder,
            activation=self.activation,
            lif=self.lif,
            streams=self.streams,
        )
        return plan_design(network, list(self.lengths), self.source)


# Neurons with every term of the equation and few states. One that only integrates would have gains
# and thresholds that are powers of two, and little that can be broken.
_NEURON = LifNeuron(
    width=6,
    fraction_bits=1,
    gain=3,
    leak=1,
    leak_shift=2,
    threshold=5,
    reset="value",
    reset_value=-3,
    refractory=1,
    floor=-11,
)
_STREAMING_NEURON = _NEURON.model_copy(update={"leak": 0, "reset": "subtract", "reset_value": 0})

# As small as they can be with every part in them: what is to be proved of them are statements about
# all states that they can reach.
SAMPLES: Sequence[Sample] = (
    # Banks that count signed products, and re-encoding by a shift.
    Sample("dense", (3, 2, 2), (4, 4), "counter", 28),
    # A shift register for each lane, re-encoding by a division, inputs without a sign.
    Sample("lfsr", (2, 2, 2), (3, 5), "lfsr-lane", 62, signed=False, features_per_beat=1),
    # Spiking neurons behind multiplexers, a step a cycle; bipolar operands.
    Sample(
        "spiking",
        (2, 2, 2),
        (8, 8),
        "counter",
        0,
        encoding="bipolar",
        adder="mux",
        activation="lif",
        lif=_NEURON,
        features_per_beat=3,
    ),
    # Spikes that go on to the next layer as its input streams, and a step function after it.
    Sample(
        "streams",
        (2, 2, 2),
        (6, 6),
        "sobol",
        69,
        signed=False,
        encoding="unipolar",
        activation="lif",
        lif=_STREAMING_NEURON,
        streams=True,
    ),
)
