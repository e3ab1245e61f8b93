"""Netlist mutants: killed, proved equivalent, or reported as gaps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import tb.equivalence
import tb.netlist_mutants
from model.errors import ToolError
from model.forward import GoldenNetwork
from tb.aiger import _varint, aiger
from tb.campaigns import NetlistMutant
from tb.equivalence import Referee, Verdict
from tb.gate_graph import FALSE, TRUE, Gates, Graph
from tb.model_checker import Answer, model_checker, never_high
from tb.mutation_tables import netlist_markdown, score
from tb.netlist import parse_mutation, spread, wanted_place
from tb.netlist_mutants import noticed_by_statistics, run_netlist_mutants
from tb.netlist_player import Played
from tb.netlist_samples import SAMPLES, Sample
from tb.port_model import CONTROL, CYCLES, PACKET_ERRORS, Inputs, PortModel
from tb.port_stimulus import make_stimulus
from tb.yosys import run_yosys

TINY = Sample(
    "tiny", (1, 1), (4,), "counter", 3, operand_bits=1, scale_exponents=(0,), features_per_beat=1
)

# mutsel: 1 changes what is counted; 2 is a different form of the same; 3 differs in states that
# cannot be reached; 4 changes data that nobody may look at; 5 holds a word with its bits swapped,
# which is only compared with 0; 6 is never reset.
MODULE = """
module tiny (
  input clk_i, input rst_ni, input step_i, input [2:0] mutsel,
  output m_axis_tvalid, output [1:0] m_axis_tdata, output zero_o
);
  reg [2:0] ring_q;
  reg [1:0] data_q, word_q;
  wire high = mutsel == 2 ? !(!ring_q[0] || !step_i)
    : mutsel == 3 ? step_i && !ring_q[1] && !ring_q[2] : step_i && ring_q[0];
  wire reset = mutsel == 6 ? 1'b1 : rst_ni;
  always @(posedge clk_i or negedge reset)
    if (!reset) ring_q <= 3'b001;
    else if (step_i) ring_q <= {ring_q[1:0], ring_q[2]};
  always @(posedge clk_i)
    if (high) data_q <= data_q + (mutsel == 1 ? 2'd2 : 2'd1);
    else if (!rst_ni) data_q <= 2'd0;
  always @(posedge clk_i)
    if (!rst_ni) word_q <= 2'd0;
    else word_q <= mutsel == 5 ? {word_q[0], word_q[1] ^ step_i} : {word_q[0] ^ step_i, word_q[1]};
  assign m_axis_tvalid = ring_q[1];
  assign m_axis_tdata = mutsel == 4 && !ring_q[1] ? 2'd3 : data_q;
  assign zero_o = mutsel == 5 ? word_q == 0 : word_q == 0;
