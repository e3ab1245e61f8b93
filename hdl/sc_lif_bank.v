// A bank of leaky integrate-and-fire neurons, and the number of spikes of each since load_i.
//
// Every neuron steps with its own increment and its own Current, and with one noise word for all of
// them; sc_lif_neuron.v has the arithmetic and the other parameters.
//
// Sequence: load_i, then step_i for at most Length cycles, not both at a time. spike_o is this step's
// spikes; count_o is final in the cycle after the last step and stays until the next load_i.
//
// inc_i and count_o are plane vectors: bit k of neuron j stands at [k*Neurons + j]; inc_i is in two's
// complement. Neuron j of Current stands at [j*CurrentWidth +: CurrentWidth], in two's complement, of
// voltage_o at [j*Width +: Width].
//
// Latency: spike_o is combinational from the inputs, count_o and voltage_o are registers.
// Legal: Neurons, Length >= 1, and AccWidth that holds Length as a number without sign (one bit more
// reads as two's complement); what sc_lif_neuron.v says of the others. Anything else stops
// elaboration. The registers are not reset: nothing reads them before the first load_i.

`default_nettype none

module sc_lif_bank #(
  parameter integer Neurons = 1,
  parameter integer Length = 256,
  parameter integer AccWidth = 9,
  parameter integer IncWidth = 2,
  parameter integer Width = 16,
  parameter integer Gain = 1,
  parameter integer Leak = 0,
  parameter integer LeakShift = 0,
  parameter integer Threshold = 1,
  parameter integer ResetToValue = 0,
  parameter integer ResetValue = 0,
  parameter integer Refractory = 0,
  parameter integer Floor = 0,
  parameter integer NoiseWidth = 0,
  parameter integer CurrentWidth = 1,
  parameter [CurrentWidth*Neurons-1:0] Current = 0,
  parameter integer NoisePorts = (NoiseWidth > 0) ? NoiseWidth : 1  // derived
) (
  input  wire                        clk_i,
  input  wire                        load_i,
  input  wire                        step_i,
  input  wire [IncWidth*Neurons-1:0] inc_i,
  input  wire [NoisePorts-1:0]       noise_i,
  output wire [Neurons-1:0]          spike_o,
  output wire [AccWidth*Neurons-1:0] count_o,
  output wire [Width*Neurons-1:0]    voltage_o
);

  generate
    if (Neurons < 1) begin : gen_illegal_neurons
      Neurons_must_be_positive u_illegal ();
    end
    if (Length < 1) begin : gen_illegal_length
      Length_must_be_positive u_illegal ();
    end
    if (AccWidth < 1 || (Length >> AccWidth) != 0) begin : gen_illegal_acc_width
      AccWidth_must_hold_Length u_illegal ();
    end
  endgenerate

  genvar j;
  genvar k;
  generate
    for (j = 0; j < Neurons; j = j + 1) begin : gen_neuron
      wire [IncWidth-1:0] inc;
      for (k = 0; k < IncWidth; k = k + 1) begin : gen_plane
        assign inc[k] = inc_i[k*Neurons + j];
      end
      sc_lif_neuron #(
        .IncWidth(IncWidth),
        .Width(Width),
        .Gain(Gain),
        .Leak(Leak),
        .LeakShift(LeakShift),
        .Threshold(Threshold),
        .ResetToValue(ResetToValue),
        .ResetValue(ResetValue),
        .Refractory(Refractory),
        .Floor(Floor),
        .NoiseWidth(NoiseWidth),
        .CurrentWidth(CurrentWidth),
        .Current(Current[j*CurrentWidth +: CurrentWidth])
      ) u_neuron (
        .clk_i(clk_i),
        .load_i(load_i),
        .step_i(step_i),
        .inc_i(inc),
        .noise_i(noise_i),
        .spike_o(spike_o[j]),
        .voltage_o(voltage_o[j*Width +: Width])
      );
    end
  endgenerate

  sc_stochastic_counter #(
    .Neurons(Neurons),
    .Length(Length),
    .CountWidth(AccWidth)
  ) u_spikes (
    .clk_i(clk_i),
    .load_i(load_i),
    .count_i(step_i),
    .bit_i(spike_o),
    .count_o(count_o)
  );

endmodule

`default_nettype wire
