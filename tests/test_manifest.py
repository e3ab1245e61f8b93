"""The manifest: canonical bytes, its digest, what is refused, and whether it is complete."""

from __future__ import annotations

import hashlib
import json
import operator
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from model import AdaptivePrecisionManager
from model.errors import ManifestError
from model.files import npz_bytes
from model.forward import GoldenNetwork
from model.manifest import (
    Compression,
    Manifest,
    canonical_bytes,
    export_schema,
    load_manifest,
    manifest_digest,
    save_manifest,
)
from model.plan import Design, load_design, plan_design, save_design
from model.source_choice import Adder, Encoding, SourceKind
from tb.sample_networks import sample_network
from tests.builders import check_message, random_design, small_network

KINDS: list[SourceKind] = ["counter", "counter-lane", "lfsr", "lfsr-lane"]
OUTSIDER = Path(__file__).parent / "outsider.py"


def planned(kind: SourceKind = "counter", seed: int = 1) -> Design:
    return plan_design(small_network(np.random.default_rng(9)), source=kind, seed=seed)


def compressed() -> Design:
    """Return a design with a recipe and a precision plan in its manifest."""
    manager = AdaptivePrecisionManager.from_network(
        small_network(np.random.default_rng(9)),
        compression=Compression(prune_threshold=0.2, weight_bits=[3]),
        min_length=2,
    )
    return manager.design(manager.certificate(None, target="output", total_budget=64))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Save a small design; returns its manifest's path."""
    return save_design(planned(), tmp_path / "design")


def refused(path: Path, *words: str) -> ManifestError:
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    check_message(caught.value, str(path.parent), "run the plan step again", *words)
    return caught.value


def rewrite(path: Path, change: Callable[[dict[str, Any]], None], *, seal: bool) -> None:
    """Edit the manifest; with `seal`, by somebody who also mends the digest file."""
    content = json.loads(path.read_text())
    change(content)
    data = json.dumps(content, indent=2).encode()
    path.write_bytes(data)
    if seal:
        digest = hashlib.sha256(data).hexdigest()
        path.with_name("manifest.sha256").write_text(f"{digest}  manifest.json\n")


@pytest.mark.parametrize("kind", KINDS)
def test_identical_input_gives_identical_bytes(kind: SourceKind, tmp_path: Path) -> None:
    first, second = planned(kind), planned(kind)
    assert canonical_bytes(first.manifest) == canonical_bytes(second.manifest)
    one, two = (save_design(d, tmp_path / n) for d, n in ((first, "one"), (second, "two")))
    for name in ("manifest.json", "manifest.sha256", "weights.npz", "test.npz"):
        assert one.with_name(name).read_bytes() == two.with_name(name).read_bytes()


def test_different_input_gives_different_bytes() -> None:
    digests = {manifest_digest(planned(kind).manifest) for kind in KINDS}
    assert len(digests) == 4
    assert manifest_digest(planned("lfsr", seed=2).manifest) not in digests
    other = plan_design(small_network(np.random.default_rng(10)))
    assert manifest_digest(other.manifest) not in digests


def test_the_digest_is_that_of_the_file(saved: Path) -> None:
    manifest = planned().manifest
    digest = hashlib.sha256(saved.read_bytes()).hexdigest()
    assert manifest_digest(manifest) == digest
    assert saved.with_name("manifest.sha256").read_text() == f"{digest}  manifest.json\n"


def test_sha256sum_understands_the_digest_file(saved: Path) -> None:
    command = ["sha256sum", "--check", "--strict", "manifest.sha256"]
    assert subprocess.run(command, cwd=saved.parent, capture_output=True).returncode == 0
    saved.write_bytes(saved.read_bytes().replace(b'"small"', b'"smell"'))
    assert subprocess.run(command, cwd=saved.parent, capture_output=True).returncode != 0


def arrays_of(design: Design) -> list[NDArray[Any]]:
    parameters = design.parameters
    return [*parameters.weights, *parameters.biases, design.features, design.labels]


@pytest.mark.parametrize("kind", KINDS)
def test_round_trip(kind: SourceKind, tmp_path: Path) -> None:
    design = planned(kind)
    path = save_design(design, tmp_path)
    manifest = load_manifest(path)
    assert manifest == design.manifest
    assert canonical_bytes(manifest) == path.read_bytes()
    again = load_design(manifest, tmp_path)
    for one, two in zip(arrays_of(design), arrays_of(again), strict=True):
        assert one.dtype == two.dtype
        assert np.array_equal(one, two)


