"""Making what assets of the second layout have lost: their documents are recipes like any sidecar's."""

from __future__ import annotations

from collections.abc import Callable

from regen_vcs.engine.desired import Desired
from regen_vcs.engine.in_place import Asset, swap
from regen_vcs.engine.keys import Inputs
from regen_vcs.engine.planner import Bring
from regen_vcs.engine.production import Producer, Take, make_order
from regen_vcs.engine.prospects import prospects_of
from regen_vcs.engine.scheduling import downstream_seconds
from regen_vcs.engine.settling import Made
from regen_vcs.engine.sync import Outcome, Snapshot, look
from regen_vcs.engine.takes import measure
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import InvalidError, RegenError
from regen_vcs.model.recipe import Recipe, parse_recipe


class _InPlaceInputs(Inputs):
    """Resolves inputs of sidecars and of documents alike."""

    def __init__(self, snapshot: Snapshot, documents: dict[str, bytes]):
        ws = snapshot.ws
        super().__init__(ws.repo, ws.state, ws.memo, snapshot.assets, ws.settings.roots())
        self._documents = documents

    def recipe_of(self, desired: Desired) -> Recipe:
        document = self._documents.get(desired.path)
        return super().recipe_of(desired) if document is None else parse_recipe(document, desired.path)


def prospects(ws: Workspace, nowhere: list[Asset]) -> tuple[Snapshot, dict[str, Bring]]:
    """How each of these can come back, and the snapshot that `make_in_place` wants."""
    snapshot = look(ws, paths=set())
    wanted = []
    for asset in nowhere:
        name = ws.memo.facts(asset.document, asset.entry.oid, asset.path)[0]
        wanted.append(Desired(asset.path, asset.facts, asset.disk.sig, name, True, False, False))
    snapshot.assets.update((each.path, each) for each in wanted)
    snapshot.inputs = _InPlaceInputs(snapshot, {each.path: each.document for each in nowhere})
    return snapshot, prospects_of(snapshot, wanted)


def make_in_place(
    snapshot: Snapshot, wanted: list[Asset], outcome: Outcome, making: Callable[[str, float, str], None] | None
) -> list[Made]:
    """Run the generators of these; accepted bytes, or others of the same content, take the document's place."""
    assets = {each.path: each for each in wanted}
    waits = {path: _upstream(snapshot, path) & assets.keys() for path in assets}
    made, failed = [], set()
    order = sorted(assets, key=downstream_seconds(waits, {}).get, reverse=True)  # what others are made from comes first
    with Producer(snapshot.ws.environ, progress=_by_path(making)) as producer:
        for path in order:
            blocker = next((each for each in waits[path] if each in failed), None)
            result = _run_one(producer, snapshot, path, blocker)
            if isinstance(result, RegenError):
                failed.add(path)
            made.append(_settle(snapshot.ws, assets[path], result, outcome))
    return made


def _run_one(producer: Producer, snapshot: Snapshot, path: str, blocker: str | None) -> Take | RegenError:
    try:
        if blocker:
            raise RegenError(f"{path}: blocked: its input {blocker} failed")
        producer.submit(make_order(snapshot, path), snapshot)
    except RegenError as error:
        return error
    while not (ended := producer.collect(0.2)):
        pass
    return ended[0][1]


def _by_path(making):
    return making and (lambda order, fraction, message: making(order.path, fraction, message))


def _upstream(snapshot: Snapshot, path: str) -> set[str]:
    try:
        return set(snapshot.inputs.targets(snapshot.assets[path]).values())
    except InvalidError:
        return set()


def _settle(ws: Workspace, asset: Asset, result: Take | RegenError, outcome: Outcome) -> Made:
    path, facts = asset.path, asset.facts
    if isinstance(result, RegenError):
        return Made(path, "failed", None, result, None)
    same = result.hash == facts.out_hash
    equal = facts.out_content is not None and result.output.content == facts.out_content
    if not same and not equal:
        # On disk it would be an edit to git: the document stays, and the take is kept under its key.
        score = measure(ws, facts.out_hash, result.hash)
        outcome.plan.notices.append(
            f"{path}: regenerated, but not the accepted result; its document stays, the take is {result.hash[:12]}… in keep"
        )
        return Made(path, "drifted", result, None, score)
    try:
        swap(ws, asset, result.hash)
    except RegenError as error:
        return Made(path, "failed", result, error, None)
    except OSError as error:
        return Made(path, "failed", result, RegenError(f"{path}: {error.strerror or error}"), None)
    return Made(path, "restored" if same else "equal", result, None, None if same else 1.0)
