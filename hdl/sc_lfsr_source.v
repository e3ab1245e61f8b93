// Leap-ahead LFSR number source: a Fibonacci register that advances Step shifts a cycle.
//
// One shift moves the state one bit up and enters the XOR of the tapped bits at bit 0; Step shifts
// are unrolled into XOR gates. word_o is the OperandWidth most significant bits ^ XorConstant.
//
// Latency: the word of cycle 0 (the seed's) is there the cycle after restart_i; advance_i steps.
// Legal: 2 <= Width <= 32, 1 <= OperandWidth <= Width, Step >= 1, Seed not zero (the all-zero state
// never leaves zero), Taps with bit Width-1 set; anything else stops elaboration.

`default_nettype none

module sc_lfsr_source #(
  parameter integer Width = 16,
  parameter integer OperandWidth = 8,
  parameter integer Step = 16,
  parameter [Width-1:0] Taps = 16'hd008,  // bit t-1 set for tap t
  parameter [Width-1:0] Seed = 1,
  parameter [OperandWidth-1:0] XorConstant = 0
) (
  input  wire                    clk_i,
  input  wire                    rst_ni,
  input  wire                    restart_i,
  input  wire                    advance_i,
  output wire [OperandWidth-1:0] word_o
);

  generate
    if (Width < 2 || Width > 32) begin : gen_illegal_width
      Width_must_be_2_to_32 u_illegal ();
    end
    if (OperandWidth < 1 || OperandWidth > Width) begin : gen_illegal_operand_width
      OperandWidth_must_be_1_to_Width u_illegal ();
    end
    if (Step < 1) begin : gen_illegal_step
      Step_must_be_positive u_illegal ();
    end
    if (Seed == 0) begin : gen_illegal_seed
      Seed_must_not_be_zero u_illegal ();
    end
    if (!Taps[Width-1]) begin : gen_illegal_taps
      Taps_must_include_the_last_bit u_illegal ();
    end
  endgenerate

  function [Width-1:0] leap;
    input [Width-1:0] state;
    integer n;
    begin
      leap = state;
      for (n = 0; n < Step; n = n + 1) begin
        leap = {leap[Width-2:0], ^(leap & Taps)};
      end
    end
  endfunction

  reg [Width-1:0] state_q;

  always @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= Seed;
    end else if (restart_i) begin
      state_q <= Seed;
    end else if (advance_i) begin
      state_q <= leap(state_q);
    end
  end

  assign word_o = state_q[Width-1 -: OperandWidth] ^ XorConstant;

endmodule

`default_nettype wire
