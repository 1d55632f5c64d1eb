"""What quadrotor tasks add to physics."""
