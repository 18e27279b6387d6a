"""The command line; importing it loads neither torch nor matbench."""

from matbench_segvae.cli.app import app, main

__all__ = ["app", "main"]
