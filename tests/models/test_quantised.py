"""Quantised codes against computations by hand: a step, the moving averages, the rotation, a grid."""

from functools import partial

import pytest
import torch
from lightning.pytorch import Callback
from small import fit
from torch import nn
from vector_quantize_pytorch import FSQ

from vae.distributions.operations import detach, select, support
from vae.distributions.quantised import PointMass, Quantised, codes_of
from vae.estimators import ESTIMATORS, RotationTrick, StraightThroughCodes, named
from vae.evaluation.exact import exact_log_likelihood
from vae.evaluation.terms import elbo_terms
from vae.models.composition import compose
from vae.models.latents import FiniteScalarQuantized, VectorQuantized
from vae.models.latents.vector_quantized import SMOOTHING
from vae.models.networks import MLPDecoder, MLPEncoder
from vae.models.priors import AutoregressivePrior, FlowPrior, MixturePrior, VampPrior
from vae.objectives import ELBO, IWAE
from vae.training.module import VAEModule

VQ = partial(VectorQuantized, num_variables=3, num_categories=4, code_dim=2)
FSQ_LAYER = partial(FiniteScalarQuantized, num_variables=3, levels=(3, 3))
LAYERS = pytest.mark.parametrize("layer", [VQ, FSQ_LAYER], ids=["vq", "fsq"])


def composed(layer, prior=None, estimator="straight_through_codes", **parts):
    torch.manual_seed(0)
    return compose(
        (1, 8, 8),
        encoder=partial(MLPEncoder, hidden=[8]),
        latent=layer,
        decoder=partial(MLPDecoder, hidden=[8]),
        prior=prior,
        estimator=estimator,
        **parts,
    )


def images(n=16):
    return (torch.rand(n, 1, 8, 8) > 0.7).float()


# A step of VQ ----------------------------------------------------------------------------------


def a_layer(**options):
    """Two codes of width 2, whose vectors are the features themselves."""
    options |= {"standardise": False}
    layer = VectorQuantized(4, num_variables=2, num_categories=3, code_dim=2, **options)
    with torch.no_grad():
        layer.vectors_of.weight.copy_(torch.eye(4))
        layer.vectors_of.bias.zero_()
        layer.vectors.copy_(torch.tensor([[0.0, 0.0], [1.0, 1.0], [9.0, 9.0]]))
        layer.sums.copy_(layer.vectors)
        layer.started.fill_(True)
    return layer


def test_a_step_is_the_one_computed_by_hand():
    layer = a_layer(decay=0.9, dead_below=0.0)
    features = torch.tensor([[0.1, -0.2, 0.8, 1.3], [0.3, 0.1, 0.0, 0.2]], requires_grad=True)
    q = layer(features)
    codes = torch.tensor([[0, 1], [0, 0]])
    assert torch.equal(q.codes.argmax(-1), codes)
    old = torch.tensor([[0.0, 0.0], [1.0, 1.0], [9.0, 9.0]])
    torch.testing.assert_close(q.vectors, old[codes])
    # the commitment loss: of (0.1, -0.2), (-0.2, 0.3), (0.3, 0.1), (0, 0.2), a sum for each image
    expected = 0.25 * torch.tensor([0.05 + 0.13, 0.10 + 0.04]).mean()
    loss = layer.auxiliary(q)
    torch.testing.assert_close(loss, expected)
    (gradient,) = torch.autograd.grad(loss, features, retain_graph=True)
    away = torch.tensor([[0.1, -0.2, -0.2, 0.3], [0.3, 0.1, 0.0, 0.2]])
    torch.testing.assert_close(gradient, 0.25 * 2 * away / 2)
    # the moving averages, counted from 1 use of each
    counts = 0.9 * torch.ones(3) + 0.1 * torch.tensor([3.0, 1.0, 0.0])
    sums = 0.9 * old + 0.1 * torch.tensor([[0.4, 0.1], [0.8, 1.3], [0.0, 0.0]])
    torch.testing.assert_close(layer.counts, counts)
    torch.testing.assert_close(layer.sums, sums)
    smoothed = (counts + SMOOTHING) / (counts.sum() + 3 * SMOOTHING) * counts.sum()
    torch.testing.assert_close(layer.codebook, sums / smoothed[:, None])
    share = counts / counts.sum()
    torch.testing.assert_close(layer.perplexity(), (-share * share.log()).sum().exp())


def test_a_dead_code_starts_anew_from_the_batch_and_no_other():
    layer = a_layer(decay=0.0, dead_below=0.1)
    features = torch.tensor([[0.1, -0.2, 0.8, 1.3], [0.3, 0.1, 0.0, 0.2]])
    layer(features)
    seen = features.reshape(4, 2)
    assert (layer.codebook[2] == seen).all(-1).any() and layer.counts[2] == 1
    torch.testing.assert_close(layer.codebook[:2], torch.tensor([[0.4 / 3, 0.1 / 3], [0.8, 1.3]]))


