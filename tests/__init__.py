"""Tests of the Python packages, and of the runner with a small bench of its own."""
