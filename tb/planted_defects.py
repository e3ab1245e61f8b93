"""Defects of the kind that engineers make, as exact replacements of text.

A replacement stands in a file of ``hdl/`` or of ``rtl_gen/templates/``, or, where the path begins
with ``rtl/``, in a file that was generated for the defect's sample network. It must match exactly
once: a list that no longer fits the sources is an error, not a shorter list.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from model.errors import InputError

# Files of this folder are generated for a network; all others stand in the repository.
GENERATED = "rtl/"


@dataclass(frozen=True)
class Edit:
    """One replacement.

    Attributes
    ----------
    old, new : str
        What is found, exactly once, and what stands there afterwards.
    """

    old: str
    new: str


@dataclass(frozen=True)
class Defect:
    """One defect.

    Attributes
    ----------
    id : str
        Short name.
    title : str
        What was done, in words.
    network : str
        Sample network on which it shows: a key of `tb.defect_networks.DEFECT_NETWORKS`.
    file : str
        Where, from the repository's top, or below the generated ``rtl/``.
    edits : tuple of Edit
        All are made.
    """

    id: str
    title: str
    network: str
    file: str
    edits: tuple[Edit, ...]

    @property
    def generated(self) -> bool:
        """Whether it is planted in what was generated, not in a source."""
        return self.file.startswith(GENERATED)

    @property
    def in_template(self) -> bool:
        """Whether it is planted in a template."""
        return self.file.endswith(".j2")


def plant(defect: Defect, root: Path) -> None:
    """Make a defect's replacements in a file below `root`.

    Parameters
    ----------
    defect : Defect
        The defect.
    root : pathlib.Path
        A copy of the repository, or for a generated file the folder that holds ``rtl/``.

    Raises
    ------
    InputError
        If a replacement does not match exactly once.
    """
    path = root / defect.file
    path.write_text(planted_text(defect, path.read_text()))


def planted_text(defect: Defect, text: str) -> str:
    """Return a file's text with the defect in it; see `plant`."""
    for edit in defect.edits:
        found = text.count(edit.old)
        if found != 1 or edit.old == edit.new:
            raise InputError(
                f"defect {defect.id} replaces a text that stands there {found} times, not once:"
                f" {edit.old.strip().splitlines()[0]!r}",
                defect.file,
                "bring tb/planted_defects.py up to date with the source",
            )
        text = text.replace(edit.old, edit.new)
    return text


def _hdl(defect_id: str, title: str, network: str, module: str, *edits: tuple[str, str]) -> Defect:
    """Return a defect of a module of ``hdl/``."""
    return Defect(
        defect_id, title, network, f"hdl/{module}.v", tuple(Edit(*edit) for edit in edits)
    )


def _template(
    defect_id: str, title: str, network: str, name: str, *edits: tuple[str, str]
) -> Defect:
    """Return a defect of a template."""
    path = f"rtl_gen/templates/{name}.v.j2"
    return Defect(defect_id, title, network, path, tuple(Edit(*edit) for edit in edits))


def _generated(
    defect_id: str, title: str, network: str, module: str, *edits: tuple[str, str]
) -> Defect:
    """Return a defect of a generated module."""
    path = f"{GENERATED}{module}.v"
    return Defect(defect_id, title, network, path, tuple(Edit(*edit) for edit in edits))


def _delayed(cycles: int) -> Defect:
    """Return the weights' source replaced by the inputs', some cycles late."""
    return _template(
        f"source-w-delayed-{cycles}",
        f"the weights' source is the inputs' source, {cycles} cycles late",
        "lfsr_galois_step",
        "layer",
        (
            "  wire [FanIn-1:0] x_sign;\n",
            "  wire [FanIn-1:0] x_sign;\n"
            "  reg [OperandWidth-1:0] late_1, late_2, late_3, late_4;\n"
            "  always @(posedge clk_i) begin\n"
            "    late_1 <= {{ sources[0].words }};\n"
            "    late_2 <= late_1;\n"
            "    late_3 <= late_2;\n"
            "    late_4 <= late_3;\n"
            "  end\n",
        ),
        (".r_i({{ sources[1].words }}),", f".r_i(late_{cycles}),"),
    )


