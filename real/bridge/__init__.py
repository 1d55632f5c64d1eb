"""An embedded rosbridge v2 server for machines without ROS."""
