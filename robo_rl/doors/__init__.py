"""Doors for other people's tools: our tasks behind the interfaces that they expect."""
