"""What theory says of faults on streams and weights: the output error without a simulation.

A fault makes of a bit that is 1 with probability p one that is 1 with probability a p + b: a flip
of probability e has a = 1 - 2e, b = e; held at 0, a = 1 - e, b = 0; held at 1, a = 1 - e, b = e.
For an AND gate with flips on x, w and y this is THEORY's x'w'(1 - 2e) + e. Here it is applied to
the very bits that the sources give, cycle by cycle, so that mean and variance of every count
follow; from there on:

- The sign cycle. Layers whose inputs have signs take L times the number of negative products off
  at once, by the same adder: a product that is struck in that one cycle weighs as much as L others.
  Its jumps are counted out where they are few, else they are taken into the normal distribution.
- Re-encoding. A hidden count is taken as a normal variable (and jumps), and re-encoded value by
  value.
- A struck input bit strikes all neurons of the layer at once: the covariance of a layer's neurons
  is carried to the next layer by their mean slopes. That of later hidden layers is neglected.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.manifest import Layer
from model.plan import Design
from model.streams import source_words
from tb.fault_simulation import Kind

Floats = NDArray[np.float64]

# Places that this speaks of.
_KNOWN = {"x streams", "w streams", "products", "weights"}
# Jumps of one neuron that are counted out; more are a part of the normal distribution.
_JUMPS = 6
_FEW_JUMPS = 1.0
_NEVER = 1e-9
# A count that does not vary, for the normal distribution's sake.
_TINY = 1e-9


def predicted_errors(
    design: Design,
    features: NDArray[np.integer],
    places: Sequence[str],
    kind: Kind,
    rates: Sequence[float],
) -> list[float | None]:
    """Predict the rms error of the outputs under random faults.

    Parameters
    ----------
    design : Design
        The design.
    features : numpy.ndarray
        Shape (vectors, fan_in), signed magnitudes.
    places : sequence of str
        Where faults strike.
    kind : {'flip', 'stuck-at-0', 'stuck-at-1'}
        What they do.
    rates : sequence of float
        Their probabilities, per bit and cycle.

    Returns
    -------
    list of float or None
        In units of the weighted sum; None where there is no prediction: for faults of registers,
        words and control, and for layers of other gates than AND and a parallel counter.
    """
    layers = design.manifest.layers
    simple = all(
        layer.encoding != "bipolar"
        and layer.adder == "parallel-counter"
        and layer.lif is None
        and layer.w_source.sharing != "sng"
        and layer.activation == ("none" if layer is layers[-1] else "clip")
        for layer in layers
    )
    if not simple or not set(places) <= _KNOWN or ("weights" in places and kind != "flip"):
        return [None] * len(rates)
    return [_output_error(design, features, frozenset(places), kind, rate) for rate in rates]


def struck(kind: Kind, rate: float) -> tuple[float, float]:
    """Return a and b: a bit of probability p becomes one of probability a p + b."""
    if kind == "flip":
        return 1 - 2 * rate, rate
    return 1 - rate, rate if kind == "stuck-at-1" else 0.0


@dataclass(frozen=True)
class _Tables:
    """A layer under fault, for every value of an input.

    Attributes
    ----------
    golden, mean, variance : numpy.ndarray
        Shape (values, fan_in, outputs): ones of a product's stream without faults, their mean with
        faults, and its variance. Zero where there is no synapse.
    shared : numpy.ndarray
        Shape (outputs, outputs): covariance of signed counts by struck input bits.
    jump : float
        Probability that a product is struck in the sign cycle.
    """

    golden: Floats
    mean: Floats
    variance: Floats
    shared: Floats
    jump: float


def _tables(
    layer: Layer,
    weights: NDArray[np.int64],
    width: int,
    places: frozenset[str],
    kind: Kind,
    e: float,
) -> _Tables:
    length = layer.bitstream_length
    values = 1 << width
    x_words = np.array(list(source_words(layer.x_source, length, width, layer.fan_in)))
    w_words = np.array(list(source_words(layer.w_source, length, width, layer.fan_in)))
    synapse = (weights != 0).T
    no_fault = (1.0, 0.0)
    ax, bx = struck(kind, e) if "x streams" in places else no_fault
    aw, bw = struck(kind, e) if "w streams" in places else no_fault
    ay, by = struck(kind, e) if "products" in places else no_fault
    if "weights" in places:
        # A sign that is flipped flips the product as it is counted.
        a, b = struck(kind, e)
        ay, by = a * ay, a * by + b
    golden = np.zeros((values, layer.fan_in, layer.outputs))
    mean, variance = np.zeros_like(golden), np.zeros_like(golden)
    shared = np.zeros((layer.outputs, layer.outputs))
    high, low = ax + bx, bx
    for lane in range(layer.fan_in):
        x = (x_words[:, lane, None] < np.arange(values)).astype(np.float64)
        size = np.abs(weights[:, lane])
        w = (w_words[:, lane, None] < size).astype(np.float64)
        faulty = _comparator(w_words[:, lane], size, width, e if "weights" in places else 0.0)
        # A weight of one is a wire, without a comparator.
        faulty = np.where(size == values, faulty, aw * faulty + bw)
        first, second = x.T @ faulty, x.T @ faulty**2
        rest, rest_second = faulty.sum(axis=0) - first, (faulty**2).sum(axis=0) - second
        ones = high * first + low * rest
        p = ay * ones + by * length
        squares = (
            ay**2 * (high**2 * second + low**2 * rest_second) + 2 * ay * by * ones + by**2 * length
        )
        golden[:, lane] = x.T @ w * synapse[lane]
        mean[:, lane] = p * synapse[lane]
        variance[:, lane] = np.maximum(p - squares, 0.0) * synapse[lane]
        # The variance of an input's bit, at the mean input: half of the bits are ones.
        spread = (high * (1 - high) + low * (1 - low)) / 2
        signed = faulty * np.sign(weights[:, lane])
        shared += ay**2 * spread * (signed.T @ signed)
    return _Tables(golden, mean, variance, shared, by if layer.input_signed else 0.0)


def _comparator(
    words: NDArray[np.int64], size: NDArray[np.int64], width: int, rate: float
) -> Floats:
    """Return the probability of each bit of weight streams whose constants are struck.

    Parameters
    ----------
    words : numpy.ndarray
        Shape (cycles,): words of the source.
    size : numpy.ndarray
        Shape (outputs,): magnitudes.
    width : int
        Operand width K in bits.
    rate : float
        Probability that a bit of a constant is flipped.
    """
    planes = [(size >> bit & 1) * (1 - 2 * rate) + rate for bit in range(width + 1)]
    less = np.zeros((len(words), len(size)))
    for bit in range(width):
        set_bit = (words >> bit & 1)[:, None] == 1
        # r < w becomes lt AND w where r is 1, lt OR w where it is 0.
        less = np.where(set_bit, less * planes[bit], 1 - (1 - less) * (1 - planes[bit]))
    result: Floats = 1 - (1 - less) * (1 - planes[width])
    return result


def _output_error(
    design: Design,
    features: NDArray[np.integer],
    places: frozenset[str],
    kind: Kind,
    rate: float,
) -> float:
    """Predict the rms error of the outputs at one rate."""
    width = design.manifest.operand_width
    vectors = len(features)
    signs = np.sign(features).astype(np.float64)
    signs[signs == 0] = 1.0
    golden_operands = np.abs(features).astype(np.int64)
    # Probability of every value of every operand; those of the first layer are known.
    pmf: Floats | None = None
    slopes: Floats | None = None
    covariance = np.zeros((0, 0))
    for index, layer in enumerate(design.manifest.layers):
        weights = design.parameters.weights[index].astype(np.int64)
        tables = _tables(layer, weights, width, places, kind, rate)
        s = np.sign(weights).T[None] * signs[:, :, None]
        lanes = np.arange(layer.fan_in)
        golden = np.einsum("vij,vij->vj", s, tables.golden[golden_operands, lanes])
        if pmf is None:
            given = tables.mean[golden_operands, lanes]
            second = given**2
            within = tables.variance[golden_operands, lanes]
        else:
            given = _expected(pmf, tables.mean)
            second = _expected(pmf, tables.mean**2)
            within = _expected(pmf, tables.variance)
        mean = (s * given).sum(axis=1)
        variance = (within + np.maximum(second - given**2, 0.0)).sum(axis=1)
        if slopes is not None:
            # Covariance of the layer before, by mean slopes; its diagonal is in `second` already.
            g = s * _expected(slopes, tables.mean)
            off = covariance - np.diag(np.diag(covariance))
            variance += (g * (off @ g)).sum(axis=1)
        # Jumps of the sign cycle: of products counted as they are down, of complements up.
        synapse = weights.T[None] != 0
        up = ((s < 0) & synapse).sum(axis=1)
        down = ((s > 0) & synapse).sum(axis=1)
        if index == len(design.manifest.layers) - 1:
            shift, spread = _jump_moments(up, down, tables.jump, layer.bitstream_length)
            bias = mean + shift - golden
            error = math.sqrt(float((bias**2 + np.maximum(variance, 0) + spread).mean()))
            return error / layer.bitstream_length
        biases = design.parameters.biases[index].astype(np.float64)
        pmf, slopes = _reencoded(
            mean + biases, np.maximum(variance, 0), up, down, tables.jump, layer, width
        )
        golden_operands = _values(golden + biases, layer, width)
        covariance = tables.shared
        signs = np.ones((vectors, layer.outputs))
    raise AssertionError("a network has a last layer")


def _expected(weights: Floats, table: Floats) -> Floats:
    """Return a table's weighted sums over its values, shape (vectors, lanes, outputs)."""
    lanes = np.matmul(weights.transpose(1, 0, 2), table.transpose(1, 0, 2))
    result: Floats = lanes.transpose(1, 0, 2)
    return result


