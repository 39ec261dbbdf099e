"""Models to and from the Hugging Face hub, in one line each.

>>> vae.HubModel.from_checkpoint("runs/...").push_to_hub("me/digits")  # doctest: +SKIP
>>> images = vae.HubModel.from_pretrained("me/digits").vae.sample(16)  # doctest: +SKIP

Weights go as safetensors; ``config.json`` names the classes of the parts, as a checkpoint does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from torch import Tensor

from vae.models.composition import Composition
from vae.models.hub_folder import CONFIG, LIBRARY, NEEDED, WEIGHTS, configuration, is_folder
from vae.models.load import read
from vae.models.trust import trusting
from vae.run import provenance
from vae.run.checkpoint import find_checkpoint, folder_of
from vae.run.hub_card import card
from vae.whole_files import replace_bytes

if TYPE_CHECKING:
    from huggingface_hub import ModelCard, PyTorchModelHubMixin
    from typing_extensions import Self
else:
    try:
        from huggingface_hub import PyTorchModelHubMixin
    except ImportError:

        class PyTorchModelHubMixin:
            """In its place, so that the name can be imported; what is asked of it says so."""

            def __init_subclass__(cls, **options: Any) -> None:
                super().__init_subclass__()


__all__ = ["HubModel"]


CARD: Any = {
    "library_name": LIBRARY,
    "pipeline_tag": "unconditional-image-generation",
    "tags": ["variational-autoencoder"],
}
"""What the hub finds a model by."""


class HubModel(
    Composition,
    PyTorchModelHubMixin,  # type: ignore[misc]
    **CARD,
):
    """A trained model as the Hugging Face hub has it.

    ``save_pretrained(folder)`` and ``push_to_hub("me/name")`` are
    ``huggingface_hub.PyTorchModelHubMixin``'s; ``.vae`` is the model.

    Arguments:
        composition: The model, and what it was trained by.
        config: What its ``config.json`` holds (:func:`vae.models.hub_folder.configuration`).

    Raises:
        ValueError: If huggingface_hub is not installed.
    """

    def __init__(self, composition: Composition, config: dict[str, Any]) -> None:
        _assert_there()
        super().__init__(
            composition.vae, composition.objective, composition.estimator, composition.schedules
        )
        self._hub_mixin_config: dict[str, Any] = config
        self.train(composition.vae.training)

    @classmethod
    def from_checkpoint(cls, path: str | Path | None = None, trust: Sequence[str] = ()) -> Self:
        """The model of a checkpoint, with where it comes from and what it achieved.

        Arguments:
            path: A checkpoint; a run's folder; or None for the newest run.
            trust: Modules of one's own whose classes it names (:mod:`vae.models.trust`).

        Raises:
            FileNotFoundError: If there is no checkpoint.
            ValueError: If it cannot be read, names a class that is not trusted, or does not fit.
        """
        _assert_there()
        with trusting(trust):
            loaded = read(find_checkpoint(path))
        contents, folder = loaded.contents, folder_of(loaded.path)
        about = {
            "training": provenance.training(folder, contents),
            "numbers": provenance.numbers(folder, loaded.path, contents),
        }
        return cls(loaded.composition, _config(contents | {"vae": contents["vae"] | about}))

    @classmethod
    def from_module(cls, module: Any) -> Self:
        """The model of a module that was composed and trained in Python; it shares all weights.

        Arguments:
            module: A :class:`vae.VAEModule`, or one of its presets.

        Raises:
            ValueError: If there are no plain values that would make it again.
        """
        names = module.names()
        if names["parts"] is None and names["model"] is None:
            raise ValueError(f"no file can say how to make this model again: {names['why_not']}")
        own = names | {"data": None, "data_why_not": "the model came from Python, without them"}
        return cls(module.composition, _config({"vae": own, "global_step": None}))

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        trust: Sequence[str] = (),
        **options: Any,
    ) -> Self:
        """The model of a folder, or of a repository on the hub; in evaluation mode, on the CPU.

        Arguments:
            pretrained_model_name_or_path: A folder, or a repository such as ``me/digits``.
            trust: Modules of one's own whose classes it names. To import a module runs its code.
            options: Those of ``huggingface_hub.hf_hub_download``: ``revision``, ``token``,
                ``cache_dir``, ``force_download``, ``local_files_only``; none for a folder.

        Raises:
            FileNotFoundError: If there is no such folder or repository, a file is missing, or the
                hub is not reached.
            ValueError: If a file is damaged, names a class that is not trusted, or does not fit;
                or a folder is given an option that is for the hub.
        """
        _assert_there()
        folder = Path(pretrained_model_name_or_path).expanduser()
        if not folder.is_dir():
            folder = _downloaded(str(pretrained_model_name_or_path), options)
        elif not is_folder(folder):
            raise FileNotFoundError(
                f"{folder} holds no {WEIGHTS}: name a folder that save_pretrained made"
            )
        elif options:
            raise ValueError(f"{folder} is a folder here: {', '.join(options)} is for the hub")
        with trusting(trust):
            loaded = read(folder)
        return cls(loaded.composition, configuration(loaded.contents))

    def forward(self, x: Tensor) -> Tensor:
        """Reconstructions of images ``(B, *image)``: :meth:`vae.models.vae.VAE.forward`."""
        return self.vae(x)

    def save_pretrained(self, save_directory: str | Path, **options: Any) -> str | None:
        """Writes a folder, each of its files whole or not at all; a README.md that is there stays.

        Arguments:
            save_directory: The folder; it is made if it is not there.
            options: Those of ``huggingface_hub.PyTorchModelHubMixin.save_pretrained``.

        Returns:
            The commit's address if it is pushed too.

        Raises:
            OSError: If a file cannot be written.
        """
        folder = Path(save_directory).expanduser()
        with TemporaryDirectory() as held:
            address = super().save_pretrained(held, **{"repo_id": folder.name} | options)
            for file in sorted(Path(held).iterdir(), reverse=True):  # the weights first
                if file.name != "README.md" or not (folder / file.name).exists():
                    replace_bytes(folder / file.name, file.read_bytes())
        return None if address is None else str(address)

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Uploads weights, ``config.json`` and a model card; returns the commit's address.

        Arguments:
            repo_id: The repository, such as ``me/digits``; it is made if it is not there.
            options: Those of ``huggingface_hub.PyTorchModelHubMixin.push_to_hub``.
        """
        named = {"name": repo_id} | (options.pop("model_card_kwargs", None) or {})
        return str(super().push_to_hub(repo_id, model_card_kwargs=named, **options))

    def generate_model_card(self, name: str = "") -> ModelCard:
        """The README.md of the folder: parts, numbers with their labels, how it was trained.

        Arguments:
            name: The repository's, where it is known.
        """
        from huggingface_hub import ModelCard, ModelCardData

        data = ModelCardData(**CARD)
        return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{card(self._hub_mixin_config, name)}")

    def _save_pretrained(self, save_directory: Path) -> None:
        """Writes the weights, every one of them: the mixin's own way leaves out those tied."""
        from safetensors.torch import save_file

        weights = {
            name: value.detach().cpu().contiguous().clone()
            for name, value in self.state_dict().items()
        }
        save_file(weights, save_directory / WEIGHTS, metadata={"format": "pt"})


