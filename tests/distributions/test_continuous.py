"""Laplace, full-covariance Gaussian, logistic-normal, Kumaraswamy, power spherical, and mixtures:
densities against scipy, divergences against Monte Carlo, derivatives of samples against numeric
ones of distribution functions, and single precision.

Statistical tests are seeded, at a false-alarm rate of 1e-6 each (see conftest.py).
"""

import math

import pytest
import torch
from mpmath import mp
from scipy import integrate, stats
from torch import Size, Tensor
from torch.distributions import Independent, kl_divergence
from torch.testing import assert_close

from vae.distributions.gamma import Beta
from vae.distributions.gaussian_mixture import GaussianMixture, StratifiedGaussianMixture
from vae.distributions.kumaraswamy import Kumaraswamy, PowerFunction
from vae.distributions.laplace import Laplace
from vae.distributions.logistic_normal import LogisticNormal, centred_logits, log_ratios
from vae.distributions.multivariate_normal import MultivariateNormal
from vae.distributions.normal import Normal
from vae.distributions.operations import detach, parameters, rebuild, select
from vae.distributions.power_spherical import HypersphericalUniform, PowerSpherical
from vae.models.latents.kumaraswamy import KumaraswamyLatent

DRAWS = Size([50_000])


def double(*values):
    return [torch.tensor(v, dtype=torch.float64) for v in values]


def unit(vector) -> Tensor:
    v = torch.tensor(vector, dtype=torch.float64)
    return v / v.norm(dim=-1, keepdim=True)


FACTOR = torch.tensor([[0.7, 0.0, 0.0], [-0.5, 0.9, 0.0], [1.1, 0.2, 0.4]]).double()
LOC, SCALE = double([[-0.9, 0.2], [0.8, 0.9], [0.1, -2.0]], [[0.7, 0.9], [0.8, 0.6], [0.3, 1.5]])
EXAMPLES = {
    "laplace": Laplace(*double([0.3, -1.0], [0.5, 2.0])),
    "multivariate_normal": MultivariateNormal(double([0.3, -1.0, 2.0])[0], scale_tril=FACTOR),
    "logistic_normal": LogisticNormal(*double([0.4, -0.3], [0.6, 1.3])),
    "kumaraswamy": Kumaraswamy(*double([0.7, 2.5], [1.4, 0.8])),
    "power_spherical": PowerSpherical(
        unit([[0.2, -1.0, 0.5], [-3.0, 0.1, 0.0]]), *double([0.4, 9.0])
    ),
    "uniform": HypersphericalUniform(torch.zeros(2, 4).double()),
    "mixture": GaussianMixture(double([0.2, -0.5, 1.0])[0], LOC, SCALE),
    "stratified": StratifiedGaussianMixture(LOC, SCALE),
}
PRIORS = {
    "laplace": Laplace(*double([0.0, 0.0], [1.0, 1.0])),
    "multivariate_normal": Independent(Normal(*double([0.1, 0.0, -0.5], [1.5, 1.0, 2.0])), 1),
    "logistic_normal": LogisticNormal(*double([0.0, 0.1], [1.0, 0.8])),
    "kumaraswamy": Beta(*double([1.5, 1.0], [0.8, 1.0])),
    "power_spherical": HypersphericalUniform(torch.zeros(2, 3).double()),
}


@pytest.fixture(params=EXAMPLES)
def name(request):
    return request.param


def test_shapes_round_trip_and_paths(name):
    q = EXAMPLES[name]
    values = {n: v.clone().requires_grad_() for n, v in parameters(q).items()}
    q = rebuild(q, **values)
    z = q.rsample(Size([4, 2]))
    assert z.shape == (4, 2, *q.batch_shape, *q.event_shape)
    assert q.log_prob(z).shape == (4, 2, *q.batch_shape)
    assert q.sample().shape == q.batch_shape + q.event_shape
    fixed = detach(q)
    assert type(fixed) is type(q)
    assert_close(fixed.log_prob(z), q.log_prob(z))
    assert not any(v.requires_grad for v in parameters(fixed).values())
    if name != "uniform":  # every parameter is reached through the sample
        weights = torch.linspace(-1, 2, z.numel()).double().view_as(z)
        grads = torch.autograd.grad((weights * z).sum(), list(values.values()))
        assert all((g != 0).any() for g in grads)
    wide = q.expand(Size([3, *q.batch_shape]))
    assert type(wide) is type(q) and wide.batch_shape == (3, *q.batch_shape)
    assert_close(wide.log_prob(z[:3, 0]), q.log_prob(z[:3, 0]))
    batch = q.expand(Size([5]) + q.batch_shape)
    assert select(batch, slice(1, 3)).batch_shape[0] == 2


