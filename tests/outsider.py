"""Somebody else's program: recomputes every hardware count of a design from its folder alone.

It reads ``manifest.json`` and the two files that the manifest names, follows the manifest's own
words (quoted below), and imports nothing of Certibit. It prints, as JSON, the counts of every layer
for every vector. tests/test_manifest.py runs it apart and compares.

    python -I outsider.py FOLDER
"""

import json
import sys
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import Any

import numpy as np


def entry(entries: list[int], lane: int) -> int:
    """Return the lane's entry, or the only one."""
    # "it takes the i-th seed, rotation and XOR constant, or the only one"
    return entries[lane] if len(entries) > 1 else entries[0]


def base_words(source: dict[str, Any], lane: int, length: int, width: int) -> list[list[int]]:
    """List the base words of one lane as bits, the most significant first."""
    words = []
    if source["kind"] == "counter":
        # "the bits of t as a word of `width` bits, last bit first if `reversed`; its word_width
        # most significant bits, zeros below where it has fewer"
        for t in range(length):
            bits = [t >> place & 1 for place in range(source["width"])]
            if not source["reversed"]:
                bits.reverse()
            words.append((bits + [0] * width)[:width])
    elif source["kind"] == "sobol":
        # "the XOR of directions[k] over the bits k that are set in t"
        for t in range(length):
            word = 0
            for k, direction in enumerate(source["directions"]):
                word ^= direction * (t >> k & 1)
            words.append([word >> width - 1 - place & 1 for place in range(width)])
    elif source["kind"] == "halton":
        # "floor(2**word_width * sum over k of d_k / base**(k + 1)), d_k the digits of t in that
        # base, the least significant first"
        base = source["base"]
        for t in range(length):
            point, rest, value = Fraction(1, base), t, Fraction(0)
            while rest:
                value += rest % base * point
                rest, point = rest // base, point / base
            word = floor(2**width * value)
            words.append([word >> width - 1 - place & 1 for place in range(width)])
    else:
        size = source["width"]
        state = entry(source["seeds"], lane)
        for _ in range(length):
            words.append([state >> size - 1 - place & 1 for place in range(size)])
            for _ in range(source["step"]):
                # "a shift moves the state one bit up, without the bit that leaves"
                leaving = state >> size - 1
                if source["form"] == "fibonacci":
                    # "the XOR of the bits numbered tap - 1 (0 is the least significant) enters at
                    # bit 0"
                    entering = sum(state >> tap - 1 & 1 for tap in source["taps"]) % 2
                    state = (2 * state + entering) % 2**size
                else:
                    # "if the bit that left was 1, the bits numbered width - tap are inverted"
                    state = 2 * state % 2**size
                    for tap in source["taps"]:
                        state ^= leaving << size - tap
    return words


def numbers(source: dict[str, Any], lane: int, length: int, width: int) -> list[int]:
    """List r(t) of one lane."""
    result = []
    for bits in base_words(source, lane, length, width):
        # "rotated left by the lane's rotation within its bits, its word_width most significant
        # bits, XOR the lane's constant"
        turn = entry(source["rotations"], lane) % len(bits)
        turned = (bits[turn:] + bits[:turn])[:width]
        word = sum(bit << width - 1 - at for at, bit in enumerate(turned))
        result.append(word ^ entry(source["xor_constants"], lane))
    return result


def spikes(neuron: dict[str, Any], increments: list[int], current: int) -> list[int]:
    """List the spikes of a neuron."""
    # "v = 0 with every vector; in each cycle but the `refractory` ones after a spike"
    v, resting, fired = 0, 0, []
    for increment in increments:
        if resting:
            resting -= 1
            fired.append(0)
            continue
        # "min(max(v + gain * I_j(t) + current - leak - (floor(v / 2**leak_shift) if leak_shift > 0
        # else 0), floor), 2**(width - 1) - 1)"
        leak = neuron["leak"]
        if neuron["leak_shift"] > 0:
            leak += v // 2 ** neuron["leak_shift"]
        v = max(v + neuron["gain"] * increment + current - leak, neuron["floor"])
        v = min(v, 2 ** (neuron["width"] - 1) - 1)
        # "a spike if v >= threshold, then v = v - threshold (reset subtract) or v = reset_value"
        fired.append(int(v >= neuron["threshold"]))
        if fired[-1]:
            resting = neuron["refractory"]
            v = v - neuron["threshold"] if neuron["reset"] == "subtract" else neuron["reset_value"]
    return fired


