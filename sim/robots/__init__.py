"""Robots to train: MJCF and spec."""
