r"""One estimator for each layer of a chain, nested.

.. math:: \mathbb{E}_{q(z_1)} \big[ \mathbb{E}_{q(z_2|z_1)}[\, \cdots f(z_1, \dots, z_L) \cdots ] \big]

An estimate is a value with a gradient, so that it can stand inside the integrand of another: to the
estimator of :math:`z_1`, the estimate of the inner expectation is an :math:`f` with noise, whose
gradient in :math:`z_1` and in the parameters of the upper layers is right in the mean. Where the
objective is an average, the mean of all is the gradient, whatever estimator each layer has.

Where it is not, the noise of the inner estimate passes through a curved :math:`R`, and what it does
to the gradient of the upper layers is no multiple of its mean: with the importance-weighted bound
outside and a score function inside, it is biased. A single pathwise draw inside is no estimate but
:math:`f` at noise without parameters, and remains right. For any other estimator the joint
``log_prob`` of a chain serves: it is one distribution.

References:
    | Neural Variational Inference and Learning in Belief Networks (Mnih & Gregor, 2014), section 2.4:
    | signals and baselines of each layer (https://arxiv.org/abs/1402.0030).
    | REBAR (Tucker et al., 2017), section 3.4: multilayer networks, one layer after the other
    | (https://arxiv.org/abs/1703.07370).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint

from vae.distributions.chain import Chain
from vae.distributions.operations import base_of, describe, parameters, rebuild
from vae.estimators.base import Estimate, Estimator, Integrand, attach
from vae.estimators.pathwise import Pathwise
from vae.objectives import ELBO, Average, Model, Objective

__all__ = ["PerLayer"]


class PerLayer(Estimator):
    """Creates a nest of estimators, one for each layer of a hierarchy.

    Each layer above the first draws as few samples as its estimator takes, for each sample of the
    layer below: leave-one-out takes two, most take one. An estimator with parameters of its own sees,
    as its context, the image and what its layer is conditioned on.

    Arguments:
        layers: Of each layer, from the first that is drawn, an estimator or the paper name of one.

    Raises:
        ValueError: If there are fewer than two, or one trains the prior too.

    Example:
        >>> import torch
        >>> from vae import ELBO, PerLayer
        >>> from vae.certify import binary_chain
        >>> problem = binary_chain()
        >>> q = problem.make_q(*(p[None] for p in problem.parameters))
        >>> PerLayer(["rebar", "disarm"])(q, problem.f, ELBO(1)).bound.shape
        torch.Size([1])
    """

    families = (Chain,)

    def __init__(self, layers: Sequence[str | Estimator] = ("rloo", "rloo")) -> None:
        super().__init__()
        from vae.estimators.names import constructor  # which names this class too

        if isinstance(layers, str) or len(layers) < 2:
            raise ValueError("PerLayer takes a list of two estimators or more, one for each layer")
        made = [constructor(each)() if isinstance(each, str) else each for each in layers]
        if len(set(map(id, made))) < len(made):
            raise ValueError("PerLayer takes another estimator for each layer, not one twice")
        if whole := [each for each in made if each.trains_prior]:
            raise ValueError(
                f"{whole[0].extra_name()} trains the prior, which is one of all layers: give it alone,"
                " as the estimator of the whole chain, or DoublyReparameterized (dreg) here"
            )
        self.layers = nn.ModuleList(made)
        self.estimators: tuple[Estimator, ...] = tuple(made)
        first = self.estimators[0]
        self.objectives, self.min_samples = first.objectives, first.min_samples
        self.needs_gradient = any(each.needs_gradient for each in made)
        biases = [f"layer {i}: {e.bias}" for i, e in enumerate(made, 1) if e.bias is not None]
        self.bias = "; ".join(biases) or None
        self.paper = "; ".join(dict.fromkeys(each.paper for each in made))

    def bind(self, model: Model) -> None:
        for estimator in self.estimators:
            estimator.bind(model)

    def extra_name(self) -> str:
        return f"PerLayer({', '.join(each.extra_name() for each in self.estimators)})"

    def supports(self, q: Distribution) -> bool:
        try:
            self._check_layers(q)
        except NotImplementedError:
            return False
        return True

    def check(self, q: Distribution, objective: Objective) -> None:
        self._check_layers(q)
        self.check_objective(objective)
        for inner in self.estimators[1:]:
            if not isinstance(objective, Average) and not _is_one_draw(inner):
                raise NotImplementedError(
                    f"{self.extra_name()}: under {type(objective).__name__}, which is no average,"
                    f" the gradient of {inner.extra_name()} inside is biased: only that of a"
                    " pathwise draw is not; or give one estimator for the whole chain"
                )

    def _check_layers(self, q: Distribution) -> None:
        name, chain, number = self.extra_name(), base_of(q), len(self.estimators)
        if not isinstance(chain, Chain) or chain.num_layers != number:
            raise NotImplementedError(
                f"{name} is not defined for {describe(q)}: it takes a Chain of {number} layers"
            )
        laws = _example_laws(chain)
        for i, (estimator, law) in enumerate(zip(self.estimators, laws, strict=True), 1):
            if not estimator.supports(law):
                raise NotImplementedError(
                    f"{name} is not defined for {describe(q)}: in layer {i},"
                    f" {estimator.extra_name()} is not{estimator.hint()}"
                )
        self.known = [(law.event_shape[0], type(base_of(law))) for law in laws]

    def cost(self, K: int, D: int, C: int, family: type[Distribution] = Distribution) -> int:
        number = len(self.estimators)
        known = getattr(self, "known", [(D / number, family)] * number)
        total = 1
        for i, (estimator, (size, kind)) in enumerate(zip(self.estimators, known, strict=True)):
            total *= estimator.cost(estimator.min_samples if i else K, size, C, kind)
        return total

    def estimate(
        self, q: Distribution, f: Integrand, objective: Objective, context: Tensor | None
    ) -> Estimate:
        chain = base_of(q)
        assert isinstance(chain, Chain)
        nest = _Nest(self, chain, f, context)
        if any(isinstance(p, nn.UninitializedParameter) for p in self.parameters()):
            nest.give_shapes()
        return nest.estimate(0, chain.first, [], [], objective)


class _Nest:
    """The nested expectations of one integrand.

    At each level M samples of what is below stand in the place of each image: an estimator sees M * B
    distributions, and draws J samples of each; the next level has J * M.
    """

    def __init__(self, nest: PerLayer, chain: Chain, f: Integrand, context: Tensor | None) -> None:
        self.nest, self.chain, self.f, self.context = nest, chain, f, context
        (self.images,) = chain.batch_shape

    def estimate(
        self,
        level: int,
        law: Distribution,
        below: list[Tensor],
        laws: list[tuple[int, Distribution]],
        objective: Objective,
    ) -> Estimate:
        """Of the expectation over the layers from ``level`` on.

        Arguments:
            level: From 0 on.
            law: That of the layer, with batch shape (M * B,).
            below: The layers below, ``(M, B, *event)`` each.
            laws: Theirs, and how many samples were drawn of each.
            objective: Of this level.
        """
        B, estimator = self.images, self.nest.estimators[level]
        M = len(below[-1]) if below else 1
        last = level + 1 == self.chain.num_layers

        def f(z: Tensor, p: Distribution) -> Tensor:  # (J, M * B, *event) to (J, M * B)
            J = len(z)
            own = z.reshape(J * M, B, *z.shape[2:])
            drawn = [*(_repeated(x, J) for x in below), own]
            given = [*laws, (J, p)]
            if last:
                joint = _Drawn(self.chain, given)
                return self.f(self.chain.join(drawn), joint).reshape(J, M * B)
            upper = _flat(self.chain.links[level](own))
            average = ELBO(self.nest.estimators[level + 1].min_samples, analytic_kl=False)
            found = self.estimate(level + 1, upper, drawn, given, average)
            # its own loss is that of a parameter of f: outside, the weights of all f sum to one
            loss = found.auxiliary
            bound = attach(found.bound, -loss) if isinstance(loss, Tensor) else found.bound
            return bound.reshape(J, M * B)

        return estimator(law, f, objective, self._context(level, below))

    def give_shapes(self) -> None:
        """Evaluates each estimator by itself: lazy layers get no shape inside a derivative."""
        chain = self.chain
        layers = chain.split(chain.sample(Size([1])))
        for level, (law, estimator) in enumerate(
            zip(chain.laws(chain.join(layers)), self.nest.estimators, strict=True)
        ):
            average = ELBO(estimator.min_samples, analytic_kl=False)
            flat = law if not level else _flat(law)
            context = self._context(level, [*layers[:level]])
            estimator(flat, lambda z, p: z.flatten(2).sum(-1), average, context)

    def _context(self, level: int, below: list[Tensor]) -> Tensor | None:
        """Of upper layers the images, each beside what a layer is conditioned on, ``(M * B, H)``.

        An estimator without parameters does not look at it.
        """
        if level == 0 or next(self.nest.estimators[level].parameters(), None) is None:
            return self.context
        seen = [below[-1].detach().flatten(2)]  # (M, B, D)
        if self.context is not None:
            image = self.context.flatten(1).to(seen[0].dtype)
            seen.append(image.expand(len(seen[0]), *image.shape))
        return torch.cat(seen, -1).flatten(0, 1)


class _Drawn(Distribution):
    """The joint law of layers that were drawn one after the other; it has a ``log_prob`` alone."""

    arg_constraints: dict[str, Constraint] = {}

    def __init__(self, chain: Chain, laws: list[tuple[int, Distribution]]) -> None:
        self.chain, self.laws = chain, laws
        super().__init__(chain.batch_shape, chain.event_shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        layers = self.chain.split(value)  # (N, B, *event) each
        N, B = value.shape[:2]
        total, M = value.new_zeros(N, B), 1
        for z, (J, law) in zip(layers, self.laws, strict=True):
            each = z.reshape(-1, J, M * B, *z.shape[2:])  # of a law of batch shape (M * B,)
            total = total + law.log_prob(each).reshape(N, B)  # type: ignore[no-untyped-call]
            M = J * M
        return total


def _repeated(z: Tensor, times: int) -> Tensor:
    """``(M, B, *)`` to ``(times * M, B, *)``."""
    return z.expand(times, *z.shape).flatten(0, 1)


def _flat(law: Distribution) -> Distribution:
    """A law of batch shape (M, B) as one of batch shape (M * B,)."""
    batch = law.batch_shape
    values = {
        name: p.flatten(0, 1) if p.shape[:2] == batch else p for name, p in parameters(law).items()
    }
    found = rebuild(law, **values)
    if found.batch_shape != Size([batch.numel()]):
        raise NotImplementedError(f"{describe(law)} is not known by its parameters")
    return found


def _example_laws(chain: Chain) -> list[Distribution]:
    """A law of each layer, for its family."""
    some = next(iter(parameters(chain.first).values()))
    zeros = some.new_zeros(1, *chain.event_shape)
    with torch.no_grad():
        return chain.laws(zeros)


def _is_one_draw(estimator: Estimator) -> bool:
    """Whether it evaluates f once, at a draw through which the gradient passes."""
    return type(estimator) is Pathwise
