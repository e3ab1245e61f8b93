"""Bias of a layer: what it is expected to be, exactly, and tests that find what it must not be.

Vectors are drawn independently and uniformly from all legal inputs. Where all sources of a layer
are LFSRs, every vector also has fresh seeds; other sources are fixed, and the layer is a function
of its input. In both cases the mean error of each output, and the covariance of error and sum, are
finite sums over lanes, since a lane's count depends on its own input alone: no vector need be
simulated to know them. What is measured is tested against them:

- the mean over the outputs, one number a vector: Student's t;
- each output by itself: Student's t, Bonferroni over the outputs;
- the slope, as the mean product of error and centred sum, one number a vector: Student's t.

The mean of a neuron that spikes is no such sum, and its errors are mostly zero with rare large
ones, of which t-tests know nothing. There every vector is its own control: what is measured is held
against the golden model's counts of the same inputs and seeds, which must not differ at all.

Vectors, not outputs, are the trials: outputs of one vector share its random numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from model.counting import lane_counts, layer_inputs, select_width
from model.manifest import LayerStructure, LfsrSource, Source

# Differences below this are rounding of float64 sums, not bias.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class ExpectedError:
    """First moments of a layer's error over uniform inputs.

    Attributes
    ----------
    mean : numpy.ndarray
        Shape (outputs,), float64: of the error of the weighted sum.
    mean_sum : numpy.ndarray
        Shape (outputs,): of the weighted sum itself, without bias.
    covariance : numpy.ndarray
        Shape (outputs,): of error and weighted sum.
    """

    mean: NDArray[np.float64]
    mean_sum: NDArray[np.float64]
    covariance: NDArray[np.float64]


@dataclass(frozen=True)
class BiasTest:
    """One test's outcome.

    Attributes
    ----------
    name : str
        What is tested: ``vector means``, ``outputs``, ``slope``, or ``any output``.
    p_value : float
        The smallest, multiplied by the number of tests of this kind; above 1 is 1.
    level : float
        Below which it is a finding.
    found : float
        The bias that was found there.
    detectable : float
        The bias that would have been found with the stated power, in the same unit.
    where : str
        Which output, where that is known.
    """

    name: str
    p_value: float
    level: float
    found: float
    detectable: float
    where: str = ""

    @property
    def held(self) -> bool:
        """Whether nothing was found."""
        return self.p_value >= self.level


def has_fresh_seeds(layer: LayerStructure) -> bool:
    """Return whether all sources of a layer are LFSRs, whose seeds can be drawn for each vector."""
    return all(isinstance(source, LfsrSource) for source in layer.sources)


def uniform_inputs(
    layer: LayerStructure, vectors: int, operand_width: int, generator: np.random.Generator
) -> NDArray[np.int16]:
    """Draw operand vectors uniformly from all legal ones.

    Parameters
    ----------
    layer : LayerStructure
        The layer.
    vectors : int
        How many.
    operand_width : int
        Operand width K in bits.
    generator : numpy.random.Generator
        Where they come from.

    Returns
    -------
    numpy.ndarray
        Shape (vectors, fan_in), signed magnitudes.
    """
    top = (1 << operand_width) - 1
    low = -top if layer.input_signed else 0
    return generator.integers(low, top, (vectors, layer.fan_in), endpoint=True, dtype=np.int16)


def fresh_seeds(
    source: LfsrSource, vectors: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Draw the states that a source's registers start from, one set a vector.

    Parameters
    ----------
    source : LfsrSource
        The source.
    vectors : int
        How many sets.
    generator : numpy.random.Generator
        Where they come from.

    Returns
    -------
    numpy.ndarray
        Shape (vectors, registers), uniform from 1 to ``2**width - 1``.
    """
    top = (1 << source.width) - 1
    return generator.integers(1, top, (vectors, len(source.seeds)), endpoint=True)


def expected_error(
    layer: LayerStructure, weights: NDArray[np.integer], operand_width: int
) -> ExpectedError:
    """Return the moments of a layer's error over uniform inputs, and fresh seeds if it has such.

    Parameters
    ----------
    layer : LayerStructure
        A layer whose inputs are operands and whose neurons do not spike.
    weights : numpy.ndarray
        Shape (outputs, fan_in), integers from ``-2**K`` to ``2**K``.
    operand_width : int
        Operand width K in bits.
    """
    counts: Iterator[NDArray[Any]]
    if has_fresh_seeds(layer):
        counts = _fresh_lane_counts(layer, weights, operand_width)
    else:
        counts = lane_counts(layer, weights, operand_width)
    inputs = layer_inputs(layer, operand_width)
    mean = np.zeros(layer.outputs)
    mean_sum = np.zeros(layer.outputs)
    covariance = np.zeros(layer.outputs)
    # Counts are tabled for magnitudes where a negative input only changes the sign.
    mirrored = layer.input_signed and layer.encoding != "bipolar"
    share = np.full(len(inputs), 1.0)
    if mirrored:
        share[1:] = 2.0
    share /= share.sum()
    for lane, table in enumerate(counts):
        sums = inputs[:, None] * weights[None, :, lane] / 4.0**operand_width
        errors = np.asarray(table) / layer.bitstream_length - sums
        product = share @ (errors * sums)
        if not mirrored:
            lane_mean, lane_sum = share @ errors, share @ sums
            mean += lane_mean
            mean_sum += lane_sum
            product = product - lane_mean * lane_sum
        covariance += product
    return ExpectedError(mean, mean_sum, covariance)


