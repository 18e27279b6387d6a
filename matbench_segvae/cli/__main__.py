"""``python -m matbench_segvae.cli``."""

import sys

from matbench_segvae.cli import main

sys.exit(main())
