"""``vae parts``: it lists every part that has a public name, and nothing else."""

import inspect

import pytest

import vae
from vae.cli.main import run
from vae.data.module import ImageDataModule
from vae.models import catalogue
from vae.models.latents.base import Latent
from vae.models.likelihoods import Likelihood
from vae.models.prior import Prior
from vae.models.schedules import Schedule
from vae.objectives import Objective

BASES = {
    Latent: catalogue.LATENTS,
    Prior: catalogue.PRIORS,
    Likelihood: catalogue.LIKELIHOODS,
    Objective: catalogue.OBJECTIVES,
    Schedule: catalogue.SCHEDULES,
    ImageDataModule: catalogue.DATA,
}
TO_DERIVE_FROM = {"Average", "ImportanceWeighted", "LogMeanExp"} | {
    base.__name__ for base in BASES
}


@pytest.mark.parametrize("base", BASES, ids=lambda base: base.__name__)
def test_every_public_part_is_in_the_catalogue(base):
    public = {
        name
        for name in vae.__all__
        if inspect.isclass(thing := getattr(vae, name)) and issubclass(thing, base)
    }
    assert {part.name for part in BASES[base].values()} == public - TO_DERIVE_FROM


def test_every_network_is_in_the_catalogue():
    listed = {part.name for pair in catalogue.NETWORKS.values() for part in pair}
    assert listed == {n for n in vae.__all__ if n.endswith(("Encoder", "Decoder"))}


@pytest.mark.parametrize("format", ["table", "markdown"])
def test_it_is_printed(format, capsys):
    run("parts", "vae parts", ["--format", format])
    said = capsys.readouterr().out
    for parts in BASES.values():
        for part in parts.values():
            assert f"vae.{part.name}" in said


def test_another_format_is_refused(capsys):
    with pytest.raises(SystemExit):
        run("parts", "vae parts", ["--format", "html"])
    assert "unknown format 'html': choose table or markdown" in capsys.readouterr().err
