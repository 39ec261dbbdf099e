"""Asks a part of an evaluation about images that a test has at hand."""

from typing import NamedTuple

import torch

from vae.data.source import ImageSource
from vae.evaluation.part import Subject


class Held(ImageSource):
    """Images (N, C, H, W) as they are, in every split."""

    binarization = None
    is_binary = True

    def __init__(self, images):
        self.images, self.image_shape = images, tuple(images.shape[1:])

    def count(self, split):
        return len(self.images)

    def batches(self, split, world_size=1):
        return None

    def loader(self, split, device=None, train=False, batch_size=None, limit=None):
        return self.images[:limit].split(batch_size or 64)


class Answer(NamedTuple):
    values: dict
    numbers: dict
    remarks: list


def subject_of(vae, images, limit=None, seed=0):
    vae = vae.eval()
    device = torch.device("cpu")
    return Subject(vae.hard, vae, Held(images), "test", limit, device, seed)


def asked(part, vae, images, batch_size=100, **options):
    """What a part answers: its values, its numbers by name, its remarks."""
    subject = subject_of(vae, images, **options)
    assert part.why_not(subject) is None
    part.prepare(subject)
    parts, first = [], 0
    for x in images[: subject.limit].split(batch_size):
        parts.append(part.measure(subject, x, first))
        first += len(x)
    values = {name: torch.cat([p[name] for p in parts]).double() for name in parts[0]}
    assert all(len(value) == first and not value.requires_grad for value in values.values())
    numbers = part.numbers(subject, values)
    assert len({number.name for number in numbers}) == len(numbers)
    return Answer(values, {n.name: n for n in numbers}, part.remarks(subject, values))
