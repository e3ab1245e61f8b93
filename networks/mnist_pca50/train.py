"""Train the 50-128-10 MNIST network of this folder for stochastic-computing hardware.

Images are projected on the first 50 principal components of the training set, scaled into
(-1, 1) and rounded to sign and 8-bit magnitude; a dense layer of 128 units with ``clip(y, 0, 1)``
and a linear layer of 10 follow.

Training runs with the hardware in the loop: most batches are pushed through the counts that
short bitstreams give for the integer operands, with number sources drawn afresh for every batch,
and the gradient is that of the real-number network at the operands' values (straight-through).
What it learns is a network whose class is insensitive to the error of short streams in general,
not to one choice of constants.

Numpy only: the network has 7,818 parameters and trains in minutes on one core, so a deep-learning
framework would be the largest dependency of the project and save nothing.

Run as ``MNIST=path/to/mnist.npz python train.py``, or see ``--help``. MNIST itself is not part
of the project; any copy in the layout that Keras uses will do.
"""

import argparse
import functools
import json
import os
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]
IntArray = NDArray[np.int64]

OPERAND_BITS = 8
ONE = 1 << OPERAND_BITS
N_FEATURES = 50
N_HIDDEN = 128
N_CLASSES = 10
SIDE = 28
BITSTREAM_LENGTH = 256
N_VALIDATION = 5000
N_CALIBRATION = 1000
TRIAL_EPOCHS = 10
SEED = 1
SHAPES = {
    "x_train": (60000, SIDE, SIDE),
    "y_train": (60000,),
    "x_test": (10000, SIDE, SIDE),
    "y_test": (10000,),
}


class DataError(Exception):
    """The MNIST file is missing or is not laid out as expected."""


@dataclass(frozen=True)
class Settings:
    """Everything that shapes a training run.

    Attributes
    ----------
    epochs : int
        Passes over the training images.
    batch_size : int
        Images per optimiser step.
    learning_rate : float
        Peak rate of Adam; it follows half a cosine down to zero.
    logit_gain : float
        Factor between the output layer's sum and the logits. The hardware only compares sums, so
        it never leaves this file; a small gain forces larger weights, which stand out of noise.
    lengths : tuple of int
        Bitstream lengths to train at; 0 stands for the noise-free limit.
    length_weights : tuple of float
        How often each of ``lengths`` is drawn.
    shared_share : float
        Share of the batches in which all lanes use the same constant, as opposed to one a lane.
    scale_exponents : tuple of int
        e of each layer: its weights are stored divided by 2^e, its sums multiplied by it.
    whitening : float
        0 scales all features alike, 1 gives every feature the same spread.
    input_sigmas : float
        Standard deviations of the widest feature that fit into (-1, 1) before clamping.
    """

    epochs: int = 60
    batch_size: int = 125
    learning_rate: float = 0.03
    logit_gain: float = 1.0
    lengths: tuple[int, ...] = (16, 32, 0)
    length_weights: tuple[float, ...] = (0.6, 0.2, 0.2)
    shared_share: float = 0.5
    scale_exponents: tuple[int, int] = (0, 0)
    whitening: float = 0.5
    input_sigmas: float = 3.0


# ---------------------------------------------------------------------------------------------
# The hardware's arithmetic
# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sources:
    """Number sources of one layer.

    Attributes
    ----------
    x : ndarray of int, shape (length,)
        The input source, shared by all lanes.
    w : ndarray of int, shape (lanes, length)
        The weight source of each lane, shared by all neurons.
    """

    x: IntArray
    w: IntArray


def counter_sequences(length: int) -> tuple[IntArray, IntArray]:
    """Return a counter and the bit-reversed counter, aligned to the operand's top bits.

    Parameters
    ----------
    length : int
        Bitstream length, a power of two of at most 2^8.

    Returns
    -------
    tuple of ndarray
        The two sequences, each of shape (length,).
    """
    width = length.bit_length() - 1
    t = np.arange(length)
    reverse = np.zeros_like(t)
    for bit in range(width):
        reverse |= ((t >> bit) & 1) << (width - 1 - bit)
    return t << (OPERAND_BITS - width), reverse << (OPERAND_BITS - width)


