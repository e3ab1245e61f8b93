"""From a manifest to Verilog: thin templates around the primitives of ``hdl/``."""
