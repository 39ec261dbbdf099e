"""What Sphinx needs for the guide beyond its own extensions."""
