"""Ground to walk on: tiles of rough ground, slopes, stairs and stepping blocks in one shared world."""
