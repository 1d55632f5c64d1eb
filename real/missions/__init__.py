"""What a robot does between arming and rest."""
