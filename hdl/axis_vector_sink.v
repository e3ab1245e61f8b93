// Collects the packets of an AXI4-Stream into feature vectors, one packet a vector, in bit planes.
//
// A packet is ceil(Features / FeaturesPerBeat) beats. Feature f stands in beat f / FeaturesPerBeat,
// 16-bit field f % FeaturesPerBeat: bits [OperandWidth-1:0] the magnitude, bit 15 the sign (minus
// zero is legal); the other bits of a field, and the fields of the last beat that no feature needs,
// are ignored. Bit k of feature f leaves at magnitude_o[k * Features + f], its sign at sign_o[f].
//
// One buffer: it fills while the consumer works on the vector it took before. While a complete
// vector waits, tready is low; in the cycle in which the vector is taken, the first beat of the
// next packet is accepted. With a consumer that waits at vector_ready_i, beats therefore flow
// without a single bubble. magnitude_o and sign_o mean something only while vector_valid_o is high,
// and are then stable.
//
// Latency: vector_valid_o rises in the cycle after the last beat was accepted; packet_error_o is
// high for the one cycle after the offending beat.
//
// TLAST too early: the packet is dropped, one error; the next beat begins a new packet.
// TLAST missing on the last beat: the packet and everything up to and including the next beat with
// TLAST is dropped, one error.
//
// enable_i low: no packet is begun, one that was begun is finished, a waiting vector stays.
// clear_i: drops a partial packet and a waiting vector; no beat is accepted in a cycle with
// clear_i. As after a reset, the next beat begins a packet. If the sender does not know and sends
// the rest of its packet, that rest is too short for a vector: it is dropped as a packet with an
// early TLAST.
//
// Legal: Features >= 1, 1 <= OperandWidth <= 15, FeaturesPerBeat >= 1. Anything else is an
// elaboration error: the missing module is named after the rule that was broken.
`default_nettype none

module axis_vector_sink #(
  parameter integer Features = 50,
  parameter integer OperandWidth = 8,
  parameter integer FeaturesPerBeat = 4
) (
  input  wire clk_i,
  input  wire rst_ni,
  input  wire clear_i,
  input  wire enable_i,

  input  wire [16*FeaturesPerBeat-1:0] s_axis_tdata,
  input  wire s_axis_tvalid,
  output wire s_axis_tready,
  input  wire s_axis_tlast,

  output wire vector_valid_o,
  input  wire vector_ready_i,
  output wire [OperandWidth*Features-1:0] magnitude_o,
  output wire [Features-1:0] sign_o,

  output wire packet_error_o
);
  localparam integer Beats = (Features + FeaturesPerBeat - 1) / FeaturesPerBeat;
  localparam integer BeatWidth = (Beats > 1) ? $clog2(Beats) : 1;
  localparam integer LastBeat = Beats - 1;
  // Whole beats are stored: the planes are shift registers, and every beat enters at their top.
  localparam integer Stored = Beats * FeaturesPerBeat;

  generate
    if (Features < 1) begin : gen_illegal_features
      Features_must_be_positive u_illegal ();
    end
    if (OperandWidth < 1 || OperandWidth > 15) begin : gen_illegal_operand_width
      OperandWidth_must_be_1_to_15 u_illegal ();
    end
    if (FeaturesPerBeat < 1) begin : gen_illegal_features_per_beat
      FeaturesPerBeat_must_be_positive u_illegal ();
    end
  endgenerate

  reg [BeatWidth-1:0] beat_d, beat_q;
  reg drop_d, drop_q;
  reg valid_d, valid_q;
  reg error_d, error_q;

  wire begun = drop_q || (beat_q != {BeatWidth{1'b0}});
  wire last_beat = beat_q == LastBeat[BeatWidth-1:0];
  wire accept;

  assign s_axis_tready = !clear_i && (begun || (enable_i && (!valid_q || vector_ready_i)));
  assign accept = s_axis_tvalid && s_axis_tready;

  always @* begin
    beat_d = beat_q;
    drop_d = drop_q;
    valid_d = valid_q && !vector_ready_i;
    error_d = 1'b0;
    if (accept) begin
      if (drop_q) begin
        drop_d = !s_axis_tlast;
      end else if (last_beat) begin
        beat_d = {BeatWidth{1'b0}};
        valid_d = s_axis_tlast;
        drop_d = !s_axis_tlast;
        error_d = !s_axis_tlast;
      end else if (s_axis_tlast) begin
        beat_d = {BeatWidth{1'b0}};
        error_d = 1'b1;
      end else begin
        beat_d = beat_q + 1'b1;
      end
    end
    if (clear_i) begin
      beat_d = {BeatWidth{1'b0}};
      drop_d = 1'b0;
      valid_d = 1'b0;
    end
  end

  always @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      beat_q <= {BeatWidth{1'b0}};
      drop_q <= 1'b0;
      valid_q <= 1'b0;
      error_q <= 1'b0;
    end else begin
      beat_q <= beat_d;
      drop_q <= drop_d;
      valid_q <= valid_d;
      error_q <= error_d;
    end
  end

  reg [OperandWidth*Stored-1:0] magnitude_d, magnitude_q;
  reg [Stored-1:0] sign_d, sign_q;

  // The shift runs over the borders of the planes; what crosses one is overwritten by the new beat.
  always @* begin : shift_in
    integer field, k;
    magnitude_d = magnitude_q >> FeaturesPerBeat;
    sign_d = sign_q >> FeaturesPerBeat;
    for (field = 0; field < FeaturesPerBeat; field = field + 1) begin
      for (k = 0; k < OperandWidth; k = k + 1) begin
        magnitude_d[(k+1)*Stored-FeaturesPerBeat+field] = s_axis_tdata[16*field+k];
      end
      sign_d[Stored-FeaturesPerBeat+field] = s_axis_tdata[16*field+15];
    end
  end

  always @(posedge clk_i) begin
    if (accept) begin
      magnitude_q <= magnitude_d;
      sign_q <= sign_d;
    end
  end

  generate
    genvar plane;
    for (plane = 0; plane < OperandWidth; plane = plane + 1) begin : gen_plane
      assign magnitude_o[plane*Features+:Features] = magnitude_q[plane*Stored+:Features];
    end
  endgenerate

  assign sign_o = sign_q[Features-1:0];
  assign vector_valid_o = valid_q;
  assign packet_error_o = error_q;
endmodule

`default_nettype wire
