"""Data sets of images, without Lightning: what :mod:`vae.data`'s modules serve."""
