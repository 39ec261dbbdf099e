"""Text is read and written as UTF-8, whatever the locale: the encoding is named wherever there is text."""

import ast
import json
import re
from pathlib import Path

import pytest

from vae.run.files import read_json, write_json
from vae.run.plain_yaml import read_yaml
from vae.whole_files import replace_text, utf8

ROOT = Path(__file__).parents[1]
CALLS = re.compile(
    r"\b(open|fdopen|read_text|write_text|TextIOWrapper)\(|\b(text|universal_newlines)=True"
)
DECODES = ("text", "universal_newlines")
BINARY = ("os.open", "gzip.open", "tarfile.open", "Image.open", "archive.open")


def unnamed(source):
    """The calls of a file that take the locale's encoding."""
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call):
            continue
        function = ast.unparse(call.func)
        name = function.rpartition(".")[2]
        options = {option.arg for option in call.keywords}
        decodes = any(
            option.arg in DECODES and ast.unparse(option.value) == "True"
            for option in call.keywords
        )
        words = [
            word.value
            for word in [*call.args, *(option.value for option in call.keywords)]
            if isinstance(word, ast.Constant) and isinstance(word.value, str)
        ]
        binary = function in BINARY or any(re.fullmatch(r"[rwax]\+?b\+?", w) for w in words)
        opens = name in ("open", "fdopen", "TextIOWrapper") and not binary
        if "encoding" not in options and (opens or name in ("read_text", "write_text") or decodes):
            yield ast.unparse(call)


def test_every_text_names_its_encoding():
    found = {}
    for path in [*ROOT.glob("vae/**/*.py"), *ROOT.glob("experiments/**/*.py")]:
        source = path.read_text(encoding="utf-8")
        if CALLS.search(source) and (calls := list(unnamed(source))):
            found[str(path.relative_to(ROOT))] = calls
    assert not found


@pytest.mark.parametrize(
    "source",
    ["p.read_text()", "p.write_text(t)", "open(p)", "p.open('w')", "os.fdopen(3, mode='r')",
     "run(words, text=True)"],
)  # fmt: skip
def test_a_text_without_an_encoding_is_seen(source):
    assert CALLS.search(source) and list(unnamed(source))


@pytest.mark.parametrize("read", [read_json, read_yaml])
def test_a_file_that_is_not_utf8_is_said_to_be(read, tmp_path):
    (path := tmp_path / "latin.txt").write_bytes("{name: é}".encode("latin-1"))
    with pytest.raises(ValueError, match=r"latin.txt is not text in UTF-8.*: save it as such"):
        read(path)


def test_names_that_python_could_not_decode_are_written_with_their_bytes(tmp_path):
    in_ascii = "Prüfung".encode().decode("ascii", "surrogateescape")  # as sys.argv has it
    write_json(tmp_path / "a.json", {"command": f"vae fit {in_ascii}"})
    assert read_json(tmp_path / "a.json") == {"command": "vae fit Prüfung"}
    assert "Prüfung" in (tmp_path / "a.json").read_text(encoding="utf-8")
    replace_text(tmp_path / "a.txt", in_ascii)
    assert (tmp_path / "a.txt").read_bytes() == "Prüfung".encode()
    assert utf8("a\udce9b\ud800") == "a\ufffdb\ufffd".encode()  # in Latin-1; half a character
    assert json.loads(utf8(json.dumps("±"))) == "±"
