"""What a deployed policy consists of: specifications, terms, networks and the policy graph. Imports only torch."""
