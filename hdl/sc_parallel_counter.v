// Parallel counter: how many of a neuron's inputs are one in this cycle, for a whole bank of neurons.
//
// count_o of neuron j = sum over i of word_i[i*Neurons + j]; bit p of it stands at [p*Neurons + j]. A
// tree of full adders on words in which bit j is neuron j; exact, no input is dropped.
//
// Latency: combinational.
// Legal: Inputs, Neurons >= 1, CountWidth = bits of Inputs; anything else stops elaboration.

`default_nettype none

module sc_parallel_counter #(
  parameter integer Inputs = 1,
  parameter integer Neurons = 1,
  parameter integer CountWidth = 1
) (
  input  wire [Inputs*Neurons-1:0]     word_i,
  output wire [CountWidth*Neurons-1:0] count_o
);

  generate
    if (Inputs < 1) begin : gen_illegal_inputs
      Inputs_must_be_positive u_illegal ();
    end
    if (Neurons < 1) begin : gen_illegal_neurons
      Neurons_must_be_positive u_illegal ();
    end
    if (CountWidth < 1 || (Inputs >> CountWidth) != 0 || (Inputs >> (CountWidth-1)) != 1)
    begin : gen_illegal_count_width
      CountWidth_must_be_the_bits_of_Inputs u_illegal ();
    end
  endgenerate

  localparam integer N = Neurons;

  // The words of weight 2**p wait in a queue of their own, which starts at 3*(Inputs - (Inputs>>p))
  // and receives Inputs>>p words from the plane below. Adder f takes the next three words, appends the
  // sum to this queue and the carry to the next; where only two are left it is a half adder.
  function [CountWidth*N-1:0] ones;
    input [Inputs*N-1:0] words;
    integer i;
    integer p;
    integer f;
    reg [N-1:0] a;
    reg [N-1:0] b;
    reg [N-1:0] c;
    reg [N-1:0] half;
    reg [N-1:0] queue [0:3*Inputs];
    begin
      for (i = 0; i < Inputs; i = i + 1) queue[i] = words[i*N +: N];
      for (p = 0; p < CountWidth; p = p + 1) begin
        for (f = 0; f < (Inputs >> p)/2; f = f + 1) begin
          a = queue[3*(Inputs - (Inputs >> p)) + 3*f];
          b = queue[3*(Inputs - (Inputs >> p)) + 3*f + 1];
          if (2*f + 2 < (Inputs >> p)) c = queue[3*(Inputs - (Inputs >> p)) + 3*f + 2];
          else c = {N{1'b0}};
          half = a ^ b;
          queue[3*(Inputs - (Inputs >> p)) + (Inputs >> p) + f] = half ^ c;
          queue[3*(Inputs - (Inputs >> (p+1))) + f] = (a & b) | (c & half);
        end
        ones[p*N +: N] =
            queue[3*(Inputs - (Inputs >> p)) + (Inputs >> p) + (Inputs >> p)/2 - 1];
      end
    end
  endfunction

  assign count_o = ones(word_i);

endmodule

`default_nettype wire