def test_the_canonical_form_is_readable_json() -> None:
    text = canonical_bytes(planned("lfsr-lane").manifest).decode()
    assert json.loads(text) == planned("lfsr-lane").manifest.model_dump(mode="json")
    assert text.endswith("}\n")
    assert re.search(r'"seeds": \[\d+(, \d+){4}\],?\n', text), "lists of integers take one line"
    assert list(json.loads(text))[:2] == ["schema_version", "network"], "keys in schema order"


def test_negative_and_empty_lists_survive_the_canonical_form() -> None:
    design = planned()
    layer = design.manifest.layers[0]
    for witness in ([-3, 0, 5, -1, 2], []):
        certificate = layer.certificate.model_copy(update={"witness": witness})
        changed = layer.model_copy(update={"certificate": certificate})
        manifest = design.manifest.model_copy(
            update={"layers": [changed, *design.manifest.layers[1:]]}
        )
        content = json.loads(canonical_bytes(manifest))
        assert content["layers"][0]["certificate"]["witness"] == witness


@pytest.mark.parametrize("part", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_manifest(saved: Path, part: float) -> None:
    data = saved.read_bytes()
    saved.write_bytes(data[: int(len(data) * part)])
    refused(saved, "truncated", "manifest.json")


def test_every_truncation_is_noticed(saved: Path) -> None:
    """The last bytes too, where the JSON is still whole."""
    data = saved.read_bytes()
    for length in [*range(0, len(data), 97), len(data) - 2, len(data) - 1]:
        saved.write_bytes(data[:length])
        refused(saved)
    saved.write_bytes(data)
    load_manifest(saved)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["layers"][0].update(bitstream_length=32),
        lambda m: m["layers"][0]["w_source"].update(xor_constants=[3]),
        lambda m: m.update(vectors=8),
        lambda m: None,
    ],
    ids=["length", "constant", "vectors", "white space"],
)
def test_an_edited_manifest(saved: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(saved.read_text())
    change(content)
    saved.write_text(json.dumps(content))
    refused(saved, "manifest.json")


def test_an_edit_that_still_fits_the_schema_is_called_an_edit(saved: Path) -> None:
    rewrite(saved, lambda m: m.update(vectors=8), seal=False)
    refused(saved, "edited after it was written", "SHA-256 differs")


Change = Callable[[dict[str, Any]], None]

# Edits by somebody who mends the digest as well: still not of this schema.
MISFITS: list[tuple[str, Change, str]] = [
    ("unknown key", lambda m: m.update(surprise=1), "surprise"),
    ("unknown key in a layer", lambda m: m["layers"][0].update(colour="red"), "colour"),
    ("wrong version", lambda m: m.update(schema_version="certibit-manifest/3"), "schema_version"),
    ("missing version", lambda m: m.pop("weights"), "weights"),
    ("no layers", lambda m: m.update(layers=[]), "layers"),
    ("wrong type", lambda m: m["layers"][0].update(fan_in="many"), "fan_in"),
    ("length of zero", lambda m: m["layers"][0].update(bitstream_length=0), "bitstream_length"),
    ("unknown source", lambda m: m["layers"][0]["x_source"].update(kind="dice"), "x_source"),
    ("shapes", lambda m: m["layers"][1].update(fan_in=5), "layer_0 has 4 outputs"),
    ("no clip", lambda m: m["layers"][0].update(activation="none"), "an activation"),
    ("signed inside", lambda m: m["layers"][1].update(input_signed=True), "an activation"),
    (
        "lanes",
        lambda m: m["layers"][0]["w_source"].update(xor_constants=[1, 2]),
        "for [1, 2] lanes, [1, 5, 20] are possible",
    ),
    ("counter width", lambda m: m["layers"][0]["x_source"].update(width=5), "counter of 5 bits"),
    ("witness", lambda m: m["layers"][0]["certificate"].update(witness=[1]), "witness"),
    ("infinity", lambda m: m.update(end_to_end_bound=float("inf")), ""),
    ("not a number", lambda m: m["layers"][0]["hoeffding"].update(radius=float("nan")), ""),
    ("a path", lambda m: m["weights"].update(file="../weights.npz"), "file"),
]


@pytest.mark.parametrize(
    ("change", "word"), [case[1:] for case in MISFITS], ids=[case[0] for case in MISFITS]
)
def test_a_manifest_of_another_schema(saved: Path, change: Change, word: str) -> None:
    rewrite(saved, change, seal=True)
    refused(saved, "not of this version's schema", word)


def test_seeds_and_constants_are_counted_apart(tmp_path: Path) -> None:
    path = save_design(planned("lfsr-lane"), tmp_path)

    def change(content: dict[str, Any]) -> None:
        content["layers"][0]["x_source"]["xor_constants"] = [0, 1]

    rewrite(path, change, seal=True)
    refused(path, "for [1, 2, 5] lanes, [1, 5] are possible")


def test_an_edit_without_trace_in_the_digest_passes(saved: Path) -> None:
    """The control for the tests above: `rewrite` itself does not spoil a manifest."""
    rewrite(saved, lambda m: None, seal=True)
    assert load_manifest(saved) == planned().manifest


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda m: m["compression"]["kept"][0].pop(), "kept are not those of the layers"),
        (lambda m: m["compression"]["recipe"].update(prune_threshold=-1), "prune_threshold"),
        (lambda m: m["compression"]["recipe"].update(synapse_error=0.1), "exclude each other"),
        (lambda m: m["precision"]["layers"].pop(), "a plan of 1 layers"),
        (lambda m: m["precision"].update(method="guess"), "method"),
        (lambda m: m["precision"].update(total_budget=0), "total_budget"),
    ],
)
def test_a_misfit_in_recipe_or_plan(tmp_path: Path, change: Change, word: str) -> None:
    path = save_design(compressed(), tmp_path / "design")
    assert load_design(load_manifest(path), path.parent).manifest == compressed().manifest
    rewrite(path, change, seal=True)
    refused(path, "not of this version's schema", word)