def draw_sources(lanes: int, length: int, shared_share: float, rng: np.random.Generator) -> Sources:
    """Draw the constants that turn the two counters into a layer's sources.

    Parameters
    ----------
    lanes : int
        Fan-in of the layer.
    length : int
        Bitstream length.
    shared_share : float
        Probability that one constant serves all lanes.
    rng : Generator
        Source of the constants.

    Returns
    -------
    Sources
        Sources with constants that differ from call to call.
    """
    counter, reverse = counter_sequences(length)
    step = ONE // length
    # Half a step makes the comparator round operands to the nearest of `length` levels where the
    # bare counter rounds them up. Hardware may do either, so training sees both.
    x_constant = step // 2 if rng.random() < 0.5 else 0
    shape = (1, 1) if rng.random() < shared_share else (lanes, 1)
    w_constants = rng.integers(0, ONE, size=shape)
    return Sources(counter ^ x_constant, np.broadcast_to(reverse ^ w_constants, (lanes, length)))


def signed_bits(operands: IntArray, source: IntArray) -> FloatArray:
    """Expand signed integer operands into bitstreams, each bit carrying its operand's sign.

    Parameters
    ----------
    operands : ndarray of int, shape (rows, lanes)
        Signed integers.
    source : ndarray of int, shape (length,) or (lanes, length)
        Numbers to compare the magnitudes with.

    Returns
    -------
    ndarray of float32, shape (rows, lanes * length)
        Values -1, 0 and 1.
    """
    narrow = operands.astype(np.int16)[:, :, None]
    compare = source.astype(np.int16)
    bits = (compare < narrow).astype(np.int8) - (compare < -narrow).astype(np.int8)
    return bits.reshape(len(operands), -1).astype(np.float32)


def layer_sums(x: IntArray, w: IntArray, biases: FloatArray, sources: Sources | None) -> FloatArray:
    """Return a layer's signed counts divided by the bitstream length.

    Parameters
    ----------
    x : ndarray of int, shape (vectors, lanes)
        Signed input operands.
    w : ndarray of int, shape (neurons, lanes)
        Signed weight operands; a magnitude of 256 is a gate that is always open.
    biases : ndarray of float32, shape (neurons,)
        Biases, which hardware adds as ``round(bias * length)``.
    sources : Sources or None
        Number sources; None asks for the limit of infinitely long streams.

    Returns
    -------
    ndarray of float32, shape (vectors, neurons)
        ``S / L``, or the exact sum of products.
    """
    if sources is None:
        return x.astype(np.float32) @ w.T.astype(np.float32) / np.float32(ONE * ONE) + biases
    length = len(sources.x)
    # The AND of two streams, counted over all lanes and cycles, is one inner product of the
    # expanded operands, which leaves the work to a matrix product.
    counts = signed_bits(x, sources.x) @ signed_bits(w, sources.w).T
    return (counts + np.rint(biases * length)) / np.float32(length)


def reencode(sums: FloatArray, scale_exponent: int) -> IntArray:
    """Turn a layer's sums into the next layer's unsigned operands.

    Parameters
    ----------
    sums : ndarray of float32
        ``S / L``.
    scale_exponent : int
        e of the layer that gave the sums.

    Returns
    -------
    ndarray of int
        Integers from 0 to 255, rounded half up, clamped.
    """
    scaled = np.floor(sums * np.float32(2.0 ** (OPERAND_BITS + scale_exponent)) + 0.5)
    operands: IntArray = np.clip(scaled, 0, ONE - 1).astype(np.int64)
    return operands


# ---------------------------------------------------------------------------------------------
# Data
# ---------------------------------------------------------------------------------------------


