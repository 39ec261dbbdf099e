"""Maps of latent space: the grid's order, and which codes and classes are shown."""

import pytest
import torch
from drawn import NAMES, images, model

from vae.pictures.latent_map import (
    codes_of,
    draw_manifold,
    draw_map,
    has_two_variables,
    manifold,
    project,
)


@pytest.mark.parametrize("name", NAMES)
def test_the_grid_goes_through_both_variables(name, monkeypatch):
    vae = model(name, num=2)
    codes, decode = [], type(vae).decode
    monkeypatch.setattr(type(vae), "decode", lambda self, z: codes.append(z) or decode(self, z))
    found = manifold(vae, 5)
    V = found.images.shape[0]
    z = codes[0].view(V, V, 2, -1)
    assert has_two_variables(vae) and not has_two_variables(model(name, num=3))
    assert (z[0, :, 0] == z[1, :, 0]).all() and (z[:, 0, 1] == z[:, 1, 1]).all()
    first = z[0, :, 0].argmax(-1) if z.shape[-1] > 1 else z[0, :, 0, 0]
    second = z[:, 0, 1].argmax(-1) if z.shape[-1] > 1 else z[:, 0, 1, 0]
    assert (first.diff() > 0).all()  # to the right
    upwards = (second.diff() < 0).all()
    assert upwards or name in ("one_hot", "relaxed_one_hot", "binary", "poisson")
    draw_manifold(found)


def test_the_grid_is_of_the_priors_quantiles():
    vae = model("gaussian", num=2)
    image = manifold(vae, 3).images[0, 2]  # the highest of both
    z = vae.prior().base_dist.icdf(torch.full((2,), 2.5 / 3))
    assert torch.allclose(image, vae.decode(z).mean, atol=1e-6)
    with pytest.raises(ValueError, match="two latent variables"):
        manifold(model("gaussian", num=3))


def test_codes_are_what_the_decoder_reads():
    x = images()
    vae = model("von_mises", num=2)
    angle = vae.posterior(x).mean
    assert torch.allclose(codes_of(vae, [x[:4], x[4:]]), torch.cat([angle.cos(), angle.sin()], -1))
    vae = model("relaxed_one_hot", num=2)
    codes = codes_of(vae, [x])
    assert torch.allclose(codes.view(6, 2, 4).sum(-1), torch.ones(6, 2))
    torch.manual_seed(0)
    assert codes_of(model("own"), [x]).shape == (6, 3)


def test_pca_and_tsne_keep_what_is_near():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 3
    codes = 20 * torch.eye(5)[labels] + torch.randn(60, 5, generator=generator)
    for method in ("pca", "tsne"):
        found = project(codes, method, seed=1)
        middles = torch.stack([found.points[labels == c].mean(0) for c in range(3)])
        nearest = torch.cdist(found.points.double(), middles.double()).argmin(1)
        assert torch.equal(nearest, labels) and found.points.shape == (60, 2)
        assert torch.equal(project(codes, method, seed=1).points, found.points)
        draw_map(found, labels)
    assert found.axes == ("", "") and "component 1 (" in project(codes, "pca").axes[0]
    with pytest.raises(ValueError, match="of 3 codes: give at least 4"):
        project(codes[:3], "tsne")
    with pytest.raises(ValueError, match="have 5 dimensions, not 2"):
        project(codes, "scatter")


def test_every_class_is_in_the_legend_and_named_at_its_place():
    points = project(torch.tensor([[0.0, 0.0], [1.0, 1.0], [5.0, 5.0]]), "scatter")
    labels = torch.tensor([4, 4, 7])
    figure = draw_map(points, labels)
    named = {text.get_text(): text.get_position() for text in figure.axes[0].texts}
    assert named["7"] == (5.0, 5.0) and set(named) == {"4", "7"}
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["4", "7"]
    dots, *marks = figure.axes[0].collections
    colors = dict(
        zip((4, 7), (mark.get_facecolor()[0, :3].tolist() for mark in marks), strict=True)
    )
    at = zip(dots.get_offsets().tolist(), dots.get_facecolor()[:, :3].tolist(), strict=True)
    assert {tuple(place): color for place, color in at} == {
        (0, 0): colors[4], (1, 1): colors[4], (5, 5): colors[7]
    }  # fmt: skip
    plain = draw_map(points)
    assert not plain.legends and not plain.axes[0].texts


def test_so_many_classes_that_their_numbers_would_hide_the_codes_are_not_named():
    points = project(torch.rand(62, 2, generator=torch.Generator().manual_seed(0)), "scatter")
    figure = draw_map(points, torch.arange(31).repeat(2))
    assert not figure.legends and not figure.axes[0].texts
    assert len(draw_map(points, torch.arange(31).clamp(max=29).repeat(2)).axes[0].texts) == 30
