"""ABC, the model checker: where it is, and the questions that it is asked.

Berkeley Logic Synthesis and Verification Group, "ABC: A System for Sequential Synthesis and
Verification". Signal correspondence merges what is proved equal by induction (A. Mishchenko et
al., "Scalable and scalably-verifiable sequential synthesis", ICCAD 2008); property directed
reachability settles the rest (A. Bradley, "SAT-based model checking without unrolling", VMCAI 2011;
N. Een et al., "Efficient implementation of property directed reachability", FMCAD 2011).
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from model.errors import ToolError

# Debian's name, that of Yosys' own copy, and ABC's.
_NAMES = ("berkeley-abc", "yosys-abc", "abc")
_TRACE_FILE = "trace.txt"


@dataclass(frozen=True)
class Answer:
    """What the model checker found.

    Attributes
    ----------
    holds : bool or None
        Whether the output is never high; None where it could not be told in time.
    trace : tuple of str
        If it can be high: for each cycle, up to that in which it is, the values of all inputs as
        digits.
    """

    holds: bool | None
    trace: tuple[str, ...] = ()


def model_checker() -> str:
    """Return the path of ABC.

    Raises
    ------
    ToolError
        If it is not installed.
    """
    for name in _NAMES:
        found = shutil.which(name)
        if found is not None:
            return found
    raise ToolError(
        "ABC was not found, which proves that mutants are equivalent",
        " or ".join(_NAMES),
        "install it: on Debian and Ubuntu `apt-get install berkeley-abc`",
    )


def never_high(circuit: Path, inputs: int, seconds: int) -> Answer:
    """Ask whether the only output of a circuit is low in every cycle, whatever its inputs are.

    Parameters
    ----------
    circuit : pathlib.Path
        A file in the AIGER format, alone in its folder: a trace is written beside it.
    inputs : int
        How many inputs it has.
    seconds : int
        How long to try.

    Raises
    ------
    ToolError
        If ABC is missing, or does not answer.
    """
    folder = circuit.parent
    commands = f"read_aiger {circuit.name}; scorr; pdr -T {seconds}; write_cex -a {_TRACE_FILE}"
    (folder / _TRACE_FILE).unlink(missing_ok=True)
    try:
        done = subprocess.run(
            [model_checker(), "-c", commands],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=4 * seconds + 60,
        )
    except subprocess.TimeoutExpired:  # signal correspondence knows no limit
        return Answer(None)
    said = done.stdout
    if "Property proved" in said:
        return Answer(True)
    asserted = re.search(r"was asserted in frame (\d+)", said)
    if asserted:
        # The first line is the state, the last one ends with a remark.
        trace = (folder / _TRACE_FILE).read_text().splitlines()[1:]
        if len(trace) == int(asserted[1]) + 1:
            return Answer(False, tuple(line[:inputs] for line in trace))
    elif "UNDECIDED" in said:
        return Answer(None)
    last = (said.strip() or "it said nothing").splitlines()[-1]
    raise ToolError(f"ABC gave no answer: {last}", str(circuit), "ask it by hand")
