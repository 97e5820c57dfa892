"""`python -I …/regen_vcs/__main__.py …`: what hooks and filter call. The same as the `regen-vcs` command."""

import _signal  # `signal` builds enums at import, which a hook need not pay for

# Until somebody can handle ^C it ends us as it ends any program: nothing was begun, and a traceback says nothing.
if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

from regen_vcs.cli.main import run

if __name__ == "__main__":
    run()
