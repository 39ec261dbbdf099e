"""Networks in pages: what a module of torch computes, as plain data, and JavaScript that runs it.

>>> from vae.pages.networks import export_decoder, scripts
>>> spec = export_decoder(model)  # doctest: +SKIP

In a page that holds ``scripts()``, ``new Network(spec).run({z: numbers})`` is ``{image: numbers}``.
"""

from vae.pages.networks.export import export_network
from vae.pages.networks.halves import (
    Decoder,
    Encoder,
    export_decoder,
    export_encoder,
)
from vae.pages.networks.trace import NetworkError
from vae.pages.page import asset

__all__ = [
    "Decoder",
    "Encoder",
    "NetworkError",
    "export_decoder",
    "export_encoder",
    "export_network",
    "scripts",
]

FILES = "special elementwise places products convolutions reductions operations network".split()


def scripts() -> str:
    """The JavaScript that runs networks: a page that holds it has the class ``Network``."""
    text = "\n".join(asset(f"networks/{name}.js") for name in FILES)
    return f'const Network = (() => {{\n"use strict";\n{text}\nreturn Network;\n}})();\n'
