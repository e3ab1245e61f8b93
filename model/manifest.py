"""The manifest: the one contract between the golden model, the RTL generator and the test bench.

This module holds its schema and its reading and writing, nothing that computes. The canonical form
is UTF-8 JSON with keys in schema order, two blanks of indentation and a final newline, so the same
plan gives the same bytes. The SHA-256 of those bytes is the identity of the design: it stands in
the RTL's ID register, and beside the manifest in a file that ``sha256sum --check`` understands.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from model.errors import ManifestError
from model.files import read_bytes, write_bytes_atomically

MANIFEST_FILE = "manifest.json"
DIGEST_FILE = "manifest.sha256"


class _Record(BaseModel):
    """Base of all parts of the manifest: frozen, no unknown keys, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class CounterSource(_Record):
    """A cycle counter, as it counts or with its bits reversed, XORed with constants.

    r(t) of lane i: take the `width` = log2(bitstream_length) bits of t, reverse them if `reversed`,
    align them at the most significant end of an operand_width-bit word (low bits 0, or low bits
    dropped), XOR with the lane's constant.
    """

    kind: Literal["counter"] = "counter"
    reversed: bool
    width: int = Field(ge=1, le=30)
    sharing: Literal["layer", "lane"]
    xor_constants: list[int] = Field(min_length=1, description="one for the layer, or one a lane")

    @property
    def lanes(self) -> int:
        """How many different lanes the source drives."""
        return len(self.xor_constants)


class LfsrSource(_Record):
    """A Fibonacci LFSR that advances `step` shifts a cycle.

    State at cycle 0 is the seed. One shift moves the state one bit up and enters the XOR of bits
    ``tap - 1`` at bit 0. r(t) of lane i is the `operand_width` most significant bits of its state,
    XORed with the lane's constant.
    """

    kind: Literal["lfsr"] = "lfsr"
    width: int = Field(ge=3, le=32)
    taps: list[int] = Field(min_length=1)
    step: int = Field(ge=1)
    sharing: Literal["layer", "lane"]
    seeds: list[int] = Field(min_length=1, description="one for the layer, or one a lane")
    xor_constants: list[int] = Field(min_length=1, description="one for the layer, or one a lane")

    @property
    def lanes(self) -> int:
        """How many different lanes the source drives."""
        return max(len(self.seeds), len(self.xor_constants))


Source = Annotated[CounterSource | LfsrSource, Field(discriminator="kind")]


class Certificate(_Record):
    """The exact worst-case error of a layer over all inputs, and an input that attains it.

    Attributes
    ----------
    numerator, denominator : int
        The bound as a fraction, in units of the weighted sum.
    output, sign : int
        The neuron and the direction (+1 or -1) in which it is attained.
    witness : list of int
        The signed input magnitudes that attain it.
    """

    theorem: Literal["separable exact maximum over all inputs"] = (
        "separable exact maximum over all inputs"
    )
    value: float
    numerator: int = Field(ge=0)
    denominator: int = Field(ge=1)
    output: int = Field(ge=0)
    sign: Literal[-1, 1]
    witness: list[int]


class HoeffdingBound(_Record):
    """The simultaneous Hoeffding radius of a layer's weighted sum, and what makes it sound."""

    theorem: str
    norm: Literal["norm1", "norm2"]
    norm_value: float
    confidence: float = Field(gt=0, lt=1)
    family_size: int = Field(ge=1, description="outputs x vectors that hold together")
    radius: float = Field(ge=0)
    assumption: str


class QuantisationTerms(_Record):
    """Bounds of what rounding costs, per layer."""

    weight: float = Field(ge=0, description="of one weight: half a step, in weight units")
    bias: float = Field(ge=0, description="of one bias: half a count")
    reencoding: float = Field(ge=0, description="of one re-encoded activation, in operand units")


class LayerStructure(_Record):
    """What the hardware of one dense layer is made of."""

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")
    fan_in: int = Field(ge=1)
    outputs: int = Field(ge=1)
    bitstream_length: int = Field(ge=2)
    input_signed: bool
    activation: Literal["clip", "none"]
    scale_exponent: int
    accumulator_width: int = Field(ge=2, le=32)
    x_source: Source
    w_source: Source


