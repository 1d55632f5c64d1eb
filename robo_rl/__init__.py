"""Learning: algorithms, runner, evaluation, benchmarks and the `robo-rl` command line."""