_COMPARATORS = (
    _hdl(
        "comparator-x-le",
        "input comparators: r <= a for r < a",
        "counter_pair",
        "sc_sng_bank",
        ("less_than = {Lanes{1'b0}};", "less_than = {Lanes{1'b1}};"),
    ),
    _hdl(
        "comparator-w-le",
        "weight comparators of the dense bank, one word for all lanes: r <= w for r < w",
        "counter_pair",
        "sc_dense_bank",
        ("shared_stream = {Span{1'b0}};", "shared_stream = {Span{1'b1}};"),
    ),
    _hdl(
        "comparator-w-le-lanes",
        "weight comparators of the dense bank, a word a lane: r <= w for r < w",
        "lfsr_lanes",
        "sc_dense_bank",
        ("shared_stream(r[K-1:0]) : {Span{1'b0}};", "shared_stream(r[K-1:0]) : {Span{1'b1}};"),
    ),
    _hdl(
        "comparator-w-le-bank",
        "weight comparators of the weight bank: r <= w for r < w",
        "halton_mux",
        "sc_weight_bank",
        (
            "word = {(Width/Neurons){{Neurons{1'b0}}}};",
            "word = {(Width/Neurons){{Neurons{1'b1}}}};",
        ),
    ),
    _hdl(
        "comparator-w-le-synapses",
        "weight comparators of the weight bank, a word a synapse: r <= w for r < w",
        "own_sources",
        "sc_weight_bank",
        ("less_than = {FanIn{{Neurons{1'b0}}}};", "less_than = {FanIn{{Neurons{1'b1}}}};"),
    ),
    _hdl(
        "comparator-x-lowest-bit",
        "input comparators ignore the lowest bit",
        "sobol_unsigned",
        "sc_sng_bank",
        (
            "for (k = 0; k < OperandWidth; k = k + 1) begin",
            "for (k = 1; k < OperandWidth; k = k + 1) begin",
        ),
    ),
    _hdl(
        "operands-not-held",
        "input operands follow the stream while they are being worked on",
        "sobol_unsigned",
        "sc_sng_bank",
        ("    if (load_i) begin\n", "    begin\n"),
    ),
)

_SOURCES = (
    _template(
        "source-shared",
        "x and w take their words from one source",
        "counter_pair",
        "layer",
        (".r_i({{ sources[1].words }}),", ".r_i({{ sources[0].words }}),"),
    ),
    _delayed(1),
    _delayed(4),
    _hdl(
        "lfsr-taps-swapped",
        "taps counted from the wrong end of the register",
        "lfsr_lanes",
        "sc_lfsr_source",
        (
            "Taps[t]) entering = entering ^ queue[Width-1-t+n];",
            "Taps[Width-1-t]) entering = entering ^ queue[Width-1-t+n];",
        ),
    ),
    _generated(
        "lfsr-tap-moved",
        "one tap of the inputs' register a bit further",
        "lfsr_galois_step",
        "certibit_layer_0",
        (
            ".Taps(16'hc042),\n    .Seed(16'h7923),",
            ".Taps(16'hc082),\n    .Seed(16'h7923),",
        ),
    ),
    _hdl(
        "lfsr-galois-or",
        "Galois form: OR for XOR in the feedback",
        "lfsr_galois_step",
        "sc_lfsr_source",
        ("queue[n+1+t] ^ queue[n];", "queue[n+1+t] | queue[n];"),
    ),
    _hdl(
        "lfsr-leap-too-short",
        "registers leap one shift less a cycle",
        "lfsr_lanes",
        "sc_lfsr_source",
        ("= queue[Step+n];", "= queue[Step-1+n];"),
    ),
    _hdl(
        "lfsr-no-restart",
        "registers go on from vector to vector",
        "lfsr_lanes",
        "sc_lfsr_source",
        ("end else if (restart_i) begin", "end else if (restart_i && Step == 0) begin"),
    ),
    _hdl(
        "lfsr-seeds-rotated",
        "every lane has its neighbour's seed",
        "lfsr_lanes",
        "sc_lfsr_source",
        ("= Seed[g*Width + b];", "= Seed[((g+1) % Lanes)*Width + b];"),
    ),
    _template(
        "lfsr-shifts-once",
        "registers shift one bit a cycle: neighbouring words share all bits but one",
        "own_sources",
        "sources",
        (".Step({{ part.step }}),", ".Step(1),"),
    ),
    _hdl(
        "counter-constant-dropped",
        "the XOR constant of counters is forgotten",
        "counter_pair",
        "sc_counter_source",
        ("aligned(cycle_i) ^ XorConstant;", "aligned(cycle_i);"),
    ),
    _hdl(
        "counter-not-reversed",
        "the bit-reversed counter counts plainly: x and w are the same but for a constant",
        "counter_pair",
        "sc_counter_source",
        ("count[(Reversed != 0) ? b : CounterWidth-1-b]", "count[CounterWidth-1-b]"),
    ),
    _hdl(
        "sobol-last-direction",
        "the last direction number is left out",
        "sobol_unsigned",
        "sc_sobol_source",
        (
            "for (b = 0; b < CounterWidth; b = b + 1) begin",
            "for (b = 0; b < CounterWidth - 1; b = b + 1) begin",
        ),
    ),
    _hdl(
        "halton-digit-too-short",
        "digits turn over one too early",
        "halton_mux",
        "sc_halton_source",
        ("LastDigit = Base[2:0] - 3'd1;", "LastDigit = Base[2:0] - 3'd2;"),
    ),
    _hdl(
        "halton-no-restart",
        "the Halton counter goes on from vector to vector",
        "halton_mux",
        "sc_halton_source",
        ("end else if (restart_i) begin", "end else if (restart_i && Base == 0) begin"),
    ),
)

