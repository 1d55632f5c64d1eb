"""Physics backends behind one protocol."""
