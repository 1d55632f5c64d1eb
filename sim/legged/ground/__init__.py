"""Walking on terrain: tiles, height scans and the curriculum over levels."""
