"""Finds MNIST, or downloads it, and verifies its checksums."""

import shell  # noqa: F401  # first: Ctrl-C while the rest is imported

from vae.cli.messages import ScriptParser, one_line_errors
from vae.data.mnist import load_mnist
from vae.data.module import data_dir

if __name__ == "__main__":
    with one_line_errors():
        ScriptParser(description=__doc__).parse_args()
        train, test = load_mnist(train=True), load_mnist(train=False)
        print(
            f"MNIST in {data_dir()}: {len(train)} training and {len(test)} test images, verified"
        )
