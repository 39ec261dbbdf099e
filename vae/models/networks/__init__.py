"""Encoder and decoder networks: plain modules between an image and a flat vector of features.

An encoder maps ``(B, *image)`` to ``(B, H)``, and says what H is: ``out_features``. A decoder maps
``(*, D)``, with any leading sample dimensions, to ``(*, channels, *image)``, with as many channels
as the likelihood needs parameters for each pixel. Nothing here is particular to MNIST.
"""

from vae.models.networks.base import ACTIVATIONS, Network, widen
from vae.models.networks.conv import ConvDecoder, ConvEncoder
from vae.models.networks.mlp import MLPDecoder, MLPEncoder
from vae.models.networks.residual import ResidualDecoder, ResidualEncoder

__all__ = [
    "ACTIVATIONS",
    "ConvDecoder",
    "ConvEncoder",
    "MLPDecoder",
    "MLPEncoder",
    "Network",
    "ResidualDecoder",
    "ResidualEncoder",
    "widen",
]
