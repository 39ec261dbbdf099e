"""The device, and the flags of the runs on it. Importing this installs it, for the whole process: it
cannot be taken back."""

import pretend_device
import torch

pretend_device.install()
DEVICE = torch.device(pretend_device.NAME, 0)
COMMON = [
    *("--data", "DigitsDataModule", "--name", "t", "--image_every", "1"),
    *("--data.eval_batch_size", "250", "--data.steps_per_batch", "4"),
    *("--trainer.log_every_n_steps", "10"),
]
THERE = ["--trainer.accelerator", "pretend", "--trainer.strategy", "pretend"]
HERE = ["--trainer.accelerator", "cpu", "--trainer.strategy", "auto"]
BODY = ["--model.hidden", "[8]", "--model.test_samples", "2", "--model.gradient_clip_norm", "5.0"]
MODELS = {
    "gumbel": [
        *(
            "--model",
            "DiscreteVAE",
            *BODY,
            "--model.num_variables",
            "2",
            "--model.num_categories",
            "3",
        ),
        *("--model.anneal_rate", "0.01", "--model.anneal_every", "3"),
        *(
            "--model.beta_warmup",
            "20",
            "--trainer.callbacks",
            "vae.ShadowEstimators",
        ),
        *("--trainer.callbacks.estimators", "[rebar, reinforce]"),
        *("--trainer.callbacks.every_n_steps", "15", "--trainer.callbacks.replicates", "4"),
        *("--trainer.callbacks.images", "2", "--trainer.callbacks.warm_up_steps", "1"),
    ],
    "nvil": [
        *("--model", "GaussianVAE", *BODY, "--model.latent_dim", "2", "--model.estimator", "nvil")
    ],
}
CUT, STEPS = 17, 31  # inside the first epoch, and the second
