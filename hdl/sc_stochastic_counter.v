// Stochastic-to-binary converters: a counter of ones for each neuron of a bank.
//
// load_i sets every counter to zero; count_i adds bit_i[j] to counter j. Bit p of counter j stands at
// count_o[p*Neurons + j].
//
// Latency: one cycle: a bit is in count_o after the edge that takes it. load_i comes before count_i.
// Legal: Neurons, Length, CountWidth >= 1, CountWidth holds Length; anything else stops elaboration.
// After more than Length counted cycles a counter may wrap.
// The counters are not reset: nothing reads them before the first load_i.

`default_nettype none

module sc_stochastic_counter #(
  parameter integer Neurons = 1,
  parameter integer Length = 256,
  parameter integer CountWidth = 9
) (
  input  wire                          clk_i,
  input  wire                          load_i,
  input  wire                          count_i,
  input  wire [Neurons-1:0]            bit_i,
  output wire [CountWidth*Neurons-1:0] count_o
);

  generate
    if (Neurons < 1) begin : gen_illegal_neurons
      Neurons_must_be_positive u_illegal ();
    end
    if (Length < 1) begin : gen_illegal_length
      Length_must_be_positive u_illegal ();
    end
    if (CountWidth < 1 || (Length >> CountWidth) != 0) begin : gen_illegal_count_width
      CountWidth_must_hold_Length u_illegal ();
    end
  endgenerate

  function [CountWidth*Neurons-1:0] plus;
    input [CountWidth*Neurons-1:0] count;
    input [Neurons-1:0] bits;
    integer p;
    reg [Neurons-1:0] carry;
    begin
      carry = bits;
      for (p = 0; p < CountWidth; p = p + 1) begin
        plus[p*Neurons +: Neurons] = count[p*Neurons +: Neurons] ^ carry;
        carry = count[p*Neurons +: Neurons] & carry;
      end
    end
  endfunction

  reg [CountWidth*Neurons-1:0] count_q;

  always @(posedge clk_i) begin
    if (load_i) begin
      count_q <= {CountWidth{{Neurons{1'b0}}}};
    end else if (count_i) begin
      count_q <= plus(count_q, bit_i);
    end
  end

  assign count_o = count_q;

endmodule

`default_nettype wire
