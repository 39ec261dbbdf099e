r"""The kit that certifies a gradient estimator, anyone's: it need not be in ``ESTIMATORS``.

:func:`assert_claims` tests everything that an estimator claims by its attributes, on problems whose
exact gradient is known. Each single assertion can be used by itself, with a :class:`Problem` and an
objective of one's own too. A check with randomness states its false-alarm rate and scales by the
standard error: it is a z-test, and never a relative tolerance.

    >>> import torch
    >>> from vae.certify import assert_claims, one_hot_problem
    >>> from vae.estimators import Estimate, Estimator, attach, without_score
    >>> class MedianOfOthers(Estimator):
    ...     min_samples = 2
    ...
    ...     def estimate(self, q, f, objective, context):
    ...         z = q.sample(torch.Size([objective.num_samples]))  # (K, B, *event)
    ...         fz = f(z, without_score(q, objective))  # (K, B)
    ...         others = torch.stack([self.others(fz, k) for k in range(len(fz))])
    ...         signal = objective.signal(fz.detach(), others.detach())  # (K, B)
    ...         surrogate = (signal * q.log_prob(z)).sum(0)
    ...         return Estimate(attach(objective.reduce(fz), surrogate))
    ...
    ...     def others(self, fz, k):
    ...         return fz[torch.arange(len(fz)) != k].median(0).values
    >>> _ = torch.manual_seed(0)
    >>> problems = {"one_hot": one_hot_problem()}  # without this argument, all of them
    >>> assert_claims(MedianOfOthers(), problems=problems)

A median that sample k itself is part of makes the gradient biased, and the kit says so:

    >>> class MedianOfAll(MedianOfOthers):
    ...     def others(self, fz, k):
    ...         return fz.median(0).values
    >>> assert_claims(MedianOfAll(), problems=problems)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    AssertionError: MedianOfAll is biased: z = [...], limit ... at a family-wise false-alarm rate ...
"""

from vae.certify.assertions import (
    assert_lower_variance_than,
    assert_unbiased,
    assert_value_unchanged,
    assert_zero_at_optimum,
    bias_z_scores,
    z_limit,
)
from vae.certify.chains import binary_chain, gaussian_chain, one_hot_chain
from vae.certify.claims import assert_claims, assert_cost, assert_derivative
from vae.certify.exact import exact_gradient, gradients
from vae.certify.family_problems import FAMILY_PROBLEMS
from vae.certify.named import ExampleModel, example, named_cases
from vae.certify.problem import Problem
from vae.certify.problems import (
    MORE_OBJECTIVES,
    OBJECTIVES,
    PROBLEMS,
    bernoulli_problem,
    cases,
    conditional_bernoulli_problem,
    defined,
    gaussian_problem,
    has_truth,
    one_hot_problem,
    plackett_luce_problem,
)

__all__ = [
    "ExampleModel",
    "FAMILY_PROBLEMS",
    "MORE_OBJECTIVES",
    "OBJECTIVES",
    "PROBLEMS",
    "Problem",
    "assert_claims",
    "assert_cost",
    "assert_derivative",
    "assert_lower_variance_than",
    "assert_unbiased",
    "assert_value_unchanged",
    "assert_zero_at_optimum",
    "bernoulli_problem",
    "binary_chain",
    "bias_z_scores",
    "cases",
    "conditional_bernoulli_problem",
    "defined",
    "example",
    "exact_gradient",
    "gaussian_chain",
    "gaussian_problem",
    "gradients",
    "has_truth",
    "named_cases",
    "one_hot_chain",
    "one_hot_problem",
    "plackett_luce_problem",
    "z_limit",
]
