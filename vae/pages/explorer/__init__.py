"""The explorer: one offline page on which a trained model is moved by hand.

The decoder and the encoder run in the page, by :mod:`vae.pages.networks`. What Python knows of the
model (its latents, the closed forms of its KL, the ways between two codes, how it was binarised) is
handed over as data, and the page's scripts say how each kind of thing is moved and drawn.
"""

from vae.pages.explorer.gather import gather
from vae.pages.explorer.write import explorer

__all__ = ["explorer", "gather"]