# Bit p of the magnitude of lane i and neuron j stands at [(p*FanIn + i)*Neurons + j].
_WEIGHTS = (
    _generated(
        "weight-stuck-at-0-low",
        "the lowest bit of one weight is stuck at 0",
        "counter_pair",
        "certibit_layer_0",
        (".WeightMagnitude(Magnitude0),", ".WeightMagnitude(Magnitude0 & ~(1'b1 << (1*5 + 1))),"),
    ),
    _generated(
        "weight-stuck-at-1-low",
        "the lowest bit of one weight is stuck at 1",
        "counter_pair",
        "certibit_layer_0",
        (".WeightMagnitude(Magnitude0),", ".WeightMagnitude(Magnitude0 | (1'b1 << (0*5 + 2))),"),
    ),
    _generated(
        "weight-stuck-at-0-high",
        "the highest bit of one weight is stuck at 0",
        "counter_pair",
        "certibit_layer_0",
        (
            ".WeightMagnitude(Magnitude0),",
            ".WeightMagnitude(Magnitude0 & ~(1'b1 << ((4*6 + 2)*5 + 3))),",
        ),
    ),
    _generated(
        "weight-stuck-at-1-high",
        "the highest bit of one weight is stuck at 1",
        "counter_pair",
        "certibit_layer_0",
        (
            ".WeightMagnitude(Magnitude0),",
            ".WeightMagnitude(Magnitude0 | (1'b1 << ((4*6 + 1)*5 + 0))),",
        ),
    ),
    _generated(
        "weight-highest-bit-wrong",
        "the highest bit of one weight is inverted",
        "bipolar_mux",
        "certibit_layer_0",
        (
            ".WeightMagnitude(Magnitude)",
            ".WeightMagnitude(Magnitude ^ (1'b1 << ((4*6 + 0)*5 + 2)))",
        ),
    ),
    _generated(
        "weight-sign-wrong",
        "the sign of one weight is inverted",
        "counter_pair",
        "certibit_layer_0",
        (".WeightSign(Sign0),", ".WeightSign(Sign0 ^ (1'b1 << (1*5 + 1))),"),
    ),
    _hdl(
        "weight-of-one-lost",
        "a weight of magnitude one is no constant gate but its lower bits, zero",
        "counter_pair",
        "sc_dense_bank",
        (
            "shared_stream = shared_stream | weight_plane[K];",
            "shared_stream = shared_stream;",
        ),
    ),
    _hdl(
        "weight-of-one-lost-bank",
        "the same in the weight bank",
        "halton_mux",
        "sc_weight_bank",
        ("= word | weight_word[K*SourceLanes + s];", "= word;"),
    ),
    _hdl(
        "lanes-lost-in-compaction",
        "synapses that close ranks are dropped on the way",
        "counter_pair",
        "sc_dense_bank",
        ("queue[i - (1 << p)] = queue[i - (1 << p)] | moving;", "queue[i] = queue[i];"),
    ),
    _hdl(
        "input-dead",
        "one input of the dense bank is dead",
        "counter_pair",
        "sc_dense_bank",
        ("word = x[i] ? word : {N{1'b0}};", "word = (x[i] && i != 1) ? word : {N{1'b0}};"),
    ),
    _hdl(
        "input-sign-ignored",
        "products take the weight's sign alone",
        "counter_pair",
        "sc_dense_bank",
        ("word ^ (x_sign[i] ? positive[i] : negative[i]);", "word ^ negative[i];"),
    ),
    _hdl(
        "inputs-permuted",
        "the fields of a beat are taken in the reverse order",
        "counter_pair",
        "axis_vector_sink",
        (
            "= s_axis_tdata[16*field+k];",
            "= s_axis_tdata[16*(FeaturesPerBeat-1-field)+k];",
        ),
        (
            "= s_axis_tdata[16*field+15];",
            "= s_axis_tdata[16*(FeaturesPerBeat-1-field)+15];",
        ),
    ),
    _hdl(
        "input-sign-from-wrong-bit",
        "signs are taken from bit 14 of a field",
        "counter_pair",
        "axis_vector_sink",
        ("= s_axis_tdata[16*field+15];", "= s_axis_tdata[16*field+14];"),
    ),
)

