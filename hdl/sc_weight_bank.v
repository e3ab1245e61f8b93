// Stochastic number generators of constant weights: one comparator a synapse, on whole words in which
// bit j is neuron j.
//
// bit_o[i*Neurons + j] = [ r < w ], where w is the magnitude of lane i of neuron j and r the word that
// the synapse sees: one for all (Sharing 0), one a lane (1) or one a synapse (2).
//
// Plane vectors: bit k of lane i of neuron j of WeightMagnitude stands at [(k*FanIn + i)*Neurons + j],
// k = 0 .. OperandWidth; plane OperandWidth marks weights of magnitude one, whose stream is constant.
// r_i: bit k of source s at [k*SourceLanes + s]; source s is lane s in Sharing 1, and the synapse of
// lane i and neuron j, s = i*Neurons + j, in Sharing 2.
//
// Latency: combinational.
// Legal: FanIn, Neurons, OperandWidth >= 1, Sharing = 0 .. 2; anything else stops elaboration.

`default_nettype none

module sc_weight_bank #(
  parameter integer FanIn = 1,
  parameter integer Neurons = 1,
  parameter integer OperandWidth = 8,
  parameter integer Sharing = 0,
  parameter [(OperandWidth+1)*FanIn*Neurons-1:0] WeightMagnitude = 0,
  parameter integer SourceLanes =
      (Sharing == 0) ? 1 : (Sharing == 1) ? FanIn : FanIn*Neurons  // derived
) (
  input  wire [OperandWidth*SourceLanes-1:0] r_i,
  output wire [FanIn*Neurons-1:0]            bit_o
);

  generate
    if (FanIn < 1) begin : gen_illegal_fan_in
      FanIn_must_be_positive u_illegal ();
    end
    if (Neurons < 1) begin : gen_illegal_neurons
      Neurons_must_be_positive u_illegal ();
    end
    if (OperandWidth < 1) begin : gen_illegal_operand_width
      OperandWidth_must_be_positive u_illegal ();
    end
    if (Sharing < 0 || Sharing > 2) begin : gen_illegal_sharing
      Sharing_must_be_0_to_2 u_illegal ();
    end
  endgenerate

  localparam integer K = OperandWidth;
  localparam integer Span = FanIn*Neurons;

  // From the least to the most significant plane: r < w becomes lt & w where r is 1, lt | w where it
  // is 0.
  genvar g;
  generate
    if (Sharing == 2) begin : gen_word_a_synapse
      wire [Span-1:0] weight_plane [0:K];
      for (g = 0; g <= K; g = g + 1) begin : gen_weight_plane
        assign weight_plane[g] = WeightMagnitude[g*Span +: Span];
      end

      function [Span-1:0] less_than;
        input [K*Span-1:0] r;
        integer k;
        reg [Span-1:0] not_r;
        begin
          less_than = {FanIn{{Neurons{1'b0}}}};
          for (k = 0; k < K; k = k + 1) begin
            not_r = ~r[k*Span +: Span];
            less_than = (weight_plane[k] & not_r) | (less_than & (weight_plane[k] | not_r));
          end
          less_than = less_than | weight_plane[K];
        end
      endfunction

      assign bit_o = less_than(r_i);
    end else begin : gen_shared_words
      // The synapses of one source are compared at once: a bit of r chooses the operation.
      localparam integer Width = Span/SourceLanes;

      // Words of their own: Icarus would copy all of WeightMagnitude for each of them, in every cycle.
      wire [Width-1:0] weight_word [0:(K+1)*SourceLanes-1];
      for (g = 0; g < (K+1)*SourceLanes; g = g + 1) begin : gen_weight_word
        assign weight_word[g] = WeightMagnitude[g*Width +: Width];
      end

      function [Span-1:0] less_than;
        input [K*SourceLanes-1:0] r;
        integer s;
        integer k;
        reg [Width-1:0] word;
        begin
          for (s = 0; s < SourceLanes; s = s + 1) begin
            word = {(Width/Neurons){{Neurons{1'b0}}}};
            for (k = 0; k < K; k = k + 1) begin
              word = r[k*SourceLanes + s] ? (word & weight_word[k*SourceLanes + s])
                                          : (word | weight_word[k*SourceLanes + s]);
            end
            less_than[s*Width +: Width] = word | weight_word[K*SourceLanes + s];
          end
        end
      endfunction

      assign bit_o = less_than(r_i);
    end
  endgenerate

endmodule

`default_nettype wire