def test_samples_have_the_mean_and_the_variance(name, assert_mean):
    q = EXAMPLES[name]
    if name == "logistic_normal":  # of its logits
        u = log_ratios(q.rsample(DRAWS).log())
        assert_mean(u, q.loc)
        assert_mean((u - q.loc).square(), q.scale.square())
        return
    for z in (q.sample(DRAWS), q.rsample(DRAWS)):
        assert q.support.check(z).all()
        assert_mean(z, q.mean)
        assert_mean((z - q.mean).square(), q.variance)


def test_densities_are_those_of_scipy():
    z = torch.linspace(-3, 4, 11).double()[:, None].expand(-1, 2)
    q = EXAMPLES["laplace"]
    assert_close(q.log_prob(z), torch.as_tensor(stats.laplace(q.loc, q.scale).logpdf(z)))
    q, z = EXAMPLES["multivariate_normal"], torch.randn(7, 2, 3).double()
    truth = stats.multivariate_normal(q.loc, FACTOR @ FACTOR.T).logpdf(z)
    assert_close(q.log_prob(z), torch.as_tensor(truth))
    q, z = EXAMPLES["mixture"], torch.randn(7, 2).double()
    density = sum(
        w.item() * stats.norm(loc, scale).pdf(z).prod(-1)
        for w, loc, scale in zip(q.logits.softmax(-1), q.loc, q.scale, strict=True)
    )
    assert_close(q.log_prob(z).exp(), torch.as_tensor(density))


def test_zeros_above_the_diagonal_of_a_factor_are_no_parameters():
    factor = FACTOR.clone().requires_grad_()
    q, p = (
        MultivariateNormal(torch.zeros(3).double(), scale_tril=factor),
        PRIORS["multivariate_normal"],
    )
    z = q.rsample(Size([5]))
    for value in (z.sum(), q.log_prob(z.detach()).sum(), kl_divergence(q, p)):
        (grad,) = torch.autograd.grad(value, factor, retain_graph=True)
        assert (grad.triu(1) == 0).all() and (grad != 0).any()


def test_the_derivative_in_a_mean_direction_is_along_the_sphere():
    q = EXAMPLES["power_spherical"]
    loc = q.loc.clone().requires_grad_()
    free = rebuild(q, loc=loc)
    z = free.rsample(Size([5]))
    for value in (z.square().flatten(1)[:, 0].sum(), free.log_prob(z.detach()).sum()):
        (grad,) = torch.autograd.grad(value, loc, retain_graph=True)
        assert (grad != 0).any() and (grad * q.loc).sum(-1).abs().max() < 1e-12


@pytest.mark.parametrize("a, b", [(0.7, 1.4), (2.5, 0.8), (6.0, 40.0)])
def test_kumaraswamy_s_distribution_function_density_and_quantiles_agree(a, b):
    q = Kumaraswamy(*double(a, b))
    u = torch.linspace(0.01, 0.99, 23).double()
    z = q.icdf(u).requires_grad_()
    assert_close(z.detach(), (1 - (1 - u) ** (1 / b)) ** (1 / a))
    assert_close(q.cdf(z).detach(), u)
    (density,) = torch.autograd.grad(q.cdf(z).sum(), z)
    assert_close(q.log_prob(z).exp(), density)


