"""Small models with latents that no preset has, by the options of the presets: k-subsets, layers."""

from functools import partial

from vae.estimators import named
from vae.models.latents import Binary, Hierarchy
from vae.models.latents.subset import ConditionalBernoulliLatent, PlackettLuceLatent
from vae.models.networks import MLPDecoder, MLPEncoder
from vae.objectives import ELBO, IWAE
from vae.training.module import VAEModule


def module_of(
    latent,
    *,
    image_shape=(1, 8, 8),
    hidden=(8,),
    estimator="rloo",
    estimator_options=None,
    objective="elbo",
    num_samples=2,
    kl="analytic",
    temperature=None,
    test_samples=0,
):
    """A module with this latent layer."""
    given = dict(estimator_options or {})
    if temperature is not None:
        given["temperature"] = temperature
    return VAEModule(
        image_shape=image_shape,
        encoder=partial(MLPEncoder, hidden=list(hidden)),
        decoder=partial(MLPDecoder, hidden=list(hidden)),
        latent=latent,
        estimator=partial(named, estimator, given),
        objective=IWAE(num_samples)
        if objective == "iwae"
        else ELBO(num_samples, analytic_kl=kl != "monte_carlo"),
        test_samples=test_samples,
    )


def subset_module(family, *, num_variables=5, k=2, learned_prior=False, **options):
    """A module of 5 items of which 2 are in each subset."""
    given = {"num_variables": num_variables, "k": k, "learned_prior": learned_prior}
    return module_of(partial(family, **given), **options)


def layered_module(*, learned_prior=True, **options):
    """A module of 3 binary variables and 2 above them; their prior is always learned."""
    layers = [partial(Binary, num_variables=size) for size in (3, 2)]
    return module_of(partial(Hierarchy, layers=layers), **options)


SUBSETS = {
    "conditional_bernoulli": partial(subset_module, ConditionalBernoulliLatent),
    "plackett_luce": partial(subset_module, PlackettLuceLatent),
}
LAYERS = {"binary_layers": layered_module}
