// Sequencer of a layer whose input streams come from the layer before, cycle by cycle.
//
// The layer before starts a vector with start_i and then gives Length cycles of stream_i under valid_i.
// Everything is registered once: load_o follows start_i, and count_o with stream_o follows valid_i, a
// cycle later each; cycle_o = 0 .. Length-1 numbers the counted cycles. After the last of them finish_o
// waits for result_ready_i and ends in the cycle in which both are high.
//
// ready_o: start_i may come in this cycle. clear_i abandons the vector at once. busy_o: a vector is
// being worked on.
// Legal: Lanes >= 1, Length >= 1, CycleWidth = bits of Length-1, at least 1; anything else stops
// elaboration. stream_o is not reset: count_o says when it counts.

`default_nettype none

module sc_stream_ctrl #(
  parameter integer Lanes = 1,
  parameter integer Length = 256,
  parameter integer CycleWidth = 8
) (
  input  wire                  clk_i,
  input  wire                  rst_ni,
  input  wire                  clear_i,
  input  wire                  start_i,
  input  wire                  valid_i,
  input  wire [Lanes-1:0]      stream_i,
  output wire                  ready_o,
  output wire                  load_o,
  output wire                  count_o,
  output wire [Lanes-1:0]      stream_o,
  output wire                  finish_o,
  input  wire                  result_ready_i,
  output wire [CycleWidth-1:0] cycle_o,
  output wire                  busy_o
);

  generate
    if (Lanes < 1) begin : gen_illegal_lanes
      Lanes_must_be_positive u_illegal ();
    end
    if (Length < 1) begin : gen_illegal_length
      Length_must_be_positive u_illegal ();
    end
    if (CycleWidth < 1 || ((Length-1) >> CycleWidth) != 0 ||
        (CycleWidth > 1 && ((Length-1) >> (CycleWidth-1)) != 1))
    begin : gen_illegal_cycle_width
      CycleWidth_must_be_the_bits_of_Length_minus_1 u_illegal ();
    end
  endgenerate

  localparam [31:0] LastCycle = Length - 1;

  reg                  start_q;
  reg                  valid_q;
  reg                  working_q;
  reg                  finish_q;
  reg [Lanes-1:0]      stream_q;
  reg [CycleWidth-1:0] cycle_q;

  assign ready_o  = !clear_i && !start_q && !working_q && (!finish_q || result_ready_i);
  assign load_o   = start_q;
  assign count_o  = valid_q;
  assign stream_o = stream_q;
  assign finish_o = finish_q;
  assign cycle_o  = cycle_q;
  assign busy_o   = start_q || working_q || finish_q;

  wire last = valid_q && (cycle_q == LastCycle[CycleWidth-1:0]);

  always @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      start_q   <= 1'b0;
      valid_q   <= 1'b0;
      working_q <= 1'b0;
      finish_q  <= 1'b0;
      cycle_q   <= {CycleWidth{1'b0}};
    end else if (clear_i) begin
      start_q   <= 1'b0;
      valid_q   <= 1'b0;
      working_q <= 1'b0;
      finish_q  <= 1'b0;
      cycle_q   <= {CycleWidth{1'b0}};
    end else begin
      start_q   <= start_i;
      valid_q   <= valid_i;
      working_q <= start_q || (working_q && !last);
      finish_q  <= last || (finish_q && !result_ready_i);
      if (start_q) cycle_q <= {CycleWidth{1'b0}};
      else if (valid_q) cycle_q <= cycle_q + {{(CycleWidth-1){1'b0}}, 1'b1};
    end
  end

  always @(posedge clk_i) begin
    if (valid_i) stream_q <= stream_i;
  end

endmodule

`default_nettype wire
