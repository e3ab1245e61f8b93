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


class _WordSource(_Record):
    """What all number sources have: lanes that see one word, or words of their own.

    The word of lane i is the source's base word, rotated left by the lane's rotation, cut to its
    `word_width` most significant bits, and XORed with the lane's constant. `word_width` is the
    operand width K, one bit more in bipolar encoding. Base words have `word_width` bits, except
    those of LFSRs, which have all bits of the register.

    A list has one entry for the whole layer, or one a lane; with sharing 'sng' lanes are SNGs, and
    that of synapse (i, j) stands at ``i * outputs + j``.
    """

    sharing: Literal["layer", "lane", "sng"]
    xor_constants: list[int] = Field(min_length=1, description="one for the layer, or one a lane")
    rotations: list[int] = Field(
        default=[0], min_length=1, description="one for the layer, or one a lane"
    )

    @property
    def lanes(self) -> int:
        """How many different lanes the source drives."""
        return max(len(self.xor_constants), len(self.rotations))


class CounterSource(_WordSource):
    """A cycle counter, as it counts or with its bits reversed (van der Corput).

    Base word of cycle t: take the `width` = log2(bitstream_length) bits of t, reverse them if
    `reversed`, align them at the most significant end of the word (low bits 0, or low bits
    dropped).
    """

    kind: Literal["counter"] = "counter"
    reversed: bool
    width: int = Field(ge=0, le=30)


class SobolSource(_WordSource):
    """One dimension of a Sobol sequence, in its natural order.

    Base word of cycle t: the XOR of the direction numbers of the bits that are set in t.
    """

    kind: Literal["sobol"] = "sobol"
    dimension: int = Field(ge=1)
    directions: list[int] = Field(
        min_length=1, description="one for each bit of t, that of bit 0 first; word_width bits each"
    )


class HaltonSource(_WordSource):
    """The radical inverse of the cycle number in a prime base.

    Base word of cycle t: ``floor(2**word_width * sum_k d_k base**-(k+1))`` with d_k the `digits`
    digits of t in that base, the least significant first.
    """

    kind: Literal["halton"] = "halton"
    base: Literal[2, 3, 5]
    digits: int = Field(ge=1, le=20)


class LfsrSource(_WordSource):
    """An LFSR that advances `step` shifts a cycle.

    State at cycle 0 is the seed. One shift of the Fibonacci form moves the state one bit up and
    enters the XOR of bits ``tap - 1`` at bit 0. One of the Galois form moves it one bit up and, if
    the bit that left was 1, inverts the bits ``width - tap`` of all taps; both have the same
    characteristic polynomial. The base word is the state.
    """

    kind: Literal["lfsr"] = "lfsr"
    form: Literal["fibonacci", "galois"] = "fibonacci"
    width: int = Field(ge=3, le=32)
    taps: list[int] = Field(min_length=1)
    step: int = Field(ge=1)
    seeds: list[int] = Field(min_length=1, description="one for the layer, or one a lane")

    @property
    def lanes(self) -> int:
        """How many different lanes the source drives."""
        return max(len(self.seeds), super().lanes)


Source = Annotated[
    CounterSource | SobolSource | HaltonSource | LfsrSource, Field(discriminator="kind")
]