class Layer(LayerStructure):
    """One dense layer with its bounds."""

    synapses: int = Field(ge=0, description="weights that are not 0: the others have no gates")
    constant_gates: int = Field(ge=0, description="weights of magnitude 1: wires")
    comparator_bits: int = Field(ge=0, description="bits of the other weights, all together")
    certificate: Certificate
    hoeffding: HoeffdingBound
    quantisation: QuantisationTerms
    deviation: float = Field(
        ge=0, description="what rounding and compression move a weighted sum by, over all inputs"
    )
    propagated_bound: float = Field(ge=0, description="bound of |count/L - quantised network|")
    trained_bound: float = Field(ge=0, description="bound of |count/L - trained network|")


class Compression(_Record):
    """What to leave out of a network, in this order, and on how many bits the rest stands.

    Attributes
    ----------
    remove_neurons : bool
        Whether neurons that are constant over all inputs, or that nothing reads, are removed
        (`model.pruning.prune_neurons`), before and after weights are pruned.
    activity_threshold : float or None
        Also remove neurons whose mean activation on the calibration data is below it.
    prune_threshold : float
        Weights of smaller magnitude become 0 (`model.pruning.prune_weights`).
    prune_method : {'magnitude', 'percentile'}
        Whether the threshold is a magnitude, or a share of each layer's weights.
    constant_margin : float
        Weights closer than this to 0 or to +-1 become constant gates
        (`model.pruning.prune_stochastic`, with a margin of ``min_popcount_bits / L``).
    weight_bits : list of int or None
        Bits of every weight of each layer; one number serves all layers.
    synapse_error : float or None
        Bits of each weight by `model.synapse_precision.assign_synapse_precisions`, with this target
        error.
    given_widths : bool
        Whether bits of each weight were given by the caller.
    """

    remove_neurons: bool = False
    activity_threshold: float | None = Field(default=None, gt=0, le=1)
    prune_threshold: float = Field(default=0.0, ge=0)
    prune_method: Literal["magnitude", "percentile"] = "magnitude"
    constant_margin: float = Field(default=0.0, ge=0, le=0.5)
    weight_bits: list[int] | None = Field(default=None, min_length=1)
    synapse_error: float | None = Field(default=None, gt=0)
    given_widths: bool = False

    @model_validator(mode="after")
    def _one_source_of_widths(self) -> Compression:
        ways = (self.weight_bits is not None, self.synapse_error is not None, self.given_widths)
        if sum(ways) > 1:
            raise ValueError("weight_bits, synapse_error and given_widths exclude each other")
        if self.activity_threshold is not None and not self.remove_neurons:
            raise ValueError("activity_threshold needs remove_neurons")
        return self


class CompressionRecord(_Record):
    """How the network was compressed before it was planned.

    Attributes
    ----------
    recipe : Compression
        What was done.
    kept : list of list of int
        For each layer, the trained network's neurons that remain.
    """

    recipe: Compression
    kept: list[list[int]]


class PlannedLayer(_Record):
    """What a precision plan says of one layer; its length is the layer's."""

    error_bound: float = Field(ge=0, description="of the layer's weighted sum, scaled")
    theorem: str
    confidence: float = Field(gt=0, le=1)
    meets_target: bool
    sensitivity: float = Field(ge=0)
    cost_per_cycle: float = Field(gt=0)


class PrecisionRecord(_Record):
    """The precision plan that chose the lengths: what was asked for, and what is guaranteed.

    Attributes
    ----------
    shortfalls : list of str
        One for each target that is missed: layer, length that it would need, best reachable error.
        The sign-off refuses a design that has any.
    """

    method: Literal["hoeffding", "chebyshev", "sensitivity", "certificate"]
    source: str
    target: Literal["layer", "output"]
    target_error: float | None = Field(gt=0)
    total_budget: float | None = Field(gt=0)
    vectors: int = Field(ge=1, description="vectors that the bounds cover together")
    confidence: float = Field(gt=0, le=1)
    end_to_end_bound: float = Field(ge=0)
    end_to_end_theorem: str
    shortfalls: list[str]
    layers: list[PlannedLayer]


