"""`python -I …/regen_vcs/__main__.py …`: what hooks and filter call. The same as the `regen-vcs` command."""

from regen_vcs.cli.main import run

if __name__ == "__main__":
    run()