def _values(counts: Floats, layer: Layer, width: int) -> NDArray[np.int64]:
    """Re-encode counts as magnitudes."""
    factor = 2.0 ** (width + layer.scale_exponent) / layer.bitstream_length
    return np.clip(np.floor(counts * factor + 0.5), 0, (1 << width) - 1).astype(np.int64)


def _jump_moments(
    up: NDArray[np.int64], down: NDArray[np.int64], jump: float, length: int
) -> tuple[Floats, Floats]:
    """Return mean and variance of what is struck in the sign cycle."""
    shift: Floats = (up - down).astype(np.float64) * (jump * length)
    spread: Floats = (up + down).astype(np.float64) * (jump * (1 - jump) * length**2)
    return shift, spread


def _jump_pmf(up: NDArray[np.int64], down: NDArray[np.int64], jump: float) -> Floats:
    """Return the probability of each net number of jumps, from -_JUMPS to +_JUMPS."""
    numbers = np.arange(_JUMPS + 1)

    def binomial(trials: NDArray[np.int64]) -> Floats:
        chance = np.zeros((*trials.shape, _JUMPS + 1))
        for k in numbers:
            ways = np.array([math.comb(n, k) for n in range(int(trials.max()) + 1)], dtype=float)
            chance[..., k] = (
                ways[trials] * jump**k * (1 - jump) ** np.maximum(trials - k, 0).astype(float)
            )
        return chance

    ups, downs = binomial(up), binomial(down)
    net = np.zeros((*up.shape, 2 * _JUMPS + 1))
    for plus in numbers:
        for minus in numbers:
            net[..., plus - minus + _JUMPS] += ups[..., plus] * downs[..., minus]
    return net


