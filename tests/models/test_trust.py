"""Classes that a checkpoint names: judged before they are imported, and what they are afterwards."""

import sys
from dataclasses import dataclass
from enum import Enum
from functools import partial

import numpy as np
import pytest
import torch
from small import MODULES
from torch import nn

import vae
from vae.models.latents.base import Latent
from vae.models.load import load, rebuild
from vae.models.parts import Undescribable, current_name, describe, public_name
from vae.models.trust import assert_trusted, resolve, trusting

EVIL = "import pathlib\npathlib.Path(__file__).with_suffix('.ran').touch()\n"


@pytest.fixture
def evil(tmp_path, monkeypatch):
    """A module that can be imported, and leaves a trace when it is."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "evil.py").write_text(
        EVIL + "from torch import nn\nclass Body(nn.Module):\n    out_features = 3\n"
        "    def __init__(self, shape, width=3):\n        super().__init__()\n        self.flat ="
        " nn.Sequential(nn.Flatten(), nn.Linear(64, 3))\n    def forward(self, x):\n"
        "        return self.flat(x)\n"
    )
    yield tmp_path / "evil.ran"
    sys.modules.pop("evil", None)


def saved(path, **changes):
    """A checkpoint whose names are changed."""
    module = MODULES["gaussian"]()
    names = module.names()
    names["parts"] |= changes
    torch.save({"vae": names | {"data": None}, "state_dict": module.state_dict()}, path)
    return path


FOREIGN = [
    {"encoder": {"class_path": "evil.Body"}},
    {"encoder": {"class_path": "evil.sub.Body"}},
    {
        "encoder": {
            "class_path": "vae.MLPEncoder",
            "init_args": {"hidden": {"class_path": "evil.X"}},
        }
    },
    {"schedules": {"beta": {"class_path": "evil.Body"}}},
    {"encoder": {"class_path": "vae.MLPEncoder", "init_args": {"activation": "evil.Body"}}},
    {"estimator": "evil.Body"},
    {"encoder": "{class_path: evil.Body}"},
    {"encoder": '{"class_path": "evil.Body", "init_args": {"width": 3}}'},
    {"encoder": " evil.Body "},
    {"encoder": "'evil.Body'"},
    {"encoder": {"class_path": " evil.Body"}},
    {"encoder": ["[{class_path: evil.Body}]"]},
    {"schedules": "{beta: {class_path: evil.Body}}"},
    {"encoder": '"\\x65vil.Body"'},
    {"encoder": '{"class_path": "\\x65vil.Body"}'},
    {"encoder": '"{class_path: \\x65vil.Body}"'},
    {"latent": "? class_path\n: evil.Body\n"},
    # no YAML of PyYAML's own loader, which takes the width for a date, but of the parser's
    {"encoder": "{class_path: evil.Body, init_args: {width: 2001-99-99}}"},
    {"latent": [{"class_path": "evil.Body"}]},
]


@pytest.mark.parametrize("change", FOREIGN)
def test_a_foreign_module_is_refused_and_not_imported(change, evil, tmp_path):
    path = saved(tmp_path / "x.ckpt", **change)
    with pytest.raises(ValueError, match="would run the module evil; .*--trust evil") as error:
        load(path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)
    assert not evil.exists() and "evil" not in sys.modules


NOT_OURS = [
    "os.system",
    "posix.system",
    "builtins.exec",
    "vae.cli.os.system",
    "vae.cli.app.os.system",
    "vae.run.files.os",
    "vae.cli.app.sys",
    "vae.models.vae.nn.Sequential",
    "vae.models.vae.Tensor",
    "vae.estimators.base.Callable",
    "vaeevil.Body",
    "torch.optim.adam.torch.save",
    "torch.hub.load",
    "torch.nn.Sequential",
    "..os.system",
    "vae.",
    "",
]


@pytest.mark.parametrize("name", NOT_OURS)
def test_a_name_that_only_begins_like_ours_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.setattr("os.system", lambda *_: pytest.fail("it was called"))
    for part in ("encoder", "latent", "likelihood", "objective"):
        with pytest.raises(ValueError, match="refused|not there|no module|would run") as error:
            load(saved(tmp_path / "x.ckpt", **{part: {"class_path": name}}))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "part, name",
    [("latent", "vae.ELBO"), ("encoder", "vae.ELBO.forward"), ("latent", "vae.MLPEncoder"),
     ("objective", "vae.OneHot"), ("latent", "vae.run.files.write_json"),
     ("likelihood", "vae.load"), ("schedules", "vae.OneHot"), ("latent", "torch.optim.SGD"),
     ("latent", "vae.Latent")],
)  # fmt: skip
def test_a_class_of_another_kind_is_refused(part, name, tmp_path):
    value = {"class_path": name} if part != "schedules" else {"beta": {"class_path": name}}
    with pytest.raises(ValueError) as error:
        load(saved(tmp_path / "x.ckpt", **{part: value}))
    assert name.rpartition(".")[2] in str(error.value), error.value


WRITES = {"path": "written", "text": "x"}


@pytest.mark.parametrize(
    "name, options",
    [("vae.whole_files.replace_text", WRITES), ("vae.run.lock.RunLock", {"run": "written"}),
     ("vae.HubModel.from_pretrained", {"name": "x", "trust": ["evil"]}), ("vae.HubModel", {}),
     ("vae.load", {"path": "x.ckpt", "trust": ["evil"]}), ("vae.cli.clean_runs.main", {}),
     ("vae.HubModel", {}), ("vae.HubModel.from_pretrained", {"trust": ["evil"]})],
)  # fmt: skip
def test_what_is_ours_and_no_part_is_not_called(name, options, tmp_path, monkeypatch):
    """An estimator's factory takes no argument, so that a checkpoint could give all of them."""
    monkeypatch.chdir(tmp_path)
    value = {"class_path": name, "init_args": options}
    for change in ({"estimator": value}, {"estimator": name}, {"schedules": {"beta": [value]}}):
        with pytest.raises(ValueError, match="no class of a part: refused"):
            load(saved(tmp_path / "x.ckpt", **change))
    assert [path.name for path in tmp_path.iterdir()] == ["x.ckpt"]


