"""What no design goes beyond."""

# The output stream carries 32-bit counts.
MAX_ACCUMULATOR_WIDTH = 32
# Tables and simulations of more cycles are of no use to anybody, and do not fit into memory.
MAX_LENGTH = 1 << 20
# Of sc_result_clip_divide.
MAX_DIVISOR = 1 << 30
