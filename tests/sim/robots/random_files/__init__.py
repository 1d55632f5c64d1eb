"""Random robot files, MJCF and URDF, with the files that they refer to: what real ones contain, in any combination."""
