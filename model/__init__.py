"""The golden model: bit-true stochastic arithmetic, its bounds, and the manifest."""