endmodule
"""


@pytest.fixture(scope="module")
def referee(tmp_path_factory: pytest.TempPathFactory) -> Referee:
    folder = tmp_path_factory.mktemp("referee")
    (folder / "tiny.v").write_text(MODULE)
    run_yosys(
        folder,
        [
            "read_verilog tiny.v",
            *("prep -flatten -top tiny", "async2sync", "techmap", "opt_clean", "dffunmap"),
            *("simplemap", "aigmap", "opt_clean", "write_json gates.json"),
        ],
    )
    return Referee(folder / "gates.json", "tiny", "mutsel")


@pytest.mark.lint
@pytest.mark.parametrize("mutant", [0, 2, 3, 4, 5])
def test_the_referee_proves_what_is_equivalent(referee: Referee, mutant: int) -> None:
    verdict = referee.judge(mutant)
    assert verdict.equivalent, verdict.proof


@pytest.mark.lint
@pytest.mark.parametrize(("mutant", "output"), [(1, "m_axis_tdata"), (6, "m_axis_tvalid")])
def test_the_referee_shows_what_differs(referee: Referee, mutant: int, output: str) -> None:
    verdict = referee.judge(mutant)
    assert not verdict.equivalent
    assert verdict.proof.startswith(f"{output}[")
    assert "rst_ni=0" in verdict.inputs[0]
    assert all("step_i=" in line for line in verdict.inputs)


@pytest.mark.lint
def test_what_takes_too_long_is_not_proved(
    referee: Referee, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tb.equivalence, "never_high", lambda *_: Answer(None))
    verdict = referee.judge(3)
    assert not verdict.equivalent
    assert not verdict.decided


@pytest.mark.lint
def test_inputs_that_show_nothing_are_not_believed(
    referee: Referee, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reset_only(_circuit: Path, inputs: int, _seconds: int) -> Answer:
        return Answer(False, ("0" * inputs,))

    monkeypatch.setattr(tb.equivalence, "never_high", reset_only)
    with pytest.raises(ToolError, match="show no difference"):
        referee.judge(1)


def test_without_a_model_checker_one_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolError, match="ABC was not found"):
        model_checker()


PROOF = (
    "Verification of invariant with 3 clauses was successful.  Time = 0.00 sec\nProperty proved."
)
FAILED_PROOF = PROOF.replace("was successful", "has failed")


@pytest.mark.parametrize(
    ("said", "trace", "status", "expected"),
    [
        (PROOF, None, 0, Answer(True)),
        ("Property UNDECIDED.  Time = 9.00 sec", None, 0, Answer(None)),
        ("Output 0 of miter was asserted in frame 1.", "00\n01\n11# DONE\n", 0, ("01", "11")),
        # What is no answer, or an answer that nobody should believe:
        ("", None, 0, None),
        ("Property proved.", None, 0, None),
        (FAILED_PROOF, None, 0, None),
        (PROOF, None, 1, None),
        (PROOF + "\nProperty UNDECIDED.", None, 0, None),
        ("Output 0 of miter was asserted in frame 1.", None, 0, None),
        ("Output 0 of miter was asserted in frame 1.", "00\n01# DONE\n", 0, None),
        ("Output 0 of miter was asserted in frame 0.", "00\n1# DONE\n", 0, None),
    ],
)
def test_only_whole_answers_of_abc_are_taken(
    said: str,
    trace: str | None,
    status: int,
    expected: Answer | tuple[str, ...] | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tool = tmp_path / "bin" / "berkeley-abc"
    tool.parent.mkdir()
    (tmp_path / "said").write_text(said)
    lines = ["#!/bin/sh", f"cat {tmp_path}/said"]
    if trace is not None:
        (tmp_path / "values").write_text(trace)
        lines.append(f"cp {tmp_path}/values trace.txt")
    tool.write_text("\n".join([*lines, f"exit {status}", ""]))
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:/usr/bin:/bin")
    folder = tmp_path / "circuit"
    folder.mkdir()
    if expected is None:
        with pytest.raises(ToolError, match="ABC gave no answer"):
            never_high(folder / "c.aig", 2, 5)
        return
    wanted = expected if isinstance(expected, Answer) else Answer(False, expected)
    assert never_high(folder / "c.aig", 2, 5) == wanted


def netlist_of(cells: dict[str, Any], **ports: Any) -> dict[str, Any]:
    """Return a module in Yosys' JSON, with a clock, an input and an output."""
    all_ports = {
        "clk_i": {"direction": "input", "bits": [2]},
        "a": {"direction": "input", "bits": [3]},
        "y": {"direction": "output", "bits": [4]},
        **ports,
    }
    return {"modules": {"t": {"ports": all_ports, "cells": cells}}}