def load_mnist(path: Path) -> dict[str, NDArray[np.uint8]]:
    """Read MNIST in the layout Keras uses.

    Parameters
    ----------
    path : Path
        The .npz file.

    Returns
    -------
    dict
        The four arrays named in ``SHAPES``.

    Raises
    ------
    DataError
        If the file cannot be read, or an array is missing or has the wrong shape or type.
    """
    try:
        with np.load(path) as archive:
            arrays = {name: archive[name] for name in SHAPES}
    except KeyError as error:
        raise DataError(f"{path}: not in the layout of Keras' mnist.npz: {error.args[0]}") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    except (ValueError, EOFError, TypeError, zipfile.BadZipFile):
        # NumPy's own message invites the user to unpickle the file.
        raise DataError(f"{path}: not an .npz file of plain arrays") from None
    for name, shape in SHAPES.items():
        array = arrays[name]
        if array.shape != shape or array.dtype != np.uint8:
            raise DataError(
                f"{path}: {name} is {array.dtype} {array.shape}, expected uint8 {shape}"
            )
    return arrays


def flatten(images: NDArray[np.uint8]) -> FloatArray:
    """Return images as rows of grey values from 0 to 1."""
    return images.reshape(len(images), -1).astype(np.float32) / np.float32(255)


@dataclass(frozen=True)
class Projection:
    """Principal components of the training images.

    Attributes
    ----------
    basis : ndarray of float32, shape (784, 50)
        Components, by falling variance.
    offset : ndarray of float32, shape (50,)
        Projection of the mean image.
    sigmas : ndarray of float32, shape (50,)
        Standard deviation of each feature.
    """

    basis: FloatArray
    offset: FloatArray
    sigmas: FloatArray

    def __call__(self, images: FloatArray) -> FloatArray:
        """Project rows of grey values, giving features of zero mean."""
        return images @ self.basis - self.offset


def fit_projection(images: FloatArray) -> Projection:
    """Find the principal components of images.

    Parameters
    ----------
    images : ndarray of float32, shape (images, 784)
        Training images.

    Returns
    -------
    Projection
        Their first 50 components; of each, the largest entry is positive.
    """
    mean = images.mean(axis=0, dtype=np.float64)
    second_moment = (images.T @ images).astype(np.float64) / len(images)
    variances, vectors = np.linalg.eigh(second_moment - np.outer(mean, mean))
    basis = vectors[:, ::-1][:, :N_FEATURES]
    # An eigenvector's sign is arbitrary and differs between linear algebra libraries.
    largest = basis[np.abs(basis).argmax(axis=0), np.arange(N_FEATURES)]
    basis = basis * np.sign(largest)
    sigmas = np.sqrt(variances[::-1][:N_FEATURES])
    return Projection(
        basis.astype(np.float32), (mean @ basis).astype(np.float32), sigmas.astype(np.float32)
    )


def input_gains(projection: Projection, settings: Settings) -> FloatArray:
    """Return the factor that takes each feature into (-1, 1).

    Parameters
    ----------
    projection : Projection
        Gives the spread of the features of the training images.
    settings : Settings
        ``whitening`` and ``input_sigmas``.

    Returns
    -------
    ndarray of float32, shape (50,)
        One factor a feature.
    """
    relative = projection.sigmas / projection.sigmas[0]
    spans = settings.input_sigmas * projection.sigmas[0] * relative**settings.whitening
    gains: FloatArray = (1 / spans).astype(np.float32)
    return gains


def quantise_features(features: FloatArray) -> IntArray:
    """Round features to sign and 8-bit magnitude, clamping at 255/256."""
    return np.clip(np.rint(features * ONE), 1 - ONE, ONE - 1).astype(np.int64)