_SUMS = (
    _hdl(
        "dense-carry-lost",
        "full adders of the dense bank lose a carry",
        "counter_pair",
        "sc_dense_bank",
        ("+ f] = (a & b) | (c & half);", "+ f] = (a & b);"),
    ),
    _hdl(
        "dense-sign-cycle-off-by-one",
        "negative inputs are taken off in one's complement",
        "counter_pair",
        "sc_dense_bank",
        ("? ~times_length(count) : count, sign_cycle);", "? ~times_length(count) : count, 1'b0);"),
    ),
    _hdl(
        "accumulator-narrow",
        "accumulators of the dense bank one bit narrow",
        "counter_pair",
        "sc_dense_bank",
        (
            "assign acc_o = acc_q;",
            "assign acc_o = {acc_q[(AccWidth-2)*N +: N], acc_q[(AccWidth-1)*N-1:0]};",
        ),
    ),
    _hdl(
        "accumulator-bank-narrow",
        "accumulators of the bank one bit narrow",
        "bipolar_counter",
        "sc_accumulator_bank",
        (
            "assign acc_o = acc_q;",
            "assign acc_o = {acc_q[(AccWidth-2)*N +: N], acc_q[(AccWidth-1)*N-1:0]};",
        ),
    ),
    _hdl(
        "bias-dropped",
        "the dense bank starts from zero",
        "counter_pair",
        "sc_dense_bank",
        ("acc_q <= Preload;", "acc_q <= {AccWidth*N{1'b0}};"),
    ),
    _hdl(
        "bias-dropped-bank",
        "the accumulator bank starts from zero",
        "halton_mux",
        "sc_accumulator_bank",
        ("acc_q <= Preload;", "acc_q <= {AccWidth*N{1'b0}};"),
    ),
    _hdl(
        "accumulator-sign-not-extended",
        "negative increments are not extended to the accumulator's width",
        "own_sources",
        "sc_accumulator_bank",
        (
            "addend = inc[((p < IncWidth) ? p : IncWidth-1)*N +: N];",
            "addend = (p < IncWidth) ? inc[p*N +: N] : {N{1'b0}};",
        ),
    ),
    _hdl(
        "parallel-counter-carry-lost",
        "full adders of the parallel counter lose a carry",
        "bipolar_counter",
        "sc_parallel_counter",
        ("+ f] = (a & b) | (c & half);", "+ f] = (a & b);"),
    ),
    _hdl(
        "increment-off-by-one",
        "differences in one's complement: one too few each cycle",
        "own_sources",
        "sc_counter_increment",
        ("carry = {N{1'b1}};", "carry = {N{1'b0}};"),
    ),
    _hdl(
        "increment-not-doubled",
        "bipolar: ones are counted once, zeros taken off all the same",
        "bipolar_counter",
        "sc_counter_increment",
        ("counted = {ones, {N{1'b0}}};", "counted = {{N{1'b0}}, ones};"),
    ),
    _hdl(
        "multiplier-xor",
        "XOR for XNOR",
        "bipolar_mux",
        "sc_multiplier_bank",
        ("~(spread(x_i) ^ w_i);", "spread(x_i) ^ w_i;"),
    ),
    _hdl(
        "multiplier-or",
        "OR for AND",
        "own_sources",
        "sc_multiplier_bank",
        ("spread(x_i) & w_i;", "spread(x_i) | w_i;"),
    ),
    _hdl(
        "multiplier-sign",
        "products take the weight's sign alone",
        "own_sources",
        "sc_multiplier_bank",
        ("spread(x_sign_i) ^ w_sign_i;", "w_sign_i | (spread(x_sign_i) & {Span{1'b0}});"),
    ),
    _hdl(
        "mux-last-input-dead",
        "the last input of the multiplexer is never selected",
        "halton_mux",
        "sc_mux_adder",
        ("if (index < Inputs) selected", "if (index < Inputs - 1) selected"),
    ),
    _hdl(
        "mux-select-lowest-bit",
        "the lowest bit of the select word is ignored",
        "bipolar_mux",
        "sc_mux_adder",
        (
            "index = {{(32-SelectWidth){1'b0}}, select};",
            "index = {{(32-SelectWidth){1'b0}}, select} & ~1;",
        ),
    ),
    _hdl(
        "mux-counts-down-always",
        "negative lanes count down where their product is zero",
        "halton_mux",
        "sc_mux_increment",
        ("down   = selected & negative;", "down   = negative;"),
    ),
    _hdl(
        "mux-idle-counts-down",
        "bipolar: cycles in which no lane is selected count down",
        "bipolar_mux",
        "sc_mux_increment",
        ("assign counts = {N{used}};", "assign counts = {N{1'b1}};"),
    ),
    _hdl(
        "offset-off-by-one",
        "bipolar levels of negative operands one too low",
        "bipolar_counter",
        "sc_offset_encoder",
        ("      carry = sign;", "      carry = {Lanes{1'b0}};"),
    ),
)

