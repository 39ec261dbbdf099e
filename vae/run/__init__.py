"""A run: its folder, its checkpoints and its records."""
