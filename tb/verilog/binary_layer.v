// One dense layer as plain binary arithmetic, to compare faults with: one multiply-accumulate unit a
// neuron, one input a cycle, FanIn cycles a vector. Simulation only.
//
// acc = Preload + sum over inputs of x_i w_ij, exact, in units of 2**-(2*OperandWidth). The inputs wait in
// shift registers, lane 0 first; the weights stand in a read-only memory, one row an input. Handshake and
// plane vectors (bit k of element i of M at [k*M + i]) are those of the stochastic layers.
//
// WeightMagnitude: word of synapse (i, j) at [(i*Neurons + j)*(OperandWidth+1)]; WeightSign: [i*Neurons + j].
// Preload: word of neuron j at [j*AccWidth], two's complement. AccWidth must hold every sum.
// Legal: FanIn >= 2, Neurons >= 1, OperandWidth >= 1, AccWidth >= 2*OperandWidth + 2.

`default_nettype none

module binary_layer #(
  parameter integer FanIn = 2,
  parameter integer Neurons = 1,
  parameter integer OperandWidth = 8,
  parameter integer AccWidth = 24,
  parameter integer IndexWidth = 1,
  parameter [(OperandWidth+1)*FanIn*Neurons-1:0] WeightMagnitude = 0,
  parameter [FanIn*Neurons-1:0] WeightSign = 0,
  parameter [AccWidth*Neurons-1:0] Preload = 0
) (
  input  wire                          clk_i,
  input  wire                          rst_ni,
  input  wire                          clear_i,
  output wire                          busy_o,
  input  wire                          vector_valid_i,
  output wire                          vector_ready_o,
  input  wire [OperandWidth*FanIn-1:0] magnitude_i,
  input  wire [FanIn-1:0]              sign_i,
  output wire                          finish_o,
  input  wire                          result_ready_i,
  output wire [AccWidth*Neurons-1:0]   acc_o
);

  localparam integer K = OperandWidth;
  localparam integer WordWidth = K + 1;
  localparam integer ProductWidth = 2*K + 2;
  localparam [1:0] StIdle = 2'd0;
  localparam [1:0] StRun = 2'd1;
  localparam [1:0] StFinish = 2'd2;
  localparam [31:0] LastIndex = FanIn - 1;

  reg [1:0]                      state_q;
  reg [IndexWidth-1:0]           index_q;
  reg [K*FanIn-1:0]              magnitude_q;
  reg [FanIn-1:0]                sign_q;
  reg [AccWidth*Neurons-1:0]     acc_q;

  wire run = (state_q == StRun);
  wire finished = (state_q == StFinish) && result_ready_i;
  wire load = vector_valid_i && vector_ready_o;
  wire last = (index_q == LastIndex[IndexWidth-1:0]);

  assign vector_ready_o = !clear_i && ((state_q == StIdle) || finished);
  assign busy_o         = (state_q != StIdle);
  assign finish_o       = (state_q == StFinish);

  wire [31:0]                     row = {{(32-IndexWidth){1'b0}}, index_q};
  wire [WordWidth*Neurons-1:0]    weight = WeightMagnitude[row*WordWidth*Neurons +: WordWidth*Neurons];
  wire [Neurons-1:0]              weight_sign = WeightSign[row*Neurons +: Neurons];
  wire [K-1:0]                    operand;
  wire [ProductWidth*Neurons-1:0] product;
  wire [AccWidth*Neurons-1:0]     sum;

  genvar g;
  generate
    for (g = 0; g < K; g = g + 1) begin : gen_operand
      assign operand[g] = magnitude_q[g*FanIn];
    end
    for (g = 0; g < Neurons; g = g + 1) begin : gen_neuron
      wire [ProductWidth-1:0] size =
          {{(K+2){1'b0}}, operand} * {{(ProductWidth-WordWidth){1'b0}}, weight[g*WordWidth +: WordWidth]};
      wire minus = sign_q[0] ^ weight_sign[g];
      assign product[g*ProductWidth +: ProductWidth] = minus ? -size : size;
      wire [ProductWidth-1:0] signed_product = product[g*ProductWidth +: ProductWidth];
      assign sum[g*AccWidth +: AccWidth] = acc_q[g*AccWidth +: AccWidth]
          + {{(AccWidth-ProductWidth){signed_product[ProductWidth-1]}}, signed_product};
    end
  endgenerate

  always @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= StIdle;
      index_q <= {IndexWidth{1'b0}};
    end else if (clear_i) begin
      state_q <= StIdle;
      index_q <= {IndexWidth{1'b0}};
    end else if (load) begin
      state_q <= StRun;
      index_q <= {IndexWidth{1'b0}};
    end else if (run) begin
      state_q <= last ? StFinish : StRun;
      index_q <= index_q + {{(IndexWidth-1){1'b0}}, 1'b1};
    end else if (finished) begin
      state_q <= StIdle;
    end
  end

  // What crosses the borders of the planes in the shift arrives after FanIn cycles, too late.
  always @(posedge clk_i) begin
    if (load) begin
      magnitude_q <= magnitude_i;
      sign_q      <= sign_i;
      acc_q       <= Preload;
    end else if (run) begin
      magnitude_q <= magnitude_q >> 1;
      sign_q      <= sign_q >> 1;
      acc_q       <= sum;
    end
  end

  genvar j;
  genvar p;
  generate
    for (j = 0; j < Neurons; j = j + 1) begin : gen_out
      for (p = 0; p < AccWidth; p = p + 1) begin : gen_plane
        assign acc_o[p*Neurons + j] = acc_q[j*AccWidth + p];
      end
    end
  endgenerate

endmodule

`default_nettype wire
