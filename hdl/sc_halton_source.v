// Number source that counts in a prime base: one dimension of a Halton sequence.
//
// word_o = floor(2**K * sum over j of d_j / Base**(j+1)) ^ XorConstant, K = OperandWidth, d_j the
// Digits digits of the cycle's number, the least significant first. After Base**Digits cycles it
// starts anew.
//
// The sum is kept up to date instead of being formed from the digits: counting resets some digits,
// from the lowest, and adds 1 to the next one, so that the sum changes by one of Digits + 1 constants.
// It is kept on K bits and F guard bits, with weights W_j = ceil(2**(K+F) / Base**(j+1)).
//
// Why the word is exact: call the exact value x = 2**K * sum of d_j / Base**(j+1), and A = sum of
// d_j * W_j. Rounding up adds less than 1 to each weight, so A/2**F exceeds x by e with
// 0 <= e < Digits*(Base-1) / 2**F, or not at all where all digits are 0. F is so large that
// 2**F >= Digits*(Base-1) * Base**Digits, so e < Base**-Digits. But x is a whole multiple of
// Base**-Digits, so at least that far below the next integer: floor(A/2**F) = floor(x), the upper K
// bits of A. And A < 2**(K+F): the sum does not overflow.
//
// Latency: the word of cycle 0 is there the cycle after restart_i; advance_i steps.
// Legal: Base 2, 3 or 5, 1 <= Digits <= 20, 1 <= OperandWidth <= 32; anything else stops elaboration.

`default_nettype none

module sc_halton_source #(
  parameter integer Base = 3,
  parameter integer Digits = 6,
  parameter integer OperandWidth = 8,
  parameter [OperandWidth-1:0] XorConstant = 0
) (
  input  wire                    clk_i,
  input  wire                    rst_ni,
  input  wire                    restart_i,
  input  wire                    advance_i,
  output wire [OperandWidth-1:0] word_o
);

  generate
    if (Base != 2 && Base != 3 && Base != 5) begin : gen_illegal_base
      Base_must_be_2_3_or_5 u_illegal ();
    end
    if (Digits < 1 || Digits > 20) begin : gen_illegal_digits
      Digits_must_be_1_to_20 u_illegal ();
    end
    if (OperandWidth < 1 || OperandWidth > 32) begin : gen_illegal_operand_width
      OperandWidth_must_be_1_to_32 u_illegal ();
    end
  endgenerate

  function [31:0] clog2;
    input integer value;
    integer reached;
    begin
      clog2 = 0;
      for (reached = 1; reached < value; reached = 2 * reached) clog2 = clog2 + 1;
    end
  endfunction

  localparam integer DigitWidth = clog2(Base);
  // 3**5 < 2**8 and 5**3 < 2**7: not less than the logarithm of Base**Digits.
  localparam integer LogCount =
      (Base == 2) ? Digits : (Base == 3) ? (8 * Digits + 4) / 5 : (7 * Digits + 2) / 3;
  localparam integer SumWidth = OperandWidth + LogCount + clog2(Digits * (Base - 1));

  // What the sum changes by when c digits are reset: at [c*SumWidth], the last one starts anew.
  function [SumWidth*(Digits+1)-1:0] sum_changes;
    input unused;
    integer c;
    reg [SumWidth:0] base;
    reg [SumWidth:0] weight;
    reg [SumWidth:0] reset;
    begin
      base = {{SumWidth{1'b0}}, 1'b0};
      base[2:0] = Base[2:0];
      weight = {1'b1, {SumWidth{1'b0}}};
      // What c digits at their last value contribute.
      reset = {(SumWidth+1){1'b0}};
      sum_changes = {(SumWidth*(Digits+1)){1'b0}};
      for (c = 0; c < Digits; c = c + 1) begin
        // Rounded up in each step: ceil(ceil(a/b)/b) = ceil(a/b**2).
        weight = (weight + base - 1'b1) / base;
        sum_changes[c*SumWidth +: SumWidth] = weight[SumWidth-1:0] - reset[SumWidth-1:0];
        reset = reset + (base - 1'b1) * weight;
      end
      sum_changes[Digits*SumWidth +: SumWidth] = -reset[SumWidth-1:0];
    end
  endfunction

  localparam [SumWidth*(Digits+1)-1:0] Changes = sum_changes(1'b0);
  localparam [2:0] LastDigit = Base[2:0] - 3'd1;

  // The digits of the next cycle's number above its sum.
  function [DigitWidth*Digits+SumWidth-1:0] counted;
    input [DigitWidth*Digits-1:0] digits;
    input [SumWidth-1:0] sum;
    integer j;
    reg carry;
    reg [DigitWidth*Digits-1:0] next;
    reg [SumWidth-1:0] change;
    begin
      next = digits;
      change = Changes[Digits*SumWidth +: SumWidth];
      carry = 1'b1;
      for (j = 0; j < Digits; j = j + 1) begin
        if (carry) begin
          if (digits[j*DigitWidth +: DigitWidth] == LastDigit[DigitWidth-1:0]) begin
            next[j*DigitWidth +: DigitWidth] = {DigitWidth{1'b0}};
          end else begin
            next[j*DigitWidth +: DigitWidth] = digits[j*DigitWidth +: DigitWidth] + 1'b1;
            change = Changes[j*SumWidth +: SumWidth];
            carry = 1'b0;
          end
        end
      end
      counted = {next, sum + change};
    end
  endfunction

  reg [DigitWidth*Digits-1:0] digits_q;
  reg [SumWidth-1:0] sum_q;

  always @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      digits_q <= {(DigitWidth*Digits){1'b0}};
      sum_q <= {SumWidth{1'b0}};
    end else if (restart_i) begin
      digits_q <= {(DigitWidth*Digits){1'b0}};
      sum_q <= {SumWidth{1'b0}};
    end else if (advance_i) begin
      {digits_q, sum_q} <= counted(digits_q, sum_q);
    end
  end

  assign word_o = sum_q[SumWidth-1 -: OperandWidth] ^ XorConstant;

endmodule

`default_nettype wire
