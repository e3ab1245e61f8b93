// Signed operands as the levels of bipolar comparators: offset binary.
//
// level_o[i] = 2**OperandWidth + operand i, in OperandWidth + 1 bits: two's complement with the sign bit
// inverted. A stream that is one where a uniform word is below it has the bipolar value operand /
// 2**OperandWidth. All lanes at once; plane vectors: bit k of lane i at [k*Lanes + i].
//
// Latency: combinational.
// Legal: Lanes >= 1, OperandWidth >= 1; anything else stops elaboration.

`default_nettype none

module sc_offset_encoder #(
  parameter integer Lanes = 1,
  parameter integer OperandWidth = 8
) (
  input  wire [OperandWidth*Lanes-1:0]     magnitude_i,
  input  wire [Lanes-1:0]                  sign_i,
  output wire [(OperandWidth+1)*Lanes-1:0] level_o
);

  generate
    if (Lanes < 1) begin : gen_illegal_lanes
      Lanes_must_be_positive u_illegal ();
    end
    if (OperandWidth < 1) begin : gen_illegal_operand_width
      OperandWidth_must_be_positive u_illegal ();
    end
  endgenerate

  function [(OperandWidth+1)*Lanes-1:0] offset_binary;
    input [OperandWidth*Lanes-1:0] magnitude;
    input [Lanes-1:0] sign;
    integer k;
    reg [Lanes-1:0] carry;
    reg [Lanes-1:0] plane;
    begin
      // Minus a number is its complement plus one.
      carry = sign;
      for (k = 0; k < OperandWidth; k = k + 1) begin
        plane = magnitude[k*Lanes +: Lanes] ^ sign;
        offset_binary[k*Lanes +: Lanes] = plane ^ carry;
        carry = plane & carry;
      end
      offset_binary[OperandWidth*Lanes +: Lanes] = ~(sign ^ carry);
    end
  endfunction

  assign level_o = offset_binary(magnitude_i, sign_i);

endmodule

`default_nettype wire
