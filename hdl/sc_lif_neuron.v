// Leaky integrate-and-fire neuron: a signed fixed-point membrane that saturates.
//
// In a step (step_i), with I the signed increment inc_i:
//   w = saturate(max(Floor, v + Gain*I + Current + noise - Leak - (v >>> LeakShift)))
// with the shifted term only if LeakShift is not 0, and noise = noise_i - 2**(NoiseWidth-1) only if
// NoiseWidth is not 0. spike_o if w >= Threshold; then v = w - Threshold, or ResetValue if
// ResetToValue; else v = w. For Refractory steps after a spike v stays and nothing spikes. The sum has
// as many bits as its terms can fill, so that it never wraps; it saturates at the ends of Width bits.
//
// load_i starts a vector: v = 0, not refractory. At most one of load_i and step_i is high.
//
// Latency: spike_o is combinational from step_i, inc_i and noise_i; voltage_o is v, a register.
// Legal: 2 <= Width <= 32, IncWidth, CurrentWidth, Gain >= 1, Leak, Refractory >= 0,
// 0 <= LeakShift, NoiseWidth <= 31, 1 <= Threshold < 2**(Width-1), -2**(Width-1) <= Floor <= 0, and
// with ResetToValue a ResetValue that Width bits hold; anything else stops elaboration. Current is in
// two's complement. The registers are not reset: nothing reads them before the first load_i.

