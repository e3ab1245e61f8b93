// Result register of a clip layer whose division is a shift: re-encodes counts as magnitudes.
//
// magnitude = clamp(floor(count / 2**Shift + 1/2), 0, 2**OperandWidth - 1), Shift = log2(Length) -
// OperandWidth - scale exponent; a negative Shift multiplies. All neurons at once on bit-planes: the
// rounding is a ripple of half adders, the clamp two masks.
//
// acc_i is taken in the cycle in which acc_valid_i && acc_ready_o, and the result offered from the next
// one until result_ready_i. Plane vectors: bit p of neuron j at [p*Neurons + j], acc_i in two's complement.
//
// Latency: 1 cycle. Throughput: a result every cycle.
// Legal: Neurons, OperandWidth >= 1, AccWidth >= 2, -64 < Shift < 64; anything else stops
// elaboration. The data register is not reset.

`default_nettype none

module sc_result_clip #(
  parameter integer Neurons = 1,
  parameter integer AccWidth = 16,
  parameter integer OperandWidth = 8,
  parameter integer Shift = 0
) (
  input  wire                            clk_i,
  input  wire                            rst_ni,
  input  wire                            clear_i,
  input  wire                            acc_valid_i,
  output wire                            acc_ready_o,
  input  wire [AccWidth*Neurons-1:0]     acc_i,
  output wire                            result_valid_o,
  input  wire                            result_ready_i,
  output wire [OperandWidth*Neurons-1:0] magnitude_o
);

  generate
    if (Neurons < 1) begin : gen_illegal_neurons
      Neurons_must_be_positive u_illegal ();
    end
    if (OperandWidth < 1) begin : gen_illegal_operand_width
      OperandWidth_must_be_positive u_illegal ();
    end
    if (AccWidth < 2) begin : gen_illegal_acc_width
      AccWidth_must_be_at_least_2 u_illegal ();
    end
    if (Shift <= -64 || Shift >= 64) begin : gen_illegal_shift
      Shift_must_be_within_63 u_illegal ();
    end
  endgenerate

  localparam integer N = Neurons;
  localparam integer K = OperandWidth;
  // The plane that rounds, and the result plane that a carry out of the last count plane belongs to;
  // with none inside the word (counts below half a step round to zero) index 0 stands in, unused.
  localparam integer Rounds = (Shift > 0 && Shift < AccWidth) ? 1 : 0;
  localparam integer RoundPlane = (Rounds != 0) ? Shift - 1 : 0;
  localparam integer CarryFits = (Shift < AccWidth && AccWidth-1-Shift < K) ? 1 : 0;
  localparam integer CarryPlane = (CarryFits != 0) ? AccWidth-1-Shift : 0;

  function [K*N-1:0] reencode;
    input [AccWidth*N-1:0] acc;
    integer p;
    reg [N-1:0] carry;
    reg [N-1:0] plane;
    reg [N-1:0] above;
    begin
      // The bit below the binary point is the rounding carry.
      carry = {N{1'b0}};
      if (Rounds != 0) carry = acc[RoundPlane*N +: N];
      above = {N{1'b0}};
      reencode = {K*N{1'b0}};
      for (p = 0; p < AccWidth-1; p = p + 1) begin
        plane = acc[p*N +: N];
        if (p >= Shift) begin
          if (p - Shift < K) reencode[(p-Shift)*N +: N] = plane ^ carry;
          else above = above | (plane ^ carry);
          carry = plane & carry;
        end
      end
      // A carry out of the last magnitude plane stands for a set plane above it.
      if (CarryFits != 0) reencode[CarryPlane*N +: N] = carry;
      else if (Shift < AccWidth) above = above | carry;
      plane = acc[(AccWidth-1)*N +: N];
      for (p = 0; p < K; p = p + 1) begin
        reencode[p*N +: N] = (reencode[p*N +: N] | above) & ~plane;
      end
    end
  endfunction

  reg             valid_q;
  reg [K*N-1:0]   magnitude_q;

  assign acc_ready_o    = !valid_q || result_ready_i;
  assign result_valid_o = valid_q;
  assign magnitude_o    = magnitude_q;

  always @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      valid_q <= 1'b0;
    end else if (clear_i) begin
      valid_q <= 1'b0;
    end else if (acc_ready_o) begin
      valid_q <= acc_valid_i;
    end
  end

  always @(posedge clk_i) begin
    if (acc_valid_i && acc_ready_o) magnitude_q <= reencode(acc_i);
  end

endmodule

`default_nettype wire