_NEURONS = (
    _hdl(
        "lif-threshold-gt",
        "a spike above the threshold, not at it",
        "spiking_stream",
        "sc_lif_neuron",
        ("(sum >= ThresholdSum)", "(sum > ThresholdSum)"),
    ),
    _hdl(
        "lif-no-leak",
        "the constant leak is left out",
        "spiking_stream",
        "sc_lif_neuron",
        ("      - constant(Leak) - constant(HalfNoise);", "      - constant(HalfNoise);"),
    ),
    _hdl(
        "lif-leak-unsigned",
        "the membrane's leak shifts zeros in at the top",
        "spiking_stream",
        "sc_lif_neuron",
        ("voltage >>> LeakShift", "voltage >> LeakShift"),
    ),
    _hdl(
        "lif-no-floor",
        "the membrane has no floor",
        "spiking_stream",
        "sc_lif_neuron",
        ("(sum < LeastSum) ? LeastSum[Width-1:0] :", ""),
    ),
    _hdl(
        "lif-wraps",
        "the membrane wraps where it should saturate",
        "spiking_counts",
        "sc_lif_neuron",
        ("(sum > LargestSum) ? LargestSum[Width-1:0] : sum", "sum"),
    ),
    _hdl(
        "lif-resets-to-zero",
        "a spike resets to zero, not by subtraction",
        "spiking_counts",
        "sc_lif_neuron",
        ("bounded - ThresholdWord[Width-1:0];", "{Width{1'b0}};"),
    ),
    _hdl(
        "lif-refractory-short",
        "the refractory period is a step too short",
        "spiking_stream",
        "sc_lif_neuron",
        ("above ? RefractoryWord[TimerWidth-1:0]", "above ? RefractoryWord[TimerWidth-1:0] - 1'b1"),
    ),
    _hdl(
        "lif-no-restart",
        "membranes are kept from vector to vector",
        "spiking_counts",
        "sc_lif_neuron",
        ("reg [Width-1:0]      voltage_q;", "reg [Width-1:0]      voltage_q = 0;"),
        ("      voltage_q <= {Width{1'b0}};", "      voltage_q <= voltage_q;"),
    ),
    _hdl(
        "lif-bias-dropped",
        "the neurons' constant current is left out",
        "spiking_counts",
        "sc_lif_neuron",
        ("{{(SumWidth-CurrentWidth){Current[CurrentWidth-1]}}, Current}", "constant(0)"),
    ),
    _hdl(
        "lif-bank-permuted",
        "neurons take their increments in the reverse order",
        "spiking_stream",
        "sc_lif_bank",
        ("inc_i[k*Neurons + j]", "inc_i[k*Neurons + Neurons-1-j]"),
    ),
    _hdl(
        "spikes-counted-from-one",
        "spike counters start from one",
        "spiking_counts",
        "sc_stochastic_counter",
        (
            "count_q <= {CountWidth{{Neurons{1'b0}}}};",
            "count_q <= plus({CountWidth{{Neurons{1'b0}}}}, {Neurons{1'b1}});",
        ),
    ),
)

_RESULTS = (
    _hdl(
        "clip-truncates",
        "truncation for rounding, lengths that are powers of two",
        "counter_pair",
        "sc_result_clip",
        ("if (Rounds != 0) carry = acc[RoundPlane*N +: N];", ""),
    ),
    _hdl(
        "clip-does-not-saturate",
        "magnitudes wrap above the largest",
        "counter_pair",
        "sc_result_clip",
        ("(reencode[p*N +: N] | above) & ~plane;", "reencode[p*N +: N] & ~plane;"),
    ),
    _hdl(
        "clip-passes-negatives",
        "negative counts are not cut off at zero",
        "counter_pair",
        "sc_result_clip",
        ("(reencode[p*N +: N] | above) & ~plane;", "reencode[p*N +: N] | above;"),
    ),
    _hdl(
        "divide-truncates",
        "truncation for rounding, other lengths",
        "lfsr_lanes",
        "sc_result_clip_divide",
        (
            "first_remainder = add_constant(first_remainder, Rounding);",
            "first_remainder = add_constant(first_remainder, {Width{1'b0}});",
        ),
    ),
    _hdl(
        "divide-does-not-saturate",
        "quotients above the largest magnitude wrap",
        "lfsr_lanes",
        "sc_result_clip_divide",
        ("quotient_q | {K{saturated_q}};", "quotient_q;"),
    ),
    _hdl(
        "step-of-wrong-bit",
        "the step looks at the bit below the sign",
        "lfsr_galois_step",
        "sc_result_step",
        (
            ".acc_i(acc_i[(AccWidth-1)*Neurons +: Neurons]),",
            ".acc_i(acc_i[(AccWidth-2)*Neurons +: Neurons]),",
        ),
    ),
    _hdl(
        "clip-overwrites",
        "a result that waits for the next layer is overwritten",
        "counter_pair",
        "sc_result_clip",
        ("acc_ready_o    = !valid_q || result_ready_i;", "acc_ready_o    = 1'b1;"),
    ),
    _hdl(
        "divide-overwrites",
        "a quotient that waits for the next layer is overwritten",
        "lfsr_lanes",
        "sc_result_clip_divide",
        ("!busy_q && (!valid_q || result_ready_i);", "!busy_q;"),
    ),
    _hdl(
        "count-overwrites",
        "counts that wait for the output stream are overwritten",
        "counter_pair",
        "sc_result_count",
        ("acc_ready_o    = !valid_q || result_ready_i;", "acc_ready_o    = 1'b1;"),
    ),
)

