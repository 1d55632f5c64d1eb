"""Doors for other tools: our tasks behind the interfaces that gymnasium and rsl_rl expect."""