def test_a_logistic_normal_s_density_is_that_of_its_map():
    q = EXAMPLES["logistic_normal"]
    u = torch.tensor([0.3, -1.1]).double()
    z = centred_logits(u).softmax(-1)
    jacobian = torch.autograd.functional.jacobian(lambda u: centred_logits(u).softmax(-1)[:2], u)
    truth = Normal(q.loc, q.scale).log_prob(u).sum() - jacobian.det().abs().log()
    assert_close(q.log_prob(z), truth)
    assert_close(log_ratios(z.log()), u)
    basis = centred_logits(torch.eye(5).double())  # rows: an orthonormal basis
    assert_close(basis @ basis.T, torch.eye(5).double())
    assert_close(basis.sum(-1), torch.zeros(5).double())


@pytest.mark.parametrize("dim", [2, 3, 10])
@pytest.mark.parametrize("kappa", [1e-6, 0.5, 30.0])
def test_power_spherical_normaliser_entropy_and_divergence(dim, kappa):
    loc = torch.nn.functional.one_hot(torch.tensor(0), dim).double()
    q = PowerSpherical(loc, torch.tensor(kappa).double())
    ring = 2 * math.pi ** ((dim - 1) / 2) / math.gamma((dim - 1) / 2)  # the area of S^(d-2)

    def at(angle):
        z = torch.zeros(dim).double()
        z[0], z[1] = math.cos(angle), math.sin(angle)
        return q.log_prob(z).item(), ring * math.sin(angle) ** (dim - 2)

    total = integrate.quad(lambda t: math.exp(at(t)[0]) * at(t)[1], 0, math.pi)[0]
    entropy = integrate.quad(lambda t: -math.exp(at(t)[0]) * at(t)[0] * at(t)[1], 0, math.pi)[0]
    assert total == pytest.approx(1, abs=1e-8)
    assert q.entropy().item() == pytest.approx(entropy, abs=1e-7)
    area = 2 * math.pi ** (dim / 2) / math.gamma(dim / 2)
    kl = kl_divergence(q, HypersphericalUniform(loc)).item()
    assert kl == pytest.approx(math.log(area) - entropy, abs=1e-7)


@pytest.mark.parametrize("name", PRIORS)
def test_divergences_are_the_mean_of_the_log_ratio(name, assert_mean):
    q, p = EXAMPLES[name], PRIORS[name]
    z = q.sample(DRAWS)
    assert_mean(q.log_prob(z) - p.log_prob(z), kl_divergence(q, p))
    if type(p) is type(q):
        assert_close(kl_divergence(q, q), torch.zeros_like(kl_divergence(q, p)))


def test_a_power_function_is_a_beta_and_its_divergence_needs_no_quadrature():
    c, q = double([0.6, 3.0])[0], EXAMPLES["kumaraswamy"]
    power, beta = PowerFunction(c), Beta(c, torch.ones_like(c))
    z = q.sample(Size([9]))
    assert_close(power.log_prob(z), beta.log_prob(z))
    assert_close(kl_divergence(q, power), kl_divergence(q, beta))
    assert power.expand(Size([4, 2])).sample().shape == (4, 2)
    layer = KumaraswamyLatent(5, 3)
    assert isinstance(layer.prior().base_dist, PowerFunction)
    assert isinstance(KumaraswamyLatent(5, 3, learned_prior=True).prior().base_dist, Beta)


def test_a_kumaraswamy_of_ones_is_the_uniform_beta():
    one = torch.ones(()).double()
    assert kl_divergence(Kumaraswamy(one, one), Beta(one, one)).abs() < 1e-12


# Derivatives of samples -------------------------------------------------------------------------


def test_derivatives_of_kumaraswamy_samples_are_those_of_the_distribution_function():
    a, b = (v.expand(200).clone().requires_grad_() for v in double(0.8, 1.7))
    q = Kumaraswamy(a, b)
    z = q.rsample()
    found = torch.autograd.grad(z.sum(), [a, b])
    value = z.detach().requires_grad_()
    cdf = q.cdf(value)
    density, *slopes = torch.autograd.grad(cdf.sum(), [value, a, b])
    for grad, slope in zip(found, slopes, strict=True):
        assert_close(grad, -slope / density, rtol=1e-6, atol=1e-9)


