"""The command line: `jaxwalk` walks the worked example, `jaxwalk walk FILE.py --data PATH` your model."""

import sys

from ._cli.main import main as main

if __name__ == "__main__":
    sys.exit(main())
