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

from model.counting import select_width
from model.manifest import (
    CounterSource,
    HaltonSource,
    Layer,
    LfsrSource,
    LifNeuron,
    Manifest,
    SobolSource,
    Source,
    manifest_digest,
)
from model.plan import Design

HDL_FOLDER = Path(__file__).resolve().parent.parent / "hdl"
TEMPLATES_FOLDER = Path(__file__).resolve().parent / "templates"
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
        weights, biases = design.parameters.weights[index], design.parameters.biases[index]
        streamed = index > 0 and manifest.layers[index - 1].streams
        if works_by_cycles(layer, streamed=streamed):
            template = "cycle_layer.v.j2"
            context = _cycle_layer_context(manifest, layer, weights, biases, streamed=streamed)
        else:
            template = "layer.v.j2"
            context = _layer_context(manifest, layer, weights, biases)
        texts[f"{layer_module(index)}.v"] = environment.get_template(template).render(
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


def works_by_cycles(layer: Layer, *, streamed: bool) -> bool:
    """Return whether a layer is made of blocks that hand on signed increments, cycle by cycle.

    The others, which add up products of signs and magnitudes, have a bank that does it all.

    Parameters
    ----------
    layer : Layer
        The layer.
    streamed : bool
        Whether its inputs are the spikes of the layer before.
    """
    return (
        streamed
        or layer.encoding == "bipolar"
        or layer.adder == "mux"
        or layer.lif is not None
        or layer.w_source.sharing == "sng"
    )


def increment_width(layer: Layer) -> int:
    """Return the bits, sign included, of what the adder of a layer that works by cycles gives."""
    if layer.adder == "mux":
        return select_width(layer.fan_in) + 2
    return layer.fan_in.bit_length() + 1


def _cycle_layer_context(
    manifest: Manifest,
    layer: Layer,
    weights: NDArray[np.integer],
    biases: NDArray[np.integer],
    *,
    streamed: bool,
) -> dict[str, Any]:
    """Return what the template of layers that work by cycles needs."""
    width = manifest.operand_width
    word_width = layer.word_width(width)
    sources = [
        *([] if streamed else [_source_context("x", layer.x_source, word_width)]),
        _source_context("w", layer.w_source, word_width),
    ]
    if layer.select_source is not None:
        sources.append(_source_context("select", layer.select_source, select_width(layer.fan_in)))
    used = [layer.w_source, *([] if streamed else [layer.x_source])]
    used += [layer.select_source] if layer.select_source is not None else []
    levels = weights + (1 << width) if layer.encoding == "bipolar" else np.abs(weights)
    signs = np.zeros_like(weights) if layer.encoding == "bipolar" else np.minimum(weights, 0)
    sharing = 0 if layer.w_source.lanes == 1 else 1
    if layer.w_source.sharing == "sng" and layer.w_source.lanes == weights.size > 1:
        sharing = 2
    result = _result_context(layer, width)
    result["result_parameters"] = {
        key: width if key == "OperandWidth" else value
        for key, value in result["result_parameters"].items()
    }
    current_width = int(np.abs(biases).max()).bit_length() + 1
    return {
        "layer": layer,
        "streamed": streamed,
        "operand_width": width,
        "comparator_width": word_width,
        "cycle_width": max(1, (layer.bitstream_length - 1).bit_length()),
        "increment_width": increment_width(layer),
        "select_width": select_width(layer.fan_in),
        "uses_cycle": any(_counts_cycles(source) for source in used),
        "sources": sources,
        "weight_sharing": sharing,
        "w_words": sources[0 if streamed else 1]["words"],
        "magnitude": _magnitude_lines(levels, word_width),
        "sign": _sign_lines(signs),
        "preload": _preload_lines(biases, layer.accumulator_width),
        "current_width": current_width,
        "currents": _number_lines([int(bias) for bias in biases], current_width),
        "lif_parameters": {} if layer.lif is None else _lif_parameters(layer.lif),
        "trace": _trace(layer),
        **result,
        "cycles": result["cycles"] - layer.input_signed,
    }


def _counts_cycles(source: Source) -> bool:
    """Return whether a source is made of the layer's cycle counter."""
    return isinstance(source, CounterSource | SobolSource)


def _lif_parameters(neuron: LifNeuron) -> dict[str, str]:
    """Return the parameters of a bank of neurons."""
    return {
        "Width": str(neuron.width),
        "Gain": str(neuron.gain),
        "Leak": str(neuron.leak),
        "LeakShift": str(neuron.leak_shift),
        "Threshold": str(neuron.threshold),
        "ResetToValue": str(int(neuron.reset == "value")),
        "ResetValue": _integer(neuron.reset_value),
        "Refractory": str(neuron.refractory),
        "Floor": _integer(neuron.floor),
    }


def _integer(value: int) -> str:
    """Return a signed number as Verilog reads it; the lowest has no positive counterpart."""
    return "32'sh80000000" if value == -(1 << 31) else str(value)


def _trace(layer: Layer) -> list[str]:
    """Return the slices of the accumulators that lay them out in banks, the last first."""
    slices = []
    for first in range(0, layer.outputs, BANK_NEURONS):
        neurons = min(BANK_NEURONS, layer.outputs - first)
        slices += [
            f"acc[{plane}*Neurons + {first} +: {neurons}]"
            for plane in range(layer.accumulator_width)
        ]
    return slices[::-1] if layer.outputs > BANK_NEURONS else ["acc"]


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
        "comparator_width": width,
        "cycle_width": max(1, (layer.bitstream_length - 1).bit_length()),
        "uses_cycle": any(_counts_cycles(source) for source in layer.sources),
        "sources": [
            _source_context("x", layer.x_source, width),
            _source_context("w", layer.w_source, width),
        ],
        "banks": banks,
        "joins": _joins([bank["neurons"] for bank in banks], result["result_width"]),
        **result,
    }


