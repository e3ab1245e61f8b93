// Stochastic number generators of a layer's inputs: operand registers and one comparator a lane.
//
// bit_o[i] = [ r_i < magnitude_i ], all lanes at once: the comparison runs from the least to the most
// significant bit-plane on whole words. Bit k of lane i stands at [k*Lanes + i] of a plane vector; r_i
// is one word for all lanes if SharedSource, else a plane vector.
//
// Latency: operands are captured by load_i; the stream is combinational from r_i after that.
// Legal: Lanes >= 1, OperandWidth >= 1; anything else stops elaboration.
// The operand registers are not reset: nothing reads them before the first load_i.

`default_nettype none

module sc_sng_bank #(
  parameter integer Lanes = 1,
  parameter integer OperandWidth = 8,
  parameter integer SharedSource = 1,
  parameter integer SourceLanes = (SharedSource != 0) ? 1 : Lanes  // derived
) (
  input  wire                                clk_i,
  input  wire                                load_i,
  input  wire [OperandWidth*Lanes-1:0]       magnitude_i,
  input  wire [Lanes-1:0]                    sign_i,
  input  wire [OperandWidth*SourceLanes-1:0] r_i,
  output wire [Lanes-1:0]                    bit_o,
  output wire [Lanes-1:0]                    sign_o
);

  generate
    if (Lanes < 1) begin : gen_illegal_lanes
      Lanes_must_be_positive u_illegal ();
    end
    if (OperandWidth < 1) begin : gen_illegal_operand_width
      OperandWidth_must_be_positive u_illegal ();
    end
  endgenerate

  reg [OperandWidth*Lanes-1:0] magnitude_q;
  reg [Lanes-1:0]              sign_q;

  always @(posedge clk_i) begin
    if (load_i) begin
      magnitude_q <= magnitude_i;
      sign_q      <= sign_i;
    end
  end

  function [Lanes-1:0] less_than;
    input [OperandWidth*SourceLanes-1:0] r;
    input [OperandWidth*Lanes-1:0] a;
    integer k;
    reg [Lanes-1:0] plane;
    reg [Lanes-1:0] not_r;
    begin
      less_than = {Lanes{1'b0}};
      for (k = 0; k < OperandWidth; k = k + 1) begin
        // A higher plane decides where it differs, else the lower ones have.
        plane = a[k*Lanes +: Lanes];
        not_r = ~{(Lanes/SourceLanes){r[k*SourceLanes +: SourceLanes]}};
        less_than = (plane & not_r) | (less_than & (plane | not_r));
      end
    end
  endfunction

  assign bit_o  = less_than(r_i, magnitude_q);
  assign sign_o = sign_q;

endmodule

`default_nettype wire
