"""The trained network, as `jaxwalk walk model.py --data FILE` takes it: `objective(params, x, y)` and `params`.

The weights are those that train.py wrote: `weights.npz` beside this file, or the file that DIGITS_WEIGHTS names.
"""

import os
from pathlib import Path

from network import load, network, objective

WEIGHTS = Path(os.environ.get("DIGITS_WEIGHTS", Path(__file__).with_name("weights.npz")))

params = load(WEIGHTS)

__all__ = ["network", "objective", "params"]
