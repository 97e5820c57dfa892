"""`python -I …/regen_vcs/__main__.py …`: what hooks and filter call. The same as the `regen-vcs` command."""

import _signal  # `signal` builds enums at import, which a hook need not pay for
import os.path
import sys

# Until somebody can handle ^C it ends us as it ends any program: nothing was begun, and a traceback says nothing.
if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

# Blender's addon brings us and our libraries in a folder of its own, which `-I` keeps off the module path. There it comes before
# what the Python that runs us has of the same libraries, and after its standard library.
_home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if _home not in sys.path:
    _first = next((at for at, path in enumerate(sys.path) if path.endswith(("site-packages", "dist-packages"))), len(sys.path))
    sys.path.insert(_first, _home)

from regen_vcs.cli.main import run  # noqa: E402 - after the module path is what it should be

if __name__ == "__main__":
    run()