_CONTROL = (
    _hdl(
        "cycle-too-few",
        "vectors take one cycle too few",
        "counter_pair",
        "sc_layer_ctrl",
        ("LastCycle = Length - 1;", "LastCycle = Length - 2;"),
    ),
    _hdl(
        "cycle-too-many",
        "vectors take one cycle too many",
        "lfsr_lanes",
        "sc_layer_ctrl",
        ("LastCycle = Length - 1;", "LastCycle = Length;"),
    ),
    _hdl(
        "cycle-no-restart",
        "cycles are numbered on from vector to vector",
        "sobol_unsigned",
        "sc_layer_ctrl",
        (
            "end else begin\n        cycle_q <= {CycleWidth{1'b0}};",
            "end else begin\n        cycle_q <= cycle_q;",
        ),
    ),
    _hdl(
        "load-while-finishing",
        "a vector is taken while the result before it still waits",
        "counter_pair",
        "sc_layer_ctrl",
        ("((state_q == StIdle) || finished);", "((state_q == StIdle) || finish_o);"),
    ),
    _hdl(
        "stream-cycle-too-few",
        "a layer that takes spikes stops one cycle early",
        "spiking_stream",
        "sc_stream_ctrl",
        ("LastCycle = Length - 1;", "LastCycle = Length - 2;"),
    ),
    _hdl(
        "stream-cycle-too-many",
        "a layer that takes spikes waits for one more: it hangs",
        "spiking_stream",
        "sc_stream_ctrl",
        ("LastCycle = Length - 1;", "LastCycle = Length;"),
    ),
    _hdl(
        "stream-not-registered",
        "spikes are a cycle ahead of the cycle that they belong to",
        "spiking_stream",
        "sc_stream_ctrl",
        ("assign stream_o = stream_q;", "assign stream_o = stream_i;"),
    ),
    _hdl(
        "stream-cycle-no-restart",
        "cycles of spikes are numbered on from vector to vector",
        "spiking_stream",
        "sc_stream_ctrl",
        ("if (start_q) cycle_q <= {CycleWidth{1'b0}};", "if (start_q) cycle_q <= cycle_q;"),
    ),
    _hdl(
        "stream-ready-too-early",
        "a layer that takes spikes lets the next vector begin while it works",
        "spiking_stream",
        "sc_stream_ctrl",
        ("!start_q && !working_q &&", "!start_q &&"),
    ),
    _hdl(
        "reset-misses-layer",
        "reset does not stop a layer that is at work",
        "counter_pair",
        "sc_layer_ctrl",
        ("reg [1:0]            state_q;", "reg [1:0]            state_q = 2'd0;"),
        (
            "    if (!rst_ni) begin\n      state_q <= StIdle;",
            "    if (!rst_ni) begin\n      state_q <= state_q;",
        ),
    ),
    _hdl(
        "clear-misses-layer",
        "clear does not stop a layer that is at work",
        "counter_pair",
        "sc_layer_ctrl",
        ("if (clear_i) state_d = StIdle;", ""),
    ),
    _hdl(
        "clear-misses-result",
        "clear leaves a result standing",
        "counter_pair",
        "sc_result_clip",
        ("end else if (clear_i) begin", "end else if (clear_i && Neurons == 0) begin"),
    ),
    _hdl(
        "clear-misses-divide",
        "clear does not stop a division",
        "lfsr_lanes",
        "sc_result_clip_divide",
        ("end else if (clear_i) begin", "end else if (clear_i && Neurons == 0) begin"),
    ),
    _hdl(
        "clear-misses-count",
        "clear leaves counts standing that wait for the output stream",
        "counter_pair",
        "sc_result_count",
        ("end else if (clear_i) begin", "end else if (clear_i && Neurons == 0) begin"),
    ),
    _hdl(
        "clear-misses-stream",
        "clear does not stop a layer that takes spikes",
        "spiking_stream",
        "sc_stream_ctrl",
        ("end else if (clear_i) begin", "end else if (clear_i && Lanes == 0) begin"),
    ),
)