def test_a_module_of_the_current_folder_is_seen_in_time(evil, tmp_path, monkeypatch):
    """It is not on the path of the installed command before parts are looked for."""
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(tmp_path))])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="would run the module evil"):
        assert_trusted({"encoder": "evil.Body"}, "x")


def test_a_class_in_a_class_is_found(evil):
    with trusting(["evil"]):
        _imported("Body").Inner = type("Inner", (nn.Module,), {"__module__": "evil"})
        assert resolve("evil.Body.Inner", nn.Module, "x") is _imported("Body").Inner
        _imported("Body").os = sys.modules["os"]
        for name in ("evil.Body.os.system", "evil.Body.os", "evil.pathlib.Path"):
            with pytest.raises(ValueError, match="refused|no module"):
                resolve(name, nn.Module, "x")


def test_a_module_that_the_user_names_is_trusted_and_no_other(evil, tmp_path, monkeypatch):
    module = vae.VAEModule(image_shape=(1, 8, 8), encoder=_imported("Body"))
    path = tmp_path / "x.ckpt"
    torch.save({"vae": module.names() | {"data": None}, "state_dict": module.state_dict()}, path)
    again = load(path, trust=["evil"])
    assert all(torch.equal(again.state_dict()[k], v) for k, v in module.vae.state_dict().items())
    monkeypatch.setenv("VAE_TRUST", "another, evil")
    load(path)
    with pytest.raises(ValueError, match="os.system.*refused|os.system, which is not|no module"):
        with trusting(["evil"]):
            resolve("evil.os.system", nn.Module, "x")
    with pytest.raises(ValueError, match="name of a module"), trusting(["e vil"]):
        pass


def _imported(name):
    return getattr(__import__("evil"), name)


def test_what_is_ours_and_torchs_optimisers_are_trusted():
    for name in vae.PLACES.keys() - {"HubModel"}:  # which reads files, and is no part
        if isinstance(getattr(vae, name), type):
            assert_trusted({"class_path": f"vae.{name}"}, "x")
    for name in ("torch.optim.AdamW", "torch.optim.lr_scheduler.StepLR", "vae.estimators.nvil"):
        assert_trusted({"init_args": [{"class_path": name}]}, "x")
    assert_trusted({"name": "a.b", "path": "x/y.ckpt", "number": 1.5, "none": None}, "x")
    assert resolve("vae.OneHot", Latent, "x") is vae.OneHot
    with pytest.raises(ValueError, match="x names vae.OneHot, which is no VAE"):
        resolve("vae.OneHot", vae.VAE, "x")


# Names ----------------------------------------------------------------------------------------


def test_every_public_name_is_there_and_leads_back():
    for name in vae.PLACES:
        thing = getattr(vae, name)
        if isinstance(thing, type):
            assert public_name(thing) == f"vae.{name}"
    with pytest.raises(AttributeError, match="no attribute 'Nope'"):
        vae.Nope  # noqa: B018


