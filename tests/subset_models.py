"""Small models with k-subset latents, by the options that the presets of other latents have."""

from functools import partial

from vae.estimators import named
from vae.models.latents.subset import ConditionalBernoulliLatent, PlackettLuceLatent
from vae.models.networks import MLPDecoder, MLPEncoder
from vae.objectives import ELBO, IWAE
from vae.training.module import VAEModule


def subset_module(
    family,
    *,
    image_shape=(1, 8, 8),
    hidden=(8,),
    estimator="rloo",
    estimator_options=None,
    objective="elbo",
    num_samples=2,
    kl="analytic",
    learned_prior=False,
    temperature=None,
    test_samples=0,
    num_variables=5,
    k=2,
):
    """A module of 5 items of which 2 are in each subset."""
    given = dict(estimator_options or {})
    if temperature is not None:
        given["temperature"] = temperature
    return VAEModule(
        image_shape=image_shape,
        encoder=partial(MLPEncoder, hidden=list(hidden)),
        decoder=partial(MLPDecoder, hidden=list(hidden)),
        latent=partial(family, num_variables=num_variables, k=k, learned_prior=learned_prior),
        estimator=partial(named, estimator, given),
        objective=IWAE(num_samples)
        if objective == "iwae"
        else ELBO(num_samples, analytic_kl=kl != "monte_carlo"),
        test_samples=test_samples,
    )


SUBSETS = {
    "conditional_bernoulli": partial(subset_module, ConditionalBernoulliLatent),
    "plackett_luce": partial(subset_module, PlackettLuceLatent),
}
