"""From a policy graph to a bundle."""
