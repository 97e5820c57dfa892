"""The click group: one thin file a command, imported when the command is called."""

from __future__ import annotations

import importlib

import click

from regen_vcs import __version__
from regen_vcs.errors import Interrupted, UsageError

# name: (module below regen_vcs.cli, one line of help). `tests/architecture` checks that each is documented.
COMMANDS = {
    "init": ("setup", "Set up this repository: attributes, hooks, regen.toml, first sync."),
    "install": ("setup", "Set up git for all repositories of this user (--global)."),
    "uninstall": ("setup", "Take back what init or install did."),
    "track": ("track", "Say what is media here, so that git ignores it."),
    "untrack": ("track", "Take a track pattern back."),
    "generate": ("generate", "Write a recipe and make its asset."),
    "add": ("add", "Capture existing media."),
    "set": ("edit", "Change parameters of a recipe."),
    "mv": ("edit", "Move an asset, its sidecar, and what refers to it."),
    "rm": ("edit", "Remove an asset and its sidecar."),
    "show": ("show", "Show a recipe, its takes and where it came from."),
    "explain": ("explain", "Say why an asset is stale, or was not found in the cache."),
    "status": ("status_command", "Show every asset that is not as its recipe says."),
    "graph": ("graph", "Show what is made from what."),
    "affected": ("graph", "Show which assets a change concerns."),
    "check": ("check", "Check sidecars as pre-commit does; for CI."),
    "sync": ("sync", "Make the working tree's media match its sidecars."),
    "fetch": ("fetch", "Bring accepted takes back, from the stores or a remote."),
    "push": ("push", "Bring the remotes what is accepted here and they lack."),
    "remote": ("remote", "Add, list, check and remove remotes."),
    "rescued": ("rescued", "List edited files that gave way, and bring them back."),
    "accept": ("accept", "Accept a regenerated or proposed result."),
    "takes": ("takes", "List an asset's takes, with the names that accept knows."),
    "regenerate": ("regenerate", "Run generators: for what is missing, stale or named."),
    "workset": ("workset", "Choose which assets this checkout holds; the rest stay recipes."),
    "root": ("root", "Say where @name/… inputs lie on this machine."),
    "queue": ("queue", "Show what is to be made; cancel, retry, follow it."),
    "worker": ("worker", "Make what is queued."),
    "job": ("job", "Pack one job into a file, run it anywhere, bring its result home."),
    "watch": ("watch", "Sync whenever sidecars change on disk."),
    "models": ("models", "Show the models that recipes use, and what this machine has."),
    "schema": ("schema", "Print a generator's JSON Schema, or export all of them."),
    "trust": ("trust", "Show what could run here, and allow it."),
    "config": ("config", "Print every setting and where it comes from."),
    "export": ("export", "Write all recipes into one small file."),
    "restore": ("restore", "Bring recipes back, from such a file or from what is still known."),
    "verify": ("verify", "Make accepted takes again, and note whether they come out the same."),
    "pin": ("pin", "Keep a take whatever happens."),
    "unpin": ("pin", "Take pins away."),
    "du": ("du", "Show where the bytes are, and what the cache has saved."),
    "gc": ("gc", "Give back the room of what nobody needs any more."),
    "fsck": ("fsck", "Re-hash the stores and say what is wrong."),
    "doctor": ("doctor", "Say what is wrong with this set-up, and how to mend it."),
    "stand-in": ("stand_in", "Draw pictures and sounds to be shown for what is missing."),
    "addon": ("addon", "Write the zip of the Blender addon."),
    "completion": ("completion", "Print shell completion for bash, zsh or fish."),
}


class LazyGroup(click.Group):
    """Imports a command's module when it is called or asked for help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"regen_vcs.cli.{COMMANDS[name][0]}")
        return getattr(module, f"{name}_command".replace("-", "_"))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_module, text) in COMMANDS.items()])

    def resolve_command(self, ctx: click.Context, args: list[str]):
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            raise UsageError(f"there is no command {args[0]!r}", _near(args[0])) from None


def _near(word: str) -> str:
    import difflib

    near = difflib.get_close_matches(word, COMMANDS, n=1)
    return f"did you mean {near[0]}?" if near else "see: regen-vcs --help"


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="regen-vcs %(version)s")
def regen_vcs() -> None:
    """Git keeps the recipe, the media follow.

    \b
    A first asset:
      regen-vcs init
      regen-vcs generate sky.png --generator texture --param kind=fbm --param seed=42
      git add -A && git commit -m "sky"
    """


def main(argv: list[str]) -> int:
    """Run one command through click; its exit code. Our errors pass through to the one handler."""
    try:
        result = regen_vcs.main(args=argv, prog_name="regen-vcs", standalone_mode=False)
    except click.exceptions.Abort:
        raise Interrupted("interrupted") from None
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help())
        return 0
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx and error.ctx.parent else "regen-vcs"
        raise UsageError(" ".join(error.format_message().split()), f"see: {where} --help") from None
    except click.ClickException as error:
        raise UsageError(error.format_message()) from None
    except click.exceptions.Exit as error:
        return error.exit_code
    return result if isinstance(result, int) else 0
