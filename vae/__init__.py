"""Gaussian and discrete variational autoencoders, with certified gradient estimators.

What is public has its name here, and is imported when it is first asked for: ``vae.OneHot``. These
names are stable; the files that they come from are not. A checkpoint and a configuration name
classes by them.
"""

from importlib import import_module
from typing import Any

_PUBLIC = {
    "data.array": "ArrayDataModule",
    "data.binarized_mnist": "BinarizedMNISTDataModule",
    "data.burda_omniglot": "BurdaOmniglotDataModule",
    "data.cifar10": "CIFAR10DataModule",
    "data.digits": "DigitsDataModule",
    "data.emnist": "EMNISTDataModule",
    "data.image_folder": "ImageFolderDataModule",
    "data.mnist": "FashionMNISTDataModule KMNISTDataModule MNISTDataModule",
    "data.module": "ImageDataModule",
    "data.omniglot": "OmniglotDataModule",
    "estimators": (
        "ARM ARMS ARS ARSM ArithmeticLeaveOneOut ArithmeticVIMCO Baseline BitFlip CARMS ChiVI"
        " ClippedDisARM"
        " DecoupledStraightThroughGumbel DefensiveWakeWake DisARM DisARMIW DisARMStickBreaking"
        " DisARMTree DoubleControlVariates DoublyReparameterized ESTIMATORS Enumerate Estimate"
        " Estimator EstimatorSchedule FouST GappedStraightThrough GeneralizedDReG GumbelRao"
        " GumbelSoftmax GumbelTopK ImplicitMLE Learned LeaveOneOut LocalExpectation MeasureValued"
        " MovingAverage MuProp NoBaseline OVIS OVISMonteCarlo Pathwise PerLayer REBAR RELAX RLOO"
        " RODEO ReinMax ReinMaxCV ReinMaxRao Reparameterization RotationTrick SIMPLE Sampler"
        " ScoreFunction SelfCritical Separately StickingTheLanding StraightThrough StraightThroughCodes"
        " StraightThroughGumbel StraightThroughGumbelTopK SumAndSample UnorderedSet VIMCO"
        " WakeSleep"
    ),
    "models.composition": "Composition compose",
    "models.latents": (
        "BetaLatent Binary ConditionalBernoulliLatent DiagonalGaussian DirichletLatent"
        " FiniteScalarQuantized FlowLatent FullGaussian GammaLatent"
        " GaussianMixtureLatent Hierarchy KumaraswamyLatent LaplaceLatent Latent"
        " LogisticNormalLatent MISVAELatent OneHot PlackettLuceLatent PoissonLatent PowerSphericalLatent"
        " RelaxedOneHot VectorQuantized VonMisesLatent"
    ),
    "models.likelihoods": (
        "Bernoulli BetaBinomial ContinuousBernoulli Gaussian HeteroscedasticGaussian Likelihood"
        " LogisticMixture"
    ),
    "models.load": "load",
    "models.networks": (
        "ConvDecoder ConvEncoder MLPDecoder MLPEncoder ResidualDecoder ResidualEncoder"
    ),
    "models.prior": "Prior",
    "models.priors": "AutoregressivePrior FlowPrior MixturePrior VampPrior",
    "models.schedules": "Cyclical ExponentialDecay LinearWarmup Schedule SigmoidWarmup",
    "models.vae": "VAE",
    "objectives": (
        "Average BetaTC CIWAE CUBO Capacity ELBO FreeBits IWAE ImportanceWeighted LogMeanExp MIWAE"
        " Objective PIWAE Renyi Separate TVO VRMax"
    ),
    "run.hub": "HubModel",
    "training.callbacks.collapse": "CollapseWatch",
    "training.callbacks.images": "ImageGrids",
    "training.callbacks.shadows": "ShadowEstimators",
    "training.module": "VAEModule",
    "training.presets": "ContinuousVAE DiscreteVAE GaussianVAE",
}

PLACES = {name: f"vae.{module}" for module, names in _PUBLIC.items() for name in names.split()}
"""The module in which each public name is defined."""

__all__ = sorted(PLACES)


OLD = "callbacks families latents likelihoods model module networks".split()
"""Modules of older versions, whose names configurations may have."""


class _Moved:
    """A module of an older version: what it held is here, by its name."""

    def __getattr__(self, name: str) -> Any:
        return __getattr__(name)


def __getattr__(name: str) -> Any:
    if name in OLD:
        return _Moved()
    if name not in PLACES:
        raise AttributeError(f"module 'vae' has no attribute {name!r}")
    value = getattr(import_module(PLACES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *PLACES})
