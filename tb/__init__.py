"""The test bench: simulators, runner, benches, sign-off and the command line."""
