// Registers of a Certibit design: an AXI4-Lite slave, 12-bit addresses, 32-bit data.
//
// 0x000..0x01C  ID             SHA-256 of the canonical manifest; word 0: its first 8 hex digits
// 0x020         VERSION        [31:16] Layers, [15:0] 1
// 0x024         CONTROL   rw   bit 0 enable (1 after reset); bit 1: write 1 to clear the datapath
//                              (one-cycle pulse); bit 2: write 1 to zero the counters;
//                              bits 1 and 2 read as 0
// 0x028         STATUS    rw   bit 0 busy; bit 1 a packet was dropped (sticky, write 1 to clear)
// 0x02C         VECTORS_IN     cycles with vector_in_i, vector_out_i, packet_error_i;
// 0x030         VECTORS_OUT      each wraps at 2^32
// 0x034         PACKET_ERRORS
// 0x038, 0x03C  CYCLES         64 bits, low and high: clock cycles; reading the low word latches
//                              the high word, so that the pair belongs together
// 0x040, 0x044  BUSY_CYCLES    likewise: cycles with busy_i
// 0x100 + 16*l  layer l        +0 length; +4 [31:16] outputs, [15:0] fan-in;
//                              +8 [15:8] accumulator width, [7:0] operand width; +C zero:
//                              word w is LayerInfo[(4*l+w)*32 +: 32]
//
// The two lowest address bits are ignored: every access is to a whole word. Writes honour WSTRB.
// Any access to another address, and a write to a register that is not marked rw, ends with SLVERR,
// reads as zero and changes nothing. Unused bits read as zero and ignore writes.
//
// Zeroing does not touch the two latched high words, so that a pair being read stays a pair. An
// event in the very cycle of the zeroing write is not counted; a packet error in the very cycle in
// which the sticky bit is cleared leaves the bit set.
//
// Latency: AW and W may come in either order. A write takes effect, and its response is offered,
// two cycles after the later of them was offered, or with the end of the response before it. Read
// data is offered in the cycle after AR is accepted, and shows the registers as they were then.
// Each channel moves at most one access every two cycles, and no output depends combinationally on
// an input. Reads and writes are independent of each other.
//
// Legal: 1 <= Layers <= 240 (what 12 address bits hold). Anything else is an elaboration error: the
// missing module is named after the rule that was broken.
`default_nettype none

module axil_registers #(
  parameter integer Layers = 1,
  parameter [255:0] Id = 256'h0,
  parameter [Layers*128-1:0] LayerInfo = 0
) (
  input  wire clk_i,
  input  wire rst_ni,

  input  wire [11:0] s_axil_awaddr,
  input  wire [2:0] s_axil_awprot,
  input  wire s_axil_awvalid,
  output wire s_axil_awready,
  input  wire [31:0] s_axil_wdata,
  input  wire [3:0] s_axil_wstrb,
  input  wire s_axil_wvalid,
  output wire s_axil_wready,
  output wire [1:0] s_axil_bresp,
  output wire s_axil_bvalid,
  input  wire s_axil_bready,
  input  wire [11:0] s_axil_araddr,
  input  wire [2:0] s_axil_arprot,
  input  wire s_axil_arvalid,
  output wire s_axil_arready,
  output wire [31:0] s_axil_rdata,
  output wire [1:0] s_axil_rresp,
  output wire s_axil_rvalid,
  input  wire s_axil_rready,

  output wire enable_o,
  output wire clear_o,
  input  wire busy_i,
  input  wire vector_in_i,
  input  wire vector_out_i,
  input  wire packet_error_i
);
  localparam [1:0] RespOkay = 2'b00;
  localparam [1:0] RespSlvErr = 2'b10;

  // Word addresses: the byte address without its two lowest bits.
  localparam [9:0] IdWords = 10'h008;
  localparam [9:0] VersionWord = 10'h008;
  localparam [9:0] ControlWord = 10'h009;
  localparam [9:0] StatusWord = 10'h00A;
  localparam [9:0] VectorsInWord = 10'h00B;
  localparam [9:0] VectorsOutWord = 10'h00C;
  localparam [9:0] PacketErrorsWord = 10'h00D;
  localparam [9:0] CyclesLowWord = 10'h00E;
  localparam [9:0] CyclesHighWord = 10'h00F;
  localparam [9:0] BusyCyclesLowWord = 10'h010;
  localparam [9:0] BusyCyclesHighWord = 10'h011;
  localparam [9:0] LayerWord = 10'h040;

  generate
    if (Layers < 1 || Layers > 240) begin : gen_illegal_layers
      Layers_must_be_1_to_240 u_illegal ();
    end
  endgenerate

  // ---- write channels: AW and W are held until both are there -----------------------------------

  reg aw_held_q, w_held_q;
  reg [9:0] aw_word_q;
  reg [2:0] w_data_q;
  reg w_strobe_q;
  reg bvalid_q;
  reg [1:0] bresp_q;

  wire commit = aw_held_q && w_held_q && !(bvalid_q && !s_axil_bready);
  wire write_control = commit && w_strobe_q && (aw_word_q == ControlWord);
  wire write_status = commit && w_strobe_q && (aw_word_q == StatusWord);
  wire write_legal = (aw_word_q == ControlWord) || (aw_word_q == StatusWord);

  assign s_axil_awready = !aw_held_q;
  assign s_axil_wready = !w_held_q;
  assign s_axil_bvalid = bvalid_q;
  assign s_axil_bresp = bresp_q;

  always @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      aw_held_q <= 1'b0;
      w_held_q <= 1'b0;
      aw_word_q <= 10'h000;
      w_data_q <= 3'b000;
      w_strobe_q <= 1'b0;
      bvalid_q <= 1'b0;
      bresp_q <= RespOkay;
    end else begin
      if (commit) begin
        aw_held_q <= 1'b0;
        w_held_q <= 1'b0;
        bvalid_q <= 1'b1;
        bresp_q <= write_legal ? RespOkay : RespSlvErr;
      end else if (s_axil_bready) begin
        bvalid_q <= 1'b0;
      end
      if (s_axil_awvalid && s_axil_awready) begin
        aw_held_q <= 1'b1;
        aw_word_q <= s_axil_awaddr[11:2];
      end
      if (s_axil_wvalid && s_axil_wready) begin
        w_held_q <= 1'b1;
        // No writable bit stands above bit 2, so that byte 0 is the only one that matters.
        w_data_q <= s_axil_wdata[2:0];
        w_strobe_q <= s_axil_wstrb[0];
      end
    end
  end

  // ---- control, status, counters ----------------------------------------------------------------

  reg enable_q, clear_q, error_q;
  reg [31:0] vectors_in_q, vectors_out_q, packet_errors_q;
  reg [63:0] cycles_q, busy_cycles_q;

  wire zero_counters = write_control && w_data_q[2];

  always @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      enable_q <= 1'b1;
      clear_q <= 1'b0;
      error_q <= 1'b0;
    end else begin
      if (write_control) begin
        enable_q <= w_data_q[0];
      end
      clear_q <= write_control && w_data_q[1];
      error_q <= packet_error_i || (error_q && !(write_status && w_data_q[1]));
    end
  end

  always @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      vectors_in_q <= 32'd0;
      vectors_out_q <= 32'd0;
      packet_errors_q <= 32'd0;
      cycles_q <= 64'd0;
      busy_cycles_q <= 64'd0;
    end else if (zero_counters) begin
      vectors_in_q <= 32'd0;
      vectors_out_q <= 32'd0;
      packet_errors_q <= 32'd0;
      cycles_q <= 64'd0;
      busy_cycles_q <= 64'd0;
    end else begin
      cycles_q <= cycles_q + 64'd1;
      if (vector_in_i) vectors_in_q <= vectors_in_q + 32'd1;
      if (vector_out_i) vectors_out_q <= vectors_out_q + 32'd1;
      if (packet_error_i) packet_errors_q <= packet_errors_q + 32'd1;
      if (busy_i) busy_cycles_q <= busy_cycles_q + 64'd1;
    end
  end

  assign enable_o = enable_q;
  assign clear_o = clear_q;

  // ---- read channels ----------------------------------------------------------------------------

  reg rvalid_q;
  reg [1:0] rresp_q;
  reg [31:0] rdata_q;
  reg [31:0] cycles_high_q, busy_cycles_high_q;

  wire [9:0] read_word = s_axil_araddr[11:2];
  wire read_accept = s_axil_arvalid && s_axil_arready;

  reg layer_hit;
  reg [31:0] layer_data;
  reg read_hit;
  reg [31:0] read_data;

  assign s_axil_arready = !rvalid_q;
  assign s_axil_rvalid = rvalid_q;
  assign s_axil_rresp = rresp_q;
  assign s_axil_rdata = rdata_q;

  always @* begin : layer_select
    integer word;
    layer_hit = 1'b0;
    layer_data = 32'd0;
    for (word = 0; word < 4 * Layers; word = word + 1) begin
      if (read_word == LayerWord + word[9:0]) begin
        layer_hit = 1'b1;
        layer_data = LayerInfo[32*word+:32];
      end
    end
  end

  always @* begin
    read_hit = 1'b1;
    case (read_word)
      VersionWord: read_data = {Layers[15:0], 16'd1};
      ControlWord: read_data = {31'd0, enable_q};
      StatusWord: read_data = {30'd0, error_q, busy_i};
      VectorsInWord: read_data = vectors_in_q;
      VectorsOutWord: read_data = vectors_out_q;
      PacketErrorsWord: read_data = packet_errors_q;
      CyclesLowWord: read_data = cycles_q[31:0];
      CyclesHighWord: read_data = cycles_high_q;
      BusyCyclesLowWord: read_data = busy_cycles_q[31:0];
      BusyCyclesHighWord: read_data = busy_cycles_high_q;
      default: begin
        if (read_word < IdWords) begin
          // Word 0 is the most significant one: 7 - n is ~n in three bits.
          read_data = Id[{~read_word[2:0], 5'd0}+:32];
        end else begin
          read_hit = layer_hit;
          read_data = layer_data;
        end
      end
    endcase
  end

  always @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      rvalid_q <= 1'b0;
      rresp_q <= RespOkay;
      rdata_q <= 32'd0;
      cycles_high_q <= 32'd0;
      busy_cycles_high_q <= 32'd0;
    end else if (read_accept) begin
      rvalid_q <= 1'b1;
      rresp_q <= read_hit ? RespOkay : RespSlvErr;
      rdata_q <= read_data;
      if (read_word == CyclesLowWord) cycles_high_q <= cycles_q[63:32];
      if (read_word == BusyCyclesLowWord) busy_cycles_high_q <= busy_cycles_q[63:32];
    end else if (s_axil_rready) begin
      rvalid_q <= 1'b0;
    end
  end
endmodule

`default_nettype wire
