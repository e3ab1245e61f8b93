// Delay lines: each lane's stream, late by a number of cycles of its own (an isolator, which
// decorrelates a stream from another of the same source).
//
// bit_o[i] in an advanced cycle is bit_i[i] of the d-th advanced cycle before it, d = Depths[8*i +: 8],
// and zero where there was none since clear_i or reset. A lane of depth zero is a wire.
//
// The registers of all lanes are one chain: lane i has d bits of it, above those of the lanes before.
//
// Latency: d advanced cycles. clear_i comes before advance_i.
// Legal: Lanes >= 1; anything else stops elaboration.

`default_nettype none

module sc_delay_line #(
  parameter integer Lanes = 1,
  parameter [8*Lanes-1:0] Depths = 1
) (
  input  wire             clk_i,
  input  wire             rst_ni,
  input  wire             clear_i,
  input  wire             advance_i,
  input  wire [Lanes-1:0] bit_i,
  output wire [Lanes-1:0] bit_o
);

  generate
    if (Lanes < 1) begin : gen_illegal_lanes
      Lanes_must_be_positive u_illegal ();
    end
  endgenerate

  function [31:0] total;
    input [8*Lanes-1:0] depths;
    integer i;
    begin
      total = 32'd0;
      for (i = 0; i < Lanes; i = i + 1) total = total + {24'd0, depths[8*i +: 8]};
    end
  endfunction

  localparam integer ChainWidth = total(Depths);

  genvar g;
  generate
    if (ChainWidth == 0) begin : gen_wires
      wire unused_controls = &{1'b0, clk_i, rst_ni, clear_i, advance_i};
      assign bit_o = bit_i;
    end else begin : gen_chain
      // Words of their own: Icarus would copy all of Depths for each of them, in every cycle.
      wire [7:0] depth [0:Lanes-1];
      for (g = 0; g < Lanes; g = g + 1) begin : gen_depth
        assign depth[g] = Depths[8*g +: 8];
      end

      function [ChainWidth-1:0] advanced;
        input [ChainWidth-1:0] chain;
        input [Lanes-1:0] bits;
        integer i;
        integer first;
        begin
          advanced = chain << 1;
          first = 0;
          for (i = 0; i < Lanes; i = i + 1) begin
            if (depth[i] != 8'd0) advanced[first] = bits[i];
            first = first + {24'd0, depth[i]};
          end
        end
      endfunction

      function [Lanes-1:0] leaving;
        input [ChainWidth-1:0] chain;
        input [Lanes-1:0] bits;
        integer i;
        integer last;
        begin
          last = -1;
          for (i = 0; i < Lanes; i = i + 1) begin
            last = last + {24'd0, depth[i]};
            leaving[i] = (depth[i] != 8'd0) ? chain[last] : bits[i];
          end
        end
      endfunction

      reg [ChainWidth-1:0] chain_q;

      // Zero without a size: Verilator doubts replications of more than 8192 bits.
      always @(posedge clk_i or negedge rst_ni) begin
        if (!rst_ni) begin
          chain_q <= 0;
        end else if (clear_i) begin
          chain_q <= 0;
        end else if (advance_i) begin
          chain_q <= advanced(chain_q, bit_i);
        end
      end

      assign bit_o = leaving(chain_q, bit_i);
    end
  endgenerate

endmodule

`default_nettype wire