def _reencoded(
    mean: Floats,
    variance: Floats,
    up: NDArray[np.int64],
    down: NDArray[np.int64],
    jump: float,
    layer: Layer,
    width: int,
) -> tuple[Floats, Floats]:
    """Return the probability of every re-encoded value, and its slope over the count's mean.

    Both have the shape (vectors, neurons, values).
    """
    length = layer.bitstream_length
    few = jump == 0.0 or jump * float((up + down).max()) < _FEW_JUMPS
    if few:
        chances = _jump_pmf(up, down, jump) if jump else np.ones((*mean.shape, 1))
        half = (chances.shape[-1] - 1) // 2
    else:
        shift, spread = _jump_moments(up, down, jump, length)
        mean, variance = mean + shift, variance + spread
        chances, half = np.ones((*mean.shape, 1)), 0
    sigma = np.sqrt(np.maximum(variance, _TINY))
    # The largest count that still gives each value, with half a count for the normal's sake.
    step = length / 2.0 ** (width + layer.scale_exponent)
    edges = np.ceil((np.arange((1 << width) - 1) + 0.5) * step) - 0.5
    shape = (*mean.shape, len(edges) + 2)
    below: Floats = np.zeros(shape)
    density: Floats = np.zeros(shape)
    below[..., -1] = 1.0
    for number in range(-half, half + 1):
        chance = chances[..., number + half, None]
        if float(chance.max()) < _NEVER:
            continue
        z = ((edges - (mean + number * length)[..., None]) / sigma[..., None]).astype(np.float32)
        bell = np.exp(-np.clip(z * z, 0, 160) / 2) / np.float32(math.sqrt(2 * math.pi))
        below[..., 1:-1] += chance * _normal(z, bell)
        density[..., 1:-1] += chance * bell
    density /= sigma[..., None]
    # A value's probability falls by the density at its upper edge and rises by that at its lower.
    pmf: Floats = np.diff(below, axis=-1)
    slopes: Floats = -np.diff(density, axis=-1)
    return pmf, slopes


def _normal(z: NDArray[np.float32], bell: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the normal distribution function, to 1e-6 (Abramowitz and Stegun, 26.2.17).

    Parameters
    ----------
    z, bell : numpy.ndarray
        The variable and the density there.
    """
    t = 1 / (1 + np.float32(0.2316419) * np.abs(z))
    series = np.zeros_like(t)
    for factor in (1.330274429, -1.821255978, 1.781477937, -0.356563782, 0.319381530):
        series = (series + np.float32(factor)) * t
    upper = bell * series
    return np.where(z > 0, 1 - upper, upper)