def test_a_weight_that_needs_more_bits_than_its_width(tmp_path: Path) -> None:
    path = save_design(compressed(), tmp_path)
    with np.load(tmp_path / "weights.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays["layer_1_widths"] = arrays["layer_1_widths"] * 0 + 1
    data = npz_bytes(arrays)
    (tmp_path / "weights.npz").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    rewrite(path, lambda m: m["weights"].update(sha256=digest), seal=True)
    with pytest.raises(ManifestError) as caught:
        load_design(load_manifest(path), tmp_path)
    check_message(caught.value, "layer layer_1 needs more bits than its width")


@pytest.mark.parametrize("name", ["manifest.json", "manifest.sha256", "weights.npz", "test.npz"])
def test_a_missing_file(saved: Path, name: str) -> None:
    saved.with_name(name).unlink()
    refused(saved, name, "cannot read")


@pytest.mark.parametrize("name", ["weights.npz", "test.npz"])
def test_an_edited_data_file(saved: Path, name: str) -> None:
    path = saved.with_name(name)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    refused(saved, name, "not the one that the manifest names")


@pytest.mark.parametrize("content", [b"", b"\n", b"0" * 64, b"\xff\xfe", b"manifest.json"])
def test_a_damaged_digest_file(saved: Path, content: bytes) -> None:
    saved.with_name("manifest.sha256").write_bytes(content)
    refused(saved, "SHA-256 differs")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"[]", b"null", b"{}", b"3", b"{" * 4000])
def test_something_else_instead_of_a_manifest(saved: Path, content: bytes) -> None:
    saved.write_bytes(content)
    refused(saved, "truncated or not of this version's schema")


def test_arrays_of_another_shape_than_the_manifest_says(tmp_path: Path) -> None:
    design, other = planned(), plan_design(small_network(np.random.default_rng(0), (5, 3, 3)))
    save_design(other, tmp_path)
    with pytest.raises(ManifestError) as caught:
        load_design(design.manifest, tmp_path)
    check_message(caught.value, "layer_0", "weights.npz")


def test_saving_replaces_what_was_there(tmp_path: Path) -> None:
    save_design(planned(), tmp_path)
    other = planned("lfsr")
    save_manifest(other.manifest, tmp_path)
    assert load_manifest(tmp_path / "manifest.json") == other.manifest
    assert not list(tmp_path.glob(".*"))


# --- JSON Schema ----------------------------------------------------------------------------------

