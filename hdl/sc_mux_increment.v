// What a multiplexer adder gives each neuron in one cycle, as a signed number.
//
// inc_o = 2**SelectWidth times the product of the selected lane: a lane is selected every
// 2**SelectWidth cycles on average, so that sums over cycles estimate sums over lanes. Sign and
// magnitude (Bipolar 0): a product of one counts up, or down where negative_i is set. Bipolar: one
// counts up, zero counts down. Where no lane is selected (select_i >= Inputs) nothing counts.
//
// product_i and negative_i: lane i of neuron j at [i*Neurons + j]. inc_o: bit p of neuron j at
// [p*Neurons + j], two's complement; all bits below SelectWidth are zero.
//
// Latency: combinational.
// Legal: Inputs, Neurons >= 1, Bipolar = 0 or 1, and what sc_mux_adder.v says of SelectWidth; anything
// else stops elaboration.

`default_nettype none

module sc_mux_increment #(
  parameter integer Inputs = 1,
  parameter integer Neurons = 1,
  parameter integer SelectWidth = 1,
  parameter integer Bipolar = 0
) (
  input  wire [Inputs*Neurons-1:0]          product_i,
  input  wire [Inputs*Neurons-1:0]          negative_i,
  input  wire [SelectWidth-1:0]             select_i,
  output wire [(SelectWidth+2)*Neurons-1:0] inc_o
);

  generate
    if (Inputs < 1) begin : gen_illegal_inputs
      Inputs_must_be_positive u_illegal ();
    end
    if (Neurons < 1) begin : gen_illegal_neurons
      Neurons_must_be_positive u_illegal ();
    end
    if (Bipolar != 0 && Bipolar != 1) begin : gen_illegal_bipolar
      Bipolar_must_be_0_or_1 u_illegal ();
    end
  endgenerate

  localparam integer N = Neurons;

  wire         used;
  wire [N-1:0] selected;
  wire [N-1:0] counts;
  wire [N-1:0] down;

  sc_mux_adder #(
    .Inputs(Inputs),
    .Neurons(N),
    .SelectWidth(SelectWidth)
  ) u_product (
    .word_i(product_i),
    .select_i(select_i),
    .bit_o(selected),
    .used_o(used)
  );

  generate
    if (Bipolar != 0) begin : gen_bipolar
      assign counts = {N{used}};
      assign down   = counts & ~selected;
      wire unused_negative = &{1'b0, negative_i};
    end else begin : gen_signs
      wire [N-1:0] negative;
      wire         unused_used;

      sc_mux_adder #(
        .Inputs(Inputs),
        .Neurons(N),
        .SelectWidth(SelectWidth)
      ) u_negative (
        .word_i(negative_i),
        .select_i(select_i),
        .bit_o(negative),
        .used_o(unused_used)
      );

      assign counts = selected;
      assign down   = selected & negative;
      wire unused_select = &{1'b0, used, unused_used};
    end
  endgenerate

  assign inc_o = {down, counts, {SelectWidth*N{1'b0}}};

endmodule

`default_nettype wire