def _assert_there() -> None:
    """Raises a ValueError, in one line, where the extra is not installed."""
    try:
        import huggingface_hub  # noqa: F401
        import safetensors  # noqa: F401
    except ImportError:
        raise ValueError(NEEDED) from None


def _config(contents: dict[str, Any]) -> dict[str, Any]:
    """A configuration without paths of this machine: it is meant for others."""
    own = dict(contents["vae"])
    if provenance.has_path(own.get("data")):
        own |= {"data": None, "data_why_not": "they were read from a path of another machine"}
    own["training"] = {
        name: value
        for name, value in (own.get("training") or {}).items()
        if not provenance.has_path(value)
    }
    return configuration({**contents, "vae": own})


def _downloaded(name: str, options: dict[str, Any]) -> Path:
    """The folder in the cache that holds a repository's two files."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HFValidationError

    try:
        files = [hf_hub_download(name, file, **options) for file in (CONFIG, WEIGHTS)]
    except HFValidationError:
        raise FileNotFoundError(
            f"{name} is no folder, and no name of a repository on the hub (such as me/digits)"
        ) from None
    except (OSError, EntryNotFoundError) as error:
        said = " ".join(str(error).split())
        raise FileNotFoundError(
            f"{name} is no folder, and the hub does not give it: {said}"
        ) from None
    return Path(files[-1]).parent