JSON_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
CHECKS: dict[str, Callable[[Any, Any], bool]] = {
    "const": operator.eq,
    "enum": lambda value, rule: value in rule,
    "minimum": operator.ge,
    "maximum": operator.le,
    "exclusiveMinimum": operator.gt,
    "exclusiveMaximum": operator.lt,
    "minItems": lambda value, rule: len(value) >= rule,
    "maxItems": lambda value, rule: len(value) <= rule,
    "pattern": lambda value, rule: re.search(rule, value) is not None,
}
NOTES = {"$defs", "title", "description", "default", "discriminator"}


def complaints(value: Any, schema: dict[str, Any], root: dict[str, Any], at: str = "") -> list[str]:
    """Validate by the keywords of JSON Schema that the manifest's schema uses, and no others."""
    found: list[str] = []
    # The type first: the other rules are for values of it.
    for keyword, rule in sorted(schema.items(), key=lambda item: item[0] != "type"):
        if keyword in NOTES:
            continue
        if keyword == "$ref":
            found += complaints(value, root["$defs"][rule.rsplit("/", 1)[1]], root, at)
        elif keyword == "type":
            legal = isinstance(value, JSON_TYPES[rule])
            if not legal or (isinstance(value, bool) and rule != "boolean"):
                return [f"{at}: not of type {rule}"]
        elif keyword == "properties":
            for name in value.keys() & rule.keys():
                found += complaints(value[name], rule[name], root, f"{at}/{name}")
        elif keyword == "additionalProperties":
            extra = value.keys() - schema.get("properties", {}).keys()
            if rule is False:
                found += [f"{at}: unknown key {name}" for name in extra]
            else:
                for name in extra:
                    found += complaints(value[name], rule, root, f"{at}/{name}")
        elif keyword == "required":
            found += [f"{at}: no {name}" for name in rule if name not in value]
        elif keyword == "items":
            for index, item in enumerate(value):
                found += complaints(item, rule, root, f"{at}/{index}")
        elif keyword == "anyOf":
            if all(complaints(value, choice, root, at) for choice in rule):
                found.append(f"{at}: none of the choices")
        elif keyword == "oneOf":
            if sum(not complaints(value, choice, root, at) for choice in rule) != 1:
                found.append(f"{at}: not one of the choices")
        else:
            if not CHECKS[keyword](value, rule):
                found.append(f"{at}: {keyword} {rule}")
    return found


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("schema") / "manifest.schema.json"
    export_schema(path)
    content = json.loads(path.read_text())
    assert isinstance(content, dict)
    return content


@pytest.mark.parametrize("kind", KINDS)
def test_the_exported_schema_accepts_manifests(schema: dict[str, Any], kind: SourceKind) -> None:
    assert complaints(json.loads(canonical_bytes(planned(kind).manifest)), schema, schema) == []


def test_the_exported_schema_accepts_recipes_and_plans(schema: dict[str, Any]) -> None:
    assert complaints(json.loads(canonical_bytes(compressed().manifest)), schema, schema) == []


def test_the_exported_schema_requires_what_a_reader_needs(schema: dict[str, Any]) -> None:
    assert {"network", "operand_width", "weights", "test_data", "layers"} <= set(schema["required"])
    assert {"bitstream_length", "x_source", "w_source", "certificate", "hoeffding"} <= set(
        schema["$defs"]["Layer"]["required"]
    )


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda m: m.update(surprise=1), ": unknown key surprise"),
        (lambda m: m.pop("layers"), ": no layers"),
        (lambda m: m.update(schema_version="1"), "/schema_version: const certibit-manifest/2"),
        (lambda m: m.update(operand_width=16), "/operand_width: maximum 10"),
        (lambda m: m["weights"].update(file="a/b"), "/weights/file: pattern ^[^/\\\\]+$"),
        (lambda m: m["layers"][0].update(fan_in=2.5), "/layers/0/fan_in: not of type integer"),
        (
            lambda m: m["layers"][0]["x_source"].update(kind="dice"),
            "/layers/0/x_source: not one of the choices",
        ),
    ],
)
def test_the_exported_schema_refuses_misfits(
    schema: dict[str, Any], change: Change, complaint: str
) -> None:
    content = json.loads(canonical_bytes(planned().manifest))
    change(content)
    assert complaints(content, schema, schema) == [complaint]


