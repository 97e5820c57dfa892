"""regen-vcs: git keeps the recipe, the media follow.

    with regen_vcs.open("film") as project:
        for asset in project.status():
            print(asset.path, asset.state)

docs/api.md has the rest. What stands below is imported when it is asked for: a hook of git pays for none of it.
"""

__version__ = "0.1.0"

TYPE_CHECKING = False  # as typing has it: importing that costs a hook 10 ms
if TYPE_CHECKING:
    from regen_vcs.api import (  # noqa: F401
        Project,
        RegenerationError,
        RegenerationPriority,
        RegenerationQueue,
        RegenerationTask,
        open,
    )

# Without `open`, which `from regen_vcs import *` must not put in the place of Python's own.
__all__ = ["Project", "RegenerationError", "RegenerationPriority", "RegenerationQueue", "RegenerationTask", "__version__"]


def __getattr__(name):
    if name != "open" and name not in __all__:
        raise AttributeError(f"module 'regen_vcs' has no attribute {name!r}")
    from regen_vcs import api

    return getattr(api, name)


def __dir__():
    return [*globals(), *__all__, "open"]
