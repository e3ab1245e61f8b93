// Result register of a layer without activation: the signed counts as they are.
//
// acc_i is taken in the cycle in which acc_valid_i && acc_ready_o, and offered as count_o from the next
// one until result_ready_i. Plane vectors: bit p of neuron j at [p*Neurons + j].
//
// Latency: 1 cycle. Throughput: a result every cycle.
// Legal: Neurons, AccWidth >= 1; anything else stops elaboration. The data register is not reset.

`default_nettype none

module sc_result_count #(
  parameter integer Neurons = 1,
  parameter integer AccWidth = 16
) (
  input  wire                        clk_i,
  input  wire                        rst_ni,
  input  wire                        clear_i,
  input  wire                        acc_valid_i,
  output wire                        acc_ready_o,
  input  wire [AccWidth*Neurons-1:0] acc_i,
  output wire                        result_valid_o,
  input  wire                        result_ready_i,
  output wire [AccWidth*Neurons-1:0] count_o
);

  generate
    if (Neurons < 1) begin : gen_illegal_neurons
      Neurons_must_be_positive u_illegal ();
    end
    if (AccWidth < 1) begin : gen_illegal_acc_width
      AccWidth_must_be_positive u_illegal ();
    end
  endgenerate

  reg                        valid_q;
  reg [AccWidth*Neurons-1:0] count_q;

  assign acc_ready_o    = !valid_q || result_ready_i;
  assign result_valid_o = valid_q;
  assign count_o        = count_q;

  always @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      valid_q <= 1'b0;
    end else if (clear_i) begin
      valid_q <= 1'b0;
    end else if (acc_ready_o) begin
      valid_q <= acc_valid_i;
    end
  end

  always @(posedge clk_i) begin
    if (acc_valid_i && acc_ready_o) count_q <= acc_i;
  end

endmodule

`default_nettype wire
