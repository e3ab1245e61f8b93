"""Activations between layers: what they are in real arithmetic, and what they do to an error."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from model.manifest import LifNeuron

Kind = Literal["clip", "relu", "step", "lif", "none"]


class HasActivation(Protocol):
    """A layer of a network's description or of a manifest."""

    @property
    def activation(self) -> Kind:
        """Which activation."""

    @property
    def scale_exponent(self) -> int:
        """The layer's power-of-two scale."""

    @property
    def lif(self) -> LifNeuron | None:
        """Parameters of neurons that spike."""


def slope(layer: HasActivation) -> Fraction:
    """Return by what an activation multiplies a small change of the weighted sum, at most."""
    if layer.lif is not None:
        return Fraction(layer.lif.gain, layer.lif.threshold)
    return Fraction(2) ** layer.scale_exponent


def activate(
    layer: HasActivation, sums: NDArray[np.float64], top: float = 1.0
) -> NDArray[np.float64]:
    """Return the activations of weighted sums in real arithmetic.

    ``clip(2**e s, 0, top)`` for clip and for ReLU, whose scale is such that nothing reaches 1; the
    step is `top` where ``s >= 0``; a neuron that spikes has the rate ``clip((g s - l) / theta, 0,
    1)``, what it does in the absence of reflection, refractory periods and proportional leaks.

    Parameters
    ----------
    layer : HasActivation
        The layer.
    sums : numpy.ndarray
        Any shape, in units of the layer's weighted sum.
    top : float
        The largest activation: 1, or ``1 - 2**-K`` where operands have K bits.

    Returns
    -------
    numpy.ndarray
        The same shape, 0 to `top`.
    """
    if layer.activation == "step":
        return np.where(sums >= 0, top, 0.0)
    offset = 0.0 if layer.lif is None else layer.lif.leak / layer.lif.threshold
    activations: NDArray[np.float64] = np.clip(sums * float(slope(layer)) - offset, 0, top)
    return activations


def activation_error(layer: HasActivation, bound: NDArray[Any], rounding: Any) -> NDArray[Any]:
    """Bound the error of activations, given that of weighted sums, or of rates.

    Parameters
    ----------
    layer : HasActivation
        The layer.
    bound : numpy.ndarray
        Shape (outputs,): of the weighted sum; where neurons spike, of the rate. Floats, or objects
        of type Fraction, with which the result is exact.
    rounding : float or fractions.Fraction
        What re-encoding as an operand adds.

    Returns
    -------
    numpy.ndarray
        Shape (outputs,), at most 1.
    """
    if layer.activation == "step":
        # Next to zero the smallest error is as good as the largest.
        return np.where(bound > 0, bound * 0 + 1, bound * 0 + rounding)
    scale: Any = Fraction(1) if layer.lif is not None else slope(layer)
    if bound.dtype != object:
        scale = float(scale)
    error: NDArray[Any] = np.minimum(bound * scale + rounding, 1)
    return error