class DataFile(_Record):
    """A file beside the manifest, named by its content."""

    file: str = Field(pattern=r"^[^/\\]+$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    arrays: dict[str, str]


class Arithmetic(_Record):
    """The rules, in words and formulas, with which every hardware count can be recomputed."""

    encoding: str = (
        "sign and magnitude: magnitude a is an integer of operand_width bits, its value is"
        " +-a / 2**operand_width; a weight magnitude of 2**operand_width is a constant-1 stream"
    )
    comparator: str = "bit(t) = 1 if r(t) < a else 0, for t = 0 .. bitstream_length - 1"
    counter_source: str = (
        "r(t): the bits of t as a word of `width` bits, last bit first if `reversed`; its"
        " operand_width most significant bits, zeros below where it has fewer; XOR the constant"
    )
    lfsr_source: str = (
        "state(0) = seed; a shift moves the state one bit up, without the bit that leaves, and"
        " enters the XOR of the bits numbered tap - 1 (0 is the least significant) at bit 0; `step`"
        " shifts a cycle; r(t): the operand_width most significant bits of the state, XOR the"
        " constant"
    )
    lanes: str = (
        "lane i is input i: it takes the i-th seed and the i-th XOR constant, or the only one"
    )
    restart: str = "every source is at t = 0 in the first counted cycle of every vector"
    multiplier: str = "p_ij(t) = x_i(t) AND w_ij(t), counted with the sign sign(x_i) * sign(w_ij)"
    adder: str = (
        "parallel counter: S_j = bias_j + sum over i and t of sign(x_i) * sign(w_ij) * p_ij(t)"
    )
    files: str = (
        "layer_l_weights[j, i]: w_ij of layer l, an integer with a sign; layer_l_biases[j]: bias_j;"
        " layer_l_widths[j, i]: bits b of w_ij, a multiple of 2**(operand_width - b);"
        " features[v, i]: x_i of the first layer for vector v, an integer with a sign"
    )
    bias: str = "bias_j = floor(b_j * bitstream_length + 1/2), preloaded"
    reencoding: str = (
        "clip: next magnitude = clamp(floor(S_j * 2**(operand_width + scale_exponent)"
        " / bitstream_length + 1/2), 0, 2**operand_width - 1)"
    )
    decision: str = "the class is the first output with the largest count"


class Manifest(_Record):
    """Everything that either side needs to know about one design."""

    schema_version: Literal["certibit-manifest/1"] = "certibit-manifest/1"
    network: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")
    operand_width: int = Field(ge=1, le=10)
    confidence: float = Field(gt=0, lt=1)
    vectors: int = Field(ge=1, description="vectors of the test set, all covered by the bounds")
    features_per_beat: int = Field(ge=1, le=32)
    arithmetic: Arithmetic = Arithmetic()
    weights: DataFile
    test_data: DataFile
    compression: CompressionRecord | None = None
    precision: PrecisionRecord | None = None
    layers: list[Layer] = Field(min_length=1, max_length=240)
    end_to_end_bound: float = Field(ge=0, description="of the output, against quantised operands")
    trained_bound: float = Field(ge=0, description="of the output, against the trained network")

    @model_validator(mode="after")
    def _shapes_chain(self) -> Manifest:
        for before, after in zip(self.layers, self.layers[1:], strict=False):
            if before.outputs != after.fan_in:
                raise ValueError(
                    f"layer {before.name} has {before.outputs} outputs,"
                    f" layer {after.name} takes {after.fan_in} inputs"
                )
            if before.activation == "none" or after.input_signed:
                raise ValueError(f"layer {before.name} feeds {after.name}: it must clip")
        if self.compression is not None and [len(kept) for kept in self.compression.kept] != [
            layer.outputs for layer in self.layers
        ]:
            raise ValueError("compression: the neurons that were kept are not those of the layers")
        if self.precision is not None and len(self.precision.layers) != len(self.layers):
            raise ValueError(f"precision: a plan of {len(self.precision.layers)} layers")
        if self.layers[-1].activation != "none":
            raise ValueError(f"layer {self.layers[-1].name} is the last: it must not clip")
        for layer in self.layers:
            for source in (layer.x_source, layer.w_source):
                lists = [source.xor_constants]
                if isinstance(source, LfsrSource):
                    lists.append(source.seeds)
                elif 1 << source.width != layer.bitstream_length:
                    raise ValueError(
                        f"layer {layer.name}: a counter of {source.width} bits does not count"
                        f" {layer.bitstream_length} cycles"
                    )
                for part in lists:
                    if len(part) not in (1, layer.fan_in):
                        raise ValueError(
                            f"layer {layer.name}: a source has {len(part)} lanes,"
                            f" 1 or {layer.fan_in} are possible"
                        )
            if len(layer.certificate.witness) != layer.fan_in:
                raise ValueError(f"layer {layer.name}: the witness has the wrong length")
        return self


def canonical_bytes(manifest: Manifest) -> bytes:
    """Return the manifest in its canonical form."""
    text = json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False)
    # Lists of integers (constants, seeds, witnesses) would take a line a number: they are put on
    # one line each.
    return (_join_integer_lists(text) + "\n").encode()


