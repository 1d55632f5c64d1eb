"""Physics of legged robots on mujoco.batch."""
