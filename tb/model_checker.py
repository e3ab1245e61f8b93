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

# Debian's name, and that of Yosys' own copy.
_NAMES = ("berkeley-abc", "yosys-abc")
# Signal correspondence knows no limit of its own.
_SECONDS_BEFORE = 300
_PROVED = re.compile(r"^Property proved\.", re.MULTILINE)
# What ABC says after it has checked its own proof.
_VERIFIED = re.compile(r"^Verification of invariant with \d+ clauses was successful", re.MULTILINE)
_ASSERTED = re.compile(r"was asserted in frame (\d+)")
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
        How long property directed reachability may try; before it, signal correspondence has five
        minutes.

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
            timeout=_SECONDS_BEFORE + seconds + 10,
        )
    except subprocess.TimeoutExpired:
        return Answer(None)
    answer = _read(done.stdout, folder / _TRACE_FILE, inputs)
    if answer is None or done.returncode:
        last = (done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise ToolError(f"ABC gave no answer: {last}", str(circuit), "ask it by hand")
    return answer


def _read(said: str, trace_file: Path, inputs: int) -> Answer | None:
    """Read what ABC said; None if it is no answer, or more than one."""
    asserted = _ASSERTED.search(said)
    undecided = "UNDECIDED" in said
    if _PROVED.search(said):
        sure = _VERIFIED.search(said) and "failed" not in said and not asserted and not undecided
        return Answer(True) if sure else None
    if asserted is None:
        return Answer(None) if undecided else None
    if not trace_file.exists():
        return None
    # The first line is the state, the last one ends with a remark.
    trace = tuple(line[:inputs] for line in trace_file.read_text().splitlines()[1:])
    whole = len(trace) == int(asserted[1]) + 1 and all(
        len(line) == inputs and set(line) <= set("01") for line in trace
    )
    return Answer(False, trace) if whole else None
