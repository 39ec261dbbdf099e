"""Estimators with a programming error each, and the case in which the bias test sees it."""

from __future__ import annotations

from mutation import Mutant, mutant

MUTANTS: dict[str, Mutant] = {
    "sign flipped": mutant(
        "reinforce bernoulli elbo3",
        "the score function's gradient is descended",
        "attach(bound, (signal",
        "attach(bound, (-signal",
    ),
    "path left in": mutant(
        "reinforce gaussian elbo2",
        "the sample carries a path derivative besides its score",
        "z = q.sample(",
        "z = q.rsample(",
    ),
    "mean of scores": mutant(
        "reinforce one_hot elbo3",
        "the scores of the K samples are averaged, though the objective is an average already",
        "q.log_prob(z)).sum(0)",
        "q.log_prob(z)).mean(0)",
    ),
    "a model that learns nothing": mutant(
        "rloo bernoulli elbo3",
        "f is detached where it is averaged too: its own parameters have no gradient",
        "bound = objective.reduce(fz)",
        "bound = objective.reduce(fz).detach()",
    ),
    "normalised by its own spread": mutant(
        "nvil bernoulli elbo2",
        "the learning signal is divided by its standard deviation in the batch",
        "attach(bound, (signal *",
        "attach(bound, (signal / signal.std() *",
    ),
    "own sample in the baseline": mutant(
        "rloo one_hot elbo3",
        "the mean of all K values in the place of that of the K - 1 others",
        "(f.sum(0) - f) / (f.shape[0] - 1)",
        "f.mean(0).expand_as(f)",
    ),
    "own sample, importance-weighted": mutant(
        "vimco bernoulli iwae3",
        "the mean of all K values in the place of that of the K - 1 others",
        "(f.sum(0) - f) / (f.shape[0] - 1)",
        "f.mean(0).expand_as(f)",
    ),
    "leave-one-out of the ELBO": mutant(
        "vimco bernoulli iwae3",
        "the learning signal of RLOO, (f_k - b_k) / K, under the importance-weighted bound",
        "signal = objective.signal(fz.detach(), alternative)",
        "signal = (fz.detach() - alternative) / len(fz)",
    ),
    "score of log q forgotten": mutant(
        "vimco one_hot iwae3",
        "log q is frozen inside the importance weights, where its score has no zero mean",
        "fz = f(z, without_score(q, objective))",
        "from vae.distributions.operations import detach\n        fz = f(z, detach(q))",
    ),
    "path forgotten": mutant(
        "pathwise gaussian elbo2",
        "the sample is detached: what is left is the score of log q",
        "f(z, q)",
        "f(z.detach(), q)",
    ),
    "entropy forgotten": mutant(
        "pathwise gaussian elbo2",
        "the -log q inside f is taken as a constant, its path as well as its score",
        "objective.reduce(f(z, q))",
        "objective.reduce(f(z, q) + q.log_prob(z) - q.log_prob(z).detach())",
    ),
    "the sample frozen, not q": mutant(
        "stl gaussian elbo1",
        "sticking the landing keeps the score and drops the path",
        "objective.reduce(f(z, detach(q)))",
        "objective.reduce(f(z.detach(), q))",
    ),
    "weights of the first power": mutant(
        "dreg gaussian_1d iwae3",
        "w in the place of w^2: sticking the landing where R is not an average",
        "_scale_gradient(z, weights / slopes.clamp_min(torch.finfo(slopes.dtype).tiny))",
        "_scale_gradient(z, torch.ones_like(weights))",
    ),
    "log q not frozen": mutant(
        "gdreg gaussian_1d iwae2",
        "the score of log q is left in beside the path that replaces it",
        "f(fixed + from_q + from_prior, frozen)",
        "f(fixed + from_q + from_prior, q)",
    ),
    "analytic term forgotten": mutant(
        "muprop one_hot elbo2",
        "the gradient of the Taylor expansion's mean is not added back",
        "+ weight.sum(0) * path",
        "",
    ),
    "Taylor term unweighted": mutant(
        "muprop bernoulli iwae3",
        "the control variate lacks the weight that its mean has",
        "- weight * linear",
        "- linear",
    ),
    "own slope": mutant(
        "double_cv bernoulli elbo3",
        "the Taylor term takes the slope of f at the sample itself, not at the others",
        "weight * _others(slope)",
        "weight * slope",
        {"alpha": 0.9},
    ),
    "own weight": mutant(
        "ovis one_hot iwae3",
        "the control variate contains the sample's own weight v_k",
        "signal = bound - without",
        "signal = bound - without + value.softmax(0)",
    ),
    "sample used twice": mutant(
        "ovis_mc bernoulli iwae3",
        "the first sample of the bound stands in for the fresh one",
        "f(q.sample(torch.Size([self.auxiliary_samples])), frozen)",
        "fz.detach()[: self.auxiliary_samples]",
    ),
    "both relaxations conditional": mutant(
        "rebar bernoulli iwae3",
        "the free relaxation is drawn given the vertex too, so that the two paths cancel",
        "perturbed + differential(p)",
        "condition(p, perturbed)",
        {"eta": 0.7},
    ),
    "no path of the conditional one": mutant(
        "rebar one_hot elbo1",
        "the relaxation given the vertex is taken not to depend on the logits",
        "condition(p, perturbed), temperature",
        "perturbed, temperature",
        {"eta": 0.7},
    ),
    "direct gradient forgotten": mutant(
        "rebar one_hot iwae3",
        "log q inside the importance weights is taken as a constant",
        "if not isinstance(objective, Average):",
        "if False:",
    ),
    "scale in one place only": mutant(
        "relax one_hot elbo1",
        "eta scales the control variate in the score's term and not along the paths",
        'own["eta"] * torch.ones_like(h)',
        "torch.ones_like(h)",
        {"eta": 5.0},
    ),
    "complement for antithesis": mutant(
        "arm bernoulli elbo1",
        "the partner is 1 - z, which follows Bernoulli(1 - p)",
        "logits - noise > 0",
        "logits + noise < 0",
    ),
    "u for 1 - u": mutant(
        "arm bernoulli elbo2",
        "the uniform noise is that of the antithesis",
        "0.5 - (-noise).sigmoid()",
        "0.5 - noise.sigmoid()",
    ),
    "factor 1/2 forgotten": mutant(
        "disarm bernoulli elbo1",
        "the weight of a pair is twice what it should be",
        "logits.detach().abs().sigmoid() / 2",
        "logits.detach().abs().sigmoid()",
    ),
    "absolute value forgotten": mutant(
        "disarm bernoulli elbo2",
        "the sigmoid of the logit in the place of that of its absolute value",
        "logits.detach().abs().sigmoid()",
        "logits.detach().sigmoid()",
    ),
    "antithesis of another sample": mutant(
        "disarm bernoulli iwae3",
        "each sample is compared with the partner of its neighbour",
        "objective.signal(fz, ft)",
        "objective.signal(fz, ft.roll(1, 0))",
    ),
    "correlation not divided out": mutant(
        "arms bernoulli elbo3",
        "leave-one-out of correlated samples, as if they were independent",
        "* weight * change(logits)",
        "* change(logits)",
    ),
    "unseen bits dropped": mutant(
        "disarm_sb one_hot elbo2",
        "decisions that one end of the pair alone has seen are left out",
        "+ (seen - both) * (b - p)\n            + (seen_tilde - both) * (p - b_tilde)\n",
        "",
    ),
    "second end's sign": mutant(
        "disarm_tree one_hot elbo2",
        "what the second end alone has seen is added, not subtracted",
        "(p - b_tilde)",
        "(b_tilde - p)",
    ),
    "raw weights": mutant(
        "unordered_set one_hot elbo3",
        "samples without replacement, weighed by p(s) made to sum to one",
        "first, second = leave_one_out_weights(log_p.gather(0, index), rest)",
        "first = log_p.gather(0, index).softmax(0)\n"
        "        _, second = leave_one_out_weights(log_p.gather(0, index), rest)",
    ),
    "own sample in the set's baseline": mutant(
        "unordered_set one_hot elbo2",
        "the estimate of E[f], which every sample is part of, is the baseline of each",
        "(second * value).sum(1)",
        "(first * value).sum(0)",
    ),
    "plus and minus swapped": mutant(
        "measure_valued gaussian elbo1",
        "the two points of the location have changed places",
        "point(weibull), point(-weibull)",
        "point(-weibull), point(weibull)",
    ),
    "sample for the lower point": mutant(
        "measure_valued gaussian_1d iwae2",
        "right for the scale, wrong for the location",
        "point(weibull), point(-weibull)",
        "point(weibull)",
    ),
    "Rayleigh for Maxwell": mutant(
        "measure_valued gaussian elbo2",
        "the upper points of the scale have one normal too few",
        "n.square().sum(0).sqrt(), n[0]",
        "n[:2].square().sum(0).sqrt(), n[0]",
    ),
    "category left out": mutant(
        "local_expectation one_hot elbo2",
        "the sum over a variable's values lacks one that was not drawn",
        "range(1, z.shape[-1])",
        "range(2, z.shape[-1])",
    ),
    "drawn category left out": mutant(
        "local_expectation bernoulli elbo1",
        "the sum over a variable's values lacks the one that was drawn",
        "-objective.signal(fixed, alternative)",
        "objective.share(fixed, alternative)",
    ),
}
"""By name. Errors that leave the mean alone and raise the variance only are not here: no test of
bias can see them."""
