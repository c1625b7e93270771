"""The command line: `jaxwalk` walks the worked example, `jaxwalk walk FILE.py --data PATH` your model."""

import importlib
import signal
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, and return its exit status, as `_cli.main.main` does, which is not imported before."""
    return importlib.import_module("._cli.main", "jaxwalk").main(arguments)


def run() -> None:
    """Run a program that is this command. Ctrl-C ends it without a traceback, before and after the command too."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(main())


if __name__ == "__main__":
    run()