def manifest_digest(manifest: Manifest) -> str:
    """Return the SHA-256 of the canonical manifest as 64 hexadecimal digits."""
    return hashlib.sha256(canonical_bytes(manifest)).hexdigest()


def save_manifest(manifest: Manifest, folder: Path) -> Path:
    """Write ``manifest.json`` and ``manifest.sha256`` into a folder.

    Parameters
    ----------
    manifest : Manifest
        What to write.
    folder : pathlib.Path
        An existing folder.

    Returns
    -------
    pathlib.Path
        The manifest's path.
    """
    data = canonical_bytes(manifest)
    path = folder / MANIFEST_FILE
    write_bytes_atomically(path, data)
    digest = hashlib.sha256(data).hexdigest()
    write_bytes_atomically(folder / DIGEST_FILE, f"{digest}  {MANIFEST_FILE}\n".encode())
    return path


def load_manifest(path: Path) -> Manifest:
    """Read a manifest and refuse anything that was not written whole by `save_manifest`.

    Parameters
    ----------
    path : pathlib.Path
        The manifest's path; its digest file and the files that it names stand in the same folder.

    Raises
    ------
    ManifestError
        If a file is missing, the JSON is truncated or does not fit the schema, or a digest differs.
    """
    again = "run the plan step again (make)"
    data = read_bytes(path, ManifestError, again)
    recorded = read_bytes(path.with_name(DIGEST_FILE), ManifestError, again).decode(
        errors="replace"
    )
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = "/".join(str(part) for part in first["loc"]) or "the file"
        raise ManifestError(
            f"manifest truncated or not of this version's schema: {place}: {first['msg']}",
            str(path),
            again,
        ) from None
    if recorded.split()[:1] != [hashlib.sha256(data).hexdigest()]:
        raise ManifestError(
            "the manifest was edited after it was written: its SHA-256 differs", str(path), again
        )
    for part in (manifest.weights, manifest.test_data):
        beside = path.with_name(part.file)
        content = read_bytes(beside, ManifestError, again)
        if hashlib.sha256(content).hexdigest() != part.sha256:
            raise ManifestError(
                "the file is not the one that the manifest names: its SHA-256 differs",
                str(beside),
                again,
            )
    return manifest


def export_schema(path: Path) -> None:
    """Write the manifest's JSON Schema."""
    text = json.dumps(Manifest.model_json_schema(), indent=2) + "\n"
    write_bytes_atomically(path, text.encode())


def _join_integer_lists(text: str) -> str:
    """Put each JSON list that holds only integers on one line."""
    lines: list[str] = []
    pending: list[str] | None = None
    for line in text.split("\n"):
        bare = line.strip()
        if pending is not None:
            if bare in ("]", "],"):
                lines.append(pending[0] + ", ".join(pending[1:]) + bare)
                pending = None
            elif bare.rstrip(",").lstrip("-").isdigit():
                pending.append(bare.rstrip(","))
            else:
                lines.extend([pending[0], *(f"{part}," for part in pending[1:]), line])
                pending = None
        elif line.endswith("["):
            pending = [line]
        else:
            lines.append(line)
    return "\n".join(lines)
