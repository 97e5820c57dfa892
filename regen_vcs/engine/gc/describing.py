"""A plan in a few lines: what belongs together, how much it is, why it is safe, and what bringing it back would take."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterable

from regen_vcs import media
from regen_vcs.engine.gc.marking import Manifests
from regen_vcs.engine.gc.planning import (
    FORGOTTEN,
    IRREPLACEABLE,
    LOG,
    NEEDED,
    NEVER_ACCEPTED,
    UNSURE,
    YOUNG,
    Item,
)
from regen_vcs.engine.gc.recall import FETCHED
from regen_vcs.stores.objects import LocalStores

# objects, size: how many, and their bytes. seconds, cost (dollars): of bringing all of them back, as far as known; None: unknown,
# or nothing does. what, safe: words for people.
Group = namedtuple("Group", ("what", "objects", "size", "safe", "seconds", "cost"))
# One thing that nothing brings back. what: words for people, such as "image/png 4096x4096".
Treasure = namedtuple("Treasure", ("hash", "size", "what", "since"))

_WORDS = {
    NEVER_ACCEPTED: ("takes nobody accepted", "no commit, sidecar or pin names them, and the grace is over"),
    LOG: ("logs of runs", "their takes are gone, or accepted without them"),
    FORGOTTEN: ("forgotten", "you said so"),
    YOUNG: ("younger than the grace", "left alone for now"),
    UNSURE: ("takes nobody here accepted", "not all repositories could be read: left alone"),
    IRREPLACEABLE: ("irreplaceable", "nothing brings it back: left alone"),
    NEEDED: ("needed", "somebody refers to it"),
}


def groups_of(items: Iterable[Item]) -> list[Group]:
    """What goes for the same reason, and comes back the same way, in one line; the most bytes first."""
    found: dict[tuple[str, str], list[Item]] = {}
    for item in items:
        found.setdefault(_words_of(item), []).append(item)
    groups = [_group(words, mine) for words, mine in found.items()]
    return sorted(groups, key=lambda group: -group.size)


def _words_of(item: Item) -> tuple[str, str]:
    if item.way is None:
        return _WORDS.get(item.why, (item.why, ""))
    kind = "needed" if item.why == NEEDED else "unneeded"
    if item.way.how == FETCHED:
        return f"{kind}, on a durable remote", "the remote said just now that it has it"
    return f"{kind}, made by {item.way.by}", "proven here: the same recipe gave the same bytes"


def _group(words: tuple[str, str], items: list[Item]) -> Group:
    # What one run makes again is one run, however many files that is: they share their way.
    runs = {id(item.way): item.way for item in items if item.way is not None}
    seconds = [way.seconds for way in runs.values() if way.seconds is not None]
    costs = [way.cost for way in runs.values() if way.cost is not None]
    return Group(words[0], len(items), sum(item.size for item in items), words[1], sum(seconds) if seconds else None, sum(costs) if costs else None)


def treasures_of(stores: LocalStores, items: Iterable[Item], limit: int) -> list[Treasure]:
    """The largest of what nothing brings back; a directory or sequence with its files as one."""
    irreplaceable = {item.hash: item for item in items if item.why == IRREPLACEABLE}
    manifests = Manifests(stores)
    found, inside = [], set()
    for item in irreplaceable.values():
        members = [irreplaceable[each.hash] for each in manifests.members(item.hash) if each.hash in irreplaceable and each.hash != item.hash]
        if members:
            size = item.size + sum(each.size for each in {each.hash: each for each in members}.values())
            found.append(Treasure(item.hash, size, f"a directory or sequence of {len(members)} files", item.since))
            inside |= {each.hash for each in members}
    told = inside | {each.hash for each in found}
    found += [Treasure(item.hash, item.size, "", item.since) for item in irreplaceable.values() if item.hash not in told]
    found.sort(key=lambda each: -each.size)
    return [each if each.what else each._replace(what=_kind_of(stores, each.hash)) for each in found[:limit]]


def _kind_of(stores: LocalStores, hash: str) -> str:
    path = stores.find(hash)
    facts = media.probe(path) if path is not None else {}
    size = f" {facts['width']}x{facts['height']}" if "width" in facts and "height" in facts else ""
    return f"{facts.get('type', 'bytes of some kind')}{size}"
