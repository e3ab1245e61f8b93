// A bank of neurons of a dense stochastic-computing layer: constant weight comparators, AND
// multipliers, parallel counters and accumulators, on whole words in which bit j is neuron j.
//
// Each counted cycle adds, for neuron j, sum over lanes i of s_i s_ij x_i(t) w_ij(t), where
// w_ij(t) = [ r_i(t) < |w_ij| ]. A product of negative sign is counted as its complement,
// 1 - product, so that one counter serves both signs; every cycle then counts too many by the number
// of negative lanes. That excess, Length times the number, is taken off once: in a sign cycle (sign_i)
// before the counted ones where inputs have signs, in Preload where they have not.
//
// A weight of zero is no synapse: it has no product and no sign, and the synapses of a neuron close
// ranks, so that the counter has Slots inputs instead of FanIn. Lane i of a neuron with z zeros before
// it moves down by z, in ShiftStages steps: stage s moves by 2**s. All of that is wiring.
//
// Sequence: load_i, then sign_i (InputSigned only), then count_i for Length cycles; acc_o is final in
// the cycle after the last of them and stays until the next load_i. At most one of the three is high.
//
// Plane vectors: bit k of lane i of neuron j of WeightMagnitude stands at [(k*FanIn + i)*Neurons + j],
// k = 0 .. OperandWidth; plane OperandWidth marks weights of magnitude one, whose stream is constant.
// WeightSign: [i*Neurons + j]. LaneShift: [(s*FanIn + i)*Neurons + j] is set if what stands in place i
// before stage s moves down by 2**s. acc_o and Preload: bit p of neuron j at [p*Neurons + j], two's
// complement. r_i: one word for all lanes if SharedSource, else bit k of lane i at [k*FanIn + i].
//
// Legal: FanIn, Neurons, OperandWidth, Length >= 1, Slots = 1 .. FanIn, CountWidth = bits of
// Slots, AccWidth > CountWidth, Slots = FanIn where ShiftStages = 0; anything else stops elaboration.
// Slots must hold the synapses of every neuron, LaneShift be as above, and AccWidth hold
// |bias| + Slots*Length with sign (the generator sees to that): beyond it sums wrap.
// The accumulators are not reset: nothing reads them before the first load_i.

