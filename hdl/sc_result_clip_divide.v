// Result register of a clip layer of any length: re-encodes counts by a restoring division.
//
// magnitude = clamp(floor((count * Multiplier) / Divisor + 1/2), 0, 2**OperandWidth - 1) with
// Multiplier = 2**LogMultiplier. Each cycle gives one quotient bit of every neuron, on bit-planes: the
// remainder starts at 2*count*Multiplier + Divisor and 2*Divisor*2**k is taken off where it fits; a fit
// at k = OperandWidth saturates. (sc_result_clip needs one cycle where Divisor is a power of two.)
//
// acc_i is taken in the cycle in which acc_valid_i && acc_ready_o, and the result offered from
// OperandWidth + 2 cycles later on until result_ready_i. The layer goes on meanwhile.
// Plane vectors: bit p of neuron j at [p*Neurons + j], acc_i in two's complement.
//
// Legal: Neurons, OperandWidth >= 1, AccWidth >= 2, 1 <= Divisor < 2**30, 0 <= LogMultiplier <= 31;
// anything else stops elaboration. Data registers are not reset.

`default_nettype none

module sc_result_clip_divide #(
  parameter integer Neurons = 1,
  parameter integer AccWidth = 16,
  parameter integer OperandWidth = 8,
  parameter integer LogMultiplier = 8,
  parameter integer Divisor = 100
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
    if (Divisor < 1 || (Divisor >> 30) != 0) begin : gen_illegal_divisor
      Divisor_must_be_1_to_2_to_the_30 u_illegal ();
    end
    if (LogMultiplier < 0 || LogMultiplier > 31) begin : gen_illegal_multiplier
      LogMultiplier_must_be_0_to_31 u_illegal ();
    end
  endgenerate

  localparam integer N = Neurons;
  localparam integer K = OperandWidth;
  // Wide enough for the first remainder, for twice the largest trial, and for a sign.
  localparam integer CountSpan = AccWidth + LogMultiplier + 2;
  localparam integer TrialSpan = 32 + K + 3;
  localparam integer Width = (CountSpan > TrialSpan) ? CountSpan : TrialSpan;
  localparam [31:0] Divisor32 = Divisor;
  localparam [Width-1:0] Rounding = {{(Width-32){1'b0}}, Divisor32};
  localparam [Width-1:0] Trial = Rounding << (K + 1);
  localparam integer StepWidth = $clog2(K + 2);
  localparam [31:0] FirstStep = K;

  // a + b on planes, b the same constant for all neurons.
  function [Width*N-1:0] add_constant;
    input [Width*N-1:0] a;
    input [Width-1:0] b;
    integer p;
    reg [N-1:0] carry;
    begin
      carry = {N{1'b0}};
      for (p = 0; p < Width; p = p + 1) begin
        add_constant[p*N +: N] = a[p*N +: N] ^ {N{b[p]}} ^ carry;
        carry = (a[p*N +: N] & {N{b[p]}}) | (carry & (a[p*N +: N] | {N{b[p]}}));
      end
    end
  endfunction

  function [Width*N-1:0] first_remainder;
    input [AccWidth*N-1:0] acc;
    integer p;
    begin
      first_remainder = {Width*N{1'b0}};
      for (p = 0; p < AccWidth - 1; p = p + 1) begin
        // Negative counts re-encode as zero.
        first_remainder[(p+LogMultiplier+1)*N +: N] = acc[p*N +: N] & ~acc[(AccWidth-1)*N +: N];
      end
      first_remainder = add_constant(first_remainder, Rounding);
    end
  endfunction

  reg                 busy_q;
  reg                 valid_q;
  reg [StepWidth-1:0] step_q;
  reg [Width*N-1:0]   remainder_q;
  reg [N-1:0]         saturated_q;
  reg [K*N-1:0]       quotient_q;

  wire [Width*N-1:0] trial = add_constant(remainder_q, -Trial);
  wire [N-1:0]       fits  = ~trial[(Width-1)*N +: N];

  wire take = acc_valid_i && acc_ready_o;

  assign acc_ready_o    = !busy_q && (!valid_q || result_ready_i);
  assign result_valid_o = valid_q;
  assign magnitude_o    = quotient_q | {K{saturated_q}};

  always @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      busy_q  <= 1'b0;
      valid_q <= 1'b0;
      step_q  <= {StepWidth{1'b0}};
    end else if (clear_i) begin
      busy_q  <= 1'b0;
      valid_q <= 1'b0;
    end else begin
      if (take) begin
        busy_q  <= 1'b1;
        valid_q <= 1'b0;
        step_q  <= FirstStep[StepWidth-1:0];
      end else if (busy_q) begin
        if (step_q == {StepWidth{1'b0}}) begin
          busy_q  <= 1'b0;
          valid_q <= 1'b1;
        end else begin
          step_q <= step_q - {{(StepWidth-1){1'b0}}, 1'b1};
        end
      end else if (result_ready_i) begin
        valid_q <= 1'b0;
      end
    end
  end

  always @(posedge clk_i) begin
    if (take) begin
      remainder_q <= first_remainder(acc_i);
    end else if (busy_q) begin
      remainder_q <= ((trial & {Width{fits}}) | (remainder_q & ~{Width{fits}})) << N;
      if (step_q == FirstStep[StepWidth-1:0]) saturated_q <= fits;
      quotient_q <= (quotient_q << N) | {{(K-1)*N{1'b0}}, fits};
    end
  end

endmodule

`default_nettype wire
