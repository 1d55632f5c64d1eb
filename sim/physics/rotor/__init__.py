"""Quadrotor rigid-body physics as Warp kernels: one source for CPU and CUDA, with its adjoint."""
