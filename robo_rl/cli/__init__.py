"""The `robo-rl` command line, one file for each subcommand. Nothing here imports torch at module level."""
