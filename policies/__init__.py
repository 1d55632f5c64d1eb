"""What a robot can carry: specifications, terms, networks and the policy graph. Imports torch alone."""
