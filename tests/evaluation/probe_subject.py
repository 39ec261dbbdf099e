"""Tiny models on the digits, and what a part answers of them."""

import torch
from every_part import LATENTS, LIKELIHOODS
from torch import nn

from vae import VAE, MLPDecoder, MLPEncoder
from vae.evaluation.answers import Answers
from vae.evaluation.asking import ask
from vae.evaluation.part import Subject

SHAPE = (1, 8, 8)


class Constant(nn.Module):
    """A decoder whose pixels are 1 with one probability, whatever z is."""

    def __init__(self, probability):
        super().__init__()
        self.register_buffer("logit", torch.tensor(probability).logit())

    def forward(self, code):
        return self.logit.expand(*code.shape[:-1], 1, *SHAPE)


def tiny(latent="gaussian", likelihood="bernoulli", constant=None, seed=0):
    torch.manual_seed(seed)
    encoder = MLPEncoder(SHAPE, hidden=(32,))
    layer = LATENTS[latent](encoder.out_features, 6)
    kind = LIKELIHOODS[likelihood]
    decoder = (
        MLPDecoder(layer.code_features, SHAPE, hidden=(32,), channels=kind.channels)
        if constant is None
        else Constant(constant)
    )
    return VAE(encoder, layer, kind(decoder)).eval()


def subject(vae, data, split="test", limit=None, seed=0):
    return Subject(vae.hard, vae, data, split, limit, torch.device("cpu"), seed)


def asked(part, about, batch_size=250):
    """The part's numbers by name, its remarks, and its answers."""
    images = min(about.data.count(about.split), about.limit or 10**9)
    found = ask(part, about, images, batch_size, Answers(None, part.name, {}))
    numbers = {number.name: number for number in found.numbers(about)}
    return numbers, found.remarks(about), found.values
