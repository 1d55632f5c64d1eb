"""Networks, their normaliser and the distributions over actions."""
