"""The supervisor: limits, envelopes, and which readings are good."""