_STREAMS = (
    _hdl(
        "sink-overwrites",
        "a vector that waits for the first layer is overwritten",
        "counter_pair",
        "axis_vector_sink",
        ("(enable_i && (!valid_q || vector_ready_i))", "enable_i"),
    ),
    _hdl(
        "sink-takes-short-packets",
        "an early TLAST does not end the packet",
        "counter_pair",
        "axis_vector_sink",
        ("end else if (s_axis_tlast) begin", "end else if (s_axis_tlast && Features == 0) begin"),
    ),
    _hdl(
        "sink-takes-long-packets",
        "a packet without TLAST on its last beat is taken as a vector",
        "counter_pair",
        "axis_vector_sink",
        ("valid_d = s_axis_tlast;", "valid_d = 1'b1;"),
    ),
    _hdl(
        "sink-error-not-told",
        "a short packet is dropped in silence",
        "counter_pair",
        "axis_vector_sink",
        ("error_d = 1'b1;", "error_d = 1'b0;"),
    ),
    _hdl(
        "sink-enable-ignored",
        "packets are begun while the design is disabled",
        "counter_pair",
        "axis_vector_sink",
        ("(enable_i && (!valid_q || vector_ready_i))", "(!valid_q || vector_ready_i)"),
    ),
    _hdl(
        "reset-misses-beat",
        "reset does not zero the number of the beat",
        "counter_pair",
        "axis_vector_sink",
        ("reg [BeatWidth-1:0] beat_d, beat_q;", "reg [BeatWidth-1:0] beat_d, beat_q = 0;"),
        (
            "    if (!rst_ni) begin\n      beat_q <= {BeatWidth{1'b0}};",
            "    if (!rst_ni) begin\n      beat_q <= beat_q;",
        ),
    ),
    _hdl(
        "clear-misses-packet",
        "clear keeps the beats of a packet that was begun",
        "counter_pair",
        "axis_vector_sink",
        (
            "    if (clear_i) begin\n      beat_d = {BeatWidth{1'b0}};",
            "    if (clear_i) begin\n      beat_d = beat_d;",
        ),
    ),
    _hdl(
        "beat-lost",
        "a beat that the receiver does not take is lost",
        "counter_pair",
        "axis_count_source",
        ("wire sent = valid_q && m_axis_tready;", "wire sent = valid_q;"),
    ),
    _hdl(
        "beat-changes",
        "data moves on while its beat waits",
        "counter_pair",
        "axis_count_source",
        ("end else if (sent) begin\n      count_q", "end else begin\n      count_q"),
    ),
    _hdl(
        "packet-overtaken",
        "the next packet is taken before the last beat has gone",
        "counter_pair",
        "axis_count_source",
        ("(m_axis_tready && last_beat));", "m_axis_tready);"),
    ),
    _hdl(
        "tlast-early",
        "TLAST one beat early",
        "counter_pair",
        "axis_count_source",
        (
            "assign m_axis_tlast = last_beat;",
            "assign m_axis_tlast = beat_q == LastBeat[BeatWidth-1:0] - 1'b1;",
        ),
    ),
    _hdl(
        "counts-not-extended",
        "negative counts are not extended to 32 bits",
        "counter_pair",
        "axis_count_source",
        (
            "= count_q[((k < CountWidth) ? k : CountWidth - 1)*Outputs];",
            "= (k < CountWidth) && count_q[((k < CountWidth) ? k : CountWidth - 1)*Outputs];",
        ),
    ),
    _hdl(
        "reset-misses-output",
        "reset does not end an output packet",
        "counter_pair",
        "axis_count_source",
        ("reg valid_d, valid_q;", "reg valid_d, valid_q = 1'b0;"),
        (
            "valid_q <= 1'b0;\n    end else begin",
            "valid_q <= valid_q;\n    end else begin",
        ),
    ),
    _hdl(
        "clear-misses-output",
        "clear does not drop the rest of an output packet",
        "counter_pair",
        "axis_count_source",
        ("    if (clear_i) begin", "    if (clear_i && Outputs == 0) begin"),
    ),
)

