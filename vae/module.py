r"""The Lightning modules. The sign flips here, once: the loss is the negative bound, in nats an
image.

``VAEModule`` trains any model, objective and estimator. ``GaussianVAE`` and ``DiscreteVAE`` build
theirs from plain values, so that a checkpoint holds all it takes to rebuild them; they differ
only in the latent layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from lightning.pytorch import Callback, LightningModule
from torch import Tensor
from torch.distributions import Distribution

from vae import evaluation
from vae.callbacks import Anneal
from vae.estimators import Estimate, Estimator, build
from vae.latents import Binary, DiagonalGaussian, Latent, OneHot, RelaxedOneHot
from vae.likelihoods import LIKELIHOODS
from vae.model import VAE
from vae.networks import NETWORKS
from vae.objectives import ELBO, OBJECTIVES, Objective

__all__ = ["DiscreteVAE", "GaussianVAE", "ImageVAE", "VAEModule"]


class VAEModule(LightningModule):
    """Trains a VAE by a bound, with the gradient of an estimator.

    Logs, in nats an image: ``train/bound`` (what is maximised), and ``train/elbo``,
    ``train/rate``, ``train/distortion`` of the model with hard latents on the same batch;
    ``val/...`` and ``test/...`` likewise; ``test/log_likelihood_K``.

    Arguments:
        vae: The model.
        objective: The bound.
        estimator: How its gradient passes the random node.
        lr: Adam's step size.
        estimator_lr: That of the estimator's own parameters (a baseline, a control variate); by
            default ``lr``.
        test_samples: K of ``test/log_likelihood_K``.
    """

    def __init__(
        self,
        vae: VAE,
        objective: Objective,
        estimator: Estimator,
        lr: float = 1e-3,
        estimator_lr: float | None = None,
        test_samples: int = 100,
    ) -> None:
        super().__init__()
        if not lr > 0 or (estimator_lr is not None and not estimator_lr > 0):
            raise ValueError(
                f"learning rates must be positive, got lr={lr}, estimator_lr={estimator_lr}"
            )
        if test_samples < 1:
            raise ValueError(f"test_samples must be at least 1, got {test_samples}")
        self.vae, self.objective, self.estimator = vae, objective, estimator
        self.lr, self.estimator_lr = lr, lr if estimator_lr is None else estimator_lr
        self.test_samples = test_samples
        self.latest: dict[str, Tensor] = {}

    def bound(self, x: Tensor) -> Estimate:
        """The objective at images ``(B, *image)``, with shape (B,), and the estimator's own
        loss."""
        q = self.vae.posterior(x)

        def integrand(z: Tensor, q: Distribution) -> Tensor:
            return self.objective.integrand(self.vae, x, z, q)

        estimate = self.estimator(q, integrand, self.objective, context=x)
        return estimate._replace(bound=estimate.bound - self.objective.penalty(self.vae, q))

    def training_step(self, x: Tensor, batch_idx: int) -> Tensor:
        estimate = self.bound(x)
        bound = estimate.bound.mean()
        # A call to self.log costs more than Adam: only on the steps that Lightning will record.
        every = int(getattr(self.trainer, "log_every_n_steps", 0))
        if every and (self.global_step + 1) % every == 0:
            self._log_training(x, bound.detach())
        return estimate.auxiliary - bound

    def _log_training(self, x: Tensor, bound: Tensor) -> None:
        terms = evaluation.elbo_terms(self.vae, x)
        self.latest = {"bound": bound} | {
            name: value.mean() for name, value in terms._asdict().items()
        }
        self.log_dict({f"train/{name}": value for name, value in self.latest.items()})
        scheduled = {n: b for n, b in self.named_buffers() if n.endswith(("beta", ".temperature"))}
        self.log_dict(
            {f"schedule/{name.rpartition('.')[2]}": value for name, value in scheduled.items()}
        )

    def _evaluate(self, split: str, x: Tensor, batch_idx: int) -> None:
        # The same noise at every evaluation, and none taken from the training's.
        with torch.random.fork_rng(devices=[x.device] if x.device.type == "cuda" else []):
            torch.manual_seed(batch_idx)
            terms = evaluation.elbo_terms(self.vae, x)._asdict()
            if split == "test":
                name = f"log_likelihood_{self.test_samples}"
                terms[name] = evaluation.log_likelihood(self.vae, x, self.test_samples)
        values = {f"{split}/{name}": value.mean() for name, value in terms.items()}
        self.log_dict(values, batch_size=len(x), on_step=False, on_epoch=True, sync_dist=True)

    def validation_step(self, x: Tensor, batch_idx: int) -> None:
        self._evaluate("val", x, batch_idx)

    def test_step(self, x: Tensor, batch_idx: int) -> None:
        self._evaluate("test", x, batch_idx)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        groups: list[dict[str, Any]] = [{"params": list(self.vae.parameters())}]
        own = list(self.estimator.parameters())
        if own:  # a group of the one optimiser: two optimisers would count every step twice
            groups.append({"params": own, "lr": self.estimator_lr})
        return torch.optim.Adam(groups, lr=self.lr, fused=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        data = getattr(self.trainer, "datamodule", None)
        checkpoint["vae"] = {
            "module": type(self).__name__,
            "data": type(data).__name__ if data is not None else None,
        }


class ImageVAE(VAEModule):
    """What the two modules share: everything but the latent layer, from plain values."""

    def __init__(
        self,
        make_latent: Callable[[int], Latent],
        make_estimator: Estimator,
        analytic_kl: bool,
        image_shape: tuple[int, int, int] = (1, 28, 28),
        network: Literal["mlp", "conv"] = "mlp",
        hidden: Sequence[int] = (400,),
        activation: str = "relu",
        likelihood: Literal["bernoulli", "continuous_bernoulli", "gaussian"] = "bernoulli",
        objective: Literal["elbo", "iwae"] = "elbo",
        num_samples: int = 1,
        beta: float = 1.0,
        beta_warmup: int = 0,
        lr: float = 1e-3,
        estimator_lr: float | None = None,
        test_samples: int = 100,
    ) -> None:
        if any(width < 1 for width in hidden):
            raise ValueError(f"hidden widths must be at least 1, got {list(hidden)}")
        encoder_class, decoder_class = NETWORKS[network]
        encoder = encoder_class(image_shape, hidden, activation)
        latent = make_latent(encoder.out_features)
        likelihood_class = LIKELIHOODS[likelihood]
        decoder = decoder_class(
            latent.code_features, image_shape, hidden, activation, likelihood_class.channels
        )
        if OBJECTIVES[objective] is ELBO:
            bound: Objective = ELBO(num_samples, beta, analytic_kl)
        elif beta != 1.0 or beta_warmup:
            raise ValueError(
                f"objective {objective} has no beta: leave beta at 1 and beta_warmup at 0"
            )
        else:
            bound = OBJECTIVES[objective](num_samples)
        vae = VAE(encoder, latent, likelihood_class(decoder))
        super().__init__(vae, bound, make_estimator, lr, estimator_lr, test_samples)
        self.schedules: list[Callback] = []
        if beta_warmup:
            self.schedules.append(Anneal("beta", Anneal.linear(beta, beta_warmup)))
        self._try(torch.zeros(2, *image_shape))

    def _try(self, x: Tensor) -> None:
        """Evaluates the bound once, so that what does not fit together fails here; gives lazy
        baselines their shape."""
        self.eval()  # moving averages stand still
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            self.bound(x)
        self.train()

    def configure_callbacks(self) -> list[Callback]:
        return self.schedules


class GaussianVAE(ImageVAE):
    """A VAE with a diagonal Gaussian posterior and a standard Gaussian prior, by default trained
    by the reparameterization trick.

    Arguments:
        latent_dim: The number of latent variables.
        learned_prior: Whether the prior's location and scale are trained.
        kl: Of the ELBO: closed form, or a Monte-Carlo estimate inside the integrand.
        estimator: A name in ``vae.estimators.ESTIMATORS``.
        estimator_options: Arguments of its constructor.
        image_shape: Channels, height and width; the command line takes them from the data.
        network: Bodies of encoder and decoder.
        hidden: Widths of the encoder's hidden layers (channels, for conv); the decoder's are the
            reverse.
        activation: relu, leaky_relu, tanh, gelu or silu.
        likelihood: The distribution of pixels.
        objective: elbo, or iwae (the importance-weighted bound).
        num_samples: K, the samples of the bound an image.
        beta: The weight of the KL term in the ELBO.
        beta_warmup: Steps in which beta rises from 0; 0 for none.
        lr: Adam's step size.
        estimator_lr: That of the estimator's own parameters; by default lr.
        test_samples: K of test/log_likelihood_K.
    """

    def __init__(
        self,
        latent_dim: int = 20,
        learned_prior: bool = False,
        kl: Literal["analytic", "monte_carlo"] = "analytic",
        estimator: str = "pathwise",
        estimator_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            make_latent=lambda width: DiagonalGaussian(width, latent_dim, learned_prior),
            make_estimator=build(estimator, estimator_options or {}),
            analytic_kl=kl == "analytic",
            **kwargs,
        )
        self.save_hyperparameters()


class DiscreteVAE(ImageVAE):
    """A VAE with discrete latent variables, by default one-hot and trained by the Gumbel-softmax
    with an annealed temperature.

    Every evaluated number is one of the discrete model: validation, test and the scripts draw
    hard samples.

    Arguments:
        latent: one_hot (``num_variables`` of ``num_categories``) or binary (``num_variables``
            Bernoulli variables).
        num_variables: The number of latent variables.
        num_categories: The number of categories of each one-hot variable.
        learned_prior: Whether the prior's logits are trained.
        kl: Of the ELBO: ``categorical``, the closed form of the discrete variables;
            ``monte_carlo``, its estimate inside the integrand; ``relaxed``, the density ratio of
            Concrete posterior and prior (Maddison et al., 2017), which makes the relaxation the
            model.
        temperature: The relaxation temperature at the start.
        temperature_min: Where annealing stops.
        anneal_rate: r in max(temperature_min, temperature * exp(-r * step)) (Jang et al., 2017);
            0 for a fixed temperature.
        anneal_every: Steps between updates of the temperature.
        prior_temperature: That of the relaxed prior, for ``kl=relaxed``.
        estimator: A name in ``vae.estimators.ESTIMATORS``; by default gumbel_softmax, or pathwise
            for ``kl=relaxed``.
        estimator_options: Arguments of its constructor.
        image_shape: Channels, height and width; the command line takes them from the data.
        network: Bodies of encoder and decoder.
        hidden: Widths of the encoder's hidden layers (channels, for conv); the decoder's are the
            reverse.
        activation: relu, leaky_relu, tanh, gelu or silu.
        likelihood: The distribution of pixels.
        objective: elbo, or iwae (the importance-weighted bound).
        num_samples: K, the samples of the bound an image.
        beta: The weight of the KL term in the ELBO.
        beta_warmup: Steps in which beta rises from 0; 0 for none.
        lr: Adam's step size.
        estimator_lr: That of the estimator's own parameters; by default lr.
        test_samples: K of test/log_likelihood_K.
    """

    def __init__(
        self,
        latent: Literal["one_hot", "binary"] = "one_hot",
        num_variables: int = 20,
        num_categories: int = 10,
        learned_prior: bool = False,
        kl: Literal["categorical", "monte_carlo", "relaxed"] = "categorical",
        temperature: float = 1.0,
        temperature_min: float = 0.5,
        anneal_rate: float = 3e-5,
        anneal_every: int = 500,
        prior_temperature: float = 0.5,
        estimator: str | None = None,
        estimator_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if not 0 < temperature_min <= temperature:
            raise ValueError(
                f"temperatures must satisfy 0 < temperature_min <= temperature, got {temperature_min} and {temperature}"
            )
        if anneal_rate < 0 or anneal_every < 1:
            raise ValueError(
                f"anneal_rate must be >= 0 and anneal_every >= 1, got {anneal_rate} and {anneal_every}"
            )
        relaxed = kl == "relaxed"
        if relaxed and latent != "one_hot":
            raise ValueError(
                f"kl=relaxed is defined for latent=one_hot, not for latent={latent}: use kl=categorical"
            )

        def make_latent(width: int) -> Latent:
            if relaxed:
                return RelaxedOneHot(
                    width,
                    num_variables,
                    num_categories,
                    learned_prior,
                    temperature,
                    prior_temperature,
                )
            if latent == "binary":
                return Binary(width, num_variables, learned_prior)
            return OneHot(width, num_variables, num_categories, learned_prior)

        name = estimator or ("pathwise" if relaxed else "gumbel_softmax")
        super().__init__(
            make_latent=make_latent,
            make_estimator=build(name, estimator_options or {}, temperature=temperature),
            analytic_kl=kl == "categorical",
            **kwargs,
        )
        if anneal_rate:
            schedule = Anneal.exponential(temperature, temperature_min, anneal_rate)
            self.schedules.append(Anneal("temperature", schedule, anneal_every))
        self.save_hyperparameters()
