"""Data sets of images, as Lightning data modules."""
