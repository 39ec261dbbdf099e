"""The aggregate posterior: rows sum to one, and perplexity is what it says."""

import pytest
import torch
from drawn import images, model

from vae.pictures.code_usage import Usage, code_usage, draw


@pytest.mark.parametrize("name", ["one_hot", "relaxed_one_hot", "binary"])
def test_rows_are_the_mean_of_posteriors(name):
    vae, x = model(name, num=5), images(7)
    found = code_usage(vae, [x[:3], x[3:]])
    q = vae.hard.posterior(x).mean.double()  # of one-hot and binary variables: probabilities
    expected = q if q.dim() == 3 else torch.stack([1 - q, q], -1)
    assert torch.allclose(found.probs, expected.mean(0), atol=1e-6)
    assert torch.allclose(found.probs.sum(1), torch.ones(5).double()) and found.images == 7
    entropy = -torch.special.xlogy(found.probs, found.probs).sum(1)
    assert torch.allclose(found.perplexity, entropy.exp())


def test_perplexity_counts_the_categories_that_are_used():
    probs = torch.tensor([[1.0, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25] * 4])
    perplexity = torch.special.entr(probs).sum(1).exp()
    assert torch.allclose(perplexity, torch.tensor([1.0, 2.0, 4.0]))
    top, bottom, _ = draw(Usage(probs, perplexity, 9)).axes
    assert [bar.get_height() for bar in top.patches] == pytest.approx([4, 2, 1])
    shown = bottom.images[0].get_array()  # categories below each other, sorted alike
    assert torch.allclose(torch.tensor(shown).float(), probs[[2, 1, 0]].T)
    assert [tick.get_text() for tick in bottom.get_xticklabels()] == ["3", "2", "1"]


@pytest.mark.parametrize("name", ["gaussian", "poisson", "dirichlet", "own"])
def test_what_has_no_categories_says_so(name):
    with pytest.raises(NotImplementedError, match="has no categories to count: code-usage is for"):
        code_usage(model(name), [images()])
