"""The policy graph, its mirror image, and calling it faster than it was trained."""
