"""Parts that do not fit together are named before training."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

import vae
from vae.estimators import Estimate


class Encoder(nn.Module):
    def __init__(self, image_shape, out_features=64):
        super().__init__()
        self.out_features, self.flat = out_features, nn.Flatten()

    def forward(self, x):
        return self.flat(x)


class Code(vae.Latent):
    def __init__(self, in_features, code=4, prior=4, event=1):
        super().__init__()
        self.code_features, self.layer = code, nn.Linear(in_features, 4)
        self.size, self.event = prior, event

    def forward(self, features):
        return Independent(Normal(self.layer(features), 1.0), self.event)

    def prior(self):
        return Independent(Normal(torch.zeros(self.size), 1.0), 1)


class Pixels(vae.Likelihood):
    def pixels(self, parameters):
        return Normal(parameters[0].flatten(-2), 1.0)


class Decoder(nn.Linear):
    def __init__(self, code, image_shape, channels):
        super().__init__(code, 64)


class Other(vae.Estimator):
    def __init__(self, change):
        super().__init__()
        self.change = change

    def estimate(self, q, f, objective, context):
        z = q.rsample(torch.Size([objective.num_samples]))
        return self.change(objective.reduce(f(z, q)))


WRONG = [
    ({"encoder": partial(Encoder, out_features=5)}, r"Encoder gives \(2, 64\) .*out_features"),
    ({"encoder": lambda _: nn.Flatten()}, "Flatten has no out_features"),
    ({"latent": partial(Code, code=7)}, r"Code gives \(2, 4\) .*code_features say \(2, 7\)"),
    ({"latent": partial(Code, code=None)}, "Code has no code_features"),
    ({"latent": partial(Code, prior=3)}, r"p\(z\) of Code has the event shape \(3,\)"),
    (
        {"latent": partial(Code, event=0)},
        r"latent Code gives a Independent of batch shape \(2, 4\)",
    ),
    ({"likelihood": Pixels}, "likelihood Pixels gives"),
    ({"decoder": Decoder}, "likelihood Bernoulli gives images of shape"),
    ({"estimator": Other(lambda f: Estimate(f.mean()))}, r"estimator Other .*shape \(\) for 2"),
    ({"estimator": Other(lambda f: Estimate(f[None]))}, r"estimator Other .*shape \(1, 2\)"),
    ({"estimator": Other(lambda f: Estimate(f.detach()))}, "Other gives q.* no gradient"),
    ({"estimator": Other(lambda f: f)}, "Other gives a Tensor, not an Estimate"),
    ({"estimator": Other(lambda f: None)}, "Other gives a NoneType"),
]


@pytest.mark.parametrize("parts, words", WRONG)
def test_the_part_that_does_not_fit_is_named(parts, words):
    with pytest.raises(ValueError, match=words) as error:
        vae.compose((1, 8, 8), **{"encoder": Encoder, "latent": Code} | parts)
    assert "\n" not in str(error.value)


def test_the_random_numbers_and_the_model_are_left_as_they_are():
    state = []
    for _ in range(2):
        torch.manual_seed(0)
        made = vae.compose((1, 8, 8), Encoder, Code)
        state.append(torch.rand(1))
        assert all(p.grad is None for p in made.parameters()) and made.training
    assert torch.equal(*state)