def streams_of(layer: dict[str, Any], vector: list[int], width: int) -> list[list[int]]:
    """List the input streams of a layer, lane by lane."""
    bipolar = layer["encoding"] == "bipolar"
    length = layer["bitstream_length"]
    streams = []
    for lane, x in enumerate(vector):
        # "its magnitude in unipolar and sign-magnitude encoding, 2**operand_width + operand in
        # bipolar encoding"
        level = 2**width + x if bipolar else abs(x)
        # "bit(t) = 1 if r(t) < a else 0"
        words = numbers(layer["x_source"], lane, length, width + bipolar)
        streams.append([int(word < level) for word in words])
    return streams


def main(folder: Path) -> list[list[list[int]]]:
    """Return counts[layer][vector][output]."""
    manifest = json.loads((folder / "manifest.json").read_text())
    parameters = np.load(folder / manifest["weights"]["file"])
    width = manifest["operand_width"]
    inputs = np.load(folder / manifest["test_data"]["file"])["features"].tolist()
    counts: list[list[list[int]]] = []
    streamed: list[list[list[int]]] | None = None
    for number, layer in enumerate(manifest["layers"]):
        length, fan_in = layer["bitstream_length"], layer["fan_in"]
        bipolar = layer["encoding"] == "bipolar"
        weights = parameters[f"layer_{number}_weights"].tolist()
        biases = parameters[f"layer_{number}_biases"].tolist()
        own = layer["w_source"]["sharing"] == "sng"
        # "synapse (i, j) takes those numbered i * outputs + j"
        w_words = [
            [
                numbers(
                    layer["w_source"], i * layer["outputs"] + j if own else i, length,
                    width + bipolar,
                )
                for i in range(fan_in)
            ]
            for j in (range(layer["outputs"]) if own else [0])
        ]  # fmt: skip
        # "b = bits of (fan_in - 1), at least 1"
        bits = max(1, (fan_in - 1).bit_length())
        select = layer["select_source"] and numbers(layer["select_source"], 0, length, bits)
        counts.append([])
        spiked: list[list[list[int]]] = []
        for position, vector in enumerate(inputs):
            if streamed is None:
                x_streams, x_signs = streams_of(layer, vector, width), vector
            else:
                # "the next layer's x_i(t) is the spike of neuron i in cycle t"
                x_streams, x_signs = streamed[position], [1] * fan_in
            counts[-1].append([])
            spiked.append([])
            for neuron, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
                increments = [0] * length
                for lane in range(fan_in):
                    x, w = x_signs[lane], weight[lane]
                    level = 2**width + w if bipolar else abs(w)
                    sign = -1 if (x < 0) != (w < 0) and not bipolar else 1
                    words = w_words[neuron if own else 0][lane]
                    for t in range(length):
                        one = words[t] < level
                        if bipolar:
                            # "p_ij(t) = 1 if x_i(t) = w_ij(t) else -1"
                            product = 1 if x_streams[lane][t] == one else -1
                        else:
                            # "p_ij(t) = x_i(t) AND w_ij(t), counted with the sign sign(x_i) *
                            # sign(w_ij)"
                            product = sign * (x_streams[lane][t] and one)
                        if select is None:
                            # "I_j(t) = sum over i of the signed p_ij(t)"
                            increments[t] += product
                        elif select[t] == lane:
                            # "I_j(t) = 2**b times the signed p_ij(t) of lane i"
                            increments[t] += 2**bits * product
                if layer["lif"]:
                    spiked[-1].append(spikes(layer["lif"], increments, bias))
                    # "S_j = the number of spikes"
                    counts[-1][-1].append(sum(spiked[-1][-1]))
                else:
                    # "S_j = bias_j + sum over t of I_j(t)"
                    counts[-1][-1].append(bias + sum(increments))
        streamed = spiked if layer["streams"] else None
        if layer["activation"] == "step":
            # "next magnitude = 2**operand_width - 1 if S_j >= 0 else 0"
            inputs = [[(2**width - 1) * (count >= 0) for count in vector] for vector in counts[-1]]
            continue
        # "next magnitude = clamp(floor(S_j * 2**(operand_width + scale_exponent) / bitstream_length
        # + 1/2), 0, 2**operand_width - 1)". Floats are exact: powers of two, and a quotient that is
        # off by less than the distance to the next half.
        scale = 2.0 ** (width + layer["scale_exponent"])
        inputs = [
            [min(max(floor(count * scale / length + 0.5), 0), 2**width - 1) for count in vector]
            for vector in counts[-1]
        ]
    return counts


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