def test_the_exported_schema_is_the_same_every_time(tmp_path: Path) -> None:
    export_schema(tmp_path / "one.json")
    export_schema(tmp_path / "two.json")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


# --- completeness ---------------------------------------------------------------------------------


def outside_counts(folder: Path) -> Any:
    """Run somebody else's program on a folder; -I keeps this project out of its reach."""
    command = [sys.executable, "-I", str(OUTSIDER), str(folder)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def check_outside(design: Design, folder: Path) -> None:
    save_design(design, folder)
    golden = GoldenNetwork(design.manifest, design.parameters).counts(design.features)
    assert outside_counts(folder) == [layer.tolist() for layer in golden]


@pytest.mark.parametrize("kind", KINDS)
def test_somebody_elses_program_finds_every_count(kind: SourceKind, tmp_path: Path) -> None:
    network = small_network(np.random.default_rng(3), (4, 5, 3, 2), scale_exponent=1, vectors=5)
    check_outside(plan_design(network, source=kind), tmp_path)


@pytest.mark.parametrize("seed", range(4))
def test_somebody_elses_program_on_any_sources(seed: int, tmp_path: Path) -> None:
    """Sources that no planner would choose, L below and above 2**K, not only powers of two."""
    rng = np.random.default_rng(seed)
    check_outside(random_design(rng, [3, 4, 3, 2], operand_width=3 + seed % 3), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("source", get_args(SourceKind))
@pytest.mark.parametrize(
    ("encoding", "adder", "activation", "streams"),
    [
        ("unipolar", "parallel-counter", "lif", True),
        ("unipolar", "mux", "step", False),
        ("bipolar", "parallel-counter", "lif", False),
        ("bipolar", "mux", "clip", False),
        ("sign-magnitude", "mux", "lif", True),
        ("sign-magnitude", "parallel-counter", "step", False),
    ],
)
def test_somebody_elses_program_on_every_style(
    source: SourceKind,
    encoding: Encoding,
    adder: Adder,
    activation: str,
    streams: bool,
    tmp_path: Path,
) -> None:
    network = sample_network(
        (4, 5, 3, 2),
        np.random.default_rng(7),
        operand_bits=4,
        scale_exponents=[-1] * 3,
        vectors=4,
        encoding=encoding,
        adder=adder,
        activation=activation,
        streams=streams,
    )
    check_outside(plan_design(network, [16], source), tmp_path)


def test_somebody_elses_program_imports_nothing_of_ours() -> None:
    text = OUTSIDER.read_text()
    assert re.findall(r"^(?:from|import) (\w+)", text, re.M) == [
        "json", "sys", "fractions", "math", "pathlib", "typing", "numpy",
    ]  # fmt: skip


def test_somebody_elses_program_quotes_the_manifest() -> None:
    """The words that it follows stand in every manifest."""
    said = " ".join(json.loads(canonical_bytes(planned().manifest))["arithmetic"].values())
    comments = "\n".join(
        line.split("# ", 1)[1] if "# " in line else "" for line in OUTSIDER.read_text().split("\n")
    )
    quotes = [" ".join(quote.split()) for quote in re.findall(r'"([^"]+)"', comments)]
    assert len(quotes) == 24
    for quote in quotes:
        assert quote in said


def test_the_manifest_names_everything_that_decides_a_count(tmp_path: Path) -> None:
    """A change of any field that the arithmetic names changes the counts somewhere."""
    design = planned("counter")
    path = save_design(design, tmp_path)
    before = outside_counts(tmp_path)
    source = design.manifest.layers[0].w_source
    changes: list[Change] = [
        lambda m: m["layers"][0]["w_source"].update(xor_constants=[source.xor_constants[0] ^ 6]),
        lambda m: m["layers"][0]["w_source"].update(reversed=False),
        lambda m: m["layers"][0].update(bitstream_length=12),
        lambda m: m["layers"][0].update(scale_exponent=-1),
        lambda m: m.update(operand_width=3),
    ]
    original = path.read_bytes()
    for change in changes:
        rewrite(path, change, seal=False)
        assert outside_counts(tmp_path) != before
        path.write_bytes(original)


def test_manifests_are_frozen() -> None:
    manifest = planned().manifest
    with pytest.raises(ValueError, match="frozen"):
        manifest.vectors = 3  # type: ignore[misc]
    assert isinstance(manifest, Manifest)
