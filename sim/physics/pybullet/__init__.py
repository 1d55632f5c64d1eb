"""Bullet as a second opinion: worlds built from the compiled MjModel, one robot description for both engines."""
