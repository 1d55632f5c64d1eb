"""A simulated robot as a process of its own, in real time. The only part of `real` that may import `sim`."""
