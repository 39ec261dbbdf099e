"""Finds MNIST, or downloads it, and verifies its checksums."""

import shell  # noqa: F401  # first: Ctrl-C while the rest is imported

from vae.cli.errors import one_line_errors
from vae.cli.parser import ScriptParser
from vae.data.mnist_files import prepare_mnist

if __name__ == "__main__":
    with one_line_errors():
        ScriptParser(description=__doc__).parse_args()
        print(prepare_mnist())
