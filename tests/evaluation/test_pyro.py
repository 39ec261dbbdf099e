"""Parity with Pyro: the same log-weights of the same codes, and the same bound within its error.

The model is written anew in Pyro's distributions, on the weights of ours.
"""

import pytest
import torch
from conftest import FALSE_ALARM_RATE
from scipy.stats import norm
from small import MODULES, fit

from vae.data.digits import DigitsDataModule
from vae.evaluation.importance import importance_weighted

pyro = pytest.importorskip("pyro", reason="Pyro, of the extra dev, is not installed")
K, IMAGES = 1_000, 12


class Written:
    """The VAE of a module as a Pyro model and guide of one image ``(1, *image)``."""

    def __init__(self, vae):
        self.vae = vae.hard

    def latent(self, q):
        base = q.base_dist
        if hasattr(base, "loc"):
            return pyro.distributions.Normal(base.loc, base.scale).to_event(1)
        return pyro.distributions.OneHotCategorical(logits=base.logits).to_event(1)

    def model(self, x):
        with pyro.plate("images", len(x)):
            prior = self.latent(self.vae.prior())
            z = pyro.sample("z", prior.expand([len(x)]))
            code = z.flatten(-2) if prior.event_dim == 2 else z
            logits = self.vae.likelihood.decoder(code).squeeze(code.dim() - 1)
            pixels = pyro.distributions.Bernoulli(logits=logits).to_event(3)
            pyro.sample("x", pixels, obs=x)

    def guide(self, x):
        with pyro.plate("images", len(x)):
            pyro.sample("z", self.latent(self.vae.posterior(x)))

    def log_weights(self, x, z):
        """Those of codes ``(K, *event)``, by Pyro's traces of as many copies of the image."""
        parts = []
        for function in (self.model, self.guide):
            held = pyro.poutine.condition(function, data={"z": z})
            trace = pyro.poutine.trace(held).get_trace(x.expand(len(z), *x.shape[1:]))
            trace.compute_log_prob()
            parts.append(
                sum(site["log_prob"] for site in trace.nodes.values() if "log_prob" in site)
            )
        return parts[0] - parts[1]


@pytest.fixture(scope="module", params=["gaussian", "rloo"])
def vae(request, tmp_path_factory):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = MODULES[request.param]()
        fit(module, tmp_path_factory.mktemp("run"), steps=60)
    return module.vae.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def x():
    data = DigitsDataModule()
    data.prepare_data()
    data.setup("test")
    return next(iter(data.test_dataloader()))[:IMAGES].round()


def test_weights_of_the_same_codes_are_the_same(vae, x):
    hard, written = vae.hard, Written(vae)
    q = hard.posterior(x)
    z = q.sample((50,))
    ours = hard.decode(z).log_prob(x) + hard.prior().log_prob(z) - q.log_prob(z)
    for i in range(IMAGES):
        theirs = written.log_weights(x[i : i + 1], z[:, i])
        torch.testing.assert_close(ours[:, i], theirs, rtol=1e-5, atol=1e-4)


def test_the_bounds_differ_by_their_error_over_z(vae, x):
    ours = importance_weighted(vae, x, [K], seed=0)[K]
    written = Written(vae)
    # alpha = 0: log of the mean weight. It sums over images, so that it is asked for one at a time
    renyi = pyro.infer.RenyiELBO(0, num_particles=K, vectorize_particles=True, max_plate_nesting=1)
    pyro.set_rng_seed(1)
    theirs = -torch.tensor(
        [renyi.loss(written.model, written.guide, x[i : i + 1]) for i in range(IMAGES)]
    )
    variance = 2 * (1 / ours.ess - 1 / K)  # of the difference of two independent estimates
    difference = (ours.log_likelihood - theirs.double()) / variance.sqrt()
    limit = norm.isf(FALSE_ALARM_RATE / 2 / (IMAGES + 1))  # of any image, or of all
    assert difference.abs().max() < limit and abs(difference.sum()) / IMAGES**0.5 < limit
    assert (
        difference.std() > 0.3 and variance.max() < 0.1
    )  # and it is not by chance that they agree
