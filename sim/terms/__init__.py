"""What tasks are made of: named terms, each a function with parameters and, for a reward, a weight."""
