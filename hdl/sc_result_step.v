// Result register of a step layer: the largest magnitude where a count is not negative, else zero.
//
// acc_i is taken in the cycle in which acc_valid_i && acc_ready_o, and the result offered from the next
// one until result_ready_i. Plane vectors: bit p of neuron j at [p*Neurons + j], acc_i in two's complement.
//
// Latency: 1 cycle. Throughput: a result every cycle.
// Legal: Neurons, OperandWidth >= 1, AccWidth >= 2; anything else stops elaboration. The data register
// is not reset.

`default_nettype none

module sc_result_step #(
  parameter integer Neurons = 1,
  parameter integer AccWidth = 16,
  parameter integer OperandWidth = 8
) (
  input  wire                            clk_i,
  input  wire                            rst_ni,
  input  wire                            clear_i,
  input  wire                            acc_valid_i,
  output wire                            acc_ready_o,
  input  wire [AccWidth*Neurons-1:0]     acc_i,
  output wire                            result_valid_o,
  input  wire                            result_ready_i,
  output wire [OperandWidth*Neurons-1:0] magnitude_o
);

  generate
    if (Neurons < 1) begin : gen_illegal_neurons
      Neurons_must_be_positive u_illegal ();
    end
    if (OperandWidth < 1) begin : gen_illegal_operand_width
      OperandWidth_must_be_positive u_illegal ();
    end
    if (AccWidth < 2) begin : gen_illegal_acc_width
      AccWidth_must_be_at_least_2 u_illegal ();
    end
  endgenerate

  wire [Neurons-1:0] negative;

  // The register holds signs: the topmost plane, a count of one bit.
  sc_result_count #(
    .Neurons(Neurons),
    .AccWidth(1)
  ) u_signs (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .clear_i(clear_i),
    .acc_valid_i(acc_valid_i),
    .acc_ready_o(acc_ready_o),
    .acc_i(acc_i[(AccWidth-1)*Neurons +: Neurons]),
    .result_valid_o(result_valid_o),
    .result_ready_i(result_ready_i),
    .count_o(negative)
  );

  assign magnitude_o = {OperandWidth{~negative}};

  // Only signs decide.
  wire unused_acc = &{1'b0, acc_i[(AccWidth-1)*Neurons-1:0]};

endmodule

`default_nettype wire