def warped_basis(basis: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Project as if images had been shifted, turned, stretched and bent a little at random.

    Projecting a distorted image is, up to interpolation, the same as projecting the image on a
    distorted basis. There are 50 components but 60,000 images, so distorting the basis is what
    makes augmentation cheap enough to do anew in every epoch.

    Parameters
    ----------
    basis : ndarray of float32, shape (784, 50)
        Components.
    rng : Generator
        Source of the distortion.

    Returns
    -------
    ndarray of float32, shape (784, 50)
        Distorted components.
    """
    centre = (SIDE - 1) / 2
    rows, columns = np.divmod(np.arange(SIDE * SIDE), SIDE)
    position = np.stack([rows - centre, columns - centre])
    angle = rng.normal(0, np.radians(6))
    shear = rng.normal(0, 0.08)
    stretch = np.exp(rng.normal(0, 0.06, size=2))
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = rotation @ np.array([[1, 0], [shear, 1]]) @ np.diag(stretch)
    # Bending: the lowest cosine modes of the image square, as a smooth displacement.
    waves = np.cos(np.pi * np.arange(4)[:, None] * (np.arange(SIDE) + 0.5) / SIDE)
    amplitude = rng.normal(0, 0.25, size=(2, 4, 4))
    bend = np.einsum("dab,ar,bc->drc", amplitude, waves, waves).reshape(2, -1)
    source = linear @ position + bend + rng.normal(0, 0.6, size=(2, 1)) + centre

    corner = np.floor(source).astype(np.int64)
    fraction = source - corner
    result = np.zeros_like(basis)
    for down in (0, 1):
        for right in (0, 1):
            row, column = corner[0] + down, corner[1] + right
            share = np.abs(1 - down - fraction[0]) * np.abs(1 - right - fraction[1])
            share *= (row >= 0) & (row < SIDE) & (column >= 0) & (column < SIDE)
            index = np.clip(row, 0, SIDE - 1) * SIDE + np.clip(column, 0, SIDE - 1)
            result += share.astype(np.float32)[:, None] * basis[index]
    # Stretching changes area, hence the sum over pixels.
    return result * np.float32(abs(np.linalg.det(linear)))


def augmented_features(
    images: FloatArray, order: IntArray, projection: Projection, rng: np.random.Generator
) -> FloatArray:
    """Return features of distorted images, in the given order.

    Parameters
    ----------
    images : ndarray of float32, shape (images, 784)
        Undistorted images.
    order : ndarray of int
        A permutation of the images.
    projection : Projection
        Components and mean.
    rng : Generator
        Source of the distortions.

    Returns
    -------
    ndarray of float32, shape (images, 50)
        Features of zero mean.
    """
    # The images of a group share a distortion; groups are small next to a batch.
    groups = np.array_split(order, max(1, len(order) // 50))
    return np.concatenate(
        [
            images[group] @ warped_basis(projection.basis, rng) - projection.offset
            for group in groups
        ]
    )


# ---------------------------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------------------------


@dataclass
class Network:
    """Weights of the two layers, already divided by the layers' scales.

    Attributes
    ----------
    parameters : list of ndarray of float32
        Hidden weights (128, 50), hidden biases (128,), output weights (10, 128), output
        biases (10,).
    scale_exponents : tuple of int
        e of each layer.
    """

    parameters: list[FloatArray]
    scale_exponents: tuple[int, int]

    def float_outputs(self, features: FloatArray) -> FloatArray:
        """Return the output sums of the network in real arithmetic."""
        w0, b0, w1, b1 = self.parameters
        hidden = np.clip((features @ w0.T + b0) * 2.0 ** self.scale_exponents[0], 0, 1)
        return hidden @ w1.T + b1

    def operands(self) -> tuple[IntArray, IntArray]:
        """Return the weights of both layers as signed 8-bit operands."""
        w0, _, w1, _ = self.parameters
        return np.rint(w0 * ONE).astype(np.int64), np.rint(w1 * ONE).astype(np.int64)

    def forward(
        self, x: IntArray, sources: tuple[Sources, Sources] | None
    ) -> tuple[FloatArray, IntArray, FloatArray]:
        """Compute what the hardware computes.

        Parameters
        ----------
        x : ndarray of int, shape (vectors, 50)
            Signed features.
        sources : tuple of Sources or None
            Number sources of the two layers; None for infinitely long streams.

        Returns
        -------
        tuple of ndarray
            Scaled sums of the hidden layer, hidden operands, sums of the output layer.
        """
        _, b0, _, b1 = self.parameters
        w0, w1 = self.operands()
        first, second = sources if sources is not None else (None, None)
        sums = layer_sums(x, w0, b0, first)
        hidden = reencode(sums, self.scale_exponents[0])
        scaled = sums * np.float32(2.0 ** self.scale_exponents[0])
        return scaled, hidden, layer_sums(hidden, w1, b1, second)


def initial_network(settings: Settings, rng: np.random.Generator) -> Network:
    """Draw a network to start from.

    Parameters
    ----------
    settings : Settings
        ``scale_exponents``.
    rng : Generator
        Source of the weights.

    Returns
    -------
    Network
        Random weights; biases in the middle of the clip's linear part.
    """
    w0 = rng.normal(0, 0.3 / 2 ** settings.scale_exponents[0], size=(N_HIDDEN, N_FEATURES))
    w1 = rng.normal(0, 0.1, size=(N_CLASSES, N_HIDDEN))
    b0 = np.full(N_HIDDEN, 0.5 / 2 ** settings.scale_exponents[0])
    parameters = [np.clip(w0, -1, 1), b0, np.clip(w1, -1, 1), np.zeros(N_CLASSES)]
    return Network([p.astype(np.float32) for p in parameters], settings.scale_exponents)


def gradients(
    network: Network,
    x: IntArray,
    labels: NDArray[np.uint8],
    sources: tuple[Sources, Sources] | None,
    logit_gain: float,
) -> list[FloatArray]:
    """Return the straight-through gradient of the cross-entropy.

    Parameters
    ----------
    network : Network
        Where to take the gradient.
    x : ndarray of int, shape (vectors, 50)
        Signed features.
    labels : ndarray of uint8, shape (vectors,)
        Classes.
    sources : tuple of Sources or None
        Number sources of the forward pass.
    logit_gain : float
        Factor between output sums and logits.

    Returns
    -------
    list of ndarray of float32
        One gradient for each of the network's parameters.
    """
    _, w1_operands = network.operands()
    sums, hidden_operands, outputs = network.forward(x, sources)
    logits = outputs * np.float32(logit_gain)
    logits -= logits.max(axis=1, keepdims=True)
    delta = np.exp(logits)
    delta /= delta.sum(axis=1, keepdims=True)
    delta[np.arange(len(labels)), labels] -= 1
    delta *= np.float32(logit_gain / len(labels))
    hidden = hidden_operands.astype(np.float32) / ONE
    back = delta @ (w1_operands.astype(np.float32) / ONE)
    back *= (sums > 0) & (sums < 1)
    back *= np.float32(2.0 ** network.scale_exponents[0])
    features = x.astype(np.float32) / ONE
    return [back.T @ features, back.sum(axis=0), delta.T @ hidden, delta.sum(axis=0)]


def accuracy(outputs: FloatArray, labels: NDArray[np.uint8]) -> float:
    """Return the share of vectors whose largest output is the right class, in percent."""
    return 100 * float(np.mean(outputs.argmax(axis=1) == labels))


@dataclass(frozen=True)
class Split:
    """Training images, divided into those that are learnt from and those that decide.

    Attributes
    ----------
    images : ndarray of float32, shape (60000, 784)
        All training images.
    labels : ndarray of uint8, shape (60000,)
        Their classes.
    learn : ndarray of int
        Indices of the images that are learnt from.
    decide : ndarray of int
        Indices of the validation images: every choice rests on these.
    """

    images: FloatArray
    labels: NDArray[np.uint8]
    learn: IntArray
    decide: IntArray


class Adam:
    """The Adam optimiser, keeping weights within -1 to 1.

    Parameters
    ----------
    parameters : list of ndarray of float32
        Updated in place.
    """

    def __init__(self, parameters: list[FloatArray]) -> None:
        self.parameters = parameters
        self.means = [np.zeros_like(p) for p in parameters]
        self.squares = [np.zeros_like(p) for p in parameters]
        self.steps = 0

    def step(self, slopes: list[FloatArray], rate: float) -> None:
        """Move against the slopes."""
        self.steps += 1
        for parameter, slope, mean, square in zip(
            self.parameters, slopes, self.means, self.squares, strict=True
        ):
            mean += 0.1 * (slope - mean)
            square += 0.001 * (slope * slope - square)
            spread = np.sqrt(square / (1 - 0.999**self.steps)) + 1e-8
            parameter -= np.float32(rate / (1 - 0.9**self.steps)) * mean / spread
            if parameter.ndim == 2:
                np.clip(parameter, -1, 1, out=parameter)


def draw_both_layers(
    length: int, shared_share: float, rng: np.random.Generator
) -> tuple[Sources, Sources] | None:
    """Draw the sources of both layers, or None for length 0."""
    if length == 0:
        return None
    return (
        draw_sources(N_FEATURES, length, shared_share, rng),
        draw_sources(N_HIDDEN, length, shared_share, rng),
    )


def mean_accuracy(
    network: Network,
    x: IntArray,
    labels: NDArray[np.uint8],
    length: int,
    rng: np.random.Generator,
    draws: int,
) -> float:
    """Return the accuracy of the hardware, averaged over draws of its sources, in percent."""
    results = []
    for _ in range(draws):
        sources = draw_both_layers(length, 0.5, rng)
        # Blocks keep the expanded bitstreams in the cache.
        outputs = [network.forward(block, sources)[2] for block in np.array_split(x, len(x) // 250)]
        results.append(accuracy(np.concatenate(outputs), labels))
    return float(np.mean(results))


def train(
    split: Split, projection: Projection, settings: Settings, seed: int, verbose: bool
) -> tuple[Network, float]:
    """Train a network.

    Parameters
    ----------
    split : Split
        Training images.
    projection : Projection
        From images to features.
    settings : Settings
        How to train.
    seed : int
        Seed of everything random.
    verbose : bool
        Whether to print each epoch's validation accuracy.

    Returns
    -------
    tuple of Network and float
        The network of the epoch with the best score, and that score: the mean validation
        accuracy over the lengths trained at.
    """
    rng = np.random.default_rng(seed)
    network = initial_network(settings, rng)
    gains = input_gains(projection, settings)
    validation = quantise_features(projection(split.images[split.decide]) * gains)
    validation_labels = split.labels[split.decide]
    optimiser = Adam(network.parameters)
    batches = len(split.learn) // settings.batch_size
    total = batches * settings.epochs
    best, best_score = network, 0.0
    for epoch in range(settings.epochs):
        order = rng.permutation(split.learn)
        x = quantise_features(augmented_features(split.images, order, projection, rng) * gains)
        labels = split.labels[order]
        for batch in range(batches):
            rows = slice(batch * settings.batch_size, (batch + 1) * settings.batch_size)
            length = int(rng.choice(settings.lengths, p=settings.length_weights))
            sources = draw_both_layers(length, settings.shared_share, rng)
            slopes = gradients(network, x[rows], labels[rows], sources, settings.logit_gain)
            done = optimiser.steps / total
            optimiser.step(slopes, settings.learning_rate * (1 + np.cos(np.pi * done)) / 2)
        # The same draws in every epoch: epochs are compared, not constants.
        judge = np.random.default_rng(seed)
        scores = [
            mean_accuracy(network, validation, validation_labels, length, judge, 2)
            for length in settings.lengths
        ]
        score = float(np.mean(scores))
        if score > best_score:
            best_score = score
            best = replace(network, parameters=[p.copy() for p in network.parameters])
        if verbose:
            shown = ", ".join(
                f"{value:.2f} % {f'at L={length}' if length else 'without noise'}"
                for length, value in zip(settings.lengths, scores, strict=True)
            )
            print(f"epoch {epoch + 1:3d}/{settings.epochs}: validation {shown}", flush=True)
    return best, best_score


def choose_settings(split: Split, projection: Projection, base: Settings, seed: int) -> Settings:
    """Choose the input scaling, then the hidden scale exponent, by short runs.

    Parameters
    ----------
    split : Split
        Training images; the validation images decide.
    projection : Projection
        From images to features.
    base : Settings
        Everything that is not chosen here.
    seed : int
        Seed of every run.

    Returns
    -------
    Settings
        ``base`` with ``whitening``, ``input_sigmas`` and ``scale_exponents`` chosen.
    """

    @functools.cache
    def trial(option: Settings) -> float:
        _, score = train(split, projection, replace(option, epochs=TRIAL_EPOCHS), seed, False)
        print(
            f"  whitening {option.whitening:.1f}, {option.input_sigmas:.1f} sigmas in range, "
            f"e0 = {option.scale_exponents[0]}: {score:.2f} %",
            flush=True,
        )
        return score

    print(f"choosing the input scaling: validation accuracy after {TRIAL_EPOCHS} epochs")
    scalings = [
        replace(base, whitening=whitening, input_sigmas=sigmas)
        for whitening in (0.0, 0.5, 1.0)
        for sigmas in (2.5, 3.5)
    ]
    chosen = max(scalings, key=trial)
    print("choosing the hidden layer's scale exponent, likewise")
    # The output layer's exponent stays 0: it multiplies all sums alike and moves no arg-max.
    exponents = [replace(chosen, scale_exponents=(exponent, 0)) for exponent in (0, 1, 2)]
    return max(exponents, key=trial)


# ---------------------------------------------------------------------------------------------
# Files
# ---------------------------------------------------------------------------------------------


def description(settings: Settings) -> dict[str, object]:
    """Return what goes into network.json."""
    layers = [
        {
            "name": name,
            "activation": activation,
            "scale_exponent": exponent,
            "bitstream_length": BITSTREAM_LENGTH,
        }
        for name, activation, exponent in zip(
            ("hidden", "output"), ("clip", "none"), settings.scale_exponents, strict=True
        )
    ]
    return {
        "name": "mnist_pca50",
        "description": (
            "Handwritten digits: 50 principal components of MNIST images, 128 hidden units with "
            "clip(y, 0, 1), 10 linear outputs of which the largest is the class. "
            "Trained by train.py in this folder."
        ),
        "attribution": (
            "Trained on MNIST by Yann LeCun, Corinna Cortes and Christopher J.C. Burges, "
            "CC BY-SA 3.0 (https://creativecommons.org/licenses/by-sa/3.0/). The test features "
            "are projections of the MNIST test images on 50 principal components, scaled and "
            "rounded to 8 bits, and are under the same licence."
        ),
        "operand_bits": OPERAND_BITS,
        "confidence": 0.95,
        "layers": layers,
        "weights": "weights.npz",
        "test_data": "test.npz",
        "calibration": "calibration.npz",
    }


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file under a temporary name, then rename it, so that no reader sees half of it."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            write(file)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_network(
    folder: Path,
    network: Network,
    test_features: IntArray,
    test_labels: NDArray[np.uint8],
    calibration: IntArray,
    settings: Settings,
) -> None:
    """Write weights.npz, test.npz, calibration.npz and network.json.

    Parameters
    ----------
    folder : Path
        Where to; created if need be.
    network : Network
        The trained network.
    test_features : ndarray of int, shape (10000, 50)
        Signed 8-bit features of the test images, in MNIST's order.
    test_labels : ndarray of uint8, shape (10000,)
        Their classes.
    calibration : ndarray of int, shape (1000, 50)
        Signed 8-bit features of held-out training images.
    settings : Settings
        What the network was trained with.
    """
    folder.mkdir(parents=True, exist_ok=True)
    w0, b0, w1, b1 = network.parameters
    features = test_features.astype(np.int16)
    text = json.dumps(description(settings), indent=2) + "\n"
    write_atomically(
        folder / "weights.npz",
        lambda file: np.savez(
            file,
            layer_0_weights=w0,
            layer_0_biases=b0,
            layer_1_weights=w1,
            layer_1_biases=b1,
        ),
    )
    write_atomically(
        folder / "test.npz",
        lambda file: np.savez_compressed(file, features=features, labels=test_labels),
    )
    write_atomically(
        folder / "calibration.npz",
        lambda file: np.savez_compressed(file, features=calibration.astype(np.int16)),
    )
    write_atomically(folder / "network.json", lambda file: file.write(text.encode()))


def report(network: Network, x: IntArray, labels: NDArray[np.uint8], seed: int) -> None:
    """Print accuracies on the test images.

    Parameters
    ----------
    network : Network
        The trained network.
    x : ndarray of int, shape (10000, 50)
        Signed features.
    labels : ndarray of uint8, shape (10000,)
        Classes.
    seed : int
        Seed of the sources' constants.
    """
    features = x.astype(np.float32) / ONE
    print(
        f"test accuracy, float weights: {accuracy(network.float_outputs(features), labels):.2f} %"
    )
    rng = np.random.default_rng(seed)
    for length in (0, 256, 64, 32, 16):
        draws = 4 if length else 1
        value = mean_accuracy(network, x, labels, length, rng, draws)
        what = f"counts at L = {length}, mean of {draws} draws" if length else "8-bit operands"
        print(f"test accuracy, {what}: {value:.2f} %", flush=True)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    folder = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description="Train the 50-128-10 MNIST network.")
    parser.add_argument(
        "--mnist",
        type=Path,
        default=os.environ.get("MNIST"),
        help="mnist.npz in the layout of Keras (default: environment variable MNIST)",
    )
    parser.add_argument(
        "--out", type=Path, default=folder, help="folder to write to (default: the script's own)"
    )
    parser.add_argument("--seed", type=int, default=SEED, help="seed of everything random")
    return parser.parse_args()


def main() -> int:
    """Train, report and write the network.

    Returns
    -------
    int
        Exit code: 0, or 2 if the MNIST file cannot be used.
    """
    arguments = parse_arguments()
    started = time.perf_counter()
    try:
        if arguments.mnist is None:
            raise DataError("no MNIST file: set MNIST=path/to/mnist.npz or give --mnist PATH")
        data = load_mnist(Path(arguments.mnist))
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2

    images = flatten(data["x_train"])
    order = np.random.default_rng(arguments.seed).permutation(len(images))
    split = Split(
        images,
        data["y_train"],
        learn=order[N_VALIDATION:],
        decide=order[:N_VALIDATION],
    )
    projection = fit_projection(images)
    settings = choose_settings(split, projection, Settings(), arguments.seed)
    gains = input_gains(projection, settings)
    clamped = np.abs(projection(images) * gains) > 1
    print(
        f"chosen: whitening {settings.whitening}, {settings.input_sigmas} sigmas in range, "
        f"e0 = {settings.scale_exponents[0]}; {100 * clamped.mean():.2f} % of the training "
        "features are clamped"
    )
    network, _ = train(split, projection, settings, arguments.seed, True)

    # The only look at the test set, after all choices.
    test_features = quantise_features(projection(flatten(data["x_test"])) * gains)
    report(network, test_features, data["y_test"], arguments.seed)
    # Firing rates are measured on these: neither trained on nor tested with.
    held_out = images[split.decide[:N_CALIBRATION]]
    calibration = quantise_features(projection(held_out) * gains)
    write_network(arguments.out, network, test_features, data["y_test"], calibration, settings)
    print(f"wrote {arguments.out} after {time.perf_counter() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
