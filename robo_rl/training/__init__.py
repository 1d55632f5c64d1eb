"""Running a training: settings, checkpoints, several processes, progress."""
