// Number source made of the layer's cycle counter: as it counts, or bit-reversed (van der Corput).
//
// word_o = align(reverse?(cycle_i)) ^ XorConstant, where align puts the counter at the most
// significant end of the word: low bits are zero if the counter is narrower, dropped if it is wider.
// Wires and inverters only.
//
// Latency: combinational.
// Legal: CounterWidth >= 1, OperandWidth >= 1; anything else stops elaboration.

`default_nettype none

module sc_counter_source #(
  parameter integer CounterWidth = 8,
  parameter integer OperandWidth = 8,
  parameter integer Reversed = 0,
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

  // Word bit OperandWidth-1-b takes the b-th bit from the counter's leading end.
  function [OperandWidth-1:0] aligned;
    input [CounterWidth-1:0] count;
    integer b;
    begin
      aligned = {OperandWidth{1'b0}};
      for (b = 0; b < OperandWidth && b < CounterWidth; b = b + 1) begin
        aligned[OperandWidth-1-b] = count[(Reversed != 0) ? b : CounterWidth-1-b];
      end
    end
  endfunction

  assign word_o = aligned(cycle_i) ^ XorConstant;

  generate
    if (CounterWidth > OperandWidth) begin : gen_unused
      wire unused_dropped_bits = &{1'b0, cycle_i};
    end
  endgenerate

endmodule

`default_nettype wire
