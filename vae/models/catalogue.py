"""What there is to compose a model of, and what goes with what: the one list of both.

Tests train every combination that this list allows, and ``vae parts`` prints it: what is here
trains. A part of one's own need not be in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import vae
from vae.objectives import CUBO, ELBO

__all__ = [
    "DATA",
    "LATENTS",
    "LIKELIHOODS",
    "NETWORKS",
    "OBJECTIVES",
    "PRIORS",
    "SCHEDULES",
    "Part",
    "combinations",
]


class Part(NamedTuple):
    """A class of this library that a configuration names.

    Attributes:
        name: Its public name, without ``vae.``.
        options: Arguments that make a small example, for images of 8 x 8 pixels.
        kinds: Of a latent layer what its samples are, of a prior what it is a distribution over
            (:mod:`vae.distributions.kinds`); of a likelihood the pixels: ``binary`` or ``grey``.
        estimator: The name of an estimator that a latent layer trains well with.
        note: What to know before choosing it, if anything.
    """

    name: str
    options: Mapping[str, Any] = {}
    kinds: tuple[str, ...] = ()
    estimator: str = "pathwise"
    note: str = ""

    @property
    def made(self) -> Any:
        """The class."""
        return getattr(vae, self.name)

    def factory(self) -> Any:
        """The class with its example's options, as :func:`vae.models.composition.compose` takes it."""
        options = {name: _with_classes(value) for name, value in self.options.items()}
        return partial(self.made, **options)


def _with_classes(value: Any) -> Any:
    """An option of which a part of its own is made: its class, with its options."""
    if isinstance(value, Part):
        return value.factory()
    return [_with_classes(part) for part in value] if isinstance(value, list) else value


def _hierarchy(layer: str, estimator: str, **options: int) -> Part:
    layers = [Part(layer, options), Part(layer, options)]
    note = f"of {layer} layers"
    return Part("Hierarchy", {"layers": layers, "hidden": [8]}, (), estimator, note)


LATENTS: dict[str, Part] = {
    "gaussian": Part("DiagonalGaussian", {"latent_dim": 3}, ("real",)),
    "binary": Part("Binary", {"num_variables": 5}, ("binary",), "disarm"),
    "one_hot": Part("OneHot", {"num_variables": 3, "num_categories": 4}, ("one-hot",), "reinmax"),
    "flow": Part("FlowLatent", {"latent_dim": 3, "hidden": [8]}, ("real",)),
    "relaxed_one_hot": Part("RelaxedOneHot", {"num_variables": 3, "num_categories": 4}),
    "gamma": Part("GammaLatent", {"num_variables": 3}, ("real",)),
    "beta": Part("BetaLatent", {"num_variables": 3}, ("real",)),
    "dirichlet": Part("DirichletLatent", {"num_variables": 2, "num_categories": 3}, ("simplex",)),
    "von_mises": Part("VonMisesLatent", {"num_variables": 3}, ("real",), "reinforce"),
    "poisson": Part("PoissonLatent", {"num_variables": 3}, ("count",), "reinforce"),
    "gaussian_layers": _hierarchy("DiagonalGaussian", "pathwise", latent_dim=2),
    "binary_layers": _hierarchy("Binary", "rloo", num_variables=3),
    "one_hot_layers": _hierarchy("OneHot", "rloo", num_variables=2, num_categories=3),
    "vq": Part(
        "VectorQuantized",
        {"num_variables": 3, "num_categories": 8, "code_dim": 2},
        ("codes",),
        "straight_through_codes",
        "a point mass: K adds nothing; with rotation_trick too",
    ),
    "fsq": Part(
        "FiniteScalarQuantized",
        {"num_variables": 3, "levels": [4, 3]},
        ("codes",),
        "straight_through_codes",
        "a point mass: K adds nothing",
    ),
    "full_gaussian": Part("FullGaussian", {"latent_dim": 3}, ("real",)),
    "laplace": Part("LaplaceLatent", {"num_variables": 3}, ("real",)),
    "logistic_normal": Part(
        "LogisticNormalLatent", {"num_variables": 2, "num_categories": 3}, ("simplex",)
    ),
    "kumaraswamy": Part("KumaraswamyLatent", {"num_variables": 3}, ("real",)),
    "power_spherical": Part("PowerSphericalLatent", {"num_variables": 1, "dim": 4}, ("sphere",)),
    "gaussian_mixture": Part(
        "GaussianMixtureLatent", {"latent_dim": 3, "num_components": 3}, ("real",), "stl"
    ),
    "misvae": Part(
        "MISVAELatent", {"latent_dim": 3, "num_components": 3, "hidden": 16}, ("real",), "stl"
    ),
    "conditional_bernoulli": Part(
        "ConditionalBernoulliLatent",
        {"num_variables": 6, "k": 2},
        ("k-subset",),
        "simple",
    ),
    "plackett_luce": Part(
        "PlackettLuceLatent",
        {"num_variables": 6, "k": 2},
        ("k-subset",),
        "rloo",
        "k at most 10; the KL is closed-form for few sets only, such as 3 of 20",
    ),
}
"""Latent layers, by the short names of tables. Relaxed ones, and several layers, have no kind: no
prior but their own."""

