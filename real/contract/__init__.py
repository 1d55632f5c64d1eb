"""The interfaces between drivers, missions and the control loop."""
