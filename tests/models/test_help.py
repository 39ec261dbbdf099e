"""What ``--model.latent.help OneHot`` says: every argument of every public class has a description.

The class may write it down or inherit it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest
from jsonargparse import ArgumentParser
from torch import nn

import vae
from vae.models.latents.base import Latent
from vae.models.likelihoods import Likelihood

PARTS = [
    name
    for name in vae.__all__
    if inspect.isclass(part := getattr(vae, name)) and not inspect.isabstract(part)
]


@pytest.mark.parametrize("name", PARTS)
def test_every_argument_is_described(name):
    part = getattr(vae, name)
    parser = ArgumentParser()
    parser.add_class_arguments(part, "part", fail_untyped=False)
    described = {
        action.dest.removeprefix("part."): (action.help or "").split(" (type:")[0].strip("% ")
        for action in parser._actions
        if action.dest.startswith("part.") and not action.dest.endswith("help")
    }
    assert [argument for argument, text in described.items() if not text] == []


FACTORIES = {
    "encoder": (Callable[[tuple[int, int, int]], nn.Module], ["MLPEncoder", "ConvEncoder"]),
    "decoder": (Callable[[int, tuple[int, int, int], int], nn.Module], ["MLPDecoder"]),
    "latent": (Callable[[int], Latent], ["OneHot", "GammaLatent", "VonMisesLatent"]),
    "likelihood": (Callable[[nn.Module], Likelihood], ["Bernoulli", "Gaussian"]),
}
SUPPLIED = {
    "encoder": ((1, 8, 8),),
    "decoder": (5, (1, 8, 8), 2),
    "latent": (6,),
    "likelihood": (nn.Identity(),),
}


@pytest.mark.parametrize(
    ("kind", "name"), [(k, n) for k, (_, ns) in FACTORIES.items() for n in ns]
)
def test_parts_are_made_by_class_path_with_what_comes_first_supplied_later(kind, name):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--part", type=FACTORIES[kind][0])
    words = [f"--part=vae.{name}"] + (
        ["--part.hidden=[4]"] if kind in ("encoder", "decoder") else []
    )
    instantiate = getattr(parser, "instantiate", parser.instantiate_classes)  # its name since 4.5x
    factory = instantiate(parser.parse_args(words)).part
    assert type(factory(*SUPPLIED[kind])) is getattr(vae, name)


def test_a_constructor_shows_its_arguments():
    assert list(inspect.signature(vae.OneHot).parameters)[:2] == ["in_features", "num_variables"]
