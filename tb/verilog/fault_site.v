// A place where faults strike: stands between the driver of a signal and its readers. Simulation only.
//
// q_o is d_i with the bits of a mask flipped, held at 0 or held at 1. The mask is drawn anew at every
// clock edge: each bit is in it with the harness' rate, by itself. Between struck bits lie geometric
// gaps, gap = floor(ln(u) / ln(1 - rate)), so that a cycle without a fault costs one subtraction. Where
// q_o is a register's next value, a flip stays in the register until it is written again.
//
// Whom the faults strike, how and when is asked of the top module, `fault_harness`: random faults strike
// sites of the chosen places, a single one strikes one bit of one site. Each site has a generator of its
// own, seeded by the run's seed and its index. With `tell` high it writes how many faults it injected.
//
// Bits that are not in Live pass: there is nothing in silicon that could be struck.
//
// Legal: Width >= 1, 0 <= Place <= 31.

`default_nettype none

module fault_site #(
  parameter integer Width = 1,
  parameter [Width-1:0] Live = {Width{1'b1}},
  parameter integer Index = 0,
  parameter integer Place = 0
) (
  input  wire [Width-1:0] d_i,
  output wire [Width-1:0] q_o
);

  localparam [63:0] Golden = 64'h9e3779b97f4a7c15;

  reg [Width-1:0] mask = {Width{1'b0}};
  reg [63:0]      state = 64'd1;
  reg [63:0]      mixed;
  reg             chosen = 1'b0;
  reg             dirty = 1'b0;
  integer         ahead = 0;    // to the next struck bit, over the bits of all cycles
  integer         injected = 0;

  wire to_0 = (fault_harness.kind == 2'd1);
  wire to_1 = (fault_harness.kind == 2'd2);

  assign q_o = to_0 ? (d_i & ~mask) : to_1 ? (d_i | mask) : (d_i ^ mask);

  // The next gap between struck bits, from the generator's upper half.
  function integer gap;
    input [63:0] number;
    real uniform;
    begin
      uniform = ($itor(number[62:32]) + 0.5) / 2147483648.0;
      gap = $rtoi($ln(uniform) / fault_harness.log_spared);
    end
  endfunction

  function [63:0] after;
    input [63:0] number;
    reg [63:0] x;
    begin
      x = number ^ (number << 13);
      x = x ^ (x >> 7);
      after = x ^ (x << 17);
    end
  endfunction

  always @(posedge fault_harness.clk) begin
    if (fault_harness.seeding) begin
      // A seed of few ones spreads over all bits, and is not 0.
      mixed = fault_harness.seed + Golden * {32'd0, Index[31:0] + 32'd1};
      mixed = (mixed ^ (mixed >> 30)) * 64'hbf58476d1ce4e5b9;
      mixed = (mixed ^ (mixed >> 27)) * 64'h94d049bb133111eb;
      mixed = after((mixed ^ (mixed >> 31)) | 64'd1);
      chosen <= fault_harness.places[Place] && fault_harness.log_spared < 0.0;
      if (fault_harness.log_spared < 0.0) ahead = gap(mixed);
      state <= after(mixed);
      injected = 0;
      mask <= {Width{1'b0}};
      dirty <= 1'b0;
    end else begin
      if (dirty) begin
        mask <= {Width{1'b0}};
        dirty <= 1'b0;
      end
      if (chosen && fault_harness.active) begin
        if (ahead < Width) begin
          mixed = state;
          dirty <= 1'b1;
          while (ahead < Width) begin
            if (Live[ahead]) begin
              mask[ahead] <= 1'b1;
              injected = injected + 1;
            end
            ahead = ahead + 1 + gap(mixed);
            mixed = after(mixed);
          end
          state <= mixed;
        end
        ahead = ahead - Width;
      end
      if (fault_harness.single && fault_harness.single_site == Index) begin
        if (fault_harness.striking) begin
          mask[fault_harness.single_bit] <= 1'b1;
          dirty <= 1'b1;
          injected = 1;
        end
      end
      if (fault_harness.tell && injected != 0) begin
        $fdisplay(fault_harness.results, "site %0d %0d", Index, injected);
      end
    end
  end

endmodule

`default_nettype wire
