"""The `robo-rl` command line, one file per subcommand. No module here imports torch at module level."""