def conditional_cdf(z, logits, loc, scale):
    """S(z) of a mixture in two dimensions, by scipy."""
    w = torch.as_tensor(logits).softmax(-1).numpy()
    first = stats.norm(loc[:, 0], scale[:, 0])
    s1 = (w * first.cdf(z[0])).sum()
    given = w * first.pdf(z[0])
    s2 = (given / given.sum() * stats.norm(loc[:, 1], scale[:, 1]).cdf(z[1])).sum()
    return torch.tensor([s1, s2])


def test_derivatives_of_mixture_samples_are_those_of_the_conditional_distribution_functions():
    """-(dS/dz)^-1 dS/dphi, all by central differences, at samples of every tail."""
    values = [EXAMPLES["mixture"].logits.clone(), LOC.clone(), SCALE.clone()]
    h = 1e-5
    for seed in range(6):
        leaves = [v.clone().requires_grad_() for v in values]
        torch.manual_seed(seed)
        z = GaussianMixture(*leaves).rsample()
        at = [v.numpy() for v in values]
        point = z.detach().numpy()

        def slope(change, at=at, point=point):
            moved = [[a.copy() for a in (point, *at)] for _ in range(2)]
            for sign, m in zip((1, -1), moved, strict=True):
                change(m, sign * h)
            up, down = (conditional_cdf(*m) for m in moved)
            return (up - down) / (2 * h)

        def shift(which, index):
            def change(m, amount):
                m[which][index] += amount

            return change

        matrix = torch.stack([slope(shift(0, d)) for d in range(2)], -1)  # dS/dz
        for d in range(2):
            grads = torch.autograd.grad(z[d], leaves, retain_graph=True)
            for which, grad in enumerate(grads):
                for index in torch.cartesian_prod(*map(torch.arange, grad.shape)).view(
                    -1, grad.dim()
                ):
                    place = tuple(index.tolist())
                    truth = -torch.linalg.solve(matrix, slope(shift(which + 1, place)))[d]
                    assert grad[place].item() == pytest.approx(truth.item(), rel=1e-4, abs=1e-6)


def test_one_component_is_reparameterized_as_a_gaussian():
    loc, scale = (v[:1].clone().requires_grad_() for v in (LOC, SCALE))
    z = GaussianMixture(torch.zeros(1).double(), loc, scale).rsample()
    noise = ((z - loc) / scale).detach()
    for d in range(2):
        in_loc, in_scale = torch.autograd.grad(z[d], [loc, scale], retain_graph=True)
        expected = torch.eye(2).double()[d][None]
        assert_close(in_loc, expected)
        assert_close(in_scale, expected * noise)


def test_components_are_drawn_without_replacement():
    far = 100.0 * torch.arange(4).double()[:, None]
    q = StratifiedGaussianMixture(far, torch.ones(4, 1).double()).expand(Size([300]))
    for samples in (1, 3, 4, 6):
        drawn = (q.rsample(Size([samples]))[..., 0] / 100).round().long()  # (K, 300)
        counts = torch.nn.functional.one_hot(drawn, 4).sum(0)
        assert (counts.max(-1).values - counts.min(-1).values <= 1).all()
        assert len(counts.unique(dim=0)) > 1 or samples == 4


def test_each_stratified_sample_alone_is_of_the_mixture(assert_frequencies):
    far = 100.0 * torch.arange(4).double()[:, None]
    q = StratifiedGaussianMixture(far, torch.ones(4, 1).double()).expand(Size([4000]))
    for row in (q.rsample(Size([6]))[..., 0] / 100).round().long():
        assert_frequencies(row, torch.full((4,), 0.25))


# Single precision -------------------------------------------------------------------------------


@pytest.mark.parametrize("kappa", [1e-6, 1e-2, 1.0, 1e3, 1e6])
@pytest.mark.parametrize("dim", [2, 20])
def test_power_spherical_in_single_precision(dim, kappa):
    torch.manual_seed(0)
    loc = torch.nn.functional.normalize(torch.randn(500, dim).double(), dim=-1)
    exact = PowerSpherical(loc, torch.full((500,), kappa).double())
    z = exact.sample().float().requires_grad_()
    k = exact.concentration.float().requires_grad_()
    q, uniform = PowerSpherical(loc.float(), k), HypersphericalUniform(loc.float())
    value, kl = q.log_prob(z), kl_divergence(q, uniform)
    assert_close(
        value.double(), exact.log_prob(z.double()), rtol=1e-4, atol=1e-3 * (1 + kappa**0.5 / 100)
    )
    truth = kl_divergence(exact, HypersphericalUniform(loc))
    assert_close(kl.double(), truth, rtol=1e-4, atol=1e-5 * dim)
    again = q.rsample()
    assert q.support.check(again).all()
    grads = torch.autograd.grad(value.sum() + kl.sum() + again.sum(), [z, k])
    assert all(g.isfinite().all() for g in grads)


