"""One dense layer as an object: real numbers in, streams, counts and estimates out, in batches.

Nothing is computed here that the golden model computes elsewhere: sources come from
`model.source_choice`, streams and spikes from `model.spiking`, counts without state from
`model.counting`, bounds from `model.design_bounds`. So the counts are those of the RTL that
`model.plan.plan_design` leads to for the same weights, source and seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.activations import Kind
from model.argument_checks import checked_choice, checked_confidence, checked_integer
from model.bitstream_encoder import MAX_OPERAND_WIDTH, BitstreamEncoder
from model.certificate import LayerCertificate
from model.counting import LayerCounter
from model.design_bounds import bound_layers, certificate_of, largest_increment
from model.errors import InputError
from model.forward import next_operands
from model.gates import and_multiply, xnor_multiply
from model.intervals import activation_intervals
from model.layer_checks import checked_flag, checked_matrix, checked_values, checked_vector
from model.limits import MAX_ACCUMULATOR_WIDTH, MAX_LENGTH
from model.manifest import LayerStructure, LifNeuron
from model.network import MAX_WIDTH
from model.quantise import quantise_biases, quantise_weights
from model.sequences import check_counter_length
from model.source_certificate import require_certified
from model.source_choice import Adder, Encoding, SourceKind, choose_sources
from model.spiking import CycleLayer, input_streams, weight_streams

# Elements of the arrays that one batch works on.
_BATCH = 16_000_000


class VectorizedSCLayer:
    """A dense layer of stochastic-computing hardware that works on batches of real numbers.

    Weights are random, uniform over what the encoding holds, until they are set.

    Parameters
    ----------
    n_inputs, n_neurons : int
        Fan-in and outputs.
    length : int
        Bitstream length L, cycles; a power of two with counters.
    operand_width : int
        Operand width K in bits, 1 to 10.
    encoding : {'sign-magnitude', 'bipolar', 'unipolar'}
        Of inputs and weights; unipolar ones have no sign.
    adder : {'parallel-counter', 'mux'}
        What adds the products of a cycle.
    source : str
        Kind of number sources; see `model.source_choice.choose_sources`.
    activation : {'none', 'clip', 'relu', 'step', 'lif'}
        What follows the count.
    lif : LifNeuron, optional
        The neuron of the activation 'lif', which needs one.
    scale_exponent : int
        Power of two e that 'clip' and 'relu' multiply the weighted sum by, -16 to 16.
    input_signed : bool, optional
        Whether inputs may be negative; unset: unless the encoding is unipolar.
    seed : int
        From which seeds and constants of the sources are drawn as `model.plan.plan_design` draws
        them for its first layer, and initial weights; 0 or more.
    weights, biases : array_like, optional
        As `set_weights` takes them.

    Raises
    ------
    InputError
        If an argument is out of range, or arguments do not go with each other.

    Examples
    --------
    >>> from model import VectorizedSCLayer
    >>> layer = VectorizedSCLayer(2, 3, 256, activation="clip")
    >>> layer.set_weights([[0.5, 0.25], [-1.0, 0.5], [0.0, 0.75]], biases=[0.0, 1.0, 0.125])
    >>> values = [[0.5, -0.5], [0.25, 1.0]]
    >>> layer.counts(values).tolist()
    [[32, 64, -64], [96, 320, 223]]
    >>> layer.forward(values).tolist()
    [[0.125, 0.25, -0.25], [0.375, 1.25, 0.87109375]]
    >>> layer.activations(values).tolist()
    [[0.125, 0.25, 0.0], [0.375, 0.99609375, 0.87109375]]
    >>> layer.encode(values).shape, layer.weight_streams().shape, layer.products(values).shape
    ((2, 2, 256), (3, 2, 256), (2, 3, 2, 256))
    >>> print(f"{float(layer.certificate().bound):.4f} {layer.hoeffding_radius(0.95, 100):.4f}")
    0.0039 0.2709
    """

    def __init__(
        self,
        n_inputs: int,
        n_neurons: int,
        length: int,
        *,
        operand_width: int = 8,
        encoding: Encoding = "sign-magnitude",
        adder: Adder = "parallel-counter",
        source: SourceKind = "counter",
        activation: Kind = "none",
        lif: LifNeuron | None = None,
        scale_exponent: int = 0,
        input_signed: bool | None = None,
        seed: int = 1,
        weights: ArrayLike | None = None,
        biases: ArrayLike | None = None,
    ) -> None:
        self._shape = (
            checked_integer("n_neurons", n_neurons, 1, MAX_WIDTH),
            checked_integer("n_inputs", n_inputs, 1, MAX_WIDTH),
        )
        self._length = checked_integer("length", length, 1, MAX_LENGTH)
        self._operand_width = checked_integer("operand_width", operand_width, 1, MAX_OPERAND_WIDTH)
        checked_choice("encoding", encoding, get_args(Encoding))
        checked_choice("adder", adder, get_args(Adder))
        checked_choice("source", source, get_args(SourceKind))
        checked_choice("activation", activation, get_args(Kind))
        checked_integer("scale_exponent", scale_exponent, -16, 16)
        if source in ("counter", "counter-lane"):
            check_counter_length(self._length, "length")
        signed = encoding != "unipolar"
        if input_signed is not None:
            signed = checked_flag("input_signed", input_signed)
        if signed and encoding == "unipolar":
            raise InputError(
                "unipolar streams have no sign",
                "input_signed",
                "leave it out, or use the encoding bipolar or sign-magnitude",
            )
        _check_neuron(activation, lif)
        self._encoding: Encoding = encoding
        self._adder: Adder = adder
        self._source: SourceKind = source
        self._activation: Kind = activation
        self._lif = lif
        # What spikes are counted as is a rate: the scale is the neuron's.
        self._scale_exponent = int(scale_exponent) if lif is None else 0
        self._input_signed = signed
        self._seed = checked_integer("seed", seed, 0)
        if weights is None:
            # Not the generator of the sources, which are to be the planner's.
            generator = np.random.default_rng([self._seed, *self._shape])
            weights = generator.uniform(self._lowest_weight, 1, self._shape)
        self.set_weights(weights, biases)

    @property
    def _lowest_weight(self) -> float:
        return 0.0 if self._encoding == "unipolar" else -1.0

    def set_weights(self, weights: ArrayLike, biases: ArrayLike | None = None) -> None:
        """Round weights and biases to what the hardware holds, and choose sources for them.

        Parameters
        ----------
        weights : array_like
            Shape (n_neurons, n_inputs), real numbers within +-1, from 0 on in unipolar encoding;
            rounded to multiples of ``2**-K``, halves away from zero.
        biases : array_like, optional
            Shape (n_neurons,), in units of the weighted sum; rounded to counts, or to currents of
            neurons that spike, halves up. Unset: zeros.

        Raises
        ------
        InputError
            If a number is out of range, a shape does not fit, or counts would not fit into an
            accumulator. The layer stays as it was.
        """
        given = checked_matrix("weights", weights, 1.0)
        if given.shape != self._shape:
            raise InputError(
                f"weights have shape {given.shape}",
                "weights",
                f"give shape {self._shape}, a row for each neuron",
            )
        checked_values("weights", given, self._lowest_weight, 1.0)
        offsets = np.zeros(self._shape[0])
        if biases is not None:
            offsets = checked_vector("biases", biases, self._shape[0])
        integers = quantise_weights(given, self._operand_width)
        sources = choose_sources(
            self._source,
            integers,
            self._length,
            self._operand_width,
            input_signed=self._input_signed,
            generator=np.random.default_rng(self._seed),
            encoding=self._encoding,
            adder=self._adder,
        )
        structure = LayerStructure(
            name="layer",
            fan_in=self._shape[1],
            outputs=self._shape[0],
            bitstream_length=self._length,
            input_signed=self._input_signed,
            encoding=self._encoding,
            adder=self._adder,
            activation=self._activation,
            scale_exponent=self._scale_exponent,
            accumulator_width=MAX_ACCUMULATOR_WIDTH,
            x_source=sources.x,
            w_source=sources.w,
            select_source=sources.select,
            lif=self._lif,
        )
        largest = largest_increment(structure, integers) * self._length
        room = (1 << (MAX_ACCUMULATOR_WIDTH - 1)) - 1 - largest
        if float(np.abs(offsets).max()) * structure.bias_unit > room:
            raise InputError(
                f"a bias of {np.abs(offsets).max():.6g} over {self._length} cycles does not fit"
                f" into {MAX_ACCUMULATOR_WIDTH} bits",
                "biases",
                "use a shorter bitstream or smaller biases",
            )
        self._structure = structure
        self._real = given, offsets
        self._weights = integers
        self._biases = quantise_biases(offsets, structure.bias_unit)
        self._encoder = BitstreamEncoder(
            self._length, self._operand_width, self._encoding, sources.x, self._shape[1]
        )
        self._counter: LayerCounter | None = None
        self._cycles: CycleLayer | None = None

    @property
    def structure(self) -> LayerStructure:
        """The layer's part of a manifest: its shape, gates and sources."""
        return self._structure

    @property
    def weights(self) -> NDArray[np.int32]:
        """A copy of the weights that the hardware holds, times ``2**K``."""
        return self._weights.copy()

    @property
    def biases(self) -> NDArray[np.int64]:
        """A copy of the biases that the hardware holds: counts; of neurons that spike, currents."""
        return self._biases.copy()

    def operands(self, values: ArrayLike) -> NDArray[np.int32]:
        """Return the operands that input values are rounded to, halves away from zero.

        Parameters
        ----------
        values : array_like
            Shape (..., n_inputs), real numbers within +-1, from 0 on where inputs have no sign.

        Returns
        -------
        numpy.ndarray
            Same shape, int32: ``value 2**K`` with its sign. The largest magnitude is ``2**K - 1``:
            a 1 becomes it, as where the hardware re-encodes.

        Raises
        ------
        InputError
            If a value is out of range or no finite number, or the last axis is not the inputs.
        """
        lowest = -1.0 if self._input_signed else 0.0
        checked = checked_values("values", values, lowest, 1.0)
        if checked.shape[-1:] != (self._shape[1],):
            raise InputError(
                f"values have shape {checked.shape}",
                "values",
                f"give {self._shape[1]} inputs on the last axis",
            )
        top = (1 << self._operand_width) - 1
        operands: NDArray[np.int32] = np.clip(
            quantise_weights(checked, self._operand_width), -top, top
        )
        return operands

    def encode(self, values: ArrayLike) -> NDArray[np.bool_]:
        """Return the input streams: shape (..., n_inputs, L).

        In sign-magnitude encoding they are of magnitudes; the signs are those of `operands`.

        Parameters
        ----------
        values : array_like
            Shape (..., n_inputs), as `operands` takes them.
        """
        return self._encoder.encode(self.operands(values) / (1 << self._operand_width))

    def weight_streams(self) -> NDArray[np.bool_]:
        """Return the streams of the weights: shape (n_neurons, n_inputs, L).

        In sign-magnitude encoding they are of magnitudes; the signs are those of `weights`.
        """
        signed = weight_streams(self._structure, self._weights, self._operand_width)
        bits = signed > 0 if self._encoding == "bipolar" else signed != 0
        return np.ascontiguousarray(bits.transpose(1, 2, 0))

    def products(self, values: ArrayLike) -> NDArray[np.bool_]:
        """Return the bits of all multipliers: AND gates, in bipolar encoding XNOR gates.

        Parameters
        ----------
        values : array_like
            Shape (..., n_inputs), as `operands` takes them.

        Returns
        -------
        numpy.ndarray
            Shape (..., n_neurons, n_inputs, L), a byte a bit. The sign that an AND gate's ones are
            counted with is that of operand and weight.
        """
        multiply = xnor_multiply if self._encoding == "bipolar" else and_multiply
        return multiply(self.encode(values)[..., None, :, :], self.weight_streams())

    def increments(self, values: ArrayLike) -> NDArray[np.int64]:
        """Return what the adder gives in each cycle; over the cycles it adds up to the counts.

        Parameters
        ----------
        values : array_like
            Shape (..., n_inputs), as `operands` takes them.

        Returns
        -------
        numpy.ndarray
            Shape (..., n_neurons, L). The bias is not in it: it is preloaded, or a current.
        """

        def of(part: NDArray[np.int32]) -> NDArray[Any]:
            streams = input_streams(self._structure, part, self._operand_width)
            return self._cycle_layer().increments(streams).transpose(0, 2, 1)

        return self._gather(self.operands(values), (self._length,), np.int64, of)

    def counts(self, values: ArrayLike) -> NDArray[np.int64]:
        """Return the exact counts of the hardware; of neurons that spike, the numbers of spikes.

        Parameters
        ----------
        values : array_like
            Shape (..., n_inputs), as `operands` takes them.

        Returns
        -------
        numpy.ndarray
            Shape (..., n_neurons), bias included.
        """
        if self._lif is not None:
            return np.asarray(self.spikes(values).sum(axis=-1, dtype=np.int64))
        return self._tabled(self.operands(values)) + self._biases

    def forward(self, values: ArrayLike) -> NDArray[np.float64]:
        """Return the hardware's estimates of the weighted sums ``sum_i x_i w_ij + b_j``.

        That is ``counts / L``; where neurons spike, the mean of what drives them, in the same unit,
        before leak and threshold.

        Parameters
        ----------
        values : array_like
            Shape (..., n_inputs), as `operands` takes them.

        Returns
        -------
        numpy.ndarray
            Shape (..., n_neurons).
        """
        unit = self._structure.bias_unit
        # Over one denominator, so that the result is rounded once.
        numerators = self._tabled(self.operands(values)) * unit + self._biases * self._length
        return np.asarray(numerators / (unit * self._length))

    def spikes(self, values: ArrayLike) -> NDArray[np.bool_]:
        """Return in which cycles the neurons spike: shape (..., n_neurons, L).

        Parameters
        ----------
        values : array_like
            Shape (..., n_inputs), as `operands` takes them.

        Raises
        ------
        InputError
            If the layer's neurons do not spike, or as `operands`.
        """
        if self._lif is None:
            raise InputError(
                f"neurons of activation {self._activation} do not spike",
                "spikes",
                'make the layer with activation="lif" and a neuron',
            )

        def of(part: NDArray[np.int32]) -> NDArray[Any]:
            return self._cycle_layer().spikes(part).transpose(0, 2, 1)

        return self._gather(self.operands(values), (self._length,), np.bool_, of)

    def activations(self, values: ArrayLike) -> NDArray[np.float64]:
        """Return what the next layer takes: re-encoded counts, multiples of ``2**-K``.

        Without an activation it is `forward`.

        Parameters
        ----------
        values : array_like
            Shape (..., n_inputs), as `operands` takes them.

        Returns
        -------
        numpy.ndarray
            Shape (..., n_neurons); 0 to ``1 - 2**-K`` where there is an activation.

        Raises
        ------
        InputError
            If a ReLU can reach 1, the end of what operands hold; or as `operands`.
        """
        if self._activation == "none":
            return self.forward(values)
        if self._activation == "relu":
            self._check_relu()
        counts = self.counts(values)
        return np.asarray(
            next_operands(self._structure, counts, self._operand_width) / (1 << self._operand_width)
        )

    def certificate(self) -> LayerCertificate:
        """Return the worst-case error of every neuron over all inputs, with its witnesses.

        Of `forward` against real arithmetic on the same operands, weights and biases; where neurons
        spike, of their rate.
        """
        return certificate_of(self._structure, self._weights, self._operand_width, self._biases)

    def hoeffding_radius(self, confidence: float = 0.95, vectors: int = 1) -> float:
        """Return the radius that errors of all neurons keep together, as a manifest states it.

        For random seeds; with sources that are not random it is sound where the certificate is not
        above it.

        Parameters
        ----------
        confidence : float
            Probability, in (0, 1), with which all hold.
        vectors : int
            Input vectors that it is to hold for together.

        Raises
        ------
        InputError
            If an argument is out of range, or the sources are so correlated that no radius holds.
        """
        layers = bound_layers(
            [self._structure],
            [self._weights],
            [self._biases],
            [np.zeros(self._shape[0])],
            self._operand_width,
            checked_confidence(confidence),
            checked_integer("vectors", vectors, 1),
        )
        require_certified(layers)
        return layers[0].hoeffding.radius

    def _check_relu(self) -> None:
        """Refuse a ReLU that can reach the largest operand: beyond it would be a clip."""
        weights, biases = self._real
        low = np.full(self._shape[1], -1.0 if self._input_signed else 0.0)
        inputs = (low, np.ones(self._shape[1]))
        ((_, high),) = activation_intervals([weights], [biases], [self._scale_exponent], inputs)
        if high.max() >= 1:
            raise InputError(
                "a neuron can reach 1, the end of what operands hold",
                "activation",
                "use a smaller scale_exponent, or the activation clip",
            )

    def _tabled(self, operands: NDArray[np.int32]) -> NDArray[np.int64]:
        """Return the sums of all increments, without biases, from tables."""
        if self._counter is None:
            none = np.zeros(self._shape[0], dtype=np.int64)
            self._counter = LayerCounter(self._structure, self._weights, none, self._operand_width)
        return self._gather(operands, (), np.int64, self._counter.counts)

    def _cycle_layer(self) -> CycleLayer:
        """Return the evaluation cycle by cycle, made when it is first asked for."""
        if self._cycles is None:
            self._cycles = CycleLayer(
                self._structure, self._weights, self._biases, self._operand_width
            )
        return self._cycles

    def _gather(
        self,
        operands: NDArray[np.int32],
        trailing: tuple[int, ...],
        dtype: type[np.generic],
        of: Callable[[NDArray[np.int32]], NDArray[Any]],
    ) -> NDArray[Any]:
        """Evaluate vectors in parts that fit into memory, and give them their batch's shape.

        Parameters
        ----------
        operands : numpy.ndarray
            Shape (..., n_inputs).
        trailing : tuple of int
            The result's axes behind the neurons.
        dtype : type
            The result's.
        of : callable
            Takes shape (vectors, n_inputs).
        """
        outputs, inputs = self._shape
        flat = operands.reshape(-1, inputs)
        result = np.empty((len(flat), outputs, *trailing), dtype=dtype)
        cost = (inputs + outputs) * (self._length if trailing else 1)
        for part in _parts(len(flat), max(1, _BATCH // cost)):
            result[part] = of(flat[part])
        return result.reshape(*operands.shape[:-1], outputs, *trailing)


def _parts(vectors: int, batch: int) -> Iterator[slice]:
    """Yield slices of so many vectors at a time."""
    for start in range(0, vectors, batch):
        yield slice(start, start + batch)


def _check_neuron(activation: Kind, lif: object) -> None:
    """Refuse a neuron without the activation that it belongs to, and the other way round."""
    if (activation == "lif") != (lif is not None):
        raise InputError(
            "the activation lif and its neuron go together",
            "lif",
            'give activation="lif" and lif=LifNeuron(...), or neither'
            " (model.lif.integrate_and_fire makes one)",
        )
    if lif is not None and not isinstance(lif, LifNeuron):
        raise InputError(f"lif is of type {type(lif).__name__}", "lif", "give a LifNeuron")
    if lif is not None and lif.noise_bits:
        raise InputError(
            "neurons with noise have no source for it in a layer", "lif", "set noise_bits to 0"
        )
