// Multiplexer adder: each cycle one of the inputs stands for all of them.
//
// bit_o[j] = word_i[select_i*Neurons + j], and used_o is high, where select_i < Inputs; elsewhere both
// are zero. With a select that is uniform over 2**SelectWidth and independent of the inputs, the mean
// of bit_o is the sum of the inputs' means over 2**SelectWidth, and that of the cycles in which used_o
// is high is their mean.
//
// Latency: combinational.
// Legal: Inputs, Neurons >= 1, SelectWidth = 1 .. 30, 2**SelectWidth >= Inputs; anything else stops
// elaboration.

`default_nettype none

module sc_mux_adder #(
  parameter integer Inputs = 1,
  parameter integer Neurons = 1,
  parameter integer SelectWidth = 1
) (
  input  wire [Inputs*Neurons-1:0] word_i,
  input  wire [SelectWidth-1:0]    select_i,
  output wire [Neurons-1:0]        bit_o,
  output wire                      used_o
);

  generate
    if (Inputs < 1) begin : gen_illegal_inputs
      Inputs_must_be_positive u_illegal ();
    end
    if (Neurons < 1) begin : gen_illegal_neurons
      Neurons_must_be_positive u_illegal ();
    end
    if (SelectWidth < 1 || SelectWidth > 30 || (1 << SelectWidth) < Inputs)
    begin : gen_illegal_select_width
      SelectWidth_must_be_1_to_30_and_reach_every_input u_illegal ();
    end
  endgenerate

  function [Neurons:0] selected;
    input [Inputs*Neurons-1:0] words;
    input [SelectWidth-1:0] select;
    integer index;
    begin
      index = {{(32-SelectWidth){1'b0}}, select};
      selected = {Neurons+1{1'b0}};
      if (index < Inputs) selected = {1'b1, words[index*Neurons +: Neurons]};
    end
  endfunction

  assign {used_o, bit_o} = selected(word_i, select_i);

endmodule

`default_nettype wire
