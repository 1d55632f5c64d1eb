"""What drivers, missions and the control loop agree on."""