def _fresh_lane_counts(
    layer: LayerStructure, weights: NDArray[np.integer], operand_width: int
) -> Iterator[NDArray[np.float64]]:
    """Yield what `lane_counts` gives in the mean over all states of independent registers."""
    width = layer.word_width(operand_width)
    offset = 1 << operand_width if layer.encoding == "bipolar" else 0
    x_levels = layer_inputs(layer, operand_width) + offset
    w_levels = weights + offset if offset else np.abs(weights)
    selected: float = 1.0
    for lane in range(layer.fan_in):
        if layer.select_source is not None:
            bits = select_width(layer.fan_in)
            below = _share_below(layer.select_source, bits, np.array([lane, lane + 1]), 0)
            selected = float(below[1] - below[0]) * (1 << bits)
        x = _share_below(layer.x_source, width, x_levels, lane)[:, None]
        if layer.w_source.sharing == "sng":
            w = np.array(
                [
                    _share_below(layer.w_source, width, level[None], lane * layer.outputs + j)[0]
                    for j, level in enumerate(w_levels[:, lane])
                ]
            )
        else:
            w = _share_below(layer.w_source, width, w_levels[:, lane], lane)
        value = (2 * x - 1) * (2 * w - 1) if offset else x * w * np.sign(weights[:, lane])
        yield value * (selected * layer.bitstream_length)


def _share_below(
    source: Source, width: int, levels: NDArray[np.integer], entry: int
) -> NDArray[np.float64]:
    """Return the share of an LFSR's states whose word is below each level."""
    assert isinstance(source, LfsrSource)
    constants = source.xor_constants
    constant = constants[entry if len(constants) > 1 else 0]
    # Of all states but zero, whose word would be the constant.
    states: NDArray[np.float64] = (levels.astype(np.float64) * 2.0 ** (source.width - width)) - (
        constant < levels
    )
    return states / (2.0**source.width - 1)


def vectors_for(deviation: float, bias: float, level: float, power: float) -> int:
    """Return how many vectors find a bias with a stated power.

    ``((z_(1 - level/2) + z_power) deviation / bias)**2``, rounded up.

    Parameters
    ----------
    deviation : float
        Standard deviation of one vector.
    bias : float
        To be found.
    level : float
        Level of the two-sided test.
    power : float
        Probability of finding it.
    """
    return math.ceil((_reach(level, power) * deviation / bias) ** 2)


def _reach(level: float, power: float) -> float:
    """Return how many standard errors a bias must have to be found."""
    return float(stats.norm.ppf(1 - level / 2) + stats.norm.ppf(power))


def bias_tests(
    errors: NDArray[np.float64],
    sums: NDArray[np.float64],
    expected: ExpectedError,
    level: float,
    power: float,
) -> list[BiasTest]:
    """Test measured errors for bias.

    Parameters
    ----------
    errors, sums : numpy.ndarray
        Shape (vectors, outputs): error of the weighted sum, and the sum without bias.
    expected : ExpectedError
        What they are expected to be.
    level : float
        Level of all three tests together.
    power : float
        For which the detectable bias is stated.
    """
    each = level / 3
    centred = errors - expected.mean
    products = centred * (sums - expected.mean_sum) - expected.covariance
    outputs = centred.shape[1]
    parts = [_t_test(centred[:, neuron], each / outputs, power) for neuron in range(outputs)]
    worst = min(range(outputs), key=lambda neuron: parts[neuron][0])
    whole = _t_test(centred.mean(axis=1), each, power)
    slope = _t_test(products.mean(axis=1), each, power)
    return [
        BiasTest("vector means", whole[0], each, whole[1], whole[2]),
        BiasTest(
            "outputs",
            min(1.0, parts[worst][0] * outputs),
            each,
            parts[worst][1],
            max(part[2] for part in parts),
            f"neuron {worst}",
        ),
        BiasTest("slope", slope[0], each, slope[1], slope[2]),
    ]


def paired_bias_test(
    counts: NDArray[np.integer],
    modelled: NDArray[np.integer],
    bitstream_length: int,
    level: float,
    power: float,
) -> BiasTest:
    """Test measured counts for bias against those of a model on the same inputs and seeds.

    No distribution is assumed. A defect that makes a count wrong in a share q of all vectors is
    found in n of them with probability ``1 - (1 - q)**n``, and a wrong count is wrong by one at
    least: what would be found is a bias of ``q / L`` in any output.

    Parameters
    ----------
    counts, modelled : numpy.ndarray
        Shape (vectors, outputs): what was measured, and what the model says.
    bitstream_length : int
        Bitstream length L.
    level : float
        Of the test; none is spent, since a right design never differs.
    power : float
        For which the detectable bias is stated.
    """
    differences = counts.astype(np.int64) - modelled
    wrong = (differences != 0).any(axis=0)
    means = differences.mean(axis=0) / bitstream_length
    worst = int(np.lexsort((np.abs(means), wrong))[-1])
    return BiasTest(
        "any output",
        0.0 if wrong.any() else 1.0,
        level,
        float(means[worst]),
        (1 - (1 - power) ** (1 / len(counts))) / bitstream_length,
        f"neuron {worst}",
    )


def vectors_to_see(share: float, power: float) -> int:
    """Return how many vectors show a defect that a share of all vectors shows.

    Parameters
    ----------
    share : float
        Of the vectors on which a count is wrong.
    power : float
        Probability of playing at least one of them.
    """
    return math.ceil(math.log(1 - power) / math.log(1 - share))


def _t_test(values: NDArray[np.float64], level: float, power: float) -> tuple[float, float, float]:
    """Return the p-value of a mean of zero, the mean, and the mean that would be detected."""
    mean = float(values.mean())
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    if error < _ROUNDING:
        # No vector differs from another: any bias at all is one.
        return (1.0 if abs(mean) < _ROUNDING else 0.0), mean, _ROUNDING
    p_value = 2 * float(stats.t.sf(abs(mean) / error, len(values) - 1))
    return p_value, mean, _reach(level, power) * error
