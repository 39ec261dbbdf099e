"""The heat map shows the aggregate posterior: its rows sum to one, sorted by perplexity."""

import pytest
import torch
from drawn import images, model

from vae.evaluation.usage import code_usage
from vae.pictures.code_usage import draw


def test_perplexity_counts_the_categories_that_are_used():
    usage = torch.tensor([[1.0, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25] * 4])
    top, bottom, _ = draw(usage).axes
    assert [bar.get_height() for bar in top.patches] == pytest.approx([4, 2, 1])
    shown = bottom.images[0].get_array()  # categories below each other, sorted alike
    assert torch.allclose(torch.tensor(shown).float(), usage[[2, 1, 0]].T)
    assert [tick.get_text() for tick in bottom.get_xticklabels()] == ["3", "2", "1"]


@pytest.mark.parametrize("name", ["one_hot", "relaxed_one_hot", "binary"])
def test_the_shares_of_each_variable_sum_to_one(name):
    usage = code_usage(model(name, num=5), [images(7)])
    shown = torch.tensor(draw(usage).axes[1].images[0].get_array())
    assert shown.shape == (2 if name == "binary" else 4, 5)
    assert torch.allclose(shown.sum(0), torch.ones(5).double())


def test_many_variables_fit():
    usage = torch.rand(200, 2)
    figure = draw(usage / usage.sum(1, keepdim=True))
    figure.canvas.draw()
    labels = [t.get_window_extent() for t in figure.axes[1].get_xticklabels()]
    assert all(a.x1 < b.x0 for a, b in zip(labels, labels[1:], strict=False))
