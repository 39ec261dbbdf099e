"""One conformance suite over our distributions and torch's that the library uses, then what is
particular to ours. float64 unless the point is another precision."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Size, Tensor
from torch import distributions as D
from torch.distributions import kl_divergence
from torch.distributions.relaxed_categorical import ExpRelaxedCategorical
from torch.testing import assert_close

from vae.distributions.bernoulli import Bernoulli
from vae.distributions.concrete import ExpRelaxedOneHotCategorical, RelaxedOneHotCategorical
from vae.distributions.continuous_bernoulli import ContinuousBernoulli
from vae.distributions.normal import Normal
from vae.distributions.one_hot import OneHotCategorical, gumbel_like
from vae.distributions.operations import (
    MAX_SUPPORT,
    describe,
    detach,
    logits_of,
    parameters,
    rebuild,
    support,
    with_logits,
)

inf = math.inf
vertices = torch.eye(3, dtype=torch.float64)


def tensor(*values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


class Case(NamedTuple):
    """A family with batch shape (2,), and values with its event shape."""

    family: Callable[..., D.Distribution]
    parameters: dict[str, Tensor]
    bad: dict[str, Tensor]  # breaks a constraint
    inside: Tensor  # where log_prob is differentiated
    outside: Tensor  # not in the support


LOGITS = tensor([0.3, -1.2, 0.8], [2.0, 0.0, -0.5])
PROBS = tensor([0.2, 0.7, 0.1], [0.5, 0.25, 0.25])
NAN = torch.full_like(LOGITS, math.nan)
SIMPLEX = tensor(0.2, 0.5, 0.3)
TEMPERATURE = tensor(0.7, 1.6)

RAW = {
    "OneHotCategorical(logits)": Case(
        OneHotCategorical, {"logits": LOGITS}, {"logits": NAN}, SIMPLEX, SIMPLEX
    ),
    "OneHotCategorical(probs)": Case(
        OneHotCategorical, {"probs": PROBS}, {"probs": NAN}, SIMPLEX, tensor(1, 1, 0)
    ),
    "ExpRelaxedOneHotCategorical": Case(
        ExpRelaxedOneHotCategorical,
        {"temperature": TEMPERATURE, "logits": LOGITS},
        {"temperature": -TEMPERATURE},
        SIMPLEX.log(),
        SIMPLEX,
    ),
    "RelaxedOneHotCategorical": Case(
        RelaxedOneHotCategorical,
        {"temperature": TEMPERATURE, "logits": LOGITS},
        {"logits": NAN},
        SIMPLEX,
        tensor(0.5, 0.5, 0.5),
    ),
    "Normal": Case(
        Normal,
        {"loc": tensor(0.5, -1.0), "scale": tensor(0.3, 2.0)},
        {"scale": tensor(-1.0, 1.0)},
        tensor(0.7).squeeze(),
        tensor(math.nan).squeeze(),
    ),
    "Bernoulli": Case(
        Bernoulli,
        {"logits": tensor(-1.0, 0.4)},
        {"logits": tensor(math.nan, 0)},
        tensor(0.3).squeeze(),
        tensor(0.5).squeeze(),
    ),
    "ContinuousBernoulli": Case(
        ContinuousBernoulli,
        {"logits": tensor(-2.0, 0.9)},
        {"logits": tensor(math.nan, 0)},
        tensor(0.3).squeeze(),
        tensor(1.5).squeeze(),
    ),
}


def independent(case: Case) -> Case:
    """The family as two independent variables, the second with the batch reversed."""

    def family(validate_args: bool | None = None, **parameters: Tensor) -> D.Distribution:
        base = case.family(**parameters, validate_args=validate_args)
        return D.Independent(base, 1, validate_args=validate_args)

    def twice(parameters: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: torch.stack([p, p.flip(0)], 1) for name, p in parameters.items()}

    return Case(
        family,
        twice(case.parameters),
        twice(case.bad),
        torch.stack([case.inside] * 2),
        torch.stack([case.outside] * 2),
    )


CASES = RAW | {f"Independent {name}": independent(case) for name, case in RAW.items()}
HAS_MOMENTS = [name for name in CASES if "Relaxed" not in name]
HAS_LOGITS = [name for name in CASES if "Normal" not in name]
HAS_CDF = ["Normal", "ContinuousBernoulli"]
DISCRETE = [name for name in CASES if "OneHot" in name and "Relaxed" not in name]
DISCRETE += ["Bernoulli", "Independent Bernoulli"]


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture
def q(case: Case) -> D.Distribution:
    return case.family(**case.parameters, validate_args=True)


def of(name: str) -> D.Distribution:
    return CASES[name].family(**CASES[name].parameters, validate_args=True)


def leaves(case: Case) -> list[Tensor]:
    return [p.clone().requires_grad_() for p in case.parameters.values()]


def frozen(case: Case, *values: Tensor) -> D.Distribution:
    """The family at these parameters, unvalidated: for values off the support."""
    return case.family(**dict(zip(case.parameters, values, strict=True)), validate_args=False)


# Conformance
# ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("sample_shape", [(), (4,), (4, 5)])
def test_shapes(q, sample_shape):
    z = q.sample(Size(sample_shape))
    assert q.batch_shape == (2,)
    assert z.shape == (*sample_shape, *q.batch_shape, *q.event_shape)
    assert z.dtype == torch.float64
    assert q.log_prob(z).shape == (*sample_shape, *q.batch_shape)
    if q.has_rsample:
        assert q.rsample(Size(sample_shape)).shape == z.shape


@pytest.mark.parametrize("name", CASES)
def test_moments_have_the_right_shape_or_are_refused(name):
    q = of(name)
    if name in HAS_MOMENTS:
        assert q.entropy().shape == q.batch_shape
        assert q.mean.shape == q.variance.shape == q.batch_shape + q.event_shape
    else:
        for moment in (lambda: q.mean, lambda: q.variance, q.entropy):
            with pytest.raises(NotImplementedError):
                moment()


def test_samples_lie_in_the_support(q):
    assert q.support.check(q.sample(Size([1000]))).all()


def test_arguments_satisfy_their_constraints(q):
    base = getattr(q, "base_dist", q) if isinstance(q, D.Independent) else q
    assert base.arg_constraints
    for name, constraint in base.arg_constraints.items():
        assert constraint.check(getattr(base, name)).all(), name


def test_bad_arguments_raise(case):
    with pytest.raises(ValueError):
        case.family(**{**case.parameters, **case.bad}, validate_args=True)


def test_log_prob_outside_the_support_raises(case, q):
    with pytest.raises(ValueError):
        q.log_prob(case.outside)


LINE = torch.linspace(-60, 60, 240_001, dtype=torch.float64)
EDGE = torch.stack([LINE, -LINE], -1)  # log-odds of the first of two categories
TWO = {"temperature": tensor(0.7).squeeze(), "logits": tensor(0.3, -0.9)}


@pytest.mark.parametrize(
    ("q", "values", "measure"),
    [
        (of("Normal"), LINE[:, None], LINE),
        (of("ContinuousBernoulli"), LINE.sigmoid()[:, None], LINE.sigmoid()),
        # on an edge of the simplex, dy = y (1 - y) d(log-odds); on the log-simplex the measure
        # is dy / (y_1 y_2)
        (RelaxedOneHotCategorical(**TWO), EDGE.softmax(-1), LINE.mul(2).sigmoid()),
        (ExpRelaxedOneHotCategorical(**TWO), EDGE.log_softmax(-1), 2 * LINE),
    ],
    ids=["Normal", "ContinuousBernoulli", "RelaxedOneHot", "ExpRelaxedOneHot"],
)
def test_continuous_densities_integrate_to_one(q, values, measure):
    keep = torch.ones(len(values), dtype=torch.bool)
    if isinstance(q, RelaxedOneHotCategorical):  # its density is undefined where z underflows
        keep = (values > 1e-15).all(-1)
    density = q.log_prob(values[keep]).exp()
    total = torch.trapezoid(density, measure[keep], dim=0)
    assert_close(total, torch.ones_like(total), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", HAS_MOMENTS)
def test_moments_are_those_of_the_samples(name, assert_mean):
    q = of(name)
    z = q.sample(Size([50_000]))
    assert_mean(z, q.mean)
    assert_mean((z - q.mean).square(), q.variance)
    assert_mean(-q.log_prob(z), q.entropy())


def test_the_score_has_mean_zero(case, assert_mean):
    # so samples and log_prob are of the same law, to first order in every parameter
    n = 50_000
    values = [p.expand(n, *p.shape).clone().requires_grad_() for p in case.parameters.values()]
    q = frozen(case, *values)
    score = torch.autograd.grad(q.log_prob(q.sample()).sum(), values)
    assert_mean(torch.cat([s.flatten(1) for s in score], 1), 0.0)


@pytest.mark.parametrize("name", DISCRETE)
def test_frequencies_are_the_probabilities(name, assert_frequencies):
    q = of(name)
    states = support(q)  # (S, 2, *event)
    z = q.sample(Size([20_000]))
    match = (z[:, None] == states).flatten(3).all(-1) if q.event_shape else z[:, None] == states
    for index, probs in zip(match.long().argmax(1).T, q.log_prob(states).exp().T, strict=True):
        assert_frequencies(index, probs)


@pytest.mark.parametrize("name", HAS_CDF)
def test_cdf_of_samples_is_uniform_and_icdf_its_inverse(name, assert_frequencies):
    q = of(name)
    u = q.cdf(q.sample(Size([20_000])))
    for column in u.T:
        assert_frequencies((20 * column).long().clamp_max(19), torch.full((20,), 1 / 20))
    u = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)[:, None].expand(-1, 2)
    assert_close(q.cdf(q.icdf(u)), u)


def test_gradients_reach_every_parameter(case):
    values = leaves(case)
    q = frozen(case, *values)
    draws = [q.log_prob(q.sample())]
    if q.has_rsample:
        draws.append(q.rsample().square())
    for draw in draws:
        for grad in torch.autograd.grad(draw.sum(), values, retain_graph=True):
            assert grad.isfinite().all() and (grad != 0).any()
    assert not q.sample().requires_grad


def test_gradcheck_of_log_prob(case):
    value = case.inside.clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda value, *p: frozen(case, *p).log_prob(value), (value, *leaves(case))
    )


def test_kl_of_normals_has_all_derivatives_and_maps():
    loc, scale = torch.randn(4, 3).double(), torch.rand(4, 3).double() + 0.5
    other = torch.randn(3).double(), torch.rand(3).double() + 0.5
    arguments = [x.requires_grad_() for x in (loc, scale, *other)]
    close = scale.detach()[:1].requires_grad_()  # where the divergence is that of equal scales

    def kl(loc, scale, other_loc, other_scale):
        return kl_divergence(Normal(loc, scale), Normal(other_loc, other_scale))

    assert torch.autograd.gradcheck(kl, arguments)
    assert torch.autograd.gradgradcheck(kl, arguments)
    assert torch.autograd.gradcheck(kl, (loc, close, other[0], close.detach() * 1.01))
    expected = torch.autograd.grad(kl(*arguments).sum(), loc)[0]
    slope = torch.func.grad(lambda *p: kl(*p).sum())
    assert_close(torch.func.vmap(slope, (0, 0, None, None))(*arguments), expected)


def test_expand(q):
    wide = q.expand(Size([5, 2]))
    assert type(wide) is type(q)
    assert wide.batch_shape == (5, 2) and wide.event_shape == q.event_shape
    for name, value in parameters(wide).items():
        assert value.shape == (5, *parameters(q)[name].shape)
    z = wide.sample(Size([3]))
    assert z.shape == (3, 5, 2, *q.event_shape)
    assert_close(wide.log_prob(z), q.log_prob(z), rtol=0, atol=0)
    assert wide._validate_args == q._validate_args
    with pytest.raises(RuntimeError):
        q.expand(Size([3]))


def test_detach(case):
    q = frozen(case, *leaves(case))
    p, z = detach(q), q.sample()
    assert type(p) is type(q) and describe(p) == describe(q)
    assert_close(p.log_prob(z), q.log_prob(z).detach(), rtol=1e-12, atol=0)
    assert q.log_prob(z).requires_grad and not p.log_prob(z).requires_grad
    if q.has_rsample:
        assert not p.rsample().requires_grad


def test_rebuild_of_parameters_is_the_same(case, q):
    expected = {"logits" if name == "probs" else name for name in case.parameters}
    assert set(parameters(q)) == expected
    z = q.sample()
    assert_close(rebuild(q, **parameters(q)).log_prob(z), q.log_prob(z))
    for name, value in parameters(q).items():
        other = parameters(rebuild(q, **{name: value.flip(0)}))
        assert_close(other[name], value.flip(0))
        assert all(torch.allclose(other[n], v) for n, v in parameters(q).items() if n != name)


@pytest.mark.parametrize("name", HAS_LOGITS)
def test_with_logits_inverts_logits_of(name):
    q = of(name)
    logits = logits_of(q)
    assert logits.shape == (*q.batch_shape, *q.event_shape)
    assert_close(logits_of(with_logits(q, logits.flip(0))), logits.flip(0))


def test_logits_of_a_family_without_raises():
    with pytest.raises(NotImplementedError, match=r"Independent\(Normal, 1\)"):
        logits_of(of("Independent Normal"))


def test_rebuild_does_not_validate_again():
    # latents rebuild at every step; a check is a synchronisation with the GPU
    q = rebuild(of("OneHotCategorical(logits)"), logits=NAN)
    assert q.batch_shape == (2,)


# Support and KL
# ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DISCRETE)
def test_support_lists_every_joint_configuration_once(name):
    q = of(name)
    categories = 2 if "Bernoulli" in name else 3
    states = support(q)
    assert states.shape == (
        categories ** (2 if "Independent" in name else 1),
        *q.batch_shape,
        *q.event_shape,
    )
    assert len(states[:, 0].unique(dim=0)) == len(states)
    assert_close(q.log_prob(states).exp().sum(0), torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize("events", [(4,), (2, 2), (1,)])
def test_support_over_several_dimensions(events):
    n = math.prod(events)
    bernoulli = D.Independent(D.Bernoulli(logits=torch.randn(3, *events)), len(events))
    assert support(bernoulli).shape == (2**n, 3, *events)
    one_hot = D.Independent(OneHotCategorical(logits=torch.randn(3, *events, 5)), len(events))
    assert support(one_hot).shape == (5**n, 3, *events, 5)
    assert_close(one_hot.log_prob(support(one_hot)).exp().sum(0), torch.ones(3))


@pytest.mark.parametrize("name", sorted(CASES.keys() - set(DISCRETE)))
def test_support_of_continuous_families_raises(name):
    with pytest.raises(NotImplementedError, match=describe(of(name)).split("(")[0]):
        support(of(name))


def test_support_that_is_too_large_raises():
    too_many = MAX_SUPPORT.bit_length()
    with pytest.raises(ValueError, match=f"2\\^{too_many}"):
        support(D.Independent(D.Bernoulli(logits=torch.zeros(too_many)), 1))


@pytest.mark.parametrize("name", HAS_MOMENTS)
def test_kl_is_the_mean_log_ratio(name, assert_mean):
    p = of(name)
    q = rebuild(p, **{name: value.flip(0) for name, value in parameters(p).items()})
    z = p.sample(Size([50_000]))
    kl = kl_divergence(p, q)
    assert kl.shape == p.batch_shape and (kl > 0).any()
    assert_mean(p.log_prob(z) - q.log_prob(z), kl)
    assert_close(kl_divergence(p, p), torch.zeros(2, dtype=torch.float64))


@pytest.mark.parametrize("by", ["probs", "logits"])
@pytest.mark.parametrize(
    ("p", "q"),
    [
        ((0.2, 0.3, 0.5), (0.1, 0.6, 0.3)),
        ((0.0, 0.4, 0.6), (0.2, 0.3, 0.5)),
        ((0.2, 0.3, 0.5), (0.0, 0.4, 0.6)),
        ((0.0, 0.4, 0.6), (0.0, 0.3, 0.7)),
        ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0)),
    ],
    ids=["interior", "p has a zero", "q has a zero", "both have", "disjoint"],
)
def test_one_hot_kl_is_torchs(p, q, by):
    def pair(family: Callable[..., D.Distribution]) -> list[D.Distribution]:
        return [family(**{by: tensor(*v) if by == "probs" else tensor(*v).log()}) for v in (p, q)]

    assert_close(
        kl_divergence(*pair(OneHotCategorical)), kl_divergence(*pair(D.OneHotCategorical))
    )


def test_one_hot_kl_is_finite_where_a_probability_underflows():
    # the logits are the parameters: exp(-200) is 0 in single precision, its logarithm is not
    p = OneHotCategorical(logits=torch.tensor([0.0, 1.0]))
    q = OneHotCategorical(logits=torch.tensor([-200.0, 0.0]))
    exact = (p.probs.double() * (p.logits.double() - q.logits.double())).sum()
    assert_close(kl_divergence(p, q).double(), exact, rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", ["ExpRelaxedOneHotCategorical", "RelaxedOneHotCategorical"])
def test_relaxed_kl_has_no_closed_form(name):
    with pytest.raises(NotImplementedError):
        kl_divergence(of(name), of(name))


# One-hot and Concrete
# ----------------------------------------------------------------------------------------


def test_one_hot_log_prob_is_linear_in_the_value():
    q = OneHotCategorical(logits=LOGITS, validate_args=False)
    z1, z2 = torch.randn(2, 2, 3, dtype=torch.float64)
    z1.requires_grad_()
    assert_close(q.log_prob(2 * z1 - 3 * z2), 2 * q.log_prob(z1) - 3 * q.log_prob(z2))
    (grad,) = torch.autograd.grad(q.log_prob(z1).sum(), z1)
    assert_close(grad, q.logits)


def test_one_hot_agrees_with_torch_on_the_vertices():
    ours, theirs = OneHotCategorical(logits=LOGITS), D.OneHotCategorical(logits=LOGITS)
    z = vertices[:, None].expand(-1, 2, -1)
    assert_close(ours.log_prob(z), theirs.log_prob(z))
    assert_close(ours.entropy(), theirs.entropy())


def test_one_hot_log_prob_where_a_category_is_impossible():
    q = OneHotCategorical(logits=tensor(0.0, -inf, 0.0))
    assert not q.sample(Size([1000]))[:, 1].any()
    assert_close(q.log_prob(vertices).exp(), tensor(0.5, 0.0, 0.5))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (ExpRelaxedOneHotCategorical, ExpRelaxedCategorical),
        (RelaxedOneHotCategorical, D.RelaxedOneHotCategorical),
    ],
)
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
@pytest.mark.parametrize("by", [{"logits": LOGITS}, {"probs": PROBS}], ids=["logits", "probs"])
def test_concrete_log_prob_agrees_with_torch(ours, theirs, temperature, by):
    t = tensor(temperature).squeeze()  # torch's refuses a float64 density at a number
    q = ours(temperature, **by)
    z = q.sample(Size([100]))
    assert_close(q.log_prob(z), theirs(t, **by, validate_args=False).log_prob(z))


@pytest.mark.parametrize("shift", [-0.1, 0.1])
def test_the_log_simplex_is_bounded_on_both_sides(shift):
    constraint = ExpRelaxedOneHotCategorical.support
    assert constraint.check(SIMPLEX.log()) and not constraint.check(SIMPLEX.log() + shift)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 10.0])
def test_concrete_law(temperature, assert_frequencies):
    q = ExpRelaxedOneHotCategorical(temperature, logits=LOGITS)
    z = q.sample(Size([20_000]))
    for index, probs in zip(z.argmax(-1).T, q.probs, strict=True):  # at every temperature
        assert_frequencies(index, probs)
    # among any two categories the scaled log-odds are logistic: their sigmoid is uniform
    odds = temperature * (z[..., 0] - z[..., 1]) - (LOGITS[:, 0] - LOGITS[:, 1])
    for u in odds.sigmoid().T:
        assert_frequencies((20 * u).long().clamp_max(19), torch.full((20,), 1 / 20))


@pytest.mark.parametrize("family", [ExpRelaxedOneHotCategorical, RelaxedOneHotCategorical])
@pytest.mark.parametrize(
    ("temperature", "batch"),
    [((), (4, 2)), ((2,), (4, 2)), ((4, 1), (4, 2)), ((4, 1), (2,)), ((5, 1, 1), (4, 2))],
)
def test_temperature_broadcasts_with_the_batch(family, temperature, batch):
    t, logits = torch.rand(temperature) + 0.5, torch.randn(*batch, 3)
    q = family(t, logits=logits)
    shape = torch.broadcast_shapes(temperature, batch)
    assert q.batch_shape == q.temperature.shape == shape
    z = q.sample(Size([7]))
    assert z.shape == (7, *shape, 3)
    full = family(t.expand(shape), logits=logits.expand(*shape, 3))
    assert_close(q.log_prob(z), full.log_prob(z))
    torch.manual_seed(1)
    draw = q.rsample()
    torch.manual_seed(1)
    assert_close(full.rsample(), draw)


@pytest.mark.parametrize("temperature", [0.1, 0.2])
def test_concrete_is_finite_in_single_precision(temperature):
    logits = (5 * torch.randn(10_000, 10)).requires_grad_()
    q = ExpRelaxedOneHotCategorical(temperature, logits=logits)  # validates its samples
    log_prob = q.log_prob(q.rsample())
    (grad,) = torch.autograd.grad(log_prob.sum(), logits)
    assert log_prob.dtype == torch.float32
    assert log_prob.isfinite().all() and grad.isfinite().all()


def test_concrete_in_single_precision_agrees_with_double():
    q = ExpRelaxedOneHotCategorical(0.2, logits=5 * torch.randn(1000, 10))
    z = q.sample()
    exact = ExpRelaxedOneHotCategorical(0.2, logits=q.logits.double(), validate_args=False)
    assert_close(q.log_prob(z).double(), exact.log_prob(z.double()), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [(torch.bfloat16, torch.float32), (torch.float32,) * 2, (torch.float64,) * 2],
)
def test_gumbel_noise_is_at_least_single_precision(dtype, expected, assert_mean):
    noise = gumbel_like(torch.zeros(3, dtype=dtype), Size([100_000]))
    assert noise.dtype == expected and noise.isfinite().all()
    euler, noise = 0.5772156649, noise.double()
    assert_mean(noise, euler)
    assert_mean((noise - euler).square(), math.pi**2 / 6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("end", ["low", "high"])
def test_gumbel_noise_is_finite_at_the_ends_of_the_uniform_draw(dtype, end, monkeypatch):
    drawn = 0.0 if end == "low" else 1 - torch.finfo(dtype).eps / 2
    monkeypatch.setattr(torch, "rand", lambda shape, **kw: torch.full(shape, drawn, **kw))
    noise = gumbel_like(torch.zeros(3, dtype=dtype), Size([3]))
    assert noise.isfinite().all() and (noise < -2.8 if end == "low" else noise > 16).all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gumbel_noise_is_finite_where_the_exponential_draw_is_zero(monkeypatch):
    monkeypatch.setattr(Tensor, "exponential_", lambda self: self.zero_())
    assert gumbel_like(torch.zeros(3, device="cuda"), Size([3])).isfinite().all()


@pytest.mark.parametrize("family", [OneHotCategorical, ExpRelaxedOneHotCategorical])
def test_large_logits_give_finite_gradients(family):
    logits = torch.tensor([[300.0, -300.0, 0.0]], requires_grad=True)
    options = {} if family is OneHotCategorical else {"temperature": 0.5}
    q = family(**options, logits=logits)
    log_prob = q.log_prob(q.sample(Size([10])))
    (grad,) = torch.autograd.grad(log_prob.sum(), logits)
    assert log_prob.isfinite().all() and grad.isfinite().all()


def test_a_normal_distribution_draws_what_torchs_does():
    loc, scale = torch.randn(4), torch.rand(4)
    draws = []
    for family in (D.Normal, Normal):
        torch.manual_seed(1)
        draws.append(family(loc, scale.requires_grad_()).sample(Size([300])))
    assert torch.equal(*draws) and not draws[1].requires_grad
