"""The words of a command line, before they are parsed."""

from vae.cli.arguments import with_classes_first


def test_a_class_comes_before_its_options():
    words = ["--data", "D", "--model.hidden", "[16]", "--model.x=3", "--model", "M", "--name", "x"]
    assert with_classes_first(words) == [
        "--data", "D", "--model", "M", "--model.hidden", "[16]", "--model.x=3", "--name", "x"
    ]  # fmt: skip
    for unchanged in (["--model=M", "--model.x", "3"], ["--model.x", "3"], ["--model"], []):
        assert with_classes_first(unchanged) == unchanged
