// A counter around a register in a module of its own, for the tests of the runner.
// With STOP_AT defined the design ends the simulation by itself at that time in ns.

`default_nettype none

module counter #(
  parameter integer Width = 4
) (
  input  wire             clk_i,
  input  wire             rst_ni,
  input  wire             enable_i,
  output wire [Width-1:0] count_o
);

  wire [Width-1:0] count_d;

  assign count_d = enable_i ? count_o + {{(Width - 1) {1'b0}}, 1'b1} : count_o;

  counter_register #(
    .Width(Width)
  ) u_register (
    .clk_i  (clk_i),
    .rst_ni (rst_ni),
    .count_i(count_d),
    .count_o(count_o)
  );

`ifdef STOP_AT
  initial #(`STOP_AT) $finish;
`endif

endmodule

module counter_register #(
  parameter integer Width = 4
) (
  input  wire             clk_i,
  input  wire             rst_ni,
  input  wire [Width-1:0] count_i,
  output wire [Width-1:0] count_o
);

  reg [Width-1:0] count_q;

  assign count_o = count_q;

  always @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) count_q <= {Width{1'b0}};
    else count_q <= count_i;
  end

endmodule

`default_nettype wire