def test_names_of_older_versions_lead_to_those_of_today():
    for old in ("vae.module.GaussianVAE", "vae.data.MNISTDataModule", "vae.latents.OneHot"):
        assert current_name(old) == f"vae.{old.rpartition('.')[2]}"
    assert vae.module.GaussianVAE is vae.GaussianVAE
    assert vae.data.DigitsDataModule is vae.DigitsDataModule
    assert current_name("mine.GaussianVAE") == "mine.GaussianVAE"
    assert current_name("vae.cli.os.system") == "vae.cli.os.system"


@dataclass
class Sizes:
    width: int


class Listed(vae.Schedule):
    def __init__(self, *values):
        self.values = values

    def __call__(self, step):
        return 0.0


class Positional(Listed):
    def __init__(self, value=1.0, /):
        self.value = value


def _width_of(image_shape, scale):
    return nn.Flatten()


def test_a_part_is_described_by_plain_values_or_says_why_not():
    estimator = vae.ScoreFunction(vae.Learned(7), scale=True)
    assert describe(estimator) == {
        "class_path": "vae.ScoreFunction",
        "init_args": {
            "baseline": {"class_path": "vae.Learned", "init_args": {"hidden": 7}},
            "scale": True,
        },
    }
    latent = partial(vae.OneHot, num_variables=3)
    assert describe(latent)["init_args"] == {"num_variables": 3}
    mode = Enum("Mode", {"FAST": 1}).FAST
    listed = [describe(value) for value in (mode, Sizes(2), np.float64(0.5), np.int64(3))]
    assert listed == ["FAST", {"width": 2}, 0.5, 3]
    assert [type(value) for value in listed] == [str, dict, float, int]
    tanh = describe(partial(vae.OneHot, tau=nn.Tanh))["init_args"]
    assert tanh == {"tau": "torch.nn.modules.activation.Tanh"}
    assert describe(Listed())["init_args"] == {}
    unnamed = (partial(_width_of, scale=2), Listed(1.0, 2.0), Positional())
    for bad in (lambda s: None, partial(vae.OneHot, 3), nn.Linear(2, 2), object(), *unnamed):
        with pytest.raises(Undescribable):
            describe(bad)


def test_a_module_with_a_lambda_is_loaded_with_a_module_that_is_given(tmp_path):
    def make():
        return vae.VAEModule(
            image_shape=(1, 8, 8), latent=lambda width: vae.OneHot(width, num_variables=3),
            estimator="rloo", objective=vae.ELBO(2),
        )  # fmt: skip

    module, path = make(), tmp_path / "x.ckpt"
    torch.save({"vae": module.names() | {"data": None}, "state_dict": module.state_dict()}, path)
    with pytest.raises(ValueError, match=r"lambda.*load\(path, module=\.\.\.\)") as error:
        load(path)
    assert "\n" not in str(error.value)
    again = load(path, module=make())
    assert all(torch.equal(again.state_dict()[k], v) for k, v in module.vae.state_dict().items())
    with pytest.raises(ValueError, match="does not fit"):
        load(path, module=MODULES["gaussian"]())


@pytest.mark.parametrize("name", MODULES)
def test_every_preset_is_made_again_from_its_parts(name):
    """Without its class, and so without Lightning."""
    module = MODULES[name]()
    contents = {"vae": module.names(), "state_dict": module.state_dict()}
    contents["vae"]["model"] = None
    again = rebuild(contents, "x.ckpt")
    assert again.state_dict().keys() == module.state_dict().keys()
    assert describe(again.schedules) == describe(module.schedules)
    x = torch.rand(3, 1, 8, 8).round()
    values = []
    for each in (module.eval(), again.eval()):
        torch.manual_seed(0)
        values.append(each.bound(x).bound)
    assert torch.equal(*values)


def test_lightnings_own_loading_is_gated_too(evil, tmp_path):
    module, path = MODULES["rloo"](), tmp_path / "x.ckpt"
    names = module.names() | {"data": None}
    torch.save({"vae": names, "state_dict": module.state_dict()}, path)
    again = vae.DiscreteVAE.load_from_checkpoint(path)
    assert type(again) is vae.DiscreteVAE and not again.training
    assert all(torch.equal(again.state_dict()[k], v) for k, v in module.state_dict().items())
    assert vae.VAEModule.load_from_checkpoint(path, test_samples=7).test_samples == 7
    with pytest.raises(ValueError, match="which is no GaussianVAE"):
        vae.GaussianVAE.load_from_checkpoint(path)
    names["model"]["init_args"]["likelihood"] = {"class_path": "evil.Body"}
    torch.save({"vae": names, "state_dict": module.state_dict()}, path)
    with pytest.raises(ValueError, match="--trust evil"):
        vae.VAEModule.load_from_checkpoint(path)
    assert not evil.exists()
