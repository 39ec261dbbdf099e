"""``vae fit --help`` and its like name what can be chosen, in words that hold here."""

import re

import pytest

from vae.cli.app import VAECLI
from vae.cli.errors import clear
from vae.cli.help import choices
from vae.cli.train_many import ManyCLI


def said(capsys, *words, cli=VAECLI):
    """What a help option prints, in one line."""
    with pytest.raises(SystemExit) as ended:
        cli(["fit", *words])
    assert ended.value.code == 0
    return re.sub(r"\s+", " ", capsys.readouterr().out)


@pytest.mark.parametrize("cli", [VAECLI, ManyCLI])
def test_help_begins_with_the_verb_and_is_of_this_library(cli, capsys):
    text = said(capsys, "--help", cli=cli)
    assert text.startswith(f"usage: {cli.usage.split(' [')[0]} [--config FILE]")
    for foreign in ("full optimization routine", "A DataModule standardizes", "registry:model"):
        assert foreign not in text
    assert "one of the package's by name: belief_net_disarm, " in text
    kinds = re.findall(r"known subclasses: ([^)]*)\)", text)
    models = next(kind for kind in kinds if "vae.GaussianVAE" in kind)
    assert {"vae.VAEModule", "vae.ContinuousVAE", "vae.DiscreteVAE"} <= {*models.split(", ")}
    assert not re.search(r"vae\.\w+\.\w+", models)  # but for those of other tests, public names
    assert "vae.MNISTDataModule" in text and "PlainImages" not in text


def test_the_help_of_a_module_names_the_parts_that_can_be_chosen(capsys):
    text = said(capsys, "--model.help", "VAEModule")
    kinds = [kinds.split(", ") for kinds in re.findall(r"known subclasses: ([^)]*)\)", text)]
    for part in ("Encoder", "Decoder"):  # with those of other tests, perhaps
        bodies = {f"vae.{body}{part}" for body in ("MLP", "Conv", "Residual")}
        assert any(bodies <= {*found} for found in kinds)
    assert " RMSprop," in text
    assert "torchvision" not in text and "torch.nn.Linear" not in text
    assert "(set by the data)" in text and "(required" not in text
    assert len(text) < 20_000


def test_a_class_of_ones_own_is_among_the_choices():
    known = ["torch.nn.Module", "torch.nn.Linear", "torchvision.models.vision.Encoder"]
    known += ["vae.MLPEncoder", "vae.models.networks.Encoder", "vae.ELBO", "mine.MyEncoder"]
    assert choices(known, "encoder") == ["vae.MLPEncoder", "mine.MyEncoder"]
    known = ["vae.OneHot", "vae.models.latents.positive.PositiveLatent", "mine.Own"]
    assert choices(known, "latent") == ["vae.OneHot", "mine.Own"]


def test_an_option_of_a_class_that_is_not_named_says_what_to_name(capsys):
    with pytest.raises(SystemExit) as ended:
        VAECLI(["fit", "--model", "VAEModule", "--model.objective.analytic_kl", "false"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "error: objective: name its class before the class's option analytic_kl, as in"
        " --model.objective CLASS\n"
    )


def test_a_complaint_is_made_once():
    union = (
        "Does not validate against any of the Union subtypes Errors: - Expected a dot import path"
    )
    union += (
        " string: rlo - Expected a dot import path string: rlo Given value type: x Given value: y"
    )
    assert clear(union).count("no class of this kind is called rlo") == 1
