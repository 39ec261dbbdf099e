r"""More latent layers: Gamma, Beta, Dirichlet, von Mises and Poisson variables.

Each is a :class:`~vae.latents.Latent` around a ``torch.distributions`` family. Gamma, Beta and
Dirichlet have a pathwise gradient by implicit reparameterization (torch's ``rsample``); von Mises
and Poisson variables have none here and need a score function. torch's derivatives of Gamma, Beta
and Dirichlet samples are approximations, of which ``rsample_error`` states the error (measured in
``tests/test_families.py``).

Positive parameters are softplus of the features plus a floor, shifted so that features of zero
give q = prior: training starts near KL = 0. Priors are parameterized by logarithms.

The families are torch's with densities, entropies and divergences that hold in single precision
at every concentration and rate (:mod:`vae.gamma`, :mod:`vae.von_mises`).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent
from torch.nn.functional import softplus

from vae.gamma import Beta, Dirichlet, Gamma, Poisson
from vae.latents import Latent
from vae.networks import widen
from vae.von_mises import VonMises

__all__ = [
    "FAMILIES",
    "BetaLatent",
    "DirichletLatent",
    "GammaLatent",
    "PoissonLatent",
    "VonMisesLatent",
]

MIN_CONCENTRATION = 0.1
"""Of Gamma and Dirichlet. A Gamma variable of concentration a falls below float32's smallest
normal number with probability of about 1e-38^a: at 0.1, once in six thousand draws; at 0.01, in
two draws of five, and then neither its density nor its derivative means anything."""

MIN_BETA_CONCENTRATION = 0.5
"""Of Beta: between 1 and its neighbour in float32 lies a probability of about 6e-8^a."""

MIN_RATE = 1e-3
"""Of Gamma and Poisson."""

MIN_CIRCULAR_CONCENTRATION = 1e-6
"""Of von Mises variables: uniform on the circle to six digits; torch cannot sample at zero."""


# Layers
# ----------------------------------------------------------------------------------------


def _positive(raw: Tensor, start: float, floor: float) -> Tensor:
    """softplus plus a floor, shifted so that 0 goes to ``start``."""
    above = start - floor
    return softplus(raw + (above + math.log(-math.expm1(-above)))) + floor


def _above(floor: float, **values: float) -> None:
    for name, value in values.items():
        if not value > floor:
            raise ValueError(f"{name} must be more than {floor:g}, got {value}")


class _PositiveLatent(Latent):
    """What the layers share: one linear map to all parameters of q, and a prior by logarithms."""

    def _linear(self, in_features: int, shape: tuple[int, ...], *parameters: str) -> None:
        for size in shape:
            if size < 1:
                raise ValueError(f"the numbers of variables must be at least 1, got {shape}")
        self.shape, self.names = shape, parameters
        self.parameters_of = nn.Linear(in_features, len(parameters) * math.prod(shape))

    def _raw(self, features: Tensor) -> tuple[Tensor, ...]:
        """One tensor (B, *shape) for each parameter, in float32 or wider."""
        raw = widen(self.parameters_of(features))
        return raw.unflatten(-1, (len(self.names), *self.shape)).unbind(1)

    def _prior(self, learned: bool, **values: float) -> None:
        for name, value in values.items():
            log = torch.full(self.shape, math.log(value))
            if learned:
                self.register_parameter(f"prior_log_{name}", nn.Parameter(log))
            else:
                self.register_buffer(f"prior_log_{name}", log)


class GammaLatent(_PositiveLatent):
    r"""Creates D independent Gamma variables, positive and possibly sparse.

    The decoder reads :math:`\log(z + 0.01)`: unlike that of :math:`\log z`, its derivative is
    bounded where a sample underflows. (On the 8 x 8 digits, 8 variables, this and log z reach an
    ELBO of -17.8 nats, z itself -18.4, log(1 + z) -18.8.)

    References:
        | Implicit Reparameterization Gradients (Figurnov, Mohamed & Mnih, 2018;
        | https://arxiv.org/abs/1805.08498).

    Arguments:
        in_features: The width H of the features.
        num_variables: The number D of variables.
        learned_prior: Whether the prior's parameters are trained.
        prior_concentration: The prior's shape; by default the prior is exponential.
        prior_rate: The prior's rate.
    """

    rsample_error = 4e-4
    prior_log_concentration: Tensor
    prior_log_rate: Tensor

    def __init__(
        self,
        in_features: int,
        num_variables: int = 20,
        learned_prior: bool = False,
        prior_concentration: float = 1.0,
        prior_rate: float = 1.0,
    ) -> None:
        super().__init__()
        _above(MIN_CONCENTRATION, prior_concentration=prior_concentration)
        _above(MIN_RATE, prior_rate=prior_rate)
        self._linear(in_features, (num_variables,), "concentration", "rate")
        self._prior(learned_prior, concentration=prior_concentration, rate=prior_rate)
        self.start = (prior_concentration, prior_rate)
        self.code_features = num_variables

    def forward(self, features: Tensor) -> Distribution:
        concentration, rate = self._raw(features)  # (B, D) each
        concentration = _positive(concentration, self.start[0], MIN_CONCENTRATION)
        rate = _positive(rate, self.start[1], MIN_RATE)
        return Independent(Gamma(concentration, rate, validate_args=False), 1, validate_args=False)

    def prior(self) -> Distribution:
        base = Gamma(
            self.prior_log_concentration.exp(), self.prior_log_rate.exp(), validate_args=False
        )
        return Independent(base, 1, validate_args=False)

    def code(self, z: Tensor) -> Tensor:
        return (z + 0.01).log()


class BetaLatent(_PositiveLatent):
    r"""Creates D independent Beta variables, in the unit interval.

    The decoder reads :math:`\sqrt{12} (z - 1/2)`: bounded, and of unit variance under the uniform
    prior. (On the 8 x 8 digits, 8 variables: -17.8 nats, as logit z; 2 z - 1: -18.0.)

    References:
        | Pathwise Derivatives Beyond the Reparameterization Trick (Jankowiak & Obermeyer, 2018),
        | https://arxiv.org/abs/1806.01851.

    Arguments:
        in_features: The width H of the features.
        num_variables: The number D of variables.
        learned_prior: Whether the prior's parameters are trained.
        prior_concentration1: The prior's first shape; by default the prior is uniform.
        prior_concentration0: The prior's second shape.
    """

    rsample_error = 1.5e-3
    prior_log_concentration1: Tensor
    prior_log_concentration0: Tensor

    def __init__(
        self,
        in_features: int,
        num_variables: int = 20,
        learned_prior: bool = False,
        prior_concentration1: float = 1.0,
        prior_concentration0: float = 1.0,
    ) -> None:
        super().__init__()
        prior = {
            "concentration1": prior_concentration1,
            "concentration0": prior_concentration0,
        }
        _above(MIN_BETA_CONCENTRATION, **{f"prior_{name}": value for name, value in prior.items()})
        self._linear(in_features, (num_variables,), *prior)
        self._prior(learned_prior, **prior)
        self.start = (prior_concentration1, prior_concentration0)
        self.code_features = num_variables

    def forward(self, features: Tensor) -> Distribution:
        one, zero = (
            _positive(raw, start, MIN_BETA_CONCENTRATION)
            for raw, start in zip(self._raw(features), self.start, strict=True)
        )  # (B, D) each
        return Independent(Beta(one, zero, validate_args=False), 1, validate_args=False)

    def prior(self) -> Distribution:
        base = Beta(
            self.prior_log_concentration1.exp(),
            self.prior_log_concentration0.exp(),
            validate_args=False,
        )
        return Independent(base, 1, validate_args=False)

    def code(self, z: Tensor) -> Tensor:
        return math.sqrt(12) * (z - 0.5)


class DirichletLatent(_PositiveLatent):
    r"""Creates L independent Dirichlet variables: points of a simplex of C categories each.

    The decoder reads :math:`C z - 1`: the point, centred and of about unit variance under the
    uniform prior; with a linear decoder, a mixture of C topics. (On the 8 x 8 digits, 4 variables
    of 4 categories: -18.1 nats; z: -19.6, log z: -18.7.)

    References:
        | Pathwise Derivatives Beyond the Reparameterization Trick (Jankowiak & Obermeyer, 2018),
        | https://arxiv.org/abs/1806.01851.

    Arguments:
        in_features: The width H of the features.
        num_variables: The number L of variables.
        num_categories: The number C of categories of each.
        learned_prior: Whether the prior's parameters are trained.
        prior_concentration: The prior's symmetric concentration; by default the prior is uniform
            on the simplex, below 1 it is sparse.
    """

    rsample_error = 1.5e-3
    prior_log_concentration: Tensor

    def __init__(
        self,
        in_features: int,
        num_variables: int = 20,
        num_categories: int = 10,
        learned_prior: bool = False,
        prior_concentration: float = 1.0,
    ) -> None:
        super().__init__()
        if num_categories < 2:
            raise ValueError(f"num_categories must be at least 2, got {num_categories}")
        _above(MIN_CONCENTRATION, prior_concentration=prior_concentration)
        self._linear(in_features, (num_variables, num_categories), "concentration")
        self._prior(learned_prior, concentration=prior_concentration)
        self.start = prior_concentration
        self.code_features = num_variables * num_categories

    def forward(self, features: Tensor) -> Distribution:
        (raw,) = self._raw(features)  # (B, L, C)
        concentration = _positive(raw, self.start, MIN_CONCENTRATION)
        return Independent(Dirichlet(concentration, validate_args=False), 1, validate_args=False)

    def prior(self) -> Distribution:
        base = Dirichlet(self.prior_log_concentration.exp(), validate_args=False)
        return Independent(base, 1, validate_args=False)

    def code(self, z: Tensor) -> Tensor:
        return (self.shape[-1] * z - 1).flatten(-2)


class VonMisesLatent(_PositiveLatent):
    r"""Creates D independent angles with von Mises distributions: latent variables on a circle.

    The features give the natural parameters, a vector :math:`\kappa (\cos\mu, \sin\mu)` for each
    angle, which, unlike the angle, can be a continuous function of the image all around the
    circle. The decoder reads :math:`(\cos z, \sin z)`.

    There is no ``rsample``: it takes a score function. The sampler rejects, with a data-dependent
    loop: it waits for the device, and cannot be captured in a CUDA graph.

    References:
        | Hyperspherical Variational Auto-Encoders (Davidson et al., 2018), in two dimensions.

    Arguments:
        in_features: The width H of the features.
        num_variables: The number D of angles.
        learned_prior: Whether the prior's location and concentration are trained.
        prior_concentration: The prior's concentration around the angle 0; by default 0, uniform. A
            learned prior needs a positive one to start from.
    """

    prior_loc: Tensor
    prior_log_concentration: Tensor

    def __init__(
        self,
        in_features: int,
        num_variables: int = 20,
        learned_prior: bool = False,
        prior_concentration: float = 0.0,
    ) -> None:
        super().__init__()
        if not prior_concentration >= 0:
            raise ValueError(
                f"prior_concentration must not be negative, got {prior_concentration}"
            )
        if learned_prior and prior_concentration == 0:
            raise ValueError("a learned prior needs a prior_concentration above 0 to start from")
        start = max(prior_concentration, MIN_CIRCULAR_CONCENTRATION)
        self._linear(in_features, (num_variables,), "cosine", "sine")
        self._prior(learned_prior, concentration=start)
        loc = torch.zeros(num_variables)
        if learned_prior:
            self.prior_loc = nn.Parameter(loc)
        else:
            self.register_buffer("prior_loc", loc)
        # the length of the vector at features of zero, less what the floor adds to it
        self.start = math.sqrt(start**2 - MIN_CIRCULAR_CONCENTRATION**2)
        self.code_features = 2 * num_variables

    def forward(self, features: Tensor) -> Distribution:
        cosine, sine = self._raw(features)  # (B, D) each
        cosine = cosine + self.start
        squared = cosine.square() + sine.square() + MIN_CIRCULAR_CONCENTRATION**2
        base = VonMises(sine.atan2(cosine), squared.sqrt(), validate_args=False)
        return Independent(base, 1, validate_args=False)

    def prior(self) -> Distribution:
        base = VonMises(self.prior_loc, self.prior_log_concentration.exp(), validate_args=False)
        return Independent(base, 1, validate_args=False)

    def code(self, z: Tensor) -> Tensor:
        return torch.cat([z.cos(), z.sin()], -1)


class PoissonLatent(_PositiveLatent):
    r"""Creates D independent Poisson variables: counts.

    The decoder reads :math:`\log(1 + z)`, which is differentiable at z = 0, where
    :math:`\sqrt z` is not. There is no ``rsample``: it takes a score function or a measure-valued
    derivative.

    Arguments:
        in_features: The width H of the features.
        num_variables: The number D of variables.
        learned_prior: Whether the prior's rates are trained.
        prior_rate: The prior's rate.
    """

    prior_log_rate: Tensor

    def __init__(
        self,
        in_features: int,
        num_variables: int = 20,
        learned_prior: bool = False,
        prior_rate: float = 1.0,
    ) -> None:
        super().__init__()
        _above(MIN_RATE, prior_rate=prior_rate)
        self._linear(in_features, (num_variables,), "rate")
        self._prior(learned_prior, rate=prior_rate)
        self.start = prior_rate
        self.code_features = num_variables

    def forward(self, features: Tensor) -> Distribution:
        (raw,) = self._raw(features)  # (B, D)
        base = Poisson(_positive(raw, self.start, MIN_RATE), validate_args=False)
        return Independent(base, 1, validate_args=False)

    def prior(self) -> Distribution:
        return Independent(
            Poisson(self.prior_log_rate.exp(), validate_args=False), 1, validate_args=False
        )

    def code(self, z: Tensor) -> Tensor:
        return z.log1p()


FAMILIES: dict[str, type[Latent]] = {
    "gamma": GammaLatent,
    "beta": BetaLatent,
    "dirichlet": DirichletLatent,
    "von_mises": VonMisesLatent,
    "poisson": PoissonLatent,
}