def test_the_first_batch_gives_the_codebook():
    layer = VectorQuantized(4, num_variables=2, num_categories=3, code_dim=2)
    features = torch.randn(5, 4)
    q = layer(features)
    seen = q.encoded.reshape(-1, 2)
    assert all((v == seen).all(-1).any() for v in q.codebook)
    assert layer.started


def test_vectors_are_standardised_by_averages_in_training_as_in_evaluation():
    layer = VQ(4, decay=0.9)
    first, second = torch.randn(50, 4), 3 + 2 * torch.randn(50, 4)
    raw = [layer.vectors_of(x).detach() for x in (first, second)]
    found = layer(first).encoded.flatten(1)
    torch.testing.assert_close(found.mean(0), torch.zeros(6), atol=1e-4, rtol=0)
    torch.testing.assert_close(found.std(0, correction=0), torch.ones(6), atol=1e-3, rtol=0)
    q = layer(second)
    mean = 0.9 * raw[0].mean(0) + 0.1 * raw[1].mean(0)
    spread = 0.9 * raw[0].std(0, correction=0) + 0.1 * raw[1].std(0, correction=0)
    torch.testing.assert_close(q.encoded.flatten(1), (raw[1] - mean) / spread, atol=1e-3, rtol=0)
    torch.testing.assert_close(layer.eval()(second).encoded, q.encoded)


@LAYERS
def test_in_evaluation_nothing_moves(layer):
    made, x = layer(4), torch.randn(5, 4)
    made(x)
    before = {k: v.clone() for k, v in made.state_dict().items()}
    made.hard(x)
    with torch.no_grad():
        made(x)
    made.eval()(x)
    after = made.state_dict()
    assert all(torch.equal(after[k], v) for k, v in before.items())


# Estimators ------------------------------------------------------------------------------------


def quantised():
    torch.manual_seed(1)
    encoded = torch.randn(4, 3, 5, dtype=torch.float64, requires_grad=True)
    return Quantised(encoded, torch.randn(7, 5, dtype=torch.float64))


def carried(estimator, q, slope):
    """The gradient in the vectors of a function of z with this gradient."""
    f = lambda z, q: (z * slope).sum((-2, -1))
    bound = estimator(q, f, ELBO(1)).bound
    torch.testing.assert_close(bound, (q.vectors * slope).sum((-2, -1)))  # at the codes
    return torch.autograd.grad(bound.sum(), q.encoded)[0]


def test_straight_through_carries_the_gradient_as_it_is():
    q = quantised()
    slope = torch.randn_like(q.encoded)
    torch.testing.assert_close(carried(StraightThroughCodes(), q, slope), slope)


def test_the_rotation_trick_is_the_transpose_of_the_explicit_matrix():
    q = quantised()
    slope = torch.randn_like(q.encoded)
    found = carried(RotationTrick(), q, slope)
    for b in range(4):
        for n in range(3):
            e, z = q.encoded[b, n].detach(), q.vectors[b, n]
            u, v = e / e.norm(), z / z.norm()
            r = (u + v) / (u + v).norm()
            R = torch.eye(5).double() - 2 * torch.outer(r, r) + 2 * torch.outer(v, u)
            torch.testing.assert_close(R @ R.T, torch.eye(5).double())
            torch.testing.assert_close(R @ u, v)  # it turns the vector to its code
            matrix = z.norm() / e.norm() * R
            torch.testing.assert_close(matrix @ e, z)
            torch.testing.assert_close(found[b, n], matrix.T @ slope[b, n])


@pytest.mark.parametrize("name", ESTIMATORS)
def test_no_other_estimator_takes_a_point_mass(name):
    q = quantised()
    estimator = named(name)
    with pytest.raises((NotImplementedError, ValueError), match=r"^[^\n]+$"):
        for objective in (ELBO(2, analytic_kl=False), IWAE(2)):
            estimator(q, lambda z, q: z.sum((-2, -1)), objective)
    if estimator.families == (torch.distributions.Distribution,):
        assert not estimator.supports(q)


# Grids -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [(3,), (8, 5), (5, 4, 3)], ids=str)
def test_the_grid_is_that_of_vector_quantize_pytorch(levels):
    layer = FiniteScalarQuantized(4, 1, levels)
    z = 3 * torch.randn(500, 1, len(levels))
    theirs, _ = FSQ(list(levels))(z)
    q = Quantised(layer.bounded(z), layer.codebook)
    torch.testing.assert_close(q.vectors, theirs)
    wide = layer.bounded(2 * torch.randn(20_000, 1, len(levels)))
    reached = codes_of(wide, layer.codebook).sum((0, 1))
    assert layer.codebook.shape == (torch.tensor(levels).prod(), len(levels))
    assert layer.codebook.unique(dim=0).shape == layer.codebook.shape and (reached > 0).all()
    assert (wide.abs() <= 1.0 + 0.5).all() and layer.codebook.abs().max() == 1


# The model -------------------------------------------------------------------------------------


