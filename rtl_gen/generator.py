"""Renders the RTL of a design from its manifest and its integer weights."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from numpy.typing import NDArray

from model.manifest import CounterSource, Layer, LfsrSource, Manifest, manifest_digest
from model.plan import Design

HDL_FOLDER = Path(__file__).resolve().parent.parent / "hdl"
TOP_MODULE = "certibit_top"

# A bank is a word in the simulator: 64 neurons fill a native one.
BANK_NEURONS = 64

_AXIL_PORTS = tuple(
    f"s_axil_{channel}{signal}"
    for channel, signals in {
        "aw": ("addr", "prot", "valid", "ready"),
        "w": ("data", "strb", "valid", "ready"),
        "b": ("resp", "valid", "ready"),
        "ar": ("addr", "prot", "valid", "ready"),
        "r": ("data", "resp", "valid", "ready"),
    }.items()
    for signal in signals
)


def layer_module(index: int) -> str:
    """Return the name of a layer's module."""
    return f"certibit_layer_{index}"


def hdl_sources() -> list[Path]:
    """Return the hand-written primitives, in the order of their names."""
    return sorted(HDL_FOLDER.glob("*.v"))


def generate_rtl(design: Design, folder: Path) -> list[Path]:
    """Render a design's RTL into a folder, which appears only when it is complete.

    Parameters
    ----------
    design : Design
        The design.
    folder : pathlib.Path
        Folder for the generated files; an existing one is replaced.

    Returns
    -------
    list of pathlib.Path
        The generated files: one a layer, and the top.
    """
    texts = render_design(design)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for name, text in texts.items():
            (temporary / name).write_text(text)
        temporary.chmod(0o755)
        _replace_folder(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return [folder / name for name in texts]


def _replace_folder(new: Path, folder: Path) -> None:
    """Rename a complete folder to its final name; the old one is never seen half deleted."""
    if not folder.exists():
        new.rename(folder)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        folder.rename(aside / folder.name)
        try:
            new.rename(folder)
        except BaseException:
            (aside / folder.name).rename(folder)
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def render_design(design: Design) -> dict[str, str]:
    """Return the text of every generated file of a design, by file name.

    Parameters
    ----------
    design : Design
        The design.
    """
    manifest = design.manifest
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("rtl_gen"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    digest = manifest_digest(manifest)
    texts = {}
    for index, layer in enumerate(manifest.layers):
        context = _layer_context(
            manifest, layer, design.parameters.weights[index], design.parameters.biases[index]
        )
        texts[f"{layer_module(index)}.v"] = environment.get_template("layer.v.j2").render(
            digest=digest, index=index, module=layer_module(index), **context
        )
    last = manifest.layers[-1]
    texts[f"{TOP_MODULE}.v"] = environment.get_template("top.v.j2").render(
        digest=digest,
        manifest=manifest,
        module=TOP_MODULE,
        layer_modules=[layer_module(index) for index in range(len(manifest.layers))],
        beats=-(-manifest.layers[0].fan_in // manifest.features_per_beat),
        output_width=last.accumulator_width,
        output_planes=f"layer_{len(manifest.layers) - 1}_result",
        axil_ports=_AXIL_PORTS,
    )
    return texts


def _layer_context(
    manifest: Manifest,
    layer: Layer,
    weights: NDArray[np.integer],
    biases: NDArray[np.integer],
) -> dict[str, Any]:
    """Return what the layer template needs."""
    width = manifest.operand_width
    banks = [
        _bank_context(layer, width, weights, biases, first)
        for first in range(0, layer.outputs, BANK_NEURONS)
    ]
    result = _result_context(layer, width)
    return {
        "layer": layer,
        "bank_neurons": BANK_NEURONS,
        "operand_width": width,
        "cycle_width": (layer.bitstream_length - 1).bit_length(),
        "uses_cycle": any(
            isinstance(source, CounterSource) for source in (layer.x_source, layer.w_source)
        ),
        "sources": [
            _source_context("x", layer.x_source, width),
            _source_context("w", layer.w_source, width),
        ],
        "banks": banks,
        "joins": _joins([bank["neurons"] for bank in banks], result["result_width"]),
        **result,
    }


def _source_context(name: str, source: CounterSource | LfsrSource, width: int) -> dict[str, Any]:
    """Return the instance of one source and how its words spread over the lanes.

    Constants of a counter's lanes are inverters on one shared word; the registers of an LFSR's
    lanes are one instance.
    """
    lanes = source.lanes
    planes: list[str] = []
    if isinstance(source, CounterSource):
        title = (
            f"{'Bit-reversed' if source.reversed else 'Plain'} counter of the {name} comparators"
        )
        shared = source.xor_constants[0] if lanes == 1 else 0
        instance: dict[str, Any] = {
            "lanes": 1,
            "reversed": source.reversed,
            "xor": f"{width}'d{shared}",
        }
        if lanes > 1:
            planes = [
                f"{{FanIn{{{name}_word[{bit}]}}}} ^ {_plane(source.xor_constants, bit)}"
                for bit in range(width)
            ]
    else:
        title = f"Leap-ahead LFSR{'s' if len(source.seeds) > 1 else ''} of the {name} comparators"
        taps = sum(1 << (tap - 1) for tap in source.taps)
        constants = source.xor_constants * (lanes if len(source.xor_constants) == 1 else 1)
        seeds = source.seeds * (lanes if len(source.seeds) == 1 else 1)
        instance = {
            "lanes": lanes,
            "width": source.width,
            "step": source.step,
            "taps": f"{source.width}'h{taps:x}",
            "seed": _concatenation([f"{source.width}'h{seed:x}" for seed in reversed(seeds)]),
            "xor": _concatenation([f"{width}'d{part}" for part in reversed(constants)]),
        }
    return {
        "name": name,
        "kind": source.kind,
        "title": title,
        "instance": instance,
        "planes": planes,
        "shared": lanes == 1,
        "words": f"{name}_planes" if planes else f"{name}_word",
    }


def _bank_context(
    layer: Layer,
    width: int,
    weights: NDArray[np.integer],
    biases: NDArray[np.integer],
    first: int,
) -> dict[str, Any]:
    """Return the constants of one bank of neurons, most significant word first."""
    last = min(first + BANK_NEURONS, layer.outputs)
    part = weights[first:last].astype(np.int64)
    neurons = last - first
    magnitude_words: list[int] = []
    for plane in range(width + 1):
        for lane in range(layer.fan_in):
            magnitude_words.append(_word(np.abs(part[:, lane]) >> plane & 1))
    sign_words = [_word(part[:, lane] < 0) for lane in range(layer.fan_in)]
    slots, shifts = _compaction(part != 0)
    shift_words = [_word(row) for stage in shifts for row in stage]
    # Lanes of negative sign count their complement: the excess of one a cycle is known beforehand
    # unless inputs have signs of their own, in which case the hardware takes it off itself.
    excess = 0 if layer.input_signed else (part < 0).sum(axis=1) * layer.bitstream_length
    start = biases[first:last] - excess
    preload_words = [_word(start >> plane & 1) for plane in range(layer.accumulator_width)]
    return {
        "first": first,
        "neurons": neurons,
        "magnitude": _word_lines(magnitude_words, neurons, layer.fan_in, "plane"),
        "sign": _word_lines(sign_words, neurons, layer.fan_in, None),
        "slots": slots,
        "count_width": slots.bit_length(),
        "shift_stages": len(shifts),
        "shift": _word_lines(shift_words, neurons, layer.fan_in, "stage") if len(shifts) else "",
        "preload": _word_lines(preload_words, neurons, layer.accumulator_width, None),
    }


def _compaction(synapses: NDArray[np.bool_]) -> tuple[int, NDArray[np.bool_]]:
    """Return how the synapses of a bank close ranks, past the lanes without one.

    The compress network of H. S. Warren, "Hacker's Delight", 2nd edition, section 7-4: a synapse
    with z lanes without one below it moves down by z, in stages of 1, 2, 4, ...; no two ever meet.

    Parameters
    ----------
    synapses : numpy.ndarray
        Shape (neurons, fan_in), which lanes each neuron has a weight for.

    Returns
    -------
    slots : int
        The most synapses of any neuron, at least 1.
    shifts : numpy.ndarray
        Shape (stages, fan_in, neurons): what stands in this place before this stage moves down.
    """
    neurons, fan_in = synapses.shape
    slots = max(1, int(synapses.sum(axis=1).max()))
    neuron, lane = np.nonzero(synapses)
    distance = np.cumsum(~synapses, axis=1, dtype=np.int64)[neuron, lane]
    stages = int(distance.max(initial=0)).bit_length()
    if slots < fan_in:
        # Also where nothing has to move, as in a bank whose last lanes are empty.
        stages = max(stages, 1)
    shifts = np.zeros((stages, fan_in, neurons), dtype=np.bool_)
    for stage in range(stages):
        place = lane - distance % (1 << stage)
        shifts[stage, place, neuron] = distance >> stage & 1
    return slots, shifts


def _result_context(layer: Layer, width: int) -> dict[str, Any]:
    """Return the result stage of a layer."""
    if layer.activation == "none":
        return {
            "result": "count",
            "result_module": "sc_result_count",
            "result_parameters": {},
            "result_width": layer.accumulator_width,
            "cycles": layer.bitstream_length + 2 + layer.input_signed,
        }
    length, exponent = layer.bitstream_length, width + layer.scale_exponent
    if length & (length - 1) == 0:
        return {
            "result": "magnitude",
            "result_module": "sc_result_clip",
            "result_parameters": {
                "OperandWidth": "OperandWidth",
                "Shift": length.bit_length() - 1 - exponent,
            },
            "result_width": width,
            "cycles": length + 2 + layer.input_signed,
        }
    return {
        "result": "magnitude",
        "result_module": "sc_result_clip_divide",
        "result_parameters": {
            "OperandWidth": "OperandWidth",
            "LogMultiplier": max(exponent, 0),
            "Divisor": length << max(-exponent, 0),
        },
        "result_width": width,
        "cycles": length + width + 3 + layer.input_signed,
    }


def _joins(neurons: Sequence[int], result_width: int) -> dict[str, str | list[str]]:
    """Return the expressions that put the banks of a layer together, as many as fit on a line."""

    def wrapped(parts: Sequence[str], separator: str) -> str:
        lines = [""]
        for index, part in enumerate(parts):
            more = part + (separator if index < len(parts) - 1 else "")
            # 68 leaves room for "assign <name> = " on the first line.
            if lines[-1] and len(lines[-1] + more) > 68:
                lines.append("")
            lines[-1] += more
        return "\n    ".join(line.rstrip() for line in lines)

    banks = range(len(neurons))
    return {
        "acc_ready": wrapped([f"acc_ready_{bank}" for bank in banks], " && "),
        "result_valid": wrapped([f"result_valid_{bank}" for bank in banks], " && "),
        "planes": [
            wrapped(
                [
                    f"result_{bank}[{plane}*{neurons[bank]} +: {neurons[bank]}]"
                    for bank in reversed(banks)
                ],
                ", ",
            )
            for plane in range(result_width)
        ],
        "trace_count": wrapped([f"acc_{bank}" for bank in reversed(banks)], ", "),
    }


def _word(bits: NDArray[Any]) -> int:
    """Pack bits, element 0 least significant, into an integer."""
    return sum(1 << index for index, bit in enumerate(bits.tolist()) if bit)


def _word_lines(words: Sequence[int], bits: int, group: int, title: str | None) -> str:
    """Lay words out as the body of a concatenation, the last word first."""
    digits = -(-bits // 4)
    literal = [f"{bits}'h{word:0{digits}x}" for word in words]
    per_line = max(1, 92 // (len(literal[0]) + 2))
    lines: list[str] = []
    for start in range(len(words) - group, -1, -group):
        if title is not None:
            lines.append(f"    // {title} {start // group}, last lane first")
        chunk = literal[start : start + group][::-1]
        for at in range(0, len(chunk), per_line):
            lines.append("    " + ", ".join(chunk[at : at + per_line]) + ",")
    lines[-1] = lines[-1][:-1]
    return "\n".join(lines)


def _plane(constants: Sequence[int], bit: int) -> str:
    """Return the literal that holds one bit of every lane's constant."""
    chunks = []
    for first in range(0, len(constants), 64):
        part = constants[first : first + 64]
        word = sum((constant >> bit & 1) << lane for lane, constant in enumerate(part))
        chunks.append(f"{len(part)}'h{word:x}")
    return "{" + ",\n       ".join(reversed(chunks)) + "}"


def _concatenation(literals: Sequence[str]) -> str:
    """Return a concatenation, several literals a line."""
    if len(literals) == 1:
        return literals[0]
    lines = [", ".join(literals[at : at + 6]) for at in range(0, len(literals), 6)]
    return "{\n      " + ",\n      ".join(lines) + "}"