class LifNeuron(_Record):
    """A leaky integrate-and-fire neuron in signed fixed point, with saturation.

    In each cycle, with I the signed increment of the adder and all numbers in units of
    ``2**-fraction_bits``: ``v = saturate(max(floor, v + gain I + current + noise - leak -
    (v >> leak_shift)))``, the shift only if `leak_shift` is not 0; a spike if ``v >= threshold``;
    then ``v -= threshold`` ('subtract') or ``v = reset_value`` ('value'). For `refractory` cycles
    after a spike the neuron keeps v and does not spike. `current` is the neuron's bias, rounded;
    v starts at 0 with every vector.

    Attributes
    ----------
    width, fraction_bits : int
        Bits of v, sign included, and how many of them are behind the binary point.
    gain, leak, threshold, reset_value, floor : int
        In units of ``2**-fraction_bits``.
    noise_bits : int
        0: none; else a uniform word of so many bits, minus half its range, is added in each cycle.
    """

    width: int = Field(ge=2, le=32)
    fraction_bits: int = Field(ge=0, le=30)
    gain: int = Field(ge=1)
    leak: int = Field(ge=0)
    leak_shift: int = Field(ge=0, le=31)
    threshold: int = Field(ge=1)
    reset: Literal["subtract", "value"]
    reset_value: int
    refractory: int = Field(ge=0, le=255)
    floor: int
    noise_bits: int = Field(default=0, ge=0, le=16)


# The first is attained by its witness; the others are certain bounds that need not be.
CertificateTheorem = Literal[
    "separable exact maximum over all inputs",
    "integrate and fire: largest partial deviation over all inputs",
    "Frechet bounds of streams of any correlation",
    "range of the result",
]


class SourcePair(_Record):
    """Words that meet at multipliers: how far they are from independent, over all operands.

    Attributes
    ----------
    pairs : int
        Number of different pairs of words of the layer; this one has the largest discrepancy.
    x_lane, w_lane : int
        The pair.
    numerator, denominator : int
        Its star discrepancy as a fraction: the largest error of one AND gate.
    mean_scc : float
        Its correlation (SCC), the mean over all operand pairs, rounded to 6 digits.
    """

    pairs: int = Field(ge=1)
    x_lane: int = Field(ge=0)
    w_lane: int = Field(ge=0)
    numerator: int = Field(ge=0)
    denominator: int = Field(ge=1)
    mean_scc: float = Field(ge=-1, le=1)


class SourceCertificate(_Record):
    """What is certain of a layer's sources.

    Attributes
    ----------
    x_period, w_period, select_period : int or None
        Cycles until the source's words come back; None where there is no such source.
    worst : SourcePair or None
        The worst pair; None where inputs are the spikes of the layer before.
    faults : list of str
        Why the sources are refused; a design with any is not signed off.
    """

    x_period: int | None
    w_period: int
    select_period: int | None
    worst: SourcePair | None
    faults: list[str]


class Certificate(_Record):
    """The worst-case error of a layer over all inputs, and the input that is worst.

    Of the weighted sum, or of the rate of spikes where neurons spike.

    Attributes
    ----------
    theorem : str
        What makes the bound certain. Only the exact maximum is attained by its witness.
    numerator, denominator : int
        The bound as a fraction, in units of the weighted sum or of the rate.
    output, sign : int
        The neuron and the direction (+1 or -1) in which it is attained.
    witness : list of int
        The signed input magnitudes that attain it.
    """

    theorem: CertificateTheorem = "separable exact maximum over all inputs"
    value: float
    numerator: int = Field(ge=0)
    denominator: int = Field(ge=1)
    output: int = Field(ge=0)
    sign: Literal[-1, 1]
    witness: list[int]


class HoeffdingBound(_Record):
    """The simultaneous Hoeffding radius of a layer's weighted sum, and what makes it sound."""

    theorem: str
    norm: Literal["norm1", "norm2", "range"]
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
    bitstream_length: int = Field(ge=1)
    input_signed: bool
    encoding: Literal["unipolar", "bipolar", "sign-magnitude"] = "sign-magnitude"
    adder: Literal["parallel-counter", "mux"] = "parallel-counter"
    activation: Literal["clip", "relu", "step", "lif", "none"]
    scale_exponent: int
    accumulator_width: int = Field(ge=2, le=32)
    x_source: Source
    w_source: Source
    select_source: Source | None = Field(default=None, description="of the MUX adder")
    lif: LifNeuron | None = None
    streams: bool = Field(
        default=False, description="whether its spikes are the next layer's input streams"
    )

    @property
    def sources(self) -> tuple[Source, ...]:
        """All sources of the layer."""
        select = () if self.select_source is None else (self.select_source,)
        return (self.x_source, self.w_source, *select)

    @property
    def bias_unit(self) -> int:
        """The integer that stands for a bias of 1: a count a cycle, or a neuron's current."""
        return self.bitstream_length if self.lif is None else self.lif.gain

    def word_width(self, operand_width: int) -> int:
        """Bits of the words that the layer's comparators see."""
        return operand_width + (self.encoding == "bipolar")


