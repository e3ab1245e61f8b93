"""Records of plans: frozen, validated, and the same bytes for the same plan."""

from __future__ import annotations

import json
import math
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest

from model.errors import InputError
from model.length_planner import assign_lengths
from model.precision import (
    LayerPrecision,
    PrecisionPlan,
    SynapsePrecision,
    precision_plan_manifest,
)
from tests.builders import check_message

LAYER = LayerPrecision(1, "b", 64, 0.25, 0.5, 0.95, "hoeffding", True, cost_per_cycle=2.0)
SYNAPSE = SynapsePrecision(0, "a", 1, 2, 8, 64, 1.0, 0.125, 0.25, 0.375)


@pytest.mark.parametrize("record", [LAYER, SYNAPSE])
def test_records_are_frozen(record: LayerPrecision | SynapsePrecision) -> None:
    with pytest.raises(FrozenInstanceError):
        record.bitstream_length = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("layer_index", -1, ("-1", "0 or more")),
        ("layer_index", 0.5, ("0.5", "integer")),
        ("name", " ", ("name", "not empty")),
        ("bitstream_length", 0, ("0", "1 or more")),
        ("bitstream_length", True, ("True",)),
        ("error_bound", -0.1, ("-0.1", "0 or more")),
        ("error_bound", math.nan, ("nan", "finite")),
        ("error_bound", math.inf, ("inf", "finite")),
        ("error_bound", "0.1", ("'0.1'",)),
        ("sensitivity", -1e-9, ("-1e-09", "0 or more")),
        ("confidence", 0.0, ("0", "(0, 1)")),
        ("confidence", 1.0, ("1", "(0, 1)")),
        ("method", "bernstein", ("'bernstein'", "'hoeffding'", "'certificate'")),
        ("method", "certificate", ("confidence", "0.95", "1.0")),
        ("meets_target", 1, ("meets_target", "True or False")),
        ("per", "max", ("'max'", "'sum'")),
        ("cost_per_cycle", 0, ("cost_per_cycle", "above 0")),
        ("theorem", "", ("theorem", "not empty")),
    ],
)
def test_a_layer_outside_its_range(field: str, value: Any, words: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as caught:
        replace(LAYER, **{field: value})
    check_message(caught.value, *words)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("layer_index", -1, ("-1",)),
        ("output_index", -1, ("output_index", "-1")),
        ("input_index", 1.5, ("input_index", "1.5")),
        ("layer_name", "", ("layer_name", "not empty")),
        ("bit_width", 0, ("bit_width", "1 or more")),
        ("bitstream_length", -4, ("-4",)),
        ("sensitivity", -1.0, ("sensitivity", "-1")),
        ("quantization_error_bound", math.nan, ("nan",)),
        ("stochastic_error_bound", -0.25, ("-0.25",)),
        ("total_error_bound", 0.2, ("0.2", "sum of its parts, 0.375")),
        ("confidence", 1.5, ("1.5", "(0, 1)")),
        ("target_error", 0.0, ("target_error", "above 0")),
        ("meets_target", None, ("None",)),
    ],
)
def test_a_synapse_outside_its_range(field: str, value: Any, words: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as caught:
        replace(SYNAPSE, **{field: value})
    check_message(caught.value, *words)


def test_a_certificate_is_certain_and_zero_is_legal() -> None:
    certain = replace(LAYER, method="certificate", confidence=1.0, error_bound=0.0, sensitivity=0)
    assert certain.confidence == 1.0
    assert SYNAPSE.to_dict()["total_error_bound"] == 0.375
    assert LAYER.to_dict()["cost_per_cycle"] == 2.0


def test_manifests_do_not_depend_on_the_order_and_are_json() -> None:
    other = replace(LAYER, layer_index=0, name="a", bitstream_length=16, meets_target=False)
    manifest = precision_plan_manifest([LAYER, other])
    assert json.dumps(manifest) == json.dumps(precision_plan_manifest((other, LAYER)))
    assert json.loads(json.dumps(manifest, allow_nan=False)) == manifest
    assert manifest["total_length"] == 80
    assert manifest["total_cost"] == 160.0
    assert manifest["meets_target"] is False
    assert [entry["name"] for entry in manifest["layers"]] == ["a", "b"]  # type: ignore[attr-defined]


def test_the_manifest_of_synapses_sums_up_each_layer() -> None:
    other = replace(SYNAPSE, layer_index=1, layer_name="b", bit_width=4)
    third = replace(SYNAPSE, input_index=3, bitstream_length=512, meets_target=False)
    manifest = precision_plan_manifest([other, third, SYNAPSE])
    assert json.dumps(manifest) == json.dumps(precision_plan_manifest([SYNAPSE, other, third]))
    assert manifest["layers"] == [
        {
            "layer_index": 0,
            "layer_name": "a",
            "synapses": 2,
            "total_bits": 16,
            "longest_bitstream": 512,
            "largest_error_bound": 0.375,
            "meets_target": False,
        },
        {
            "layer_index": 1,
            "layer_name": "b",
            "synapses": 1,
            "total_bits": 4,
            "longest_bitstream": 64,
            "largest_error_bound": 0.375,
            "meets_target": True,
        },
    ]
    assert manifest["synapses"] == [entry.to_dict() for entry in (SYNAPSE, third, other)]


def test_the_manifest_of_a_whole_plan() -> None:
    first = replace(LAYER, layer_index=0, name="a")
    plan = PrecisionPlan(
        (first, LAYER), "hoeffding", "lfsr", "output", 0.5, None, 0.4, 0.95, 1, "sum"
    )
    manifest = precision_plan_manifest(plan)
    assert manifest["end_to_end_bound"] == 0.4
    assert manifest["layers"] == [first.to_dict(), LAYER.to_dict()]
    assert plan.precision_map == {"a": first, "b": LAYER}
    assert plan.lengths == [64, 64]
    assert plan.total_cost == 256.0
    assert plan.meets_target


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ([], ("0 entries", "at least one")),
        ([LAYER, SYNAPSE], ("1 layers, 1 synapses", "one kind")),
        ([LAYER, "x"], ("2 entries", "one kind")),
        ([LAYER, LAYER], ("two entries for (1,)", "once")),
        ([SYNAPSE, SYNAPSE], ("two entries for (0, 1, 2)", "once")),
    ],
)
def test_manifests_of_no_plan(plan: Any, words: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as caught:
        precision_plan_manifest(plan)
    check_message(caught.value, *words)


@pytest.mark.parametrize(
    "arguments",
    [
        {"target_error": 10**400},
        {"target_error": 10**5000},
        {"min_length": 10**5000},
        {"min_length": np.arange(100)},
        {"method": np.array(["hoeffding", "certificate"])},
    ],
)
def test_a_refusal_of_anything_is_one_line(arguments: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        assign_lengths([np.array([[0.5]])], **arguments)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200
