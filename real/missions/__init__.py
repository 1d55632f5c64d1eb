"""What a robot shall do between arming and rest."""
