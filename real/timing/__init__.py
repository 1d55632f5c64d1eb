"""Schedules on absolute time, and the offset between two clocks."""
