"""A sentence for each number; unit, and whether it is a bound, are said by the number itself."""

from __future__ import annotations

__all__ = ["EVALUATION", "TRAINING"]

EVALUATION: dict[str, dict[str, str]] = {
    "bounds": {
        "elbo": "The evidence lower bound: minus rate, minus distortion. Higher is better.",
        "rate": "KL(q(z\\|x) ‖ p(z)): what the code of an image costs.",
        "rate_mc": "The rate, estimated from samples: for this q and this prior there is no closed form.",
        "distortion": "-log p(x\\|z) for z from q: what the code leaves open of the image.",
    },
    "units": {
        "active_units": "Latent variables whose posterior mean varies between images by more than the threshold.",
        r"active_units_layer_\d+": "The same, of one stochastic layer.",
        r"rate_layer_\d+": "The part of the rate that one stochastic layer costs.",
        "kl_per_variable": "The rate of one latent variable, on average over them.",
        "collapsed_variables": "Variables with a KL below the threshold: they say nothing of the image.",
        "perplexity": "How many categories a variable uses over all images: e to the entropy of their mean.",
        "perplexity_of_modes": "The same, where each image counts for its most probable category alone.",
        "used_categories": "Categories that have at least a tenth of an equal share, over all variables.",
        "entropy_per_variable": "How undecided q is about a variable of one image. 0 is certain.",
    },
    "log_likelihood": {
        r"log_likelihood_\d+": "log p(x) by K samples (importance-weighted): it rises to log p(x) with K.",
    },
    "exact": {
        "log_likelihood_exact": "log p(x) itself: a sum over all codes, or an integral over one or two variables.",
    },
    "ais": {
        "ais": "log p(x) by annealing from q (or the prior) to the posterior: it rises as there are more temperatures.",
        "bdmc_lower": "The same, on images that the model drew: of these, a sample of the posterior is known.",
        "bdmc_upper": "Annealing backwards from that sample: log p(x) of these images from above.",
        "bdmc_gap": "Upper less lower: how far annealing may be off, where the model fits.",
        r"ais_minus_log_likelihood_\d+": "What annealing finds beyond K samples, on the same images.",
    },
    "gaps": {
        "inference_gap": "log p(x) - ELBO: all that inference loses. It is the sum of the next two.",
        "approximation_gap": "What the family of q loses, were each image's q the best of its family.",
        "amortization_gap": "What the encoder loses against that best q.",
        "relaxation_gap": "The bound with relaxed samples, less the ELBO with hard ones: how far training's number flatters.",
        "generalization_gap": "The ELBO of training images, less that of test images.",
    },
    "codes": {
        "mutual_information": "I(x; z): what the codes say about which image it was. At most log N, of N images.",
        "mutual_information_upper": "The same from above.",
        "marginal_kl": "KL(q(z) ‖ p(z)): how far the codes of all images together are from the prior.",
        "marginal_kl_lower": "The same from below. Rate = mutual information + marginal KL.",
    },
    "total_correlation": {
        "index_code_information": "I(x; z) of the mixture of N posteriors.",
        "total_correlation": "How much the latent variables say of each other.",
        "dimension_wise_kl": "How far each variable alone is from its prior, summed. The three add up to the rate.",
    },
    "rate_distortion": {
        r"rate_[\d.]+": "The rate at this slope beta of the curve of decoder and prior, without the encoder.",
        r"distortion_[\d.]+": "The distortion there. At beta 1, rate and distortion add up to a bound on -log p(x).",
    },
    "probe": {
        "reconstruction_mse": "The squared error of the decoder's mean.",
        "reconstruction_cross_entropy": "The cross-entropy of the image under the decoded probabilities.",
        "probe_linear": "Images whose class a linear classifier finds from the code.",
        "probe_knn": "The same by a vote of the nearest codes.",
        "probe_linear_pixels": "The linear classifier on the pixels, to compare with.",
        "probe_knn_pixels": "Nearest neighbours on the pixels.",
        "probe_chance": "Always the most frequent class.",
    },
    "features": {
        "frechet_samples": "How far samples are from real images, in features of a classifier trained here. It is not FID.",
        "frechet_reconstructions": "The same of reconstructions.",
        "frechet_floor": "The same of other real images: nothing can be better.",
        "classifier_accuracy": "How good that classifier is.",
    },
}
"""By part and name; a name with a number in it is a pattern."""

TRAINING = {
    "train/bound": "What is maximised: the objective, with the samples that it is trained by. With relaxed samples it bounds nothing.",
    "train/elbo": "The ELBO of the same batch, with hard samples. Higher is better.",
    "train/rate": "KL(q(z\\|x) ‖ p(z)), at least 0.",
    "train/rate_mc": "The rate, estimated from samples, where it has no closed form.",
    "train/distortion": "-log p(x\\|z): what the code leaves open of the image. ELBO = -rate - distortion.",
    "val/elbo": "The model's ELBO on validation images, whatever it is trained by. The best checkpoint has the highest.",
    "val/rate": "The rate of validation images.",
    "val/rate_mc": "The same, estimated from samples.",
    "val/distortion": "The distortion of validation images.",
    "test/elbo": "Of test images, once, at the end, by the best checkpoint.",
    "test/rate": "The rate of test images.",
    "test/rate_mc": "The same, estimated from samples.",
    "test/distortion": "The distortion of test images.",
    r"test/log_likelihood_\d+": "log p(x) by K samples: `--model.test_samples`.",
    "schedule/[a-z_]+": "What a schedule has set by now: `temperature`, `beta`.",
    "best/val_elbo": "The highest `val/elbo` so far (on W&B): what a sweep maximises.",
    r"grad/variance/[a-z_]+": "The variance of another estimator's gradient while one trains ({py:class}`vae.ShadowEstimators`).",
    r"grad/snr/[a-z_]+": "Its signal-to-noise ratio: the length of the mean gradient over the root of the variance.",
    "trainer/global_step": "Optimiser steps so far: the horizontal axis on W&B. `step` in `metrics.jsonl`.",
}
"""Of ``metrics.jsonl`` and of the W&B page: nats an image, unless said."""