def _source_context(name: str, source: Source, width: int) -> dict[str, Any]:
    """Return the instance of one source and how its words spread over the lanes.

    Lanes of one base word are wires and inverters behind one instance; the registers of an LFSR's
    lanes are one instance too. Bit k of lane i of M stands at ``k * M + i``.

    Parameters
    ----------
    name : str
        What the source's wires are named after: 'x', 'w' or 'select'.
    source : Source
        The source.
    width : int
        Bits of the words that the comparators see.
    """
    lanes = source.lanes
    registers = len(source.seeds) if isinstance(source, LfsrSource) else 1
    base_width = source.width if isinstance(source, LfsrSource) else width
    rotations = [rotation % base_width for rotation in source.rotations]
    # A rotation needs the whole register, else its upper bits are enough.
    word_width = base_width if any(rotations) else width
    spread = lanes != registers or any(rotations)
    instance: dict[str, Any] = {"lanes": registers, "word_width": word_width}
    constants = [0] if spread else source.xor_constants
    if isinstance(source, CounterSource):
        title = (
            f"{'Bit-reversed' if source.reversed else 'Plain'} counter of the {name} comparators"
        )
        instance["reversed"] = source.reversed
    elif isinstance(source, SobolSource):
        title = f"Sobol sequence, dimension {source.dimension}, of the {name} comparators"
        instance["counter_width"] = len(source.directions)
        instance["directions"] = _concatenation(
            [f"{width}'d{part}" for part in reversed(source.directions)]
        )
    elif isinstance(source, HaltonSource):
        title = f"Halton sequence in base {source.base} of the {name} comparators"
        instance |= {"base": source.base, "digits": source.digits}
    else:
        form = "Galois " if source.form == "galois" else ""
        plural = "s" if registers > 1 else ""
        title = f"Leap-ahead {form}LFSR{plural} of the {name} comparators"
        taps = sum(1 << (tap - 1) for tap in source.taps)
        constants = constants * (registers if len(constants) == 1 else 1)
        instance |= {
            "galois": source.form == "galois",
            "width": source.width,
            "step": source.step,
            "taps": f"{source.width}'h{taps:x}",
            "seed": _concatenation(
                [f"{source.width}'h{seed:x}" for seed in reversed(source.seeds)]
            ),
        }
    instance["xor"] = _concatenation([f"{word_width}'d{part}" for part in reversed(constants)])
    lane_count = "FanIn" if source.sharing == "lane" else str(lanes)
    context = {
        "name": name,
        "kind": source.kind,
        "title": title,
        "instance": instance,
        "width": width,
        "lane_count": lane_count,
        "shared": lanes == 1,
        "words": f"{name}_planes" if spread else f"{name}_word",
        "masks": {},
        "planes": [],
        "unused": False,
    }
    if spread:
        context |= _spread(name, source, width, word_width, rotations, lane_count)
    return context


