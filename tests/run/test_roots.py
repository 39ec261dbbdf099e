"""The modules that a configuration's classes make trusted."""

from vae.run.continued import roots


def test_of_torch_no_more_is_trusted_than_a_configuration_names():
    """All of torch holds functions that write files and load code."""
    optimizer = {"class_path": "torch.optim.RMSprop", "init_args": {"lr": 0.1}}
    parts = {"encoder": {"class_path": "mine.parts.Wide"}, "optimizer": optimizer}
    spec = {"class_path": "vae.VAEModule", "init_args": parts}
    assert roots(spec) == ["mine", "torch.optim"]
