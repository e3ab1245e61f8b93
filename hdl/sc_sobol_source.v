// Number source made of the layer's cycle counter: one dimension of a Sobol sequence, in its natural
// order.
//
// word_o = (XOR of the direction numbers of the bits that are set in cycle_i) ^ XorConstant.
//
// Directions: that of counter bit b at [b*OperandWidth +: OperandWidth].
// Latency: combinational.
// Legal: CounterWidth >= 1, OperandWidth >= 1; anything else stops elaboration.

`default_nettype none

module sc_sobol_source #(
  parameter integer CounterWidth = 8,
  parameter integer OperandWidth = 8,
  // The default is dimension 1, the bit-reversed counter.
  parameter [CounterWidth*OperandWidth-1:0] Directions = 64'h0102040810204080,
  parameter [OperandWidth-1:0] XorConstant = 0
) (
  input  wire [CounterWidth-1:0] cycle_i,
  output wire [OperandWidth-1:0] word_o
);

  generate
    if (CounterWidth < 1) begin : gen_illegal_counter_width
      CounterWidth_must_be_positive u_illegal ();
    end
    if (OperandWidth < 1) begin : gen_illegal_operand_width
      OperandWidth_must_be_positive u_illegal ();
    end
  endgenerate

  function [OperandWidth-1:0] directed;
    input [CounterWidth-1:0] count;
    integer b;
    begin
      directed = {OperandWidth{1'b0}};
      for (b = 0; b < CounterWidth; b = b + 1) begin
        if (count[b]) directed = directed ^ Directions[b*OperandWidth +: OperandWidth];
      end
    end
  endfunction

  assign word_o = directed(cycle_i) ^ XorConstant;

endmodule

`default_nettype wire