`default_nettype none

module sc_lif_neuron #(
  parameter integer IncWidth = 2,
  parameter integer Width = 16,
  parameter integer Gain = 1,
  parameter integer Leak = 0,
  parameter integer LeakShift = 0,
  parameter integer Threshold = 1,
  parameter integer ResetToValue = 0,
  parameter integer ResetValue = 0,
  parameter integer Refractory = 0,
  parameter integer Floor = 0,
  parameter integer NoiseWidth = 0,
  parameter integer CurrentWidth = 1,
  parameter [CurrentWidth-1:0] Current = 0,
  parameter integer NoisePorts = (NoiseWidth > 0) ? NoiseWidth : 1  // derived
) (
  input  wire                  clk_i,
  input  wire                  load_i,
  input  wire                  step_i,
  input  wire [IncWidth-1:0]   inc_i,
  input  wire [NoisePorts-1:0] noise_i,
  output wire                  spike_o,
  output wire [Width-1:0]      voltage_o
);

  generate
    if (IncWidth < 1) begin : gen_illegal_inc_width
      IncWidth_must_be_positive u_illegal ();
    end
    if (Width < 2 || Width > 32) begin : gen_illegal_width
      Width_must_be_2_to_32 u_illegal ();
    end
    if (Gain < 1) begin : gen_illegal_gain
      Gain_must_be_positive u_illegal ();
    end
    if (Leak < 0) begin : gen_illegal_leak
      Leak_must_not_be_negative u_illegal ();
    end
    if (LeakShift < 0 || LeakShift > 31) begin : gen_illegal_leak_shift
      LeakShift_must_be_0_to_31 u_illegal ();
    end
    if (Threshold < 1 || (Threshold >>> (Width-1)) != 0) begin : gen_illegal_threshold
      Threshold_must_be_positive_and_fit_Width u_illegal ();
    end
    if (ResetToValue != 0 && (ResetValue >>> (Width-1)) != 0 && (ResetValue >>> (Width-1)) != -1)
    begin : gen_illegal_reset_value
      ResetValue_must_fit_Width u_illegal ();
    end
    if (Refractory < 0) begin : gen_illegal_refractory
      Refractory_must_not_be_negative u_illegal ();
    end
    if (Floor > 0 || (Floor >>> (Width-1)) < -1) begin : gen_illegal_floor
      Floor_must_not_be_positive_and_fit_Width u_illegal ();
    end
    if (NoiseWidth < 0 || NoiseWidth > 31) begin : gen_illegal_noise_width
      NoiseWidth_must_be_0_to_31 u_illegal ();
    end
    if (CurrentWidth < 1) begin : gen_illegal_current_width
      CurrentWidth_must_be_positive u_illegal ();
    end
  endgenerate

  // Bits of a number that is not negative, its sign bit included.
  function integer signed_bits;
    input integer value;
    begin
      signed_bits = 1;
      while (signed_bits < 32 && (value >> (signed_bits-1)) != 0) signed_bits = signed_bits + 1;
    end
  endfunction

  function integer larger;
    input integer a;
    input integer b;
    begin
      larger = (a > b) ? a : b;
    end
  endfunction

  // The sum has six terms: v, Gain*I, Current, noise, Leak and the shifted v.
  localparam integer ProductWidth = IncWidth + signed_bits(Gain) - 1;
  localparam integer TermWidth = larger(larger(larger(Width, ProductWidth), signed_bits(Leak)),
                                        larger(CurrentWidth, NoisePorts));
  localparam integer SumWidth = TermWidth + 3;
  localparam integer TimerWidth = larger(1, signed_bits(Refractory) - 1);

  function signed [SumWidth-1:0] constant;
    input integer value;
    integer b;
    begin
      for (b = 0; b < SumWidth; b = b + 1) constant[b] = value[(b < 32) ? b : 31];
    end
  endfunction

  localparam integer HalfNoise = (NoiseWidth > 0) ? 1 << (NoiseWidth-1) : 0;
  // What every step adds, whatever its inputs.
  localparam signed [SumWidth-1:0] Drift =
      {{(SumWidth-CurrentWidth){Current[CurrentWidth-1]}}, Current}
      - constant(Leak) - constant(HalfNoise);
  localparam signed [SumWidth-1:0] GainTerm = constant(Gain);
  localparam signed [SumWidth-1:0] LeastSum = constant(Floor);
  localparam signed [SumWidth-1:0] LargestSum = {{(SumWidth-Width+1){1'b0}}, {(Width-1){1'b1}}};
  localparam signed [SumWidth-1:0] ThresholdSum = constant(Threshold);
  localparam [31:0] ThresholdWord = Threshold;
  localparam [31:0] ResetWord = ResetValue;
  localparam [31:0] RefractoryWord = Refractory;

  reg [Width-1:0]      voltage_q;
  reg [TimerWidth-1:0] timer_q;

  wire signed [SumWidth-1:0] voltage = {{(SumWidth-Width){voltage_q[Width-1]}}, voltage_q};
  wire signed [SumWidth-1:0] inc = {{(SumWidth-IncWidth){inc_i[IncWidth-1]}}, inc_i};
  wire signed [SumWidth-1:0] noise =
      (NoiseWidth > 0) ? {{(SumWidth-NoisePorts){1'b0}}, noise_i} : constant(0);
  wire signed [SumWidth-1:0] shifted = (LeakShift > 0) ? voltage >>> LeakShift : constant(0);
  wire signed [SumWidth-1:0] sum = voltage + GainTerm*inc + noise + Drift - shifted;

  wire [Width-1:0] bounded = (sum < LeastSum) ? LeastSum[Width-1:0] :
                             (sum > LargestSum) ? LargestSum[Width-1:0] : sum[Width-1:0];
  // No end of the range lies on the other side of the threshold, so the unbounded sum decides.
  wire above = (sum >= ThresholdSum);
  wire [Width-1:0] after_spike =
      (ResetToValue != 0) ? ResetWord[Width-1:0] : bounded - ThresholdWord[Width-1:0];
  wire active = (timer_q == {TimerWidth{1'b0}});

  assign spike_o   = step_i && active && above;
  assign voltage_o = voltage_q;

  always @(posedge clk_i) begin
    if (load_i) begin
      voltage_q <= {Width{1'b0}};
      timer_q   <= {TimerWidth{1'b0}};
    end else if (step_i && active) begin
      voltage_q <= above ? after_spike : bounded;
      timer_q   <= above ? RefractoryWord[TimerWidth-1:0] : {TimerWidth{1'b0}};
    end else if (step_i) begin
      timer_q   <= timer_q - {{(TimerWidth-1){1'b0}}, 1'b1};
    end
  end

endmodule

`default_nettype wire
