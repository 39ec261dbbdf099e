"""The latents of a model, a part of every evaluation: which are active, and whether z has collapsed."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Size, Tensor
from torch.distributions import Distribution
from torch.nn.functional import one_hot

from vae.data.loader import mix_seeds
from vae.distributions.chain import Chain
from vae.distributions.operations import describe
from vae.evaluation.collapse import COLLAPSED, collapse_verdict
from vae.evaluation.part import Bound, Number, Part, Subject, mean_of
from vae.evaluation.terms import closed_kl, fixed_noise
from vae.evaluation.units import activity, layer_rates, unit_kl, unit_means
from vae.evaluation.usage import category_probs, entropy, perplexity, used_categories
from vae.models.vae import VAE

__all__ = ["Units"]


class Units(Part):
    """Active units, the KL of each variable, the use of categories, and a verdict on collapse.

    Arguments:
        threshold: The variance of E_q[z] over images above which a unit is active.
        samples: Samples of z for each image, where a mean or a KL has no closed form.

    Raises:
        ValueError: If the threshold is negative, or there are fewer than two samples.
    """

    name = "units"
    title = "active units, KL of each variable, use of categories, collapse"

    def __init__(self, threshold: float = 0.01, samples: int = 64) -> None:
        if not threshold >= 0:
            raise ValueError(f"units_threshold must not be negative, got {threshold}")
        if samples < 2:
            raise ValueError(f"units_samples must be at least 2, got {samples}")
        self.threshold, self.samples = threshold, samples

    @torch.no_grad()
    def measure(self, subject: Subject, x: Tensor, first: int) -> dict[str, Tensor]:
        vae = subject.vae
        q = vae.posterior(x)
        with fixed_noise(x.device, mix_seeds(subject.seed, first)):
            means = unit_means(q, self.samples)
            kl = unit_kl(vae, q, self.samples)
            rate = _rate(vae, q, self.samples) if kl is None else kl.value.sum(-1)
            rates = layer_rates(vae, q, self.samples)
        values = {"mean": means.value, "rate": rate}
        if means.error is not None:
            values["error"] = means.error
        if kl is not None:
            values["kl_mc" if kl.monte_carlo else "kl"] = kl.value
        if rates is not None:
            values["layer_rates"] = rates
        probs = category_probs(q)
        if probs is not None:
            values |= {"probs": probs, "entropy": entropy(probs)}
        return values

    def numbers(self, subject: Subject, values: Mapping[str, Tensor]) -> list[Number]:
        found = []
        if len(values["mean"]) > 1:
            variances = activity(values["mean"], values.get("error"))
            active = float((variances > self.threshold).sum())
            labels = {"of": len(variances), "threshold": self.threshold}
            lacking = int((~variances.isfinite()).sum())
            warning = f"{lacking} units have no finite mean, and count as inactive"
            found.append(
                Number(
                    "active_units",
                    active,
                    bound="estimate" if "error" in values else "exact",
                    unit="units",
                    labels={**labels, "activity": _listed(variances)},
                    warning=warning if lacking else "",
                )
            )
            found += _by_layer(subject.vae, variances, self.threshold)
        if "layer_rates" in values:
            found += [
                mean_of(f"rate_layer_{i}", rate, labels={"samples": self.samples})
                for i, rate in enumerate(values["layer_rates"].unbind(1), 1)
            ]
        for name in ("kl", "kl_mc"):
            if name in values:
                found += _kl_numbers(values[name], closed=name == "kl")
        return found + (_usage_numbers(values) if "probs" in values else [])

    def remarks(self, subject: Subject, values: Mapping[str, Tensor]) -> list[str]:
        said = []
        kl = next((values[name].mean(0) for name in ("kl", "kl_mc") if name in values), None)
        if kl is None:
            said.append(
                "the KL of each variable is undefined: q(z|x) and the prior,"
                f" {describe(subject.vae.prior())}, are no products over the same variables"
            )
        if len(values["mean"]) > 1:
            variances = activity(values["mean"], values.get("error"))
            rate = values["rate"].mean().item()
            said.append(collapse_verdict(rate, kl, variances, self.threshold))
        return said


def _by_layer(vae: VAE, variances: Tensor, threshold: float) -> list[Number]:
    """The active units of each stochastic layer, where there are several."""
    prior = vae.prior()
    if not isinstance(prior, Chain):
        return []
    return [
        Number(
            f"active_units_layer_{i}",
            float((each > threshold).sum()),
            unit="units",
            labels={"of": len(each), "threshold": threshold},
        )
        for i, each in enumerate(variances.split(prior.sizes), 1)
    ]


def _rate(vae: VAE, q: Distribution, num_samples: int) -> Tensor:
    closed = closed_kl(vae, q)
    if closed is not None:
        return closed
    z = q.sample(Size([num_samples]))
    return (q.log_prob(z) - vae.prior().log_prob(z)).mean(0)


def _kl_numbers(kl: Tensor, closed: bool) -> list[Number]:
    """Of the KL of each variable of each image, ``(N, L)``."""
    means, variables = kl.mean(0), kl.shape[1]
    spread = {"least": means.min().item(), "largest": means.max().item()}
    labels = {"mean_of": variables, **spread, "kl": _listed(means)}
    few = float((means < COLLAPSED).sum())
    rule = {"of": variables, "below": COLLAPSED}
    bound: Bound = "exact" if closed else "estimate"
    return [
        mean_of("kl_per_variable", kl.mean(1), bound=bound, labels=labels),
        Number("collapsed_variables", few, bound=bound, unit="variables", labels=rule),
    ]


def _usage_numbers(values: Mapping[str, Tensor]) -> list[Number]:
    """Of the probabilities of each category in each image, ``(N, L, C)``."""
    probs = values["probs"]
    _, variables, categories = probs.shape
    usage, modes = probs.mean(0), one_hot(probs.argmax(-1), categories).double().mean(0)
    used = used_categories(usage)
    counted = {"of": variables * categories, "from_a_share_of": round(0.1 / categories, 6)}
    most = {"at_most": round(math.log(categories), 4)}
    return [
        _perplexity("perplexity", usage),
        _perplexity("perplexity_of_modes", modes),
        Number(
            "used_categories",
            float(used.sum()),
            bound="exact",
            unit="categories",
            labels={**counted, "used": _listed(used)},
        ),
        mean_of("entropy_per_variable", values["entropy"].mean(1), bound="exact", labels=most),
    ]


def _perplexity(name: str, usage: Tensor) -> Number:
    each = perplexity(usage)
    spread = {"least": each.min().item(), "largest": each.max().item()}
    labels = {"at_most": usage.shape[1], **spread, "perplexity": _listed(each)}
    return Number(name, each.mean().item(), bound="exact", unit="categories", labels=labels)


def _listed(values: Tensor) -> list[float | None]:
    """For JSON, with four digits that count, and None for what is not finite."""
    rounded = [float(f"{value:.4g}") for value in values.tolist()]
    return [value if math.isfinite(value) else None for value in rounded]