ANY = ("real", "binary", "one-hot", "simplex", "count", "sphere", "k-subset")
"""The kinds of all latents with a density."""

PRIORS: dict[str, Part] = {
    "mixture": Part("MixturePrior", {"num_components": 3}, (*ANY, "codes")),
    "vamp": Part("VampPrior", {"num_components": 4}, ANY),
    "autoregressive": Part("AutoregressivePrior", {"hidden": [8]}, ("binary", "one-hot", "codes")),
    "flow": Part("FlowPrior", {"hidden": [8], "transforms": 2}, ("real",)),
}
"""Priors in place of the latent layer's own."""

LIKELIHOODS: dict[str, Part] = {
    "bernoulli": Part("Bernoulli", kinds=("binary",)),
    "continuous_bernoulli": Part("ContinuousBernoulli", kinds=("grey",)),
    "gaussian": Part("Gaussian", kinds=("grey",)),
    "gaussian_stated": Part("Gaussian", {"scale": 0.1, "learned": False}, ("grey",)),
    "gaussian_per_pixel": Part("HeteroscedasticGaussian", kinds=("grey",)),
    "logistic_mixture": Part("LogisticMixture", {"num_components": 3}, ("grey",)),
    "beta_binomial": Part("BetaBinomial", kinds=("grey",)),
}
"""Distributions of the pixels."""

NETWORKS: dict[str, tuple[Part, Part]] = {
    "mlp": (Part("MLPEncoder", {"hidden": [16]}), Part("MLPDecoder", {"hidden": [16]})),
    "conv": (Part("ConvEncoder", {"hidden": [4, 8]}), Part("ConvDecoder", {"hidden": [4, 8]})),
    "residual": (
        Part("ResidualEncoder", {"hidden": [4, 8], "activation": "gated"}),
        Part("ResidualDecoder", {"hidden": [4, 8], "activation": "gated"}),
    ),
}
"""Encoders with the decoder that mirrors each."""

OBJECTIVES: dict[str, Part] = {
    "elbo": Part("ELBO", {"num_samples": 2}),
    "free_bits": Part("FreeBits", {"free_nats": 0.2}),
    "capacity": Part("Capacity", {"capacity": 3.0, "gamma": 10.0}),
    "beta_tc": Part("BetaTC", {"num_images": 64}, note="pathwise only, uncertified"),
    "iwae": Part("IWAE", {"num_samples": 3}),
    "miwae": Part("MIWAE", {"num_samples": 4, "groups": 2}),
    "ciwae": Part("CIWAE", {"num_samples": 3, "beta": 0.5}),
    "piwae": Part("PIWAE", {"num_samples": 4, "groups": 2}),
    "renyi": Part("Renyi", {"num_samples": 3, "alpha": 0.5}),
    "vr_max": Part("VRMax", {"num_samples": 3}),
    "tvo": Part("TVO", {"num_samples": 3, "partitions": 3}),
    "cubo": Part("CUBO", {"num_samples": 3}, note="for q only: give it to Separate"),
    "separate": Part(
        "Separate", {"for_q": CUBO(3), "for_model": ELBO(2)}, note="one for q, one for the model"
    ),
}
"""What is maximised."""

SCHEDULES: dict[str, Part] = {
    "exponential_decay": Part("ExponentialDecay"),
    "linear_warmup": Part("LinearWarmup", {"steps": 100}),
    "sigmoid_warmup": Part("SigmoidWarmup", {"steps": 100}),
    "cyclical": Part("Cyclical", {"steps": 100}),
}
"""What fills a buffer, such as beta or the temperature, by the step."""

DATA: dict[str, Part] = {
    "digits": Part("DigitsDataModule"),
    "mnist": Part("MNISTDataModule"),
    "fashion_mnist": Part("FashionMNISTDataModule"),
    "kmnist": Part("KMNISTDataModule"),
    "emnist": Part("EMNISTDataModule", {"subset": "letters"}),
    "binarized_mnist": Part("BinarizedMNISTDataModule", note="Larochelle's draw"),
    "omniglot": Part("OmniglotDataModule", {"subset": "small"}),
    "burda_omniglot": Part("BurdaOmniglotDataModule", note="what papers call OMNIGLOT"),
    "cifar10": Part("CIFAR10DataModule", note="colour"),
    "image_folder": Part("ImageFolderDataModule", {"path": "photos", "size": 32}),
    "array": Part("ArrayDataModule", {"path": "photos.npz"}),
}
"""Data sets. One of your own: a subclass of ``vae.ImageDataModule``, or any ``LightningDataModule``."""


def combinations() -> Iterator[tuple[str, str | None, str]]:
    """The allowed (latent, prior, likelihood), by name; None is the latent layer's own prior."""
    for latent, layer in LATENTS.items():
        fitting = [name for name, p in PRIORS.items() if set(p.kinds) & set(layer.kinds)]
        for prior in [None, *fitting]:
            for likelihood in LIKELIHOODS:
                yield latent, prior, likelihood