class Layer(LayerStructure):
    """One dense layer with its bounds."""

    synapses: int = Field(ge=0, description="weights that are not 0: the others have no gates")
    constant_gates: int = Field(ge=0, description="weights of magnitude 1: wires")
    comparator_bits: int = Field(ge=0, description="bits of the other weights, all together")
    source_certificate: SourceCertificate
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
        "operands are integers of operand_width bits with a sign, their value is operand /"
        " 2**operand_width; a weight may be +-2**operand_width. The level a of an operand is its"
        " magnitude in unipolar and sign-magnitude encoding, 2**operand_width + operand in bipolar"
        " encoding; word_width is operand_width, in bipolar encoding operand_width + 1"
    )
    comparator: str = "bit(t) = 1 if r(t) < a else 0, for t = 0 .. bitstream_length - 1"
    word: str = (
        "r(t) of a lane: the source's base word, rotated left by the lane's rotation within its"
        " bits, its word_width most significant bits, XOR the lane's constant; base words have"
        " word_width bits, those of an LFSR all bits of the register"
    )
    counter_source: str = (
        "base word: the bits of t as a word of `width` bits, last bit first if `reversed`; its"
        " word_width most significant bits, zeros below where it has fewer"
    )
    sobol_source: str = "base word: the XOR of directions[k] over the bits k that are set in t"
    halton_source: str = (
        "base word: floor(2**word_width * sum over k of d_k / base**(k + 1)), d_k the digits of t"
        " in that base, the least significant first"
    )
    lfsr_source: str = (
        "state(0) = seed; a shift moves the state one bit up, without the bit that leaves;"
        " fibonacci: the XOR of the bits numbered tap - 1 (0 is the least significant) enters at"
        " bit 0; galois: if the bit that left was 1, the bits numbered width - tap are inverted;"
        " `step` shifts a cycle; base word: the state"
    )
    lanes: str = (
        "lane i is input i: it takes the i-th seed, rotation and XOR constant, or the only one;"
        " with sharing sng, synapse (i, j) takes those numbered i * outputs + j"
    )
    restart: str = "every source is at t = 0 in the first counted cycle of every vector"
    multiplier: str = (
        "p_ij(t) = x_i(t) AND w_ij(t), counted with the sign sign(x_i) * sign(w_ij); bipolar:"
        " p_ij(t) = 1 if x_i(t) = w_ij(t) else -1"
    )
    adder: str = (
        "parallel counter: I_j(t) = sum over i of the signed p_ij(t); mux: I_j(t) = 2**b times the"
        " signed p_ij(t) of lane i = r(t) of the select source, 0 if there is no such lane, with"
        " b = bits of (fan_in - 1), at least 1, the select source's word_width"
    )
    accumulator: str = "S_j = bias_j + sum over t of I_j(t)"
    neuron: str = (
        "lif: v = 0 with every vector; in each cycle but the `refractory` ones after a spike, with"
        " bias_j for the current, v = min(max(v + gain * I_j(t) + current - leak - (floor(v /"
        " 2**leak_shift) if leak_shift > 0 else 0), floor), 2**(width - 1) - 1); a spike if v >="
        " threshold, then v = v - threshold (reset subtract) or v = reset_value; S_j = the number"
        " of spikes"
    )
    streams: str = (
        "of a layer that streams, the next layer's x_i(t) is the spike of neuron i in cycle t, its"
        " sign is positive, and its x source is not there"
    )
    files: str = (
        "layer_l_weights[j, i]: w_ij of layer l, an integer with a sign; layer_l_biases[j]: bias_j;"
        " layer_l_widths[j, i]: bits b of w_ij, a multiple of 2**(operand_width - b);"
        " features[v, i]: x_i of the first layer for vector v, an integer with a sign"
    )
    bias: str = "bias_j = floor(b_j * bitstream_length + 1/2); lif: floor(b_j * gain + 1/2)"
    reencoding: str = (
        "step: next magnitude = 2**operand_width - 1 if S_j >= 0 else 0; others: next magnitude ="
        " clamp(floor(S_j * 2**(operand_width + scale_exponent) / bitstream_length + 1/2), 0,"
        " 2**operand_width - 1)"
    )
    decision: str = "the class is the first output with the largest count"


