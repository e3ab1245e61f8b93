// Sends a vector of signed counts, given in bit planes, as one AXI4-Stream packet.
//
// Bit k of the two's complement count of output j is count_i[k * Outputs + j]. Beat j of the packet
// carries the count of output j, sign-extended to 32 bits; TLAST stands on beat Outputs - 1.
//
// The vector is copied when it is accepted (count_valid_i and count_ready_o), so that count_i may
// change from the next cycle on. The next vector is accepted in the cycle in which the last beat
// goes: a receiver that never waits sees no bubble between packets. tvalid, tdata and tlast do not
// change while a beat waits for tready.
//
// Latency: the first beat is offered in the cycle after the vector was accepted.
//
// clear_i drops what is left of the packet, and no vector is accepted in a cycle with clear_i. Like
// a reset it breaks the packet off in the middle, even under a beat that was offered: whoever
// clears must make the receiver forget its partial packet too.
//
// Legal: Outputs >= 1, 2 <= CountWidth <= 32. Anything else is an elaboration error: the missing
// module is named after the rule that was broken.
`default_nettype none

module axis_count_source #(
  parameter integer Outputs = 10,
  parameter integer CountWidth = 17
) (
  input  wire clk_i,
  input  wire rst_ni,
  input  wire clear_i,

  input  wire count_valid_i,
  output wire count_ready_o,
  input  wire [CountWidth*Outputs-1:0] count_i,

  output wire [31:0] m_axis_tdata,
  output wire m_axis_tvalid,
  input  wire m_axis_tready,
  output wire m_axis_tlast
);
  localparam integer BeatWidth = (Outputs > 1) ? $clog2(Outputs) : 1;
  localparam integer LastBeat = Outputs - 1;

  generate
    if (Outputs < 1) begin : gen_illegal_outputs
      Outputs_must_be_positive u_illegal ();
    end
    if (CountWidth < 2 || CountWidth > 32) begin : gen_illegal_count_width
      CountWidth_must_be_2_to_32 u_illegal ();
    end
  endgenerate

  reg [BeatWidth-1:0] beat_d, beat_q;
  reg valid_d, valid_q;
  reg [CountWidth*Outputs-1:0] count_q;

  wire last_beat = beat_q == LastBeat[BeatWidth-1:0];
  wire sent = valid_q && m_axis_tready;
  wire accept = count_valid_i && count_ready_o;

  assign count_ready_o = !clear_i && (!valid_q || (m_axis_tready && last_beat));

  always @* begin
    beat_d = beat_q;
    valid_d = valid_q;
    if (sent) begin
      beat_d = last_beat ? {BeatWidth{1'b0}} : beat_q + 1'b1;
      valid_d = !last_beat;
    end
    if (accept) begin
      valid_d = 1'b1;
    end
    if (clear_i) begin
      beat_d = {BeatWidth{1'b0}};
      valid_d = 1'b0;
    end
  end

  always @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      beat_q <= {BeatWidth{1'b0}};
      valid_q <= 1'b0;
    end else begin
      beat_q <= beat_d;
      valid_q <= valid_d;
    end
  end

  // Bit 0 of every plane is the output that is being sent. The shift runs over the borders of the
  // planes: what comes in at the top of one would reach its bit 0 after Outputs beats, too late.
  always @(posedge clk_i) begin
    if (accept) begin
      count_q <= count_i;
    end else if (sent) begin
      count_q <= count_q >> 1;
    end
  end

  generate
    genvar k;
    for (k = 0; k < 32; k = k + 1) begin : gen_tdata
      assign m_axis_tdata[k] = count_q[((k < CountWidth) ? k : CountWidth - 1)*Outputs];
    end
  endgenerate

  assign m_axis_tvalid = valid_q;
  assign m_axis_tlast = last_beat;
endmodule

`default_nettype wire
