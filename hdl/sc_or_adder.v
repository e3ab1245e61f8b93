// OR adder: a neuron's bit is one where any of its inputs is, for a whole bank of neurons.
//
// bit_o[j] = OR over i of word_i[i*Neurons + j]. Not a sum: for independent inputs of means p_i the
// mean is 1 - prod(1 - p_i), which comes near sum p_i where that is small.
//
// Latency: combinational.
// Legal: Inputs, Neurons >= 1; anything else stops elaboration.

`default_nettype none

module sc_or_adder #(
  parameter integer Inputs = 1,
  parameter integer Neurons = 1
) (
  input  wire [Inputs*Neurons-1:0] word_i,
  output wire [Neurons-1:0]        bit_o
);

  generate
    if (Inputs < 1) begin : gen_illegal_inputs
      Inputs_must_be_positive u_illegal ();
    end
    if (Neurons < 1) begin : gen_illegal_neurons
      Neurons_must_be_positive u_illegal ();
    end
  endgenerate

  function [Neurons-1:0] any_input;
    input [Inputs*Neurons-1:0] words;
    integer i;
    begin
      any_input = {Neurons{1'b0}};
      for (i = 0; i < Inputs; i = i + 1) any_input = any_input | words[i*Neurons +: Neurons];
    end
  endfunction

  assign bit_o = any_input(word_i);

endmodule

`default_nettype wire
