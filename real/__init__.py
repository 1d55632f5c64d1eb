"""The robot's side of a policy: control loop, safety supervisor, state machine, recorder and robot drivers.

Runs on numpy, onnxruntime, roslibpy and mcap; never on torch and never on a simulator.
"""
