"""ROS messages as JSON: names, stamps, type checks, and the only place that converts quaternions and twists."""
