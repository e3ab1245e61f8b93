// What a parallel counter gives each neuron in one cycle, as a signed number.
//
// Sign and magnitude (Bipolar 0): inc_o = sum over lanes i of product i, minus it where negative i is
// set: the ones of (product ^ negative), less those of negative. Bipolar: each product of one counts
// up, each of zero counts down: 2 * ones - Inputs; negative_i is ignored.
//
// product_i and negative_i: lane i of neuron j at [i*Neurons + j]. inc_o: bit p of neuron j at
// [p*Neurons + j], two's complement.
//
// Latency: combinational.
// Legal: Inputs, Neurons >= 1, CountWidth = bits of Inputs, Bipolar = 0 or 1; anything else stops
// elaboration, where CountWidth is concerned in sc_parallel_counter.

`default_nettype none

module sc_counter_increment #(
  parameter integer Inputs = 1,
  parameter integer Neurons = 1,
  parameter integer CountWidth = 1,
  parameter integer Bipolar = 0
) (
  input  wire [Inputs*Neurons-1:0]         product_i,
  input  wire [Inputs*Neurons-1:0]         negative_i,
  output wire [(CountWidth+1)*Neurons-1:0] inc_o
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
  localparam integer IncWidth = CountWidth + 1;
  localparam [31:0] AllInputs = Inputs;

  wire [Inputs*N-1:0]     up;
  wire [CountWidth*N-1:0] ones;
  wire [IncWidth*N-1:0]   counted;
  wire [IncWidth*N-1:0]   excess;

  sc_parallel_counter #(
    .Inputs(Inputs),
    .Neurons(N),
    .CountWidth(CountWidth)
  ) u_ones (
    .word_i(up),
    .count_o(ones)
  );

  genvar p;
  generate
    if (Bipolar != 0) begin : gen_bipolar
      wire unused_negative = &{1'b0, negative_i};

      assign up      = product_i;
      assign counted = {ones, {N{1'b0}}};
      for (p = 0; p < IncWidth; p = p + 1) begin : gen_plane
        assign excess[p*N +: N] = {N{AllInputs[p]}};
      end
    end else begin : gen_signs
      wire [CountWidth*N-1:0] negatives;

      sc_parallel_counter #(
        .Inputs(Inputs),
        .Neurons(N),
        .CountWidth(CountWidth)
      ) u_negatives (
        .word_i(negative_i),
        .count_o(negatives)
      );

      assign up      = product_i ^ negative_i;
      assign counted = {{N{1'b0}}, ones};
      assign excess  = {{N{1'b0}}, negatives};
    end
  endgenerate

  function [IncWidth*N-1:0] difference;
    input [IncWidth*N-1:0] a;
    input [IncWidth*N-1:0] b;
    integer k;
    reg [N-1:0] carry;
    reg [N-1:0] half;
    begin
      carry = {N{1'b1}};
      for (k = 0; k < IncWidth; k = k + 1) begin
        half = a[k*N +: N] ^ ~b[k*N +: N];
        difference[k*N +: N] = half ^ carry;
        carry = (a[k*N +: N] & ~b[k*N +: N]) | (carry & half);
      end
    end
  endfunction

  assign inc_o = difference(counted, excess);

endmodule

`default_nettype wire
