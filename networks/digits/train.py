"""Train the two digits networks that every combination of gates is tried on.

Scikit-learn's handwritten digits: 1,797 images of 8 x 8 pixels, which come with that package and
are not stored here. Pixels are the inputs, rounded to unsigned operands; a dense layer with
``clip(2**e y, 0, 1)`` and a linear layer of 10 follow. Unipolar streams have no sign, so there are
two networks: one with weights in [-1, 1], and one with weights in [0, 1]; biases have a sign in
both.

MUX adders and correlated sources are noisy. Noise of random size is added to the weighted sums
during training, and a small exponent e makes room for it: the sums are a few units, their
activation a fraction of one.

Training is the same on every machine, bit for bit: all that goes into a sum of products is rounded
to a grid that is coarse enough for every sum to be exact, so that its order does not matter.
Numpy only; it takes seconds. Run as ``python -m networks.digits.train`` to see accuracies.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.forward import accuracy, float_forward
from model.network import LayerDescription, Network, NetworkDescription

FloatArray = NDArray[np.float64]

NAME = "digits"
OPERAND_BITS = 6
PIXELS = 64
CLASSES = 10
BRIGHTEST = 16  # of the data's grey values
TEST_IMAGES = 360
SEED = 1
# 2**-20: products of two grid points have 40 bits of fraction, which leaves 13 for the sums.
_GRID = 1 << 20


@dataclass(frozen=True)
class Settings:
    """What shapes a training run.

    Attributes
    ----------
    hidden : int
        Units of the hidden layer.
    scale_exponent : int
        e of the hidden layer.
    epochs, batch_size : int
        Passes over the training images, and images of a step.
    learning_rate : float
        Of Adam; falls linearly to zero.
    logit_gain : float
        Factor between the output sums and the logits; a small one asks for outputs that are far
        apart.
    noise : tuple of float
        Largest standard deviation of the noise on the sums of each layer.
    """

    hidden: int = 24
    scale_exponent: int = -2
    epochs: int = 150
    batch_size: int = 64
    learning_rate: float = 0.02
    logit_gain: float = 1.5
    noise: tuple[float, float] = (1.0, 0.5)


_DEFAULT = Settings()


@dataclass(frozen=True)
class Digits:
    """The data, split by a fixed seed.

    Attributes
    ----------
    train_features, test_features : numpy.ndarray
        Shape (images, 64), int16, from 0 to ``2**K - 1``.
    train_labels, test_labels : numpy.ndarray
        Shape (images,), int64.
    """

    train_features: NDArray[np.int16]
    train_labels: NDArray[np.int64]
    test_features: NDArray[np.int16]
    test_labels: NDArray[np.int64]


@cache
def load_data() -> Digits:
    """Return the digits, quantised, with the last images of a fixed permutation as the test set."""
    # Comes with the extra `test`; nothing but this data is used of it.
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    top = (1 << OPERAND_BITS) - 1
    features = np.minimum(np.rint(images * ((1 << OPERAND_BITS) / BRIGHTEST)), top).astype(np.int16)
    order = np.random.default_rng(SEED).permutation(len(labels))
    train, test = order[:-TEST_IMAGES], order[-TEST_IMAGES:]
    labels = labels.astype(np.int64)
    return Digits(features[train], labels[train], features[test], labels[test])


@cache
def train(*, signed: bool, settings: Settings = _DEFAULT) -> Network:
    """Train a network.

    Parameters
    ----------
    signed : bool
        Whether weights may be negative.
    settings : Settings
        What shapes the run.

    Returns
    -------
    Network
        With the test images; its gates are those that a description has without more being said.
    """
    data = load_data()
    generator = np.random.default_rng(SEED)
    low = -1.0 if signed else 0.0
    sizes = (PIXELS, settings.hidden, CLASSES)
    parameters: list[FloatArray] = []
    for fan_in, outputs in pairwise(sizes):
        parameters.append(_on_grid(generator.uniform(low / 2, 0.5, (outputs, fan_in))))
        parameters.append(np.zeros(outputs))
    features = data.train_features / (1 << OPERAND_BITS)
    means = [np.zeros_like(part) for part in parameters]
    squares = [np.zeros_like(part) for part in parameters]
    steps = settings.epochs * (len(features) // settings.batch_size)
    for step in range(steps):
        at = generator.integers(0, len(features), settings.batch_size)
        noise = [
            spread * generator.uniform() * generator.normal(size=(settings.batch_size, outputs))
            for spread, outputs in zip(settings.noise, sizes[1:], strict=True)
        ]
        gradients = _gradients(parameters, features[at], data.train_labels[at], noise, settings)
        rate = settings.learning_rate * (1 - step / steps)
        for index, gradient in enumerate(gradients):
            means[index] = 0.9 * means[index] + 0.1 * gradient
            squares[index] = 0.99 * squares[index] + 0.01 * gradient * gradient
            unbiased = means[index] / (1 - 0.9 ** (step + 1))
            spread = np.sqrt(squares[index] / (1 - 0.99 ** (step + 1))) + 1e-9
            moved = parameters[index] - rate * unbiased / spread
            if index % 2 == 0:
                moved = np.clip(moved, low, 1)
            parameters[index] = _on_grid(moved)
    return Network(
        _description(settings, signed=signed),
        (parameters[0], parameters[2]),
        (parameters[1], parameters[3]),
        data.test_features,
        data.test_labels,
    )


def _gradients(
    parameters: list[FloatArray],
    features: FloatArray,
    labels: NDArray[np.int64],
    noise: list[FloatArray],
    settings: Settings,
) -> list[FloatArray]:
    """Return the gradients of the cross-entropy, summed over a batch.

    Noise is on the sums, as in hardware; beyond its ends the clip has a small gradient all the same
    so that no unit falls silent for good.
    """
    first, first_bias, second, second_bias = parameters
    scale = 2.0**settings.scale_exponent
    raw = scale * (features @ first.T + first_bias + _on_grid(noise[0]))
    hidden = _on_grid(np.clip(raw, 0, 1))
    logits = settings.logit_gain * (hidden @ second.T + second_bias + _on_grid(noise[1]))
    odds = _on_grid(np.exp(logits - logits.max(axis=1, keepdims=True)))
    error = odds / odds.sum(axis=1, keepdims=True)
    error[np.arange(len(labels)), labels] -= 1
    error = _on_grid(error)
    passes = np.where((raw > 0) & (raw < 1), 1.0, 0.0625)
    back = _on_grid((error @ second) * passes)
    return [back.T @ features, back.sum(axis=0), error.T @ hidden, error.sum(axis=0)]


def _on_grid(values: NDArray[Any]) -> FloatArray:
    """Round to the grid on which sums are exact."""
    rounded: FloatArray = np.rint(values * _GRID) / _GRID
    return rounded


def _description(settings: Settings, *, signed: bool) -> NetworkDescription:
    """Return what goes into ``network.json``."""
    return NetworkDescription(
        name=NAME,
        description="Digits of 8 x 8 pixels; weights "
        + ("in [-1, 1]" if signed else "in [0, 1], for unipolar streams"),
        operand_bits=OPERAND_BITS,
        confidence=0.95,
        input_signed=False,
        layers=[
            LayerDescription(
                name="hidden",
                activation="clip",
                scale_exponent=settings.scale_exponent,
                bitstream_length=256,
            ),
            LayerDescription(
                name="output", activation="none", scale_exponent=0, bitstream_length=256
            ),
        ],
    )


def main() -> None:
    """Train both networks and print what they reach."""
    for signed in (True, False):
        network = train(signed=signed)
        right = accuracy(float_forward(network, network.features)[-1], network.labels)
        print(f"{network.description.description}: {right:.2%} of {TEST_IMAGES} test images")


if __name__ == "__main__":
    main()
