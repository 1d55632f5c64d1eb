"""Worlds to train in: physics, sensor and actuator models, tasks and the vectorised environment. Imports policies."""
