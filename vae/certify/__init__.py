r"""The kit that certifies a gradient estimator, ours or anyone's.

Every check with randomness states its false-alarm rate and scales by the standard error: a
z-test, never a relative tolerance.

    >>> from vae.certify import assert_unbiased, bernoulli_problem
    >>> from vae.estimators import LeaveOneOut, ScoreFunction
    >>> from vae.objectives import ELBO
    >>> assert_unbiased(ScoreFunction(LeaveOneOut()), bernoulli_problem(), ELBO(3))
"""

from vae.certify.assertions import (
    assert_lower_variance_than,
    assert_unbiased,
    assert_value_unchanged,
    assert_zero_at_optimum,
    bias_z_scores,
    z_limit,
)
from vae.certify.exact import exact_gradient, gradients
from vae.certify.problems import (
    OBJECTIVES,
    PROBLEMS,
    Problem,
    bernoulli_problem,
    cases,
    defined,
    example_prior,
    gaussian_problem,
    has_truth,
    one_hot_problem,
)

__all__ = [
    "OBJECTIVES",
    "PROBLEMS",
    "Problem",
    "assert_lower_variance_than",
    "assert_unbiased",
    "assert_value_unchanged",
    "assert_zero_at_optimum",
    "bernoulli_problem",
    "bias_z_scores",
    "cases",
    "defined",
    "example_prior",
    "exact_gradient",
    "gaussian_problem",
    "gradients",
    "has_truth",
    "one_hot_problem",
    "z_limit",
]
