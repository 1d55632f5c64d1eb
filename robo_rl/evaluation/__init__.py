"""How well a policy does: in its own world, in another engine, in integers, in C."""
