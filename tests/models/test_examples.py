"""The examples in the docstrings run, and print what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import vae.models

MODULES = [
    module.name
    for module in pkgutil.walk_packages(vae.models.__path__, "vae.models.")
    if "__main__" not in module.name
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_print_what_they_say(name):
    module = importlib.import_module(name)
    found = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert found.failed == 0


@pytest.mark.parametrize(
    "name", ["VAE", "Prior", "MLPEncoder", "ConvEncoder", "MLPDecoder", "ConvDecoder"]
)
def test_what_is_public_has_an_example(name):
    finder = doctest.DocTestFinder(recurse=False)
    assert any(test.examples for test in finder.find(getattr(vae, name), name))
