"""Two objectives: one for q, one for the model."""

from __future__ import annotations

from typing import Any, cast

from torch import Size, Tensor, nn
from torch.distributions import Distribution
from torch.func import functional_call

from vae.distributions.operations import detach
from vae.objectives.base import Model, Objective

__all__ = ["Separate"]


class Separate(Objective):
    r"""The model is trained by one objective, q by another.

    The parameters of q(z|x) get the estimator's gradient of the first, in which p(x|z) and p(z)
    stand still. Those of p(x|z) and p(z) get the plain gradient of the second at samples of its
    own, in which q stands still. The value is the second's. It takes the decodings of both.

    For a bound that is right for q alone, as :class:`vae.CUBO` is, or where a tighter one is
    better for the model than for q (:class:`vae.PIWAE`).

    Arguments:
        for_q: What trains the encoder, by the estimator.
        for_model: What trains decoder and prior.
    """

    def __init__(self, for_q: Objective, for_model: Objective) -> None:
        for name, part in {"for_q": for_q, "for_model": for_model}.items():
            if isinstance(part, Separate):
                raise ValueError(f"{name} of Separate is two objectives itself: give it one")
        if for_model.for_q_only:
            raise ValueError(
                f"{type(for_model).__name__} trains q only, and the model it would train to be"
                " improbable: give for_model another, such as vae.ELBO or vae.IWAE"
            )
        super().__init__(for_q.num_samples + for_model.num_samples)
        self.for_q, self.for_model = for_q, for_model
        self.holds_log_q = for_q.holds_log_q
        self._held: tuple[_Holder, ...] = ()  # a tuple: the model is no part of the objective

    @property
    def bounds(self) -> str:
        return f"{self.for_model.bounds}; q is trained by {type(self.for_q).__name__} instead"

    def estimate(self, model: Model, x: Tensor, q: Distribution, estimator: Any) -> Any:
        if estimator.trains_prior:
            raise NotImplementedError(
                f"{estimator.extra_name()} trains the prior too, and under Separate the prior follows"
                " for_model: use vae.DoublyReparameterized"
            )
        fixed = cast(Model, _Still(self._holder_of(model)))
        found = self.for_q.estimate(fixed, x, q, estimator)
        still = detach(q)
        z = q.sample(Size([self.for_model.num_samples]))  # (K, B, *event)
        value = self.for_model.reduce(self.for_model.at(model, x)(z, still))
        value = value - self.for_model.penalty(model, still)  # (B,)
        from_q = found.bound - found.bound.detach()  # zero: the gradient of q
        return found._replace(bound=value + from_q)

    def _holder_of(self, model: Model) -> _Holder:
        """Made once: a graph cannot make a module."""
        if not self._held or self._held[0].model is not model:
            if not isinstance(model, nn.Module):
                raise TypeError(
                    f"Separate takes a Module as its model, not a {type(model).__name__}"
                )
            self._held = (_Holder(model),)
        return self._held[0]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_held": ()}  # a copy has another model

    def integrand(self, model: Model, x: Tensor, z: Tensor, q: Distribution) -> Tensor:
        raise self._two()

    def reduce(self, f: Tensor, dim: int = 0) -> Tensor:
        raise self._two()

    def swap_one_out(self, f: Tensor, alternative: Tensor) -> Tensor:
        raise self._two()

    def _two(self) -> NotImplementedError:
        return NotImplementedError("Separate is two objectives: ask for_q or for_model")


class _Holder(nn.Module):
    """A model as a submodule, on which a function is called."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, name: str, *arguments: Any) -> Any:
        return getattr(self.model, name)(*arguments)


class _Still:
    """A model whose parameters get no gradient."""

    def __init__(self, holder: _Holder) -> None:
        self._holder = holder
        self._values = {n: p.detach() for n, p in holder.named_parameters()}

    def _call(self, name: str, *arguments: Any) -> Any:
        return functional_call(self._holder, self._values, (name, *arguments))

    def posterior(self, x: Tensor) -> Distribution:
        return cast(Distribution, self._call("posterior", x))

    def decode(self, z: Tensor) -> Distribution:
        return cast(Distribution, self._call("decode", z))

    def prior(self) -> Distribution:
        return cast(Distribution, self._call("prior"))

    def kl(self, q: Distribution) -> Tensor:
        return cast(Tensor, self._call("kl", q))

    def kl_per_variable(self, q: Distribution) -> Tensor:
        return cast(Tensor, self._call("kl_per_variable", q))
