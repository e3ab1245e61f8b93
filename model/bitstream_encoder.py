"""A bank of stochastic number generators as an object: values to bitstreams, and back.

The bits are those of the hardware: the source's words (`model.sequences`) held against levels, one
comparator a lane.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.argument_checks import checked_choice, checked_integer
from model.bounds import float_above
from model.correlation import level_counts
from model.encodings import bipolar_value, sign_magnitude_value, unipolar_value
from model.errors import InputError
from model.layer_checks import checked_values
from model.limits import MAX_LENGTH
from model.manifest import CounterSource, HaltonSource, LfsrSource, SobolSource, Source
from model.quantise import quantise_weights
from model.sequences import source_sequence
from model.source_choice import Encoding, SourceKind, choose_sources

MAX_OPERAND_WIDTH = 10  # of the manifest


class BitstreamEncoder:
    """Turns real numbers into bitstreams and bitstreams into real numbers, in batches.

    A value becomes an operand of K bits, halves away from zero, and the operand a stream: its bit
    is one in the cycles in which the source's word is below the operand's level. Streams have time
    on the last axis, as in `model.gates`.

    Parameters
    ----------
    length : int
        Bitstream length L, cycles; a power of two with counters.
    operand_width : int
        Operand width K in bits, 1 to 10.
    encoding : {'unipolar', 'bipolar', 'sign-magnitude'}
        Values from 0 to 1; from -1 to 1, as a mean of ``(value + 1) / 2``; from -1 to 1, as a
        stream of the magnitude with a sign beside it (`negative`).
    source : str or Source
        Kind of number source (`model.source_choice.choose_sources`), or one of a manifest.
    lanes : int
        How many values are encoded side by side. What they share depends on the source.
    seed : int
        From which seeds and constants are drawn, 0 or more; the same gives the same streams.
    role : {'x', 'w'}
        Of the two sources of a kind, that of the inputs or that of the weights. Streams that meet
        in a gate need both, of encoders that are alike otherwise.

    Attributes
    ----------
    length, operand_width, encoding, lanes
        As given.
    source : Source
        The number source, as a manifest holds it.

    Raises
    ------
    InputError
        If an argument is out of range, or the source does not go with the length or the lanes.

    Examples
    --------
    >>> from model import BitstreamEncoder
    >>> encoder = BitstreamEncoder(8, operand_width=3, lanes=2)
    >>> streams = encoder.encode([[0.5, 1.0], [0.25, 0.0]])
    >>> streams.shape
    (2, 2, 8)
    >>> streams[0].astype(int).tolist()
    [[1, 1, 1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1, 1, 1]]
    >>> encoder.decode(streams).tolist()
    [[0.5, 1.0], [0.25, 0.0]]
    >>> other = BitstreamEncoder(8, operand_width=3, lanes=2, role="w")
    >>> encoder.decode(streams & other.encode([0.5, 0.75])).tolist()
    [[0.25, 0.75], [0.125, 0.0]]
    """

    def __init__(
        self,
        length: int,
        operand_width: int = 8,
        encoding: Encoding = "unipolar",
        source: SourceKind | Source = "counter",
        lanes: int = 1,
        seed: int = 1,
        *,
        role: Literal["x", "w"] = "x",
    ) -> None:
        self.length = checked_integer("length", length, 1, MAX_LENGTH)
        self.operand_width = checked_integer("operand_width", operand_width, 1, MAX_OPERAND_WIDTH)
        checked_choice("encoding", encoding, get_args(Encoding))
        self.encoding: Encoding = encoding
        self.lanes = checked_integer("lanes", lanes, 1)
        checked_choice("role", role, ("x", "w"))
        checked_integer("seed", seed, 0)
        self._word_width = self.operand_width + (encoding == "bipolar")
        if isinstance(source, CounterSource | SobolSource | HaltonSource | LfsrSource):
            self.source: Source = source
        else:
            checked_choice("source", source, get_args(SourceKind))
            chosen = choose_sources(
                source,
                np.zeros((1, self.lanes), dtype=np.int32),
                self.length,
                # A bipolar layer's words have a bit more than its operands, and its constants are
                # chosen for all operands: here no weights are known.
                self._word_width - 1,
                input_signed=False,
                generator=np.random.default_rng(seed),
                encoding="bipolar",
            )
            self.source = chosen.x if role == "x" else chosen.w
        if self.source.lanes not in (1, self.lanes):
            raise InputError(
                f"a source of {self.source.lanes} lanes for {self.lanes}",
                "source",
                f"use one of {self.lanes} lanes, or one that all lanes share",
            )
        self._words = source_sequence(self.source, self.length, self._word_width)

    def operands(self, values: ArrayLike) -> NDArray[np.int32]:
        """Return the operands that values are rounded to, halves away from zero.

        Parameters
        ----------
        values : array_like
            Shape (..., lanes); or a single number, where there is one lane.

        Returns
        -------
        numpy.ndarray
            Shape of `values`, int32: ``value 2**K``, with its sign.

        Raises
        ------
        InputError
            If a value is outside the encoding's range or no finite number, or the last axis is not
            the lanes.
        """
        lowest = 0.0 if self.encoding == "unipolar" else -1.0
        checked = checked_values("values", values, lowest, 1.0)
        self._check_lanes("values", checked.shape)
        return quantise_weights(checked, self.operand_width)

    def encode(self, values: ArrayLike) -> NDArray[np.bool_]:
        """Return the streams of values; in sign-magnitude encoding those of their magnitudes.

        Parameters
        ----------
        values : array_like
            Shape (..., lanes); or a single number, where there is one lane.

        Returns
        -------
        numpy.ndarray
            Shape (..., lanes, L), bool; of a single number (L,).

        Raises
        ------
        InputError
            As `operands`.
        """
        operands = self.operands(values)
        if self.encoding == "bipolar":
            levels = operands + np.int32(1 << self.operand_width)
        else:
            levels = np.abs(operands)
        words = self._words[0] if levels.ndim == 0 else self._words
        streams: NDArray[np.bool_] = words < levels[..., None]
        return streams

    def negative(self, values: ArrayLike) -> NDArray[np.bool_]:
        """Return the signs that go beside streams of magnitudes: whether an operand is below 0.

        Parameters
        ----------
        values : array_like
            Shape (..., lanes); or a single number, where there is one lane.
        """
        return np.asarray(self.operands(values) < 0)

    def decode(self, streams: ArrayLike, negative: ArrayLike | None = None) -> NDArray[np.float64]:
        """Return the values that streams have, from their numbers of ones.

        Parameters
        ----------
        streams : array_like
            Shape (..., lanes, L), of bits; or (L,), where there is one lane.
        negative : array_like of bool, optional
            The signs of streams of magnitudes, as `negative` gives them; it broadcasts to (...,
            lanes). Needed in sign-magnitude encoding, and only there: the streams have no sign.

        Returns
        -------
        numpy.ndarray
            Shape (..., lanes); of a single stream ().

        Raises
        ------
        InputError
            If streams are not of bits or have another shape, or signs are missing or out of place.
        """
        bits = np.asarray(streams)
        if bits.dtype.kind not in "bui" or (bits.size and not 0 <= bits.min() <= bits.max() <= 1):
            raise InputError("streams hold something else than bits", "streams", "use 0 and 1")
        if bits.ndim == 0 or bits.shape[-1] != self.length:
            raise InputError(
                f"streams have shape {bits.shape}",
                "streams",
                f"give {self.length} cycles on the last axis",
            )
        self._check_lanes("streams", bits.shape[:-1])
        ones = bits.sum(axis=-1, dtype=np.int64)
        if self.encoding != "sign-magnitude":
            if negative is not None:
                raise InputError(
                    f"signs beside {self.encoding} streams", "negative", "leave them out"
                )
            decode = bipolar_value if self.encoding == "bipolar" else unipolar_value
            return decode(ones, self.length)
        if negative is None:
            raise InputError(
                "streams of magnitudes have no sign",
                "negative",
                "give what negative() returns for the values, or use another encoding",
            )
        signs = np.asarray(negative)
        fits = all(
            own in (1, other)
            for own, other in zip(signs.shape[::-1], ones.shape[::-1], strict=False)
        )
        if signs.dtype != np.bool_ or signs.ndim > ones.ndim or not fits:
            raise InputError(
                f"signs have type {signs.dtype} and shape {signs.shape}",
                "negative",
                f"give booleans of shape {ones.shape}",
            )
        return sign_magnitude_value(ones, signs, self.length)

    def discrepancy(self) -> float:
        """Return the largest distance of a decoded stream from its operand, over all operands.

        It is attained, and rounded up where it is no binary fraction. A value that is no operand is
        off by up to half a step more, ``2**-(K + 1)``.
        """
        levels = np.arange((1 << self._word_width) + 1)
        worst = 0
        for words in self._words:
            ones = level_counts(words, self._word_width)
            worst = max(worst, int(np.abs((ones << self._word_width) - levels * self.length).max()))
        # A bipolar value is twice the mean.
        span = 2 if self.encoding == "bipolar" else 1
        return float_above(Fraction(span * worst, self.length << self._word_width))

    def _check_lanes(self, name: str, shape: tuple[int, ...]) -> None:
        """Refuse an array whose last axis is not the lanes."""
        if shape[-1:] == (self.lanes,) or (shape == () and self.lanes == 1):
            return
        cycles = ", L" if name == "streams" else ""
        raise InputError(
            f"{name} have {shape[-1] if shape else 'no'} lanes",
            name,
            f"give shape (..., {self.lanes}{cycles}), or make an encoder of other lanes",
        )
