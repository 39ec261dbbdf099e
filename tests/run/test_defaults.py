"""Defaults that are read from the source are those that Python has."""

import ast
import inspect
import sys

import jsonargparse
import pytest
from lightning.pytorch import Trainer

import vae
from vae.cli.app import OPTIONS
from vae.run.defaults import FIT, LIGHTNING, changed, defaults_of

PRESETS = ("GaussianVAE", "DiscreteVAE", "ContinuousVAE", "VAEModule")


def plain(value):
    try:
        return ast.literal_eval(repr(value)) == value
    except (ValueError, SyntaxError):
        return False


def of_python(kind):
    """The plain defaults in a constructor's signature."""
    given = inspect.signature(kind.__init__).parameters.values()
    return {p.name: p.default for p in given if p.default is not p.empty and plain(p.default)}


@pytest.mark.parametrize(
    "name", sorted(n for n in vae.PLACES if n[0].isupper() and n != "ESTIMATORS")
)
def test_they_are_those_of_the_signature(name):
    kind = getattr(vae, name)
    if not inspect.isclass(kind) or kind.__init__ is object.__init__:
        pytest.skip("no class with arguments")
    found = defaults_of(f"vae.{name}")
    assert found is not None
    expected = of_python(kind)
    assert {key: found.get(key, "none") for key in expected} == expected


@pytest.mark.parametrize("name", PRESETS)
def test_those_that_are_passed_on_are_among_them(name):
    parser = jsonargparse.ArgumentParser()
    parser.add_class_arguments(getattr(vae, name), fail_untyped=False)
    expected = {k: v for k, v in vars(parser.get_defaults()).items() if plain(v)}
    found = defaults_of(f"vae.{name}")
    known = {key: list(v) if isinstance(v, tuple) else v for key, v in found.items()}
    expected = {
        k: list(v) if isinstance(v, tuple) else v for k, v in expected.items() if "." not in k
    }
    # of a part they are a class or nothing
    assert {k: v for k, v in expected.items() if v is not None} == {
        k: known.get(k) for k, v in expected.items() if v is not None
    }
    assert {"test_samples", "initialization", "image_shape"} <= set(known) | {"image_shape"}


def test_those_of_the_trainer_and_of_fit():
    assert defaults_of(LIGHTNING).items() >= of_python(Trainer).items()
    assert set(FIT) == set(OPTIONS)


def test_only_what_was_chosen_is_told():
    part = {"class_path": "vae.OneHot", "init_args": {"num_variables": 7, "learned_prior": False}}
    config = {
        "seed_everything": 3,
        "trainer": {"max_epochs": 50, "max_steps": 9, "devices": 1, "logger": None},
        "model": {
            "class_path": "vae.VAEModule",
            "init_args": {"latent": part, "prior": None, "test_samples": 100, "lr": 0.1},
        },
        "data": {"class_path": "nowhere.Mine", "init_args": {"size": 3}},
        "name": "vae",
        "report": True,
        "image_every": 2,
    }
    assert changed(config) == {
        "trainer.max_steps": 9,
        "model": "VAEModule",
        "model.latent": "OneHot",
        "model.latent.num_variables": 7,
        "model.lr": 0.1,
        "data": "Mine",
        "data.size": 3,
        "image_every": 2,
    }


def test_a_class_is_not_imported(tmp_path, monkeypatch):
    text = "import os\nos.abort()\nclass Mine:\n    def __init__(self, a: int = 3, b=[1]): ...\n"
    (tmp_path / "mine_unseen.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    assert defaults_of("mine_unseen.Mine") == {"a": 3, "b": [1]}
    assert "mine_unseen" not in sys.modules and defaults_of("mine_unseen.Other") is None