_REGISTERS = (
    _hdl(
        "registers-id-order",
        "the words of the ID in the reverse order",
        "counter_pair",
        "axil_registers",
        ("Id[{~read_word[2:0], 5'd0}+:32]", "Id[{read_word[2:0], 5'd0}+:32]"),
    ),
    _hdl(
        "registers-status-address",
        "STATUS stands at a wrong address",
        "counter_pair",
        "axil_registers",
        ("StatusWord = 10'h00A;", "StatusWord = 10'h012;"),
    ),
    _hdl(
        "registers-vectors-in",
        "VECTORS_IN does not count",
        "counter_pair",
        "axil_registers",
        ("if (vector_in_i) vectors_in_q <= vectors_in_q + 32'd1;", ""),
    ),
    _template(
        "registers-vectors-out",
        "VECTORS_OUT counts beats",
        "counter_pair",
        "top",
        ("(m_axis_tvalid && m_axis_tready && m_axis_tlast)", "(m_axis_tvalid && m_axis_tready)"),
    ),
    _hdl(
        "registers-packet-errors",
        "PACKET_ERRORS does not count",
        "counter_pair",
        "axil_registers",
        ("if (packet_error_i) packet_errors_q <= packet_errors_q + 32'd1;", ""),
    ),
    _hdl(
        "registers-cycles",
        "CYCLES stands still",
        "counter_pair",
        "axil_registers",
        ("cycles_q <= cycles_q + 64'd1;\n      if (vector_in_i)", "if (vector_in_i)"),
    ),
    _hdl(
        "registers-busy-cycles",
        "BUSY_CYCLES counts idle cycles too",
        "counter_pair",
        "axil_registers",
        ("if (busy_i) busy_cycles_q <=", "busy_cycles_q <="),
    ),
    _hdl(
        "registers-busy",
        "STATUS never says busy",
        "counter_pair",
        "axil_registers",
        ("{30'd0, error_q, busy_i};", "{30'd0, error_q, 1'b0};"),
    ),
    _hdl(
        "registers-error-not-sticky",
        "the error flag falls by itself",
        "counter_pair",
        "axil_registers",
        ("packet_error_i || (error_q && !(write_status && w_data_q[1]));", "packet_error_i;"),
    ),
    _hdl(
        "registers-error-stays",
        "writing 1 does not clear the error flag",
        "counter_pair",
        "axil_registers",
        ("(error_q && !(write_status && w_data_q[1]));", "error_q;"),
    ),
    _hdl(
        "registers-clear-dead",
        "the clear bit does nothing",
        "counter_pair",
        "axil_registers",
        ("clear_q <= write_control && w_data_q[1];", "clear_q <= 1'b0;"),
    ),
    _hdl(
        "registers-zero-dead",
        "the bit that zeroes the counters does nothing",
        "counter_pair",
        "axil_registers",
        ("zero_counters = write_control && w_data_q[2];", "zero_counters = 1'b0;"),
    ),
    _hdl(
        "registers-enable-dead",
        "the enable bit cannot be written",
        "counter_pair",
        "axil_registers",
        ("enable_q <= w_data_q[0];", "enable_q <= enable_q;"),
    ),
    _hdl(
        "registers-no-error-response",
        "reading an address without a register is answered with OKAY",
        "counter_pair",
        "axil_registers",
        ("rresp_q <= read_hit ? RespOkay : RespSlvErr;", "rresp_q <= RespOkay;"),
    ),
    _hdl(
        "registers-strobe-ignored",
        "writes do not look at WSTRB",
        "counter_pair",
        "axil_registers",
        ("w_strobe_q <= s_axil_wstrb[0];", "w_strobe_q <= 1'b1;"),
    ),
    _template(
        "registers-layer-info",
        "fan-in and outputs of a layer are swapped",
        "counter_pair",
        "top",
        (
            "{16'd{{ layer.outputs }}, 16'd{{ layer.fan_in }}}",
            "{16'd{{ layer.fan_in }}, 16'd{{ layer.outputs }}}",
        ),
    ),
    _hdl(
        "registers-reset-misses-counter",
        "reset does not zero VECTORS_OUT",
        "counter_pair",
        "axil_registers",
        (
            "reg [31:0] vectors_in_q, vectors_out_q, packet_errors_q;",
            "reg [31:0] vectors_in_q, vectors_out_q = 0, packet_errors_q;",
        ),
        (
            "begin\n      vectors_in_q <= 32'd0;\n      vectors_out_q <= 32'd0;\n"
            "      packet_errors_q <= 32'd0;\n      cycles_q <= 64'd0;\n"
            "      busy_cycles_q <= 64'd0;\n    end else if (zero_counters)",
            "begin\n      vectors_in_q <= 32'd0;\n      packet_errors_q <= 32'd0;\n"
            "      cycles_q <= 64'd0;\n      busy_cycles_q <= 64'd0;\n"
            "    end else if (zero_counters)",
        ),
    ),
)

DEFECTS: tuple[Defect, ...] = (
    *_COMPARATORS,
    *_SOURCES,
    *_WEIGHTS,
    *_SUMS,
    *_NEURONS,
    *_RESULTS,
    *_CONTROL,
    *_STREAMS,
    *_REGISTERS,
)
