"""Models of the parts in the catalogue, and how much a short training lowers their loss."""

from functools import cache, partial

import torch
from torch import Size, Tensor

from vae.data.images.digits import Digits
from vae.estimators import named
from vae.models.catalogue import LATENTS, LIKELIHOODS, NETWORKS, PRIORS, combinations
from vae.models.composition import Composition, compose
from vae.objectives import ELBO


@cache
def images(kind: str) -> Tensor:
    """64 digits, (64, 1, 8, 8): grey, or each pixel 0 or 1."""
    grey = Digits().load()["train"][:64] / 255
    return (grey > 0.5).float() if kind == "binary" else grey


def composed(
    latent: str, prior: str | None, likelihood: str, network: str = "mlp", **parts
) -> Composition:
    """A small model with the closed-form KL where there is one, its weights from seed 0."""
    torch.manual_seed(0)
    encoder, decoder = (part.factory() for part in NETWORKS[network])
    layer = LATENTS[latent]
    K = 1 if layer.kinds == ("codes",) else 2  # samples of a point mass are all the same
    given = {
        "encoder": encoder,
        "latent": layer.factory(),
        "decoder": decoder,
        "likelihood": LIKELIHOODS[likelihood].factory(),
        "prior": None if prior is None else PRIORS[prior].factory(),
        "estimator": partial(named, layer.estimator),
    } | parts
    if "objective" in given:
        return compose((1, 8, 8), **given)
    try:
        return compose((1, 8, 8), **given, objective=ELBO(K))
    except NotImplementedError:  # no KL in closed form
        torch.manual_seed(0)
        return compose((1, 8, 8), **given, objective=ELBO(K, analytic_kl=False))


def gain(model: Composition, x: Tensor, steps: int = 60, draws: int = 8) -> tuple[float, float]:
    """By how much training on x raises the bound at x, in nats, and its standard error."""

    def value() -> Tensor:  # (draws,): means over the images
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(1)
            again = x.expand(draws, *x.shape).flatten(0, 1)
            model.eval()
            found = model.bound(again).bound.unflatten(0, Size([draws, len(x)])).mean(1)
            model.train()
            return found

    before = value()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = model.bound(x).loss
        loss.backward()
        optimizer.step()
    raised = value() - before
    return float(raised.mean()), float(raised.std() / draws**0.5)


def pairwise() -> list[tuple[str, str | None, str]]:
    """Few allowed combinations in which every allowed pair of parts occurs; greedy."""
    left = list(combinations())

    def pairs(row):
        return {(i, row[i], j, row[j]) for i in range(3) for j in range(i)}

    missing, chosen = set().union(*map(pairs, left)), []
    while missing:
        best = max(left, key=lambda row: len(pairs(row) & missing))
        missing -= pairs(best)
        chosen.append(best)
    return chosen
