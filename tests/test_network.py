"""Reading a network folder: everything that can be wrong with it ends in one clear message."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from model.errors import CertibitError, InputError
from model.files import npz_bytes, read_npz
from model.forward import GoldenNetwork, accuracy, float_forward
from model.network import Network, check_layers, load_network
from model.plan import plan_design
from tests.builders import MNIST, NetworkFolder, check_message, small_network, snapshot

Spoil = Callable[[NetworkFolder], object]


@pytest.fixture
def folder() -> NetworkFolder:
    """A legal network of 5 -> 4 -> 3, 4-bit operands."""
    return NetworkFolder.of(small_network(np.random.default_rng(1)))


def refused(path: Path, *words: str) -> None:
    """Loading ends in one message and leaves the folder as it was."""
    before = snapshot(path) if path.is_dir() else {}
    with pytest.raises(InputError) as caught:
        load_network(path)
    check_message(caught.value, *words)
    assert str(path) in caught.value.where
    assert not path.is_dir() or snapshot(path) == before


def test_a_legal_folder_loads(folder: NetworkFolder, tmp_path: Path) -> None:
    network = load_network(folder.write(tmp_path))
    original = small_network(np.random.default_rng(1))
    assert network.description == original.description
    for one, two in zip(network.weights, original.weights, strict=True):
        assert one.dtype == np.float64
        assert np.array_equal(one, two)
    assert network.features.dtype == np.int16
    assert np.array_equal(network.features, original.features)
    assert np.array_equal(network.labels, original.labels)


def test_other_number_formats_are_taken(folder: NetworkFolder, tmp_path: Path) -> None:
    for name in folder.weights:
        folder.weights[name] = folder.weights[name].astype(np.float32)
    folder.test = {
        "features": np.abs(folder.test["features"]).astype(np.uint8),
        "labels": folder.test["labels"].astype(np.uint8),
    }
    network = load_network(folder.write(tmp_path))
    assert network.weights[0].dtype == network.biases[1].dtype == np.float64
    assert network.features.dtype == np.int16
    assert network.labels.dtype == np.int64


def put(name: str, at: tuple[int, ...], value: float) -> Spoil:
    """Spoil one number of a weight or bias array."""

    def spoil(folder: NetworkFolder) -> None:
        folder.weights[name][at] = value

    return spoil


def replace(name: str, array: NDArray[Any]) -> Spoil:
    """Replace a whole weight or bias array."""
    return lambda folder: folder.weights.update({name: array})


def features(array: NDArray[Any]) -> Spoil:
    return lambda folder: folder.test.update(features=array)


def labels(array: NDArray[Any]) -> Spoil:
    return lambda folder: folder.test.update(labels=array)


W0, B0, W1, B1 = "layer_0_weights", "layer_0_biases", "layer_1_weights", "layer_1_biases"

BAD_ARRAYS: dict[str, tuple[Spoil, tuple[str, ...]]] = {
    "NaN weight": (put(W0, (1, 2), math.nan), ("weight (1, 2) of layer layer_0 is nan",)),
    "infinite weight": (put(W1, (2, 3), math.inf), ("weight (2, 3) of layer layer_1 is inf",)),
    "minus infinity": (put(W0, (0, 0), -math.inf), ("weight (0, 0) of layer layer_0 is -inf",)),
    "NaN bias": (put(B1, (2,), math.nan), ("bias (2,) of layer layer_1 is nan",)),
    "infinite bias": (put(B0, (0,), math.inf), ("bias (0,) of layer layer_0 is inf",)),
    "beyond the scale": (
        put(W1, (0, 1), -1.25),
        ("weight (0, 1) of layer layer_1 is -1.25, beyond the scale", "scale_exponent"),
    ),
    "just beyond": (put(W0, (3, 4), np.nextafter(1, 2)), ("weight (3, 4)", "beyond the scale")),
    "no chain": (
        replace(W1, np.zeros((3, 5))),
        ("layer layer_1 takes 5 inputs, but layer layer_0 has 4 outputs",),
    ),
    "a vector for a matrix": (replace(W0, np.zeros(20)), ("shape (20,)", "matrix")),
    "no outputs": (replace(W1, np.zeros((0, 4))), ("shape (0, 4)", "at least one")),
    "no inputs": (replace(W0, np.zeros((4, 0))), ("shape (4, 0)", "at least one")),
    "a bias too many": (replace(B0, np.zeros(5)), ("biases of layer layer_0", "(5,)", "4 outputs")),
    "a bias matrix": (replace(B1, np.zeros((3, 1))), ("biases of layer layer_1", "(3, 1)")),
    "integer weights": (replace(W0, np.zeros((4, 5), int)), ("type int64", "float32 or float64")),
    "complex weights": (replace(W0, np.zeros((4, 5), complex)), ("type complex128",)),
    "text": (replace(B0, np.array(["a"] * 4)), ("bias array of layer layer_0 has type <U1",)),
    "missing weights": (lambda f: f.weights.pop(W1), ("layer_1_weights", "missing")),
    "missing biases": (lambda f: f.weights.pop(B0), ("layer_0_biases", "missing")),
    "missing features": (lambda f: f.test.pop("features"), ("features", "missing")),
    "missing labels": (lambda f: f.test.pop("labels"), ("labels", "missing")),
    "feature too large": (
        features(np.eye(7, 5, dtype=np.int16) * 16),
        ("feature 0 of vector 0 is 16, out of range", "-15 to 15"),
    ),
    "feature too small": (
        features(np.eye(7, 5, 1, dtype=np.int8) * -16),
        ("feature 1 of vector 0 is -16, out of range",),
    ),
    "the smallest int16": (
        features(np.full((1, 5), -32768, dtype=np.int16)),
        ("is -32768, out of range",),
    ),
    "a large unsigned feature": (
        features(np.full((7, 5), 2**64 - 1, dtype=np.uint64)),
        ("is 18446744073709551615, out of range",),
    ),
    "too few features": (features(np.zeros((7, 4), np.int16)), ("(7, 4)", "(vectors, 5)")),
    "one vector, flat": (features(np.zeros(5, np.int16)), ("(5,)", "(vectors, 5)")),
    "no vectors": (features(np.zeros((0, 5), np.int16)), ("(0, 5)", "at least one vector")),
    "float features": (features(np.zeros((7, 5))), ("type float64", "integer magnitudes")),
    "boolean features": (features(np.zeros((7, 5), bool)), ("type bool",)),
    "too few labels": (labels(np.zeros(6, int)), ("labels have shape (6,)", "7 vectors")),
    "a label matrix": (labels(np.zeros((7, 1), int)), ("labels have shape (7, 1)",)),
    "float labels": (labels(np.zeros(7)), ("float64", "integer")),
    "a label too many": (
        labels(np.array([0, 1, 2, 3, 0, 0, 0])),
        ("label of vector 3 is 3", "0 to 2"),
    ),
    "a negative label": (labels(np.array([0, -1] + [0] * 5)), ("label of vector 1 is -1",)),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_bad_arrays(folder: NetworkFolder, tmp_path: Path, case: str) -> None:
    spoil, words = BAD_ARRAYS[case]
    spoil(folder)
    refused(folder.write(tmp_path), *words)


def test_a_negative_feature_without_sign(folder: NetworkFolder, tmp_path: Path) -> None:
    folder.description["input_signed"] = False
    features(np.eye(7, 5, dtype=np.int16) * -1)(folder)
    refused(folder.write(tmp_path), "feature 0 of vector 0 is -1", "0 to 15", "input_signed")
    features(np.eye(7, 5, dtype=np.int16))(folder)
    assert not load_network(folder.write(tmp_path)).description.input_signed


@pytest.mark.parametrize("value", [1.0, -1.0])
def test_weights_of_one_are_legal(folder: NetworkFolder, tmp_path: Path, value: float) -> None:
    put(W0, (0, 0), value)(folder)
    assert load_network(folder.write(tmp_path)).weights[0][0, 0] == value


BAD_DESCRIPTIONS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no layers": (lambda d: d.update(layers=[]), "layers"),
    "no name": (lambda d: d.pop("name"), "name"),
    "a name with a blank": (lambda d: d.update(name="a b"), "name"),
    "a name of 65 letters": (lambda d: d.update(name="a" * 65), "name"),
    "a layer name with a quote": (lambda d: d["layers"][0].update(name='a"'), "layers/0/name"),
    "operands of no bits": (lambda d: d.update(operand_bits=0), "operand_bits"),
    "operands of 16 bits": (lambda d: d.update(operand_bits=16), "operand_bits"),
    "confidence of one": (lambda d: d.update(confidence=1), "confidence"),
    "unknown activation": (
        lambda d: d["layers"][0].update(activation="tanh"),
        "layers/0/activation",
    ),
    "unknown key": (lambda d: d.update(colour="red"), "colour"),
    "a length in words": (
        lambda d: d["layers"][1].update(bitstream_length="long"),
        "layers/1/bitstream_length",
    ),
    "half a cycle": (
        lambda d: d["layers"][1].update(bitstream_length=2.5),
        "layers/1/bitstream_length",
    ),
    "a wild exponent": (
        lambda d: d["layers"][0].update(scale_exponent=17),
        "layers/0/scale_exponent",
    ),
    "an accumulator wider than the output": (
        lambda d: d["layers"][0].update(accumulator_width=33),
        "layers/0/accumulator_width",
    ),
    "an accumulator of no bits": (
        lambda d: d["layers"][0].update(accumulator_width=0),
        "layers/0/accumulator_width",
    ),
    "no features a beat": (lambda d: d.update(features_per_beat=0), "features_per_beat"),
}


@pytest.mark.parametrize("case", BAD_DESCRIPTIONS)
def test_bad_descriptions(folder: NetworkFolder, tmp_path: Path, case: str) -> None:
    spoil, word = BAD_DESCRIPTIONS[case]
    spoil(folder.description)
    refused(folder.write(tmp_path), word, "network.json", "docs/networks.md")


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"name": "small",}', b"[]", b"null", b"\xff\xfe", b"NaN", b"[" * 9999]
)
def test_a_malformed_description(folder: NetworkFolder, tmp_path: Path, content: bytes) -> None:
    folder.write(tmp_path)
    (tmp_path / "network.json").write_bytes(content)
    refused(tmp_path, "network.json")


@pytest.mark.parametrize("name", ["network.json", "weights.npz", "test.npz"])
def test_a_missing_file(folder: NetworkFolder, tmp_path: Path, name: str) -> None:
    folder.write(tmp_path)
    (tmp_path / name).unlink()
    refused(tmp_path, name, "No such file")


def test_a_missing_folder(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "network.json", "No such file", "NET")


def test_a_file_for_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "network"
    path.write_text("")
    with pytest.raises(InputError) as caught:
        load_network(path)
    check_message(caught.value, str(path), "Not a directory")


def test_a_folder_for_a_file(folder: NetworkFolder, tmp_path: Path) -> None:
    folder.write(tmp_path)
    (tmp_path / "weights.npz").unlink()
    (tmp_path / "weights.npz").mkdir()
    refused(tmp_path, "weights.npz", "Is a directory")


@pytest.mark.parametrize("name", ["weights.npz", "test.npz"])
@pytest.mark.parametrize("part", [0.0, 0.3, 0.7, 0.99])
def test_a_truncated_file(folder: NetworkFolder, tmp_path: Path, name: str, part: float) -> None:
    path = folder.write(tmp_path) / name
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    refused(tmp_path, name, "not a whole .npz file")


def other_files() -> dict[str, bytes]:
    """What may stand in place of an ``.npz``."""
    plain, pickled, odd = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.save(plain, np.zeros(3))
    np.savez(pickled, **{W0: np.array([{}], dtype=object)})  # type: ignore[arg-type]
    with zipfile.ZipFile(odd, "w") as archive:
        archive.writestr("text.npy", b"no array")
        archive.writestr(W0, b"no array")
    return {
        "an array alone": plain.getvalue(),
        "a pickle in it": pickled.getvalue(),
        "another archive": odd.getvalue(),
        "text": b"weights",
    }


@pytest.mark.parametrize("case", sorted(other_files()))
def test_another_file(folder: NetworkFolder, tmp_path: Path, case: str) -> None:
    path = folder.write(tmp_path) / "weights.npz"
    path.write_bytes(other_files()[case])
    refused(tmp_path, "weights.npz")


def test_no_flipped_bit_ends_in_another_error(tmp_path: Path) -> None:
    """Zip, deflate and numpy headers fail in many ways: all end in the same message."""
    data = npz_bytes({"a": np.arange(20, dtype=np.int16).reshape(4, 5)})
    path = tmp_path / "a.npz"
    caught = 0
    for position in range(len(data)):
        for bit in (0, 3, 5, 7):
            spoilt = bytearray(data)
            spoilt[position] ^= 1 << bit
            path.write_bytes(spoilt)
            try:
                array = read_npz(path, {"a": "an array"}, InputError, "mend it")["a"]
            except CertibitError as error:
                check_message(error, str(path), "mend it")
                caught += 1
            else:
                # Zip keeps some facts that nobody reads, such as dates.
                assert np.array_equal(array.reshape(-1), np.arange(20))
    assert caught > len(data)


def test_an_empty_network() -> None:
    with pytest.raises(InputError) as caught:
        check_layers([], [], [], "weights.npz")
    check_message(caught.value, "no layers", "weights.npz")


# --- the shipped network --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mnist() -> Network:
    return load_network(MNIST)


def test_the_shipped_network_is_what_it_says(mnist: Network) -> None:
    assert [weight.shape for weight in mnist.weights] == [(128, 50), (10, 128)]
    assert mnist.features.shape == (10000, 50)
    assert np.bincount(mnist.labels).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip
    assert accuracy(float_forward(mnist, mnist.features)[-1], mnist.labels) >= 0.975
    assert sum(path.stat().st_size for path in MNIST.glob("*.npz")) < 1_000_000
    assert "CC BY-SA" in json.loads((MNIST / "network.json").read_text())["attribution"]


@pytest.mark.parametrize(("length", "least"), [(256, 0.975), (32, 0.97)])
def test_the_shipped_network_in_bitstreams(mnist: Network, length: int, least: float) -> None:
    design = plan_design(mnist, [length])
    counts = GoldenNetwork(design.manifest, design.parameters).counts(design.features)
    assert accuracy(counts[-1], design.labels) >= least


def test_a_layer_too_wide_for_the_registers() -> None:
    weight = np.zeros((1, 65_536))
    with pytest.raises(InputError, match="use at most 65535 inputs and outputs"):
        check_layers(["wide"], [weight], [np.zeros(1)], "here")


def test_two_layers_of_one_name(folder: NetworkFolder, tmp_path: Path) -> None:
    folder.description["layers"][1]["name"] = folder.description["layers"][0]["name"]
    refused(folder.write(tmp_path), "two layers are called")


@pytest.mark.parametrize("bits", [0, 11])
def test_operands_of_a_width_that_no_table_is_made_for(
    folder: NetworkFolder, tmp_path: Path, bits: int
) -> None:
    folder.description["operand_bits"] = bits
    refused(folder.write(tmp_path), "operand_bits")
