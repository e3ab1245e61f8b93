"""Small benches that the runner's own tests run."""
