"""Drivers: one class for each way to reach a robot, all of them satisfying `real.contract.robot.Robot`."""