@pytest.mark.parametrize("a", [0.5, 1.0, 30.0, 1e3])
@pytest.mark.parametrize("b", [0.5, 1.0, 30.0, 1e3])
def test_kumaraswamy_in_single_precision(a, b):
    leaves = [torch.full((20_000,), v, requires_grad=True) for v in (a, b)]
    q = Kumaraswamy(*leaves)
    z = q.rsample()
    assert ((z > 0) & (z < 1)).all()
    kl = kl_divergence(q, Beta(torch.tensor(2.0), torch.tensor(0.7)))
    exact = kl_divergence(Kumaraswamy(*double(a, b)), Beta(*double(2.0, 0.7)))
    assert_close(kl[0].double(), exact, rtol=1e-4, atol=1e-4)
    grads = torch.autograd.grad(q.log_prob(z).sum() + kl.sum(), leaves)
    assert all(g.isfinite().all() for g in grads)


def laplace_kl(u, scale):
    """KL of Laplace(u, scale) and the standard one, in fifty digits."""
    u, scale = mp.mpf(u), mp.mpf(scale)
    return -mp.log(scale) + u + scale * mp.exp(-u / scale) - 1


@pytest.mark.parametrize("u", [0.0, 1e-6, 1e-3, 0.2, 0.4, 5.0, 200.0])
@pytest.mark.parametrize("scale", [1.0, 1 + 2**-13, 0.5, 3.0])
def test_the_laplace_divergence_keeps_its_digits(u, scale):
    u = torch.tensor(u).item()  # as single precision has it
    leaves = [torch.tensor(x, requires_grad=True) for x in (u, scale)]
    found = kl_divergence(Laplace(*leaves), Laplace(torch.tensor(0.0), torch.tensor(1.0)))
    slopes = torch.autograd.grad(found, leaves)
    with mp.workdps(50):
        truth = laplace_kl(u, scale)
        in_loc = 1 - mp.exp(-mp.mpf(u) / mp.mpf(scale))
        in_scale = -1 / mp.mpf(scale) + mp.exp(-mp.mpf(u) / scale) * (1 + mp.mpf(u) / scale)
    assert found.item() == pytest.approx(float(truth), rel=1e-4, abs=1e-14)
    assert slopes[0].item() == pytest.approx(float(in_loc), rel=1e-4, abs=1e-12)
    assert slopes[1].item() == pytest.approx(float(in_scale), rel=1e-4, abs=1e-6)


def test_a_mixture_in_its_far_tails_in_single_precision():
    """Components that are far apart, and narrow: exact derivatives, and none that is not finite."""
    loc = torch.tensor([[-30.0, 5.0], [0.0, 0.0], [40.0, -7.0]])
    scale = torch.tensor([[1e-2, 3.0], [1.0, 1e-3], [5.0, 0.2]])
    logits = torch.tensor([0.0, 1.0, -3.0])
    found = []
    for dtype in (torch.float32, torch.float64):
        leaves = [v.to(dtype).requires_grad_() for v in (logits, loc, scale)]
        q = GaussianMixture(*leaves).expand(Size([2000]))
        torch.manual_seed(0)
        fixed = (
            GaussianMixture(*(v.detach().double() for v in leaves)).sample(Size([2000])).to(dtype)
        )
        q.sample = lambda shape, fixed=fixed: fixed
        z = q.rsample()
        found.append(torch.autograd.grad((z * z.detach().sign()).sum(), leaves))
    for a, b in zip(*found, strict=True):
        assert a.isfinite().all()
        assert (a - b).abs().max() < 1e-3 * b.abs().max()
