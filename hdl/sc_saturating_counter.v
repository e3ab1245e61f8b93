// Saturating up/down counters, the state machines of stochastic activation functions (B. D. Brown and
// H. C. Card, "Stochastic neural computation I", IEEE Trans. Computers 50 (2001)).
//
// A counter has the states 0 .. 2**StateWidth - 1 and starts at 2**(StateWidth-1), after reset and
// after load_i. A counted cycle moves it up where bit_i[j] is one and down where it is zero; at either
// end it stays. bit_o[j] is the state's most significant bit: with a bipolar input of value x it is a
// stream of about tanh(2**StateWidth x / 2). Bit p of state j stands at state_o[p*Neurons + j].
//
// Latency: one cycle: bit_o and state_o know the bits of the cycles before, not the present one.
// load_i comes before count_i.
// Legal: Neurons, StateWidth >= 1; anything else stops elaboration.

`default_nettype none

module sc_saturating_counter #(
  parameter integer Neurons = 1,
  parameter integer StateWidth = 3
) (
  input  wire                          clk_i,
  input  wire                          rst_ni,
  input  wire                          load_i,
  input  wire                          count_i,
  input  wire [Neurons-1:0]            bit_i,
  output wire [Neurons-1:0]            bit_o,
  output wire [StateWidth*Neurons-1:0] state_o
);

  generate
    if (Neurons < 1) begin : gen_illegal_neurons
      Neurons_must_be_positive u_illegal ();
    end
    if (StateWidth < 1) begin : gen_illegal_state_width
      StateWidth_must_be_positive u_illegal ();
    end
  endgenerate

  localparam integer N = Neurons;

  // The most significant plane alone.
  wire [StateWidth*N-1:0] middle = ~({StateWidth{{N{1'b1}}}} >> N);

  // One adder for both ways: a plane toggles where all planes below are one and the counter moves up,
  // or all are zero and it moves down. At an end the toggle would leave at the top: no plane toggles.
  function [StateWidth*N-1:0] moved;
    input [StateWidth*N-1:0] state;
    input [N-1:0] up;
    integer p;
    reg [N-1:0] toggle;
    begin
      toggle = {N{1'b1}};
      for (p = 0; p < StateWidth; p = p + 1) toggle = toggle & ~(state[p*N +: N] ^ up);
      toggle = ~toggle;
      for (p = 0; p < StateWidth; p = p + 1) begin
        moved[p*N +: N] = state[p*N +: N] ^ toggle;
        toggle = toggle & ~(state[p*N +: N] ^ up);
      end
    end
  endfunction

  reg [StateWidth*N-1:0] state_q;

  always @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= middle;
    end else if (load_i) begin
      state_q <= middle;
    end else if (count_i) begin
      state_q <= moved(state_q, bit_i);
    end
  end

  assign bit_o   = state_q[(StateWidth-1)*N +: N];
  assign state_o = state_q;

endmodule

`default_nettype wire