@LAYERS
@pytest.mark.parametrize("prior", [None, partial(AutoregressivePrior, hidden=[8]), MixturePrior])
def test_what_is_trained_is_the_elbo_of_the_hard_model(layer, prior):
    model, x = composed(layer, prior), images()
    model.bound(x)
    for p in () if prior is None else model.vae.own_prior.parameters():
        nn.init.normal_(p)
    model.eval()
    vae = model.vae
    hard = vae.hard
    codes = hard.posterior(x).sample()
    by_hand = hard.decode(codes).log_prob(x) + hard.prior().log_prob(codes)
    torch.testing.assert_close(model.bound(x).bound, by_hand)
    mc = composed(layer, prior, objective=ELBO(1, analytic_kl=False))
    mc.load_state_dict(model.state_dict() | {"objective.beta": torch.tensor(1.0)}, strict=False)
    torch.testing.assert_close(mc.eval().bound(x).bound, by_hand)
    terms = elbo_terms(vae, x)
    torch.testing.assert_close(terms.elbo, by_hand.detach())
    assert not terms.monte_carlo
    with torch.no_grad():
        torch.testing.assert_close(vae.log_likelihood(x, 7), by_hand.detach())
    q = hard.posterior(x)
    every = support(q)[:, 0]
    torch.testing.assert_close(hard.prior().log_prob(every).logsumexp(0), torch.tensor(0.0))
    assert (exact_log_likelihood(vae, x) > by_hand).all()
    assert vae.sample(3).shape == (3, 1, 8, 8)


@LAYERS
def test_the_prior_is_trained_on_codes_that_it_does_not_move(layer):
    model = composed(layer, partial(AutoregressivePrior, hidden=[8]))
    vae, x = model.vae, images()
    q = vae.posterior(x)
    kl = vae.kl(q).mean()
    own = list(vae.own_prior.parameters())
    found = torch.autograd.grad(kl, [*own, *vae.encoder.parameters()], allow_unused=True)
    assert all(g is not None for g in found[: len(own)])
    assert all(g is None for g in found[len(own) :])


def test_distributions_answer_what_is_asked_of_a_family():
    q = quantised()
    assert q.sample((2,)).shape == (2, 4, 3, 5) and (q.log_prob(q.sample((2,))) == 0).all()
    other = q.codebook[(q.codes.argmax(-1) + 1) % 7]
    assert (q.log_prob(other) == -torch.inf).all()
    assert not detach(q).encoded.requires_grad
    torch.testing.assert_close(select(q, slice(1, 3)).vectors, q.vectors[1:3])
    point = PointMass(q.codes)
    assert torch.equal(point.sample(), q.codes) and (point.log_prob(q.codes) == 0).all()


class Kept(Callback):
    """Writes a checkpoint in the midst of a run."""

    def __init__(self, path):
        self.path = path

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == 12:
            trainer.save_checkpoint(self.path)


@pytest.mark.parametrize("prior", [None, partial(AutoregressivePrior, hidden=[8])])
@LAYERS
def test_a_run_that_is_continued_ends_with_the_same_codebook(layer, prior, tmp_path):
    def module():
        torch.manual_seed(3)
        return VAEModule(
            image_shape=(1, 8, 8),
            encoder=partial(MLPEncoder, hidden=[8]),
            decoder=partial(MLPDecoder, hidden=[8]),
            latent=layer,
            prior=prior,
            estimator="straight_through_codes",
            test_samples=0,
        )

    whole, second = module(), module()
    kept = Kept(tmp_path / "kept.ckpt")
    fit(whole, tmp_path / "whole", steps=30, callbacks=[kept])
    fit(second, tmp_path / "second", steps=30, ckpt_path=kept.path)
    expected = whole.state_dict()
    assert all(torch.equal(v, expected[k]) for k, v in second.state_dict().items())
    assert any("counts" in k for k in expected)
    assert "train/perplexity" in (tmp_path / "whole" / "metrics.jsonl").read_text()


# Refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: composed(VQ, objective=ELBO(4)), "point mass: 4 samples are one, 4 times"),
        (lambda: composed(VQ, objective=IWAE(1)), "StraightThroughCodes is not defined for IWAE"),
        (lambda: composed(VQ, estimator="rloo", objective=ELBO(2)), "a point mass"),
        (lambda: composed(VQ, estimator="pathwise"), "rotation_trick are"),
        (
            lambda: composed(FSQ_LAYER, estimator="rotation_trick"),
            "no gradient at a code of norm 0",
        ),
        (lambda: composed(VQ, VampPrior), "posteriors with a density.* are point masses"),
        (lambda: composed(VQ, FlowPrior), "FlowPrior is over real vectors"),
        (lambda: VQ(4, commitment=-1.0), "commitment must be finite and not negative, got -1"),
        (lambda: VQ(4, decay=1.0), "decay must be in"),
        (lambda: VectorQuantized(4, num_categories=1), "num_categories must be at least 2"),
        (lambda: FiniteScalarQuantized(4, levels=(4, 2)), "levels must be at least 3"),
    ],
)
def test_what_makes_no_sense_is_one_line(make, said):
    with pytest.raises((NotImplementedError, ValueError), match=said) as error:
        make()
    assert "\n" not in str(error.value)
