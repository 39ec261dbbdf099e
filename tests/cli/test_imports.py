"""What a verb imports: nothing that takes a second and is of no use to it.

The verbs run one after the other in one interpreter, those that import the least first.
"""

import subprocess
import sys

HEAVY = "lightning wandb torchvision torchmetrics matplotlib sympy torch._dynamo".split()

LOOK = f"""
import contextlib, gc, io, sys
def look(what, *absent):
    found = [name for name in absent if name in sys.modules]
    assert not found, f"{{what}} imports {{', '.join(found)}}"

def vae(*words):
    from vae.cli.main import run
    with contextlib.redirect_stdout(io.StringIO()):
        run(words[0], "vae", list(words[1:]))

heavy = {HEAVY}
"""


def in_an_interpreter(code):
    done = subprocess.run([sys.executable, "-c", LOOK + code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr.splitlines()[-1]


def test_verbs_import_what_they_use(trained_run, tmp_path):
    in_an_interpreter(f"""
import vae as library
look("vae", "torch", "jsonargparse", *heavy)
for mistaken in (["sample", "nothing.ckpt"], ["evaluate", "nothing.ckpt"]):
    with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.suppress(SystemExit):
        vae(*mistaken)
    assert "no checkpoint at nothing.ckpt" in said.getvalue()
    look(mistaken, "torch", *heavy)
run, images = {str(trained_run("gaussian"))!r}, {str(tmp_path)!r} + "/images"
assert library.load(run).image_shape == (1, 8, 8)
look("vae.load", "PIL", "rich", *heavy)
frozen = gc.get_freeze_count()
vae("sample", run, "--output", images + "/samples.png")
look("vae sample", "rich", "sklearn", *heavy)
assert gc.isenabled() and gc.get_freeze_count() == frozen, "torch was there: nothing is frozen"
vae("reconstruct", run, "--output", images + "/reconstructions.png")
vae("encode", run, "--limit", "9", "--output", images + "/codes.npz")
vae("evaluate", run, "--log_likelihood", "2", "--output", images + "/evaluation.json")
look("vae evaluate", *heavy)
from vae.data.images.mnist import MNIST
look("MNIST", *heavy)
heavy.remove("sympy")  # in which the costs of estimators are written
vae("estimators")
look("vae estimators", *heavy)
""")


def test_a_first_import_is_not_looked_through_by_the_garbage_collector(trained_run, tmp_path):
    in_an_interpreter(f"""
vae("sample", {str(trained_run("gaussian"))!r}, "--output", {str(tmp_path / "samples.png")!r})
assert gc.isenabled() and gc.get_freeze_count() > 100_000, gc.get_freeze_count()
""")


def test_the_collector_stays_as_it_was():
    in_an_interpreter("""
from vae.cli.imports import uncollected
gc.disable()
with uncollected():
    pass
assert not gc.isenabled() and not gc.get_freeze_count()
gc.enable()
with contextlib.suppress(ValueError), uncollected():
    assert not gc.isenabled()
    raise ValueError
assert gc.isenabled() and gc.get_freeze_count()
""")
