"""The control loop and the session around it."""