def _spread(
    name: str,
    source: Source,
    width: int,
    word_width: int,
    rotations: Sequence[int],
    lane_count: str,
) -> dict[str, Any]:
    """Return the bit-planes of the lanes' words, made from the base word or the registers.

    With k the bit's number, bit ``word_width - width + k - rotation`` of the base word, modulo
    `word_width`, comes to stand there. Lanes of different rotations are masked and joined.
    """
    lanes = source.lanes

    def bit(place: int) -> str:
        if isinstance(source, LfsrSource) and len(source.seeds) > 1:
            return f"{name}_word[{place}*{lane_count} +: {lane_count}]"
        one = f"{name}_word[{place}]"
        return one if lanes == 1 else f"{{{lane_count}{{{one}}}}}"

    different = sorted(set(rotations))
    masks = {}
    if len(different) > 1:
        for rotation in different:
            chosen = [int(other == rotation) for other in rotations]
            masks[f"{name.capitalize()}Rotated{rotation}"] = _plane(chosen, 0)
    constants = source.xor_constants * (lanes if len(source.xor_constants) == 1 else 1)
    planes = []
    used = set()
    for plane in range(width):
        places = [(word_width - width + plane - rotation) % word_width for rotation in different]
        used.update(places)
        if masks:
            terms = [f"({bit(place)} & {mask})" for place, mask in zip(places, masks, strict=True)]
            text = "(" + " |\n     ".join(terms) + ")"
        else:
            text = bit(places[0])
        # Constants of a lane's own are written out in every plane, whatever they are.
        if len(source.xor_constants) > 1 or constants[0]:
            text += f" ^ {_plane(constants, plane)}"
        planes.append(text)
    return {"masks": masks, "planes": planes, "unused": len(used) < word_width}


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
    slots, shifts = _compaction(part != 0)
    shift_words = [_word(row) for stage in shifts for row in stage]
    # Lanes of negative sign count their complement: the excess of one a cycle is known beforehand
    # unless inputs have signs of their own, in which case the hardware takes it off itself.
    excess = 0 if layer.input_signed else (part < 0).sum(axis=1) * layer.bitstream_length
    return {
        "first": first,
        "neurons": neurons,
        "magnitude": _magnitude_lines(np.abs(part), width),
        "sign": _sign_lines(part),
        "slots": slots,
        "count_width": slots.bit_length(),
        "shift_stages": len(shifts),
        "shift": _word_lines(shift_words, neurons, layer.fan_in, "stage") if len(shifts) else "",
        "preload": _preload_lines(biases[first:last] - excess, layer.accumulator_width),
    }


def _magnitude_lines(magnitudes: NDArray[np.integer], width: int) -> str:
    """Return the words of the comparators' constants, plane by plane."""
    neurons, fan_in = magnitudes.shape
    words = [
        _word(magnitudes[:, lane] >> plane & 1)
        for plane in range(width + 1)
        for lane in range(fan_in)
    ]
    return _word_lines(words, neurons, fan_in, "plane")


def _sign_lines(weights: NDArray[np.integer]) -> str:
    """Return the words of the weights' signs."""
    neurons, fan_in = weights.shape
    return _word_lines(
        [_word(weights[:, lane] < 0) for lane in range(fan_in)], neurons, fan_in, None
    )


def _preload_lines(starts: NDArray[np.integer], width: int) -> str:
    """Return the words that the accumulators start from."""
    words = [_word(starts >> plane & 1) for plane in range(width)]
    return _word_lines(words, len(starts), width, None)


def _number_lines(numbers: Sequence[int], width: int) -> str:
    """Return numbers in two's complement, one after the other, the last first."""
    return _word_lines([number % (1 << width) for number in numbers], width, len(numbers), None)


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
    if layer.activation == "step":
        return {
            "result": "magnitude",
            "result_module": "sc_result_step",
            "result_parameters": {"OperandWidth": "OperandWidth"},
            "result_width": width,
            "cycles": layer.bitstream_length + 2 + layer.input_signed,
        }
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
