// Sequencer of one layer: load, (sign cycle), Length counted cycles, finish.
//
// load_o is high for the cycle in which a vector is taken (vector_valid_i && vector_ready_o); then one
// cycle of sign_o if InputSigned, Length cycles of count_o with cycle_o = 0 .. Length-1, and finish_o,
// which waits for result_ready_i and ends in the cycle in which both are high. The next vector may be
// taken in that same cycle, so a vector costs Length + 1 cycles, one more if InputSigned.
//
// clear_i abandons the vector at once. busy_o: a vector is being worked on.
// Legal: Length >= 1, CycleWidth = bits of Length-1, at least 1; anything else stops elaboration.

`default_nettype none

module sc_layer_ctrl #(
  parameter integer Length = 256,
  parameter integer CycleWidth = 8,
  parameter integer InputSigned = 1
) (
  input  wire                  clk_i,
  input  wire                  rst_ni,
  input  wire                  clear_i,
  input  wire                  vector_valid_i,
  output wire                  vector_ready_o,
  output wire                  load_o,
  output wire                  sign_o,
  output wire                  count_o,
  output wire                  finish_o,
  input  wire                  result_ready_i,
  output wire [CycleWidth-1:0] cycle_o,
  output wire                  busy_o
);

  generate
    if (Length < 1) begin : gen_illegal_length
      Length_must_be_positive u_illegal ();
    end
    if (CycleWidth < 1 || ((Length-1) >> CycleWidth) != 0 ||
        (CycleWidth > 1 && ((Length-1) >> (CycleWidth-1)) != 1))
    begin : gen_illegal_cycle_width
      CycleWidth_must_be_the_bits_of_Length_minus_1 u_illegal ();
    end
  endgenerate

  localparam [1:0] StIdle = 2'd0;
  localparam [1:0] StSign = 2'd1;
  localparam [1:0] StCount = 2'd2;
  localparam [1:0] StFinish = 2'd3;
  localparam [1:0] StFirst = (InputSigned != 0) ? StSign : StCount;
  localparam [31:0] LastCycle = Length - 1;

  reg [1:0]            state_q;
  reg [1:0]            state_d;
  reg [CycleWidth-1:0] cycle_q;

  wire finished = (state_q == StFinish) && result_ready_i;

  assign vector_ready_o = !clear_i && ((state_q == StIdle) || finished);
  assign load_o         = vector_valid_i && vector_ready_o;
  assign sign_o         = (state_q == StSign);
  assign count_o        = (state_q == StCount);
  assign finish_o       = (state_q == StFinish);
  assign cycle_o        = cycle_q;
  assign busy_o         = (state_q != StIdle);

  always @* begin
    state_d = state_q;
    case (state_q)
      StIdle: if (load_o) state_d = StFirst;
      StSign: state_d = StCount;
      StCount: if (cycle_q == LastCycle[CycleWidth-1:0]) state_d = StFinish;
      default: if (finished) state_d = load_o ? StFirst : StIdle;
    endcase
    if (clear_i) state_d = StIdle;
  end

  always @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= StIdle;
      cycle_q <= {CycleWidth{1'b0}};
    end else begin
      state_q <= state_d;
      if (state_q == StCount) begin
        cycle_q <= cycle_q + {{(CycleWidth-1){1'b0}}, 1'b1};
      end else begin
        cycle_q <= {CycleWidth{1'b0}};
      end
    end
  end

endmodule

`default_nettype wire
