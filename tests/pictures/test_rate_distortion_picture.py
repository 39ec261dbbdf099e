"""The rate-distortion picture: means over images, on the same images as the encoder."""

import math

import torch

from vae.pictures.rate_distortion import draw, mean_curve


def test_the_mean_is_over_images_and_the_line_goes_through_beta_one():
    beta = torch.tensor([0.0, 0.5, 1.0, 1.5]).double()
    rate = torch.tensor([[0.0, 1, 3, 4], [0.0, 3, 5, 6]]).double()
    distortion = torch.tensor([[9.0, 5, 2, 1.5], [11.0, 7, 4, 3.5]]).double()
    curve = mean_curve(rate, distortion, beta)
    assert curve.rate.tolist() == [0, 2, 4, 5] and curve.distortion.tolist() == [10, 6, 3, 2.5]
    sums = (rate + distortion)[:, 2]
    assert curve.se[2].item() == sums.std().item() / math.sqrt(2) and curve.images == 2
    one = torch.ones(1).double()
    encoder = mean_curve(torch.full((2, 1), 4.5).double(), torch.full((2, 1), 4.0).double(), one)
    (axes,) = draw(curve, encoder).axes
    lines = {line.get_label(): line.get_xydata() for line in axes.lines}
    assert lines["decoder and prior, annealed"].tolist()[1] == [6, 2]
    assert lines["the same at β = 1"].tolist() == [[3, 4]]
    assert lines["encoder (sum 8.50)"].tolist() == [[4, 4.5]]
    assert (abs(lines["rate + distortion = 7.00"].sum(1) - 7) < 1e-9).all()
