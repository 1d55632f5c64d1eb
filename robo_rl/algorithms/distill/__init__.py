"""Distillation: from a policy or a critic that knows the truth to a policy that reads sensors only."""
