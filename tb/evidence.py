"""The evidence of a sign-off: counts that a simulator produced, and the manifest's digest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.errors import SignoffError
from model.files import npz_bytes, read_npz, write_bytes_atomically
from model.manifest import Manifest, manifest_digest

COUNTS_FILE = "counts_rtl.npz"
_AGAIN = "simulate again (make)"


def save_counts(manifest: Manifest, counts: Sequence[NDArray[np.int64]], path: Path) -> None:
    """Write measured counts.

    Parameters
    ----------
    manifest : Manifest
        The design that was simulated.
    counts : sequence of numpy.ndarray
        For each layer, shape (vectors, outputs): signed counts.
    path : pathlib.Path
        The ``.npz`` to write: ``vectors`` (rows of the test features), ``layer_0``, ``layer_1``,
        ..., and ``manifest_sha256``.
    """
    arrays: dict[str, NDArray[np.generic]] = {"vectors": np.arange(len(counts[0]))}
    for index, count in enumerate(counts):
        arrays[f"layer_{index}"] = count.astype(np.int32)
    digest = bytes.fromhex(manifest_digest(manifest))
    arrays["manifest_sha256"] = np.frombuffer(digest, dtype=np.uint8)
    write_bytes_atomically(path, npz_bytes(arrays))


def load_counts(
    manifest: Manifest, path: Path
) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """Read measured counts and check that they belong to a manifest.

    Parameters
    ----------
    manifest : Manifest
        The design.
    path : pathlib.Path
        What `save_counts` wrote.

    Returns
    -------
    vectors : numpy.ndarray
        Shape (vectors,): rows of the test features.
    counts : list of numpy.ndarray
        For each layer, shape (vectors, outputs), int64.

    Raises
    ------
    SignoffError
        If the file is missing or damaged, or was measured on another design.
    """
    names = {"vectors": "rows of the test features", "manifest_sha256": "the design's identity"}
    for index, layer in enumerate(manifest.layers):
        names[f"layer_{index}"] = f"counts of layer {layer.name}"
    arrays = read_npz(path, names, SignoffError, _AGAIN)
    if arrays["manifest_sha256"].tobytes().hex() != manifest_digest(manifest):
        raise SignoffError("counts measured on another manifest's RTL", str(path), _AGAIN)
    vectors = arrays["vectors"].astype(np.int64)
    counts = []
    for index, layer in enumerate(manifest.layers):
        count = arrays[f"layer_{index}"]
        if count.shape != (len(vectors), layer.outputs):
            raise SignoffError(
                f"counts of layer {layer.name} have shape {count.shape}", str(path), _AGAIN
            )
        counts.append(count.astype(np.int64))
    return vectors, counts
