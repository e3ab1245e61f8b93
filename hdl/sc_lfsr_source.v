// Leap-ahead LFSR number sources: registers, one a lane, that advance Step shifts a cycle.
//
// One shift of the Fibonacci form moves a register one bit up and enters the XOR of its tapped bits at
// bit 0. One of the Galois form moves it one bit up and, if the bit that left was 1, inverts bit
// Width - t for each tap t. Step shifts are unrolled into XOR gates. All lanes are worked on at once:
// bit i of a word belongs to lane i.
// word_o holds the OperandWidth most significant bits of each register ^ its XorConstant, bit k of lane
// i at [k*Lanes + i].
//
// Seed and XorConstant: lane i from [i*Width] and [i*OperandWidth].
// Latency: the word of cycle 0 (the seed's) is there the cycle after restart_i; advance_i steps.
// Legal: Lanes >= 1, 2 <= Width <= 32, 1 <= OperandWidth <= Width, Step >= 1, Galois 0 or 1, no seed of
// zero (the all-zero state never leaves zero), Taps with bit Width-1 set; anything else stops
// elaboration.

`default_nettype none

module sc_lfsr_source #(
  parameter integer Lanes = 1,
  parameter integer Width = 16,
  parameter integer OperandWidth = 8,
  parameter integer Step = 16,
  parameter integer Galois = 0,
  parameter [Width-1:0] Taps = 16'hd008,  // bit t-1 set for tap t
  parameter [Width*Lanes-1:0] Seed = 1,
  parameter [OperandWidth*Lanes-1:0] XorConstant = 0
) (
  input  wire                          clk_i,
  input  wire                          rst_ni,
  input  wire                          restart_i,
  input  wire                          advance_i,
  output wire [OperandWidth*Lanes-1:0] word_o
);

  genvar g;
  genvar b;
  generate
    if (Lanes < 1) begin : gen_illegal_lanes
      Lanes_must_be_positive u_illegal ();
    end
    if (Width < 2 || Width > 32) begin : gen_illegal_width
      Width_must_be_2_to_32 u_illegal ();
    end
    if (OperandWidth < 1 || OperandWidth > Width) begin : gen_illegal_operand_width
      OperandWidth_must_be_1_to_Width u_illegal ();
    end
    if (Step < 1) begin : gen_illegal_step
      Step_must_be_positive u_illegal ();
    end
    if (Galois != 0 && Galois != 1) begin : gen_illegal_galois
      Galois_must_be_0_or_1 u_illegal ();
    end
    if (!Taps[Width-1]) begin : gen_illegal_taps
      Taps_must_include_the_last_bit u_illegal ();
    end
    for (g = 0; g < Lanes; g = g + 1) begin : gen_seed_check
      if (Seed[g*Width +: Width] == {Width{1'b0}}) begin : gen_illegal_seed
        Seed_must_not_be_zero u_illegal ();
      end
    end
  endgenerate

  // Bit b of lane g stands at [b*Lanes + g] of these.
  wire [Width*Lanes-1:0]        seed;
  wire [OperandWidth*Lanes-1:0] constant;

  generate
    for (g = 0; g < Lanes; g = g + 1) begin : gen_lane
      for (b = 0; b < Width; b = b + 1) begin : gen_seed
        assign seed[b*Lanes + g] = Seed[g*Width + b];
      end
      for (b = 0; b < OperandWidth; b = b + 1) begin : gen_constant
        assign constant[b*Lanes + g] = XorConstant[g*OperandWidth + b];
      end
    end
  endgenerate

  // The bits of a register in the order in which they leave it, and those that will follow: after n
  // shifts, bit k of the register is queue[n+Width-1-k].
  function [Width*Lanes-1:0] leap;
    input [Width*Lanes-1:0] state;
    integer n;
    integer t;
    reg [Lanes-1:0] queue [0:Width+Step-1];
    reg [Lanes-1:0] entering;
    begin
      for (n = 0; n < Width; n = n + 1) begin
        queue[n] = state[(Width-1-n)*Lanes +: Lanes];
      end
      for (n = 0; n < Step; n = n + 1) begin
        entering = {Lanes{1'b0}};
        for (t = 0; t < Width; t = t + 1) begin
          if (Galois == 0 && Taps[t]) entering = entering ^ queue[Width-1-t+n];
        end
        queue[Width+n] = entering;
        for (t = 0; t < Width; t = t + 1) begin
          if (Galois != 0 && Taps[t]) queue[n+1+t] = queue[n+1+t] ^ queue[n];
        end
      end
      for (n = 0; n < Width; n = n + 1) begin
        leap[(Width-1-n)*Lanes +: Lanes] = queue[Step+n];
      end
    end
  endfunction

  reg [Width*Lanes-1:0] state_q;

  always @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= seed;
    end else if (restart_i) begin
      state_q <= seed;
    end else if (advance_i) begin
      state_q <= leap(state_q);
    end
  end

  assign word_o = state_q[Width*Lanes-1 -: OperandWidth*Lanes] ^ constant;

endmodule

`default_nettype wire
