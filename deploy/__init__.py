"""From a trained policy to what a robot loads: the bundle, its exporter, its reader and its verification."""
