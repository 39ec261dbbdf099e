"""Readies the process of a script in this folder, not of a test that imports one."""

import sys
from pathlib import Path

from vae.cli.shell import prepare

if Path(sys.argv[0]).resolve().parent == Path(__file__).resolve().parent:
    prepare()