def gate(kind: str, **wires: int) -> dict[str, Any]:
    return {"type": kind, "connections": {port: [net] for port, net in wires.items()}}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (netlist_of({"r": gate("$_DFF_P_", C=3, D=3, Q=4)}), "another clock"),
        (netlist_of({"g": gate("$_AND_", A=2, B=3, Y=4)}), "nothing but clk_i"),
        (netlist_of({"g": gate("$_AND_", A=9, B=3, Y=4)}), "nothing but clk_i"),
        (netlist_of({"g": gate("$_XOR_", A=3, B=3, Y=4)}), "unexpected cell"),
        (
            netlist_of({"g": gate("$_AND_", A=3, B=4, Y=5), "h": gate("$_NOT_", A=5, Y=4)}),
            "loop",
        ),
        (netlist_of({}, z={"direction": "inout", "bits": [8]}), "both ways"),
    ],
)
def test_netlists_that_the_miter_would_misread_are_refused(
    content: dict[str, Any], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "gates.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ToolError, match=words):
        Gates(path, "t", "clk_i")


def test_a_circuit_is_written_as_the_format_says() -> None:
    # The toggle flip-flop with enable and reset of the format's report, byte by byte.
    graph = Graph()
    enable, reset, state = (graph.variable() for _ in range(3))
    neither = graph.conjunction(enable ^ 1, state ^ 1)
    both = graph.conjunction(enable, state)
    toggled = graph.conjunction(neither ^ 1, both ^ 1)
    following = graph.conjunction(toggled, reset)
    text = aiger(graph, [enable, reset], [(state, following)], [state, state ^ 1])
    assert text == b"aig 7 2 1 2 4\n14\n6\n7\n" + bytes.fromhex("0204030401020208")
    # Numbers of more than seven bits, as the report shows them.
    assert [_varint(n).hex() for n in (1, 127, 128, 16384)] == ["01", "7f", "8001", "808001"]


def test_equal_nodes_are_one_node() -> None:
    graph = Graph()
    a, b = graph.variable(), graph.variable()
    assert graph.conjunction(a, b) == graph.conjunction(b, a)
    assert graph.conjunction(a, a ^ 1) == FALSE
    assert graph.difference(a, a ^ 1) == TRUE
    assert graph.choice(TRUE, a, b) == a
    assert graph.choice(FALSE, a, b) == b


LINE = (
    r"mutate -mode cnot1 -module top -cell $flatten\u_layer_0.\u_ctrl.$eq$sc_layer_ctrl.v:69$45"
    " -port A -portbit 1 -ctrlbit 2 -src certibit_layer_0.v:48.5-61.4 -src sc_layer_ctrl.v:69.1-2"
)


def test_a_mutation_tells_its_block_and_line() -> None:
    mutation = parse_mutation(7, LINE)
    assert mutation.module == "sc_layer_ctrl"
    assert mutation.source == "sc_layer_ctrl.v:69.1-2"
    assert mutation.place == "u_layer_0.u_ctrl.$eq$sc_layer_ctrl.v:69$45 A[1] by bit 2"
    assert not wanted_place(LINE.replace("-port A", "-port CLK"))
    assert wanted_place(LINE)


def test_parts_take_turns() -> None:
    lines = [LINE] * 5 + [LINE.replace("sc_layer_ctrl.v:69.1", "axil_registers.v:3.1")] * 2
    chosen = [mutation.module for mutation in spread(lines, 5)]
    assert chosen == ["axil_registers", "sc_layer_ctrl"] * 2 + ["sc_layer_ctrl"]


def test_the_port_model_counts_and_clears() -> None:
    model = PortModel(TINY.design().manifest)
    model.cycle(Inputs(rst_ni=0))
    for _ in range(2):
        model.cycle(Inputs(s_axis_tvalid=1, s_axis_tlast=0))
    for _ in range(3):
        model.cycle(Inputs(s_axis_tvalid=1, s_axis_tlast=1))
    read = Inputs(s_axil_arvalid=1, s_axil_araddr=PACKET_ERRORS, s_axil_rready=1)
    model.cycle(read)
    assert model.cycle(Inputs(s_axil_rready=1)).s_axil_rdata == 1
    model.cycle(Inputs(s_axil_arvalid=1, s_axil_araddr=CYCLES))
    assert model.cycle(Inputs()).s_axil_rdata == 7
    write = Inputs(
        *(1, 0, 0, 0, 0, CONTROL, 0, 1, 2, 15, 1),  # clear, and enable low
        s_axil_bready=1,
    )
    model.cycle(write)
    model.cycle(Inputs(s_axil_bready=1))
    assert model.cycle(Inputs(s_axil_bready=1)).s_axis_tready == 0


def test_stimuli_are_the_same_for_a_seed() -> None:
    design = TINY.design()
    first, again, other = (make_stimulus(design, seed) for seed in (1, 1, 2))
    assert first.cycles.tobytes() == again.cycles.tobytes()
    assert first.cycles.tobytes() != other.cycles.tobytes()
    assert first.test_at(0) == "power-up"
    assert first.test_at(len(first.cycles) - 1) == "noise on every pin"


def test_statistics_notice_errors_beyond_the_bounds() -> None:
    design = SAMPLES[0].design()
    golden = GoldenNetwork(design.manifest, design.parameters)
    counts = golden.counts(design.features)[-1].ravel().tolist()
    assert not noticed_by_statistics(design, counts)
    assert not noticed_by_statistics(design, None)
    far = design.manifest.layers[-1].bitstream_length * 10
    assert noticed_by_statistics(design, [count + far for count in counts])


def test_a_netlist_that_is_not_the_model_is_refused() -> None:
    stimulus = make_stimulus(TINY.design(), 1)
    check = tb.netlist_mutants._check_original
    check(Played(0, -1, "-", [1]), stimulus, TINY)
    with pytest.raises(ToolError, match="power-up, cycle 0, m_axis_tvalid"):
        check(Played(0, 0, "m_axis_tvalid", [1]), stimulus, TINY)
    with pytest.raises(ToolError, match="undisturbed"):
        check(Played(0, -1, "-", None), stimulus, TINY)


def record(outcome: str, statistical: bool = False) -> NetlistMutant:
    return NetlistMutant.model_validate(
        {
            "id": "a-1",
            "network": "a",
            "module": "sc_x",
            "mode": "inv",
            "place": "x A[0]",
            "source": "sc_x.v:1",
            "outcome": outcome,
            "statistical": statistical,
        }
    )


def test_gaps_count_against_the_score() -> None:
    killed, equivalent, gap = record("killed", True), record("equivalent"), record("gap")
    assert score([killed, equivalent]) == 1
    assert score([killed, killed, killed, equivalent, gap]) == 0.75
    text = netlist_markdown([killed, equivalent, gap])
    assert text.count("| 3 | 1 | 1 | 1 | 50 % |") == 4  # the network, the block, and all of each
    assert text.count("| `a-1` | inv | `x A[0]` | sc_x.v:1 |") == 2  # the survivors
    assert "**gap**" in text


@pytest.mark.slow
@pytest.mark.parametrize("simulator", ["verilator"])
def test_mutants_of_a_network_are_killed_proved_or_gaps(
    simulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    records = run_netlist_mutants(tmp_path, 1, 24, said.append, [TINY])
    assert len(records) == 24
    assert sum(one.outcome == "killed" for one in records) >= 12
    assert all(one.killed_by for one in records if one.outcome == "killed")
    assert all(one.proof for one in records if one.outcome == "equivalent")
    # A second call finds everything there, and says the same.
    assert run_netlist_mutants(tmp_path, 1, 24, said.append, [TINY]) == records
    # Stimuli that see nothing: whatever is not equivalent is a gap.
    blind = make_stimulus(TINY.design(), 1)
    monkeypatch.setattr(tb.netlist_mutants, "SEEDS", 1)
    monkeypatch.setattr(
        tb.netlist_mutants,
        "make_stimulus",
        lambda design, seed: type(blind)(blind.cycles[:2], blind.tests[:1]),
    )
    unseen = run_netlist_mutants(tmp_path, 1, 24, said.append, [TINY])
    assert {one.outcome for one in unseen} >= {"gap"}
    assert score(unseen) < 1
    # A referee who proves everything is not believed.
    monkeypatch.setattr(tb.netlist_mutants, "referee_digest", lambda: "another")
    monkeypatch.setattr(Referee, "judge", lambda *_: Verdict(True, "by decree"))
    with pytest.raises(ToolError, match="which a stimulus killed"):
        run_netlist_mutants(tmp_path, 1, 24, said.append, [TINY])
    # The referee proves nothing that a stimulus tells apart, and finds inputs for all of it.
    assert {one.id for one in unseen if one.outcome == "equivalent"} == {
        one.id for one in records if one.outcome == "equivalent"
    }
    gaps = [one for one in unseen if one.outcome == "gap"]
    assert all("differs" in one.proof for one in gaps)
    for one in gaps:
        name = one.proof.rpartition(" ")[2]
        assert "s_axis_tvalid=" in (tmp_path / name).read_text()
