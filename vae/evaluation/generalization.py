"""The generalisation gap: the ELBO of images that were trained on, less that of others.

It is of as many images of each kind, binarised alike, and of the same model: what an encoder or a
decoder has learned by heart.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from vae.evaluation.part import Number, Subject
from vae.evaluation.terms import elbo_terms
from vae.seeds import fixed_noise, mix_seeds

__all__ = ["elbo_of_both", "generalization_gap"]


MOST = 10_000
"""Images of each kind, at most: they take seconds."""


def elbo_of_both(subject: Subject) -> dict[str, Tensor]:
    """The ELBO in nats, by one sample, of ``trained_on`` and ``others``, (N,) each.

    Empty where the subject's split is the one that was trained on, or there are not two images.
    """
    if subject.split == "train":
        return {}
    count = min(_count(subject, split) for split in ("train", subject.split))
    if count < 2:
        return {}
    splits = {"trained_on": "train", "others": subject.split}
    return {name: _elbo(subject, split, count) for name, split in splits.items()}


def _count(subject: Subject, split: str) -> int:
    count = subject.data.count(split)
    return min(MOST, MOST if count is None else count, subject.limit or MOST)


def _elbo(subject: Subject, split: str, count: int) -> Tensor:
    loader = subject.data.loader(split, subject.device, batch_size=500, limit=count)
    with fixed_noise(subject.device, mix_seeds(subject.seed, 0)):
        return torch.cat([elbo_terms(subject.vae, x).elbo.cpu() for x in loader.batches()])


def generalization_gap(elbo: Mapping[str, Tensor], split: str) -> Number:
    """The difference of the means that :func:`elbo_of_both` gives, with its standard error.

    Arguments:
        elbo: What :func:`elbo_of_both` returned.
        split: The name of the others' split.
    """
    trained, others = elbo["trained_on"].double(), elbo["others"].double()
    error = sum(e.var().item() / len(e) for e in (trained, others)) ** 0.5
    value = (trained.mean() - others.mean()).item()
    labels = {"of": f"ELBO, {len(trained):,} train and {len(others):,} {split} images"}
    return Number("generalization_gap", value, error, labels=labels, images=len(others))
