// Multipliers of a bank of neurons: an AND gate a synapse and its sign apart, or an XNOR gate.
//
// Sign and magnitude (Bipolar 0): product_o[i*Neurons + j] = x_i[i] & w_i[i*Neurons + j], and
// negative_o is the XOR of the signs. Bipolar: product_o is the XNOR of the streams, which carry
// their signs themselves: the signs at the inputs are ignored and negative_o is zero.
//
// Latency: combinational.
// Legal: FanIn, Neurons >= 1, Bipolar = 0 or 1; anything else stops elaboration.

`default_nettype none

module sc_multiplier_bank #(
  parameter integer FanIn = 1,
  parameter integer Neurons = 1,
  parameter integer Bipolar = 0
) (
  input  wire [FanIn-1:0]         x_i,
  input  wire [FanIn-1:0]         x_sign_i,
  input  wire [FanIn*Neurons-1:0] w_i,
  input  wire [FanIn*Neurons-1:0] w_sign_i,
  output wire [FanIn*Neurons-1:0] product_o,
  output wire [FanIn*Neurons-1:0] negative_o
);

  generate
    if (FanIn < 1) begin : gen_illegal_fan_in
      FanIn_must_be_positive u_illegal ();
    end
    if (Neurons < 1) begin : gen_illegal_neurons
      Neurons_must_be_positive u_illegal ();
    end
    if (Bipolar != 0 && Bipolar != 1) begin : gen_illegal_bipolar
      Bipolar_must_be_0_or_1 u_illegal ();
    end
  endgenerate

  localparam integer Span = FanIn*Neurons;

  // Each lane's bit, once for every neuron.
  function [Span-1:0] spread;
    input [FanIn-1:0] lanes;
    integer i;
    begin
      for (i = 0; i < FanIn; i = i + 1) spread[i*Neurons +: Neurons] = {Neurons{lanes[i]}};
    end
  endfunction

  generate
    if (Bipolar != 0) begin : gen_bipolar
      wire unused_signs = &{1'b0, x_sign_i, w_sign_i};
      assign product_o  = ~(spread(x_i) ^ w_i);
      assign negative_o = {FanIn{{Neurons{1'b0}}}};
    end else begin : gen_sign_magnitude
      assign product_o  = spread(x_i) & w_i;
      assign negative_o = spread(x_sign_i) ^ w_sign_i;
    end
  endgenerate

endmodule

`default_nettype wire
