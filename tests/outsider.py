"""Somebody else's program: recomputes every hardware count of a design from its folder alone.

It reads ``manifest.json`` and the two files that the manifest names, follows the manifest's own
words (quoted below), and imports nothing of Certibit. It prints, as JSON, the counts of every layer
for every vector. tests/test_manifest.py runs it apart and compares.

    python -I outsider.py FOLDER
"""

import json
import sys
from math import floor
from pathlib import Path
from typing import Any

import numpy as np


def numbers(source: dict[str, Any], lane: int, length: int, width: int) -> list[int]:
    """List r(t) of one lane."""
    # "lane i is input i: it takes the i-th seed and the i-th XOR constant, or the only one"
    constants = source["xor_constants"]
    constant = constants[lane] if len(constants) > 1 else constants[0]
    result = []
    if source["kind"] == "counter":
        # "the bits of t as a word of `width` bits, last bit first if `reversed`; its operand_width
        # most significant bits, zeros below where it has fewer; XOR the constant"
        for t in range(length):
            bits = [t >> place & 1 for place in range(source["width"])]
            if not source["reversed"]:
                bits.reverse()
            bits = (bits + [0] * width)[:width]
            result.append(sum(bit << width - 1 - at for at, bit in enumerate(bits)) ^ constant)
        return result
    seeds = source["seeds"]
    state = seeds[lane] if len(seeds) > 1 else seeds[0]
    for _ in range(length):
        # "the operand_width most significant bits of the state, XOR the constant"
        result.append((state >> source["width"] - width) ^ constant)
        for _ in range(source["step"]):
            # "a shift moves the state one bit up, without the bit that leaves, and enters the XOR
            # of the bits numbered tap - 1 (0 is the least significant) at bit 0"
            entering = sum(state >> tap - 1 & 1 for tap in source["taps"]) % 2
            state = (2 * state + entering) % 2 ** source["width"]
    return result


def main(folder: Path) -> list[list[list[int]]]:
    """Return counts[layer][vector][output]."""
    manifest = json.loads((folder / "manifest.json").read_text())
    parameters = np.load(folder / manifest["weights"]["file"])
    width = manifest["operand_width"]
    inputs = np.load(folder / manifest["test_data"]["file"])["features"].tolist()
    counts: list[list[list[int]]] = []
    for number, layer in enumerate(manifest["layers"]):
        length = layer["bitstream_length"]
        weights = parameters[f"layer_{number}_weights"].tolist()
        biases = parameters[f"layer_{number}_biases"].tolist()
        lanes = range(layer["fan_in"])
        u = [numbers(layer["x_source"], lane, length, width) for lane in lanes]
        v = [numbers(layer["w_source"], lane, length, width) for lane in lanes]
        counts.append([])
        for vector in inputs:
            counts[-1].append([])
            for weight, bias in zip(weights, biases, strict=True):
                # "S_j = bias_j + sum over i and t of sign(x_i) * sign(w_ij) * p_ij(t)"
                total = bias
                for lane in lanes:
                    x, w = vector[lane], weight[lane]
                    sign = -1 if (x < 0) != (w < 0) else 1
                    # "bit(t) = 1 if r(t) < a else 0"
                    for t in range(length):
                        if u[lane][t] < abs(x) and v[lane][t] < abs(w):
                            total += sign
                counts[-1][-1].append(total)
        # "clip: next magnitude = clamp(floor(S_j * 2**(operand_width + scale_exponent)
        # / bitstream_length + 1/2), 0, 2**operand_width - 1)". Floats are exact: powers of two, and
        # a quotient that is off by less than the distance to the next half.
        scale = 2.0 ** (width + layer["scale_exponent"])
        inputs = [
            [min(max(floor(count * scale / length + 0.5), 0), 2**width - 1) for count in vector]
            for vector in counts[-1]
        ]
    return counts


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