class Manifest(_Record):
    """Everything that either side needs to know about one design."""

    schema_version: Literal["certibit-manifest/2"] = "certibit-manifest/2"
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
                raise ValueError(
                    f"layer {before.name} feeds {after.name}: it must have an activation"
                )
            if before.streams and (
                before.bitstream_length != after.bitstream_length or after.encoding == "bipolar"
            ):
                raise ValueError(
                    f"layer {before.name} streams to {after.name}: that must have the same"
                    " bitstream length and must not be bipolar"
                )
        if self.compression is not None and [len(kept) for kept in self.compression.kept] != [
            layer.outputs for layer in self.layers
        ]:
            raise ValueError("compression: the neurons that were kept are not those of the layers")
        if self.precision is not None and len(self.precision.layers) != len(self.layers):
            raise ValueError(f"precision: a plan of {len(self.precision.layers)} layers")
        if self.layers[-1].activation != "none":
            raise ValueError(f"layer {self.layers[-1].name} is the last: it must not clip")
        for layer in self.layers:
            _check_layer(layer)
        return self


def _check_layer(layer: Layer) -> None:
    """Raise a ValueError for what a layer says that does not fit together."""
    if (layer.activation == "lif") != (layer.lif is not None):
        raise ValueError(f"layer {layer.name}: activation lif and its parameters go together")
    if layer.streams and layer.lif is None:
        raise ValueError(f"layer {layer.name}: only spikes stream to the next layer")
    if (layer.adder == "mux") != (layer.select_source is not None):
        raise ValueError(f"layer {layer.name}: a MUX adder and its select source go together")
    if layer.select_source is not None and layer.select_source.lanes != 1:
        raise ValueError(f"layer {layer.name}: all lanes share the select source")
    if layer.encoding == "unipolar" and layer.input_signed:
        raise ValueError(f"layer {layer.name}: unipolar inputs have no sign")
    synapses = layer.fan_in * layer.outputs
    for role, source, most in (
        ("x", layer.x_source, layer.fan_in),
        ("w", layer.w_source, synapses),
        ("select", layer.select_source, 1),
    ):
        if source is None:
            continue
        lists = [source.xor_constants, source.rotations]
        if isinstance(source, LfsrSource):
            lists.append(source.seeds)
        elif isinstance(source, CounterSource) and 1 << source.width != layer.bitstream_length:
            raise ValueError(
                f"layer {layer.name}: a counter of {source.width} bits does not count"
                f" {layer.bitstream_length} cycles"
            )
        possible = {1, layer.fan_in, most} if role != "select" else {1}
        lengths = {len(part) for part in lists}
        if not lengths <= possible or len(lengths - {1}) > 1:
            raise ValueError(
                f"layer {layer.name}: the {role} source has lists for {sorted(lengths)} lanes,"
                f" {sorted(possible)} are possible"
            )
    if len(layer.certificate.witness) != layer.fan_in:
        raise ValueError(f"layer {layer.name}: the witness has the wrong length")


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
