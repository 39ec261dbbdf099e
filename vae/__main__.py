"""``python -m vae``: the ``vae`` command."""

import sys

from vae.cli.main import main

if __name__ == "__main__":
    sys.argv[0] = "vae"
    main()
