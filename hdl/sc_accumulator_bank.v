// Accumulators of a bank of neurons: the sum of the adders' signed increments, from a preload on.
//
// load_i sets them to Preload, count_i adds inc_i; acc_o is final in the cycle after the last of them
// and stays until the next load_i. Not both at a time.
//
// Plane vectors: bit p of neuron j at [p*Neurons + j], two's complement.
//
// Latency: 1 cycle.
// Legal: Neurons >= 1, 1 <= IncWidth <= AccWidth; anything else stops elaboration. AccWidth must hold
// every partial sum (the generator sees to that): beyond it sums wrap.
// The accumulators are not reset: nothing reads them before the first load_i.

`default_nettype none

module sc_accumulator_bank #(
  parameter integer Neurons = 1,
  parameter integer IncWidth = 2,
  parameter integer AccWidth = 16,
  parameter [AccWidth*Neurons-1:0] Preload = 0
) (
  input  wire                        clk_i,
  input  wire                        load_i,
  input  wire                        count_i,
  input  wire [IncWidth*Neurons-1:0] inc_i,
  output wire [AccWidth*Neurons-1:0] acc_o
);

  generate
    if (Neurons < 1) begin : gen_illegal_neurons
      Neurons_must_be_positive u_illegal ();
    end
    if (IncWidth < 1 || IncWidth > AccWidth) begin : gen_illegal_inc_width
      IncWidth_must_be_1_to_AccWidth u_illegal ();
    end
  endgenerate

  localparam integer N = Neurons;

  function [AccWidth*N-1:0] sum;
    input [AccWidth*N-1:0] acc;
    input [IncWidth*N-1:0] inc;
    integer p;
    reg [N-1:0] carry;
    reg [N-1:0] addend;
    reg [N-1:0] half;
    begin
      carry = {N{1'b0}};
      for (p = 0; p < AccWidth; p = p + 1) begin
        // Above its own planes an increment is its sign.
        addend = inc[((p < IncWidth) ? p : IncWidth-1)*N +: N];
        half = acc[p*N +: N] ^ addend;
        sum[p*N +: N] = half ^ carry;
        carry = (acc[p*N +: N] & addend) | (carry & half);
      end
    end
  endfunction

  reg [AccWidth*N-1:0] acc_q;

  always @(posedge clk_i) begin
    if (load_i) begin
      acc_q <= Preload;
    end else if (count_i) begin
      acc_q <= sum(acc_q, inc_i);
    end
  end

  assign acc_o = acc_q;

endmodule

`default_nettype wire
