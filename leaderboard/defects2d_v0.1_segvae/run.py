"""Make the results of defects2d_v0.1_segvae again.

    python run.py [FOLDER]

writes the same predictions to FOLDER, by default the folder `rerun` beside this file.
The packages it was made with are listed in info.json.
"""

import sys
from pathlib import Path

from matbench_segvae.cli import main

RUNS = [
    "--task defects2d_mos2_low --algorithm segvae --seed 0 --seeds 5",
    "--task defects2d_mos2_low_gap --algorithm segvae --seed 0 --seeds 5",
    "--task defects2d_mos2_low_homo --algorithm segvae --seed 0 --seeds 5",
    "--task defects2d_mos2_low_transfer --algorithm segvae --seed 0 --seeds 5",
    "--task defects2d_mos2_transfer --algorithm segvae --seed 0 --seeds 5",
    "--task defects2d_mos2_low_families --algorithm segvae --seed 0",
    "--task defects2d_mos2_v2 --algorithm segvae --seed 0",
    "--task defects2d_mos2_v3 --algorithm segvae --seed 0",
    "--task defects2d_mos2_x2 --algorithm segvae --seed 0",
    "--task defects2d_xtb_hbn --algorithm segvae --seed 0",
    "--task defects2d_xtb_mos2 --algorithm segvae --seed 0",
]

if __name__ == "__main__":
    beside = Path(__file__).resolve().parent / "rerun"
    folder = sys.argv[1] if len(sys.argv) > 1 else str(beside)
    for options in RUNS:
        status = main(["run", *options.split(), "--out", folder])
        if status != 0:
            sys.exit(status)