`default_nettype none

module sc_dense_bank #(
  parameter integer FanIn = 1,
  parameter integer Neurons = 1,
  parameter integer OperandWidth = 8,
  parameter integer Length = 256,
  parameter integer Slots = FanIn,
  parameter integer ShiftStages = 0,
  parameter integer CountWidth = 1,
  parameter integer AccWidth = 16,
  parameter integer SharedSource = 1,
  parameter integer InputSigned = 1,
  parameter [(OperandWidth+1)*FanIn*Neurons-1:0] WeightMagnitude = 0,
  parameter [FanIn*Neurons-1:0] WeightSign = 0,
  parameter [((ShiftStages > 0) ? ShiftStages : 1)*FanIn*Neurons-1:0] LaneShift = 0,
  parameter [AccWidth*Neurons-1:0] Preload = 0,
  parameter integer SourceLanes = (SharedSource != 0) ? 1 : FanIn  // derived
) (
  input  wire                                clk_i,
  input  wire                                load_i,
  input  wire                                sign_i,
  input  wire                                count_i,
  input  wire [FanIn-1:0]                    x_i,
  input  wire [FanIn-1:0]                    x_sign_i,
  input  wire [OperandWidth*SourceLanes-1:0] r_i,
  output wire [AccWidth*Neurons-1:0]         acc_o
);

  generate
    if (FanIn < 1) begin : gen_illegal_fan_in
      FanIn_must_be_positive u_illegal ();
    end
    if (Neurons < 1) begin : gen_illegal_neurons
      Neurons_must_be_positive u_illegal ();
    end
    if (OperandWidth < 1) begin : gen_illegal_operand_width
      OperandWidth_must_be_positive u_illegal ();
    end
    if (Length < 1) begin : gen_illegal_length
      Length_must_be_positive u_illegal ();
    end
    if (Slots < 1 || Slots > FanIn) begin : gen_illegal_slots
      Slots_must_be_1_to_FanIn u_illegal ();
    end
    if (ShiftStages < 0 || (ShiftStages == 0 && Slots != FanIn)) begin : gen_illegal_shift_stages
      ShiftStages_0_needs_Slots_of_FanIn u_illegal ();
    end
    if ((Slots >> CountWidth) != 0 || (Slots >> (CountWidth-1)) != 1)
    begin : gen_illegal_count_width
      CountWidth_must_be_the_bits_of_Slots u_illegal ();
    end
    if (AccWidth <= CountWidth) begin : gen_illegal_acc_width
      AccWidth_must_exceed_CountWidth u_illegal ();
    end
  endgenerate

  localparam integer N = Neurons;
  localparam integer K = OperandWidth;
  localparam integer Span = FanIn*N;

  wire [Span-1:0] weight_plane [0:K];
  wire [N-1:0]    weight_word [0:(K+1)*FanIn-1];
  // Words of their own: Icarus would copy all of LaneShift for each of them, in every cycle.
  wire [N-1:0]    shift_word [0:((ShiftStages > 0) ? ShiftStages : 1)*FanIn-1];
  // The weights that are not zero.
  wire [Span-1:0] synapse;
  // What the complement of a product is taken by, without and with a negative input.
  wire [N-1:0]    negative [0:FanIn-1];
  wire [N-1:0]    positive [0:FanIn-1];

  genvar g;
  generate
    for (g = 0; g <= K; g = g + 1) begin : gen_weight_plane
      assign weight_plane[g] = WeightMagnitude[g*Span +: Span];
    end
    for (g = 0; g < (K+1)*FanIn; g = g + 1) begin : gen_weight_word
      assign weight_word[g] = WeightMagnitude[g*N +: N];
    end
    for (g = 0; g < ((ShiftStages > 0) ? ShiftStages : 1)*FanIn; g = g + 1)
    begin : gen_shift_word
      assign shift_word[g] = LaneShift[g*N +: N];
    end
    for (g = 0; g < FanIn; g = g + 1) begin : gen_weight_sign
      assign negative[g] = WeightSign[g*N +: N] & synapse[g*N +: N];
      assign positive[g] = ~WeightSign[g*N +: N] & synapse[g*N +: N];
    end
  endgenerate

  function [Span-1:0] any_plane;
    input [(K+1)*Span-1:0] planes;
    integer k;
    begin
      any_plane = {Span{1'b0}};
      for (k = 0; k <= K; k = k + 1) any_plane = any_plane | planes[k*Span +: Span];
    end
  endfunction

  assign synapse = any_plane(WeightMagnitude);

  // All constant comparators of the bank on one shared word, from the least to the most significant
  // plane: r < w becomes lt & w where r is 1, lt | w where it is 0.
  function [Span-1:0] shared_stream;
    input [K-1:0] r;
    integer k;
    begin
      shared_stream = {Span{1'b0}};
      for (k = 0; k < K; k = k + 1) begin
        shared_stream = r[k] ? (shared_stream & weight_plane[k])
                             : (shared_stream | weight_plane[k]);
      end
      shared_stream = shared_stream | weight_plane[K];
    end
  endfunction

  // Number of ones over all lanes of (product ^ sign), as CountWidth planes: a tree of full adders on
  // words. The words of weight 2**p wait in a queue of their own, which starts at 3*(Slots - (Slots>>p))
  // and receives Slots>>p words from the plane below. Adder f takes the next three words, appends the
  // sum to this queue and the carry to the next; where only two are left it is a half adder.
  function [CountWidth*N-1:0] lane_count;
    input [FanIn-1:0] x;
    input [FanIn-1:0] x_sign;
    input [K*SourceLanes-1:0] r;
    integer i;
    integer p;
    integer f;
    reg [Span-1:0] w;
    reg [N-1:0] word;
    reg [N-1:0] moving;
    reg [N-1:0] a;
    reg [N-1:0] b;
    reg [N-1:0] c;
    reg [N-1:0] half;
    reg [N-1:0] queue [0:3*FanIn];
    begin
      w = (SharedSource != 0) ? shared_stream(r[K-1:0]) : {Span{1'b0}};
      for (i = 0; i < FanIn; i = i + 1) begin
        word = w[i*N +: N];
        if (SharedSource == 0) begin
          // The same comparison for a lane with a word of its own.
          for (p = 0; p < K; p = p + 1) begin
            word = r[p*SourceLanes + ((SharedSource != 0) ? 0 : i)]
                 ? (word & weight_word[p*FanIn + i]) : (word | weight_word[p*FanIn + i]);
          end
          word = word | weight_word[K*FanIn + i];
        end
        word = x[i] ? word : {N{1'b0}};
        queue[i] = word ^ (x_sign[i] ? positive[i] : negative[i]);
      end
      for (p = 0; p < ShiftStages; p = p + 1) begin
        for (i = 0; i < FanIn; i = i + 1) begin
          moving = queue[i] & shift_word[p*FanIn + i];
          queue[i] = queue[i] ^ moving;
          if (i >= (1 << p)) queue[i - (1 << p)] = queue[i - (1 << p)] | moving;
        end
      end
      for (p = 0; p < CountWidth; p = p + 1) begin
        for (f = 0; f < (Slots >> p)/2; f = f + 1) begin
          a = queue[3*(Slots - (Slots >> p)) + 3*f];
          b = queue[3*(Slots - (Slots >> p)) + 3*f + 1];
          if (2*f + 2 < (Slots >> p)) c = queue[3*(Slots - (Slots >> p)) + 3*f + 2];
          else c = {N{1'b0}};
          half = a ^ b;
          queue[3*(Slots - (Slots >> p)) + (Slots >> p) + f] = half ^ c;
          queue[3*(Slots - (Slots >> (p+1))) + f] = (a & b) | (c & half);
        end
        lane_count[p*N +: N] =
            queue[3*(Slots - (Slots >> p)) + (Slots >> p) + (Slots >> p)/2 - 1];
      end
    end
  endfunction

  function [AccWidth*N-1:0] add;
    input [AccWidth*N-1:0] a;
    input [AccWidth*N-1:0] b;
    input carry_in;
    integer p;
    reg [N-1:0] carry;
    reg [N-1:0] half;
    begin
      carry = {N{carry_in}};
      for (p = 0; p < AccWidth; p = p + 1) begin
        half = a[p*N +: N] ^ b[p*N +: N];
        add[p*N +: N] = half ^ carry;
        carry = (a[p*N +: N] & b[p*N +: N]) | (carry & half);
      end
    end
  endfunction

  // Length * count by shift and add: wires alone where Length is a power of two.
  function [AccWidth*N-1:0] times_length;
    input [AccWidth*N-1:0] count;
    integer b;
    begin
      times_length = {AccWidth*N{1'b0}};
      for (b = 0; b < AccWidth; b = b + 1) begin
        if (((Length >> b) & 1) != 0) begin
          times_length = add(times_length, count << (b*N), 1'b0);
        end
      end
    end
  endfunction

  // One adder: the count, or in the sign cycle minus Length times the number of negative lanes.
  function [AccWidth*N-1:0] next_sum;
    input [AccWidth*N-1:0] sum;
    input [AccWidth*N-1:0] count;
    input sign_cycle;
    begin
      next_sum = add(sum, sign_cycle ? ~times_length(count) : count, sign_cycle);
    end
  endfunction

  reg [AccWidth*N-1:0] acc_q;

  always @(posedge clk_i) begin
    if (load_i) begin
      acc_q <= Preload;
    end else if (sign_i || count_i) begin
      acc_q <= next_sum(acc_q,
                        {{(AccWidth-CountWidth)*N{1'b0}},
                         lane_count(x_i & {FanIn{count_i}}, x_sign_i, r_i)},
                        (InputSigned != 0) && sign_i);
    end
  end

  assign acc_o = acc_q;

endmodule

`default_nettype wire
