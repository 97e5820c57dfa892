"""The merge of sidecars: fields, output, review, meta, and the text of conflicts."""

from __future__ import annotations

import json

import pytest

from regen_vcs.errors import InvalidError
from regen_vcs.git.merge import identity_of, merge_documents
from regen_vcs.model.canonical import parse_json, pretty_bytes


def take(n, key=None, **more):
    return {"hash": f"blake3:{n:064x}", "key": f"{key if key is not None else n:064x}", "size": n, **more}


BASE = {
    "regen": 1,
    "generator": "texture",
    "models": {"checkpoint": {"hash": "sha256:aa", "name": "sd", "version": "1"}},
    "params": {"prompt": "rain", "seed": "1", "size": {"h": 1, "w": 1}, "steps": 30},
    "inputs": {"image": "base.png"},
    "output": take(1),
    "review": {"hash": f"blake3:{1:064x}", "state": "approved"},
    "meta": {"shot": "010", "tags": ["hero"]},
}


def changed(document=BASE, **paths):
    """A copy; `params__seed="2"` sets, `params__seed=None` deletes."""
    copy = json.loads(json.dumps(document))
    for path, value in paths.items():
        *parents, last = path.split("__")
        place = copy
        for parent in parents:
            place = place.setdefault(parent, {})
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
    return copy


def merge(ours, theirs, base=BASE, **options):
    """(merged document or text with markers, conflict paths)."""
    as_bytes = [None if doc is None else pretty_bytes(doc) for doc in (base, ours, theirs)]
    merged = merge_documents(*as_bytes, **options)
    return (merged.data.decode() if merged.conflicts else parse_json(merged.data)), merged.conflicts


def resolve(text, side):
    """What taking one side of every conflict leaves."""
    lines, now = [], None
    for line in text.split("\n"):
        if line.startswith("<<<<<<<"):
            now = "ours"
        elif line.startswith("======="):
            now = "theirs"
        elif line.startswith(">>>>>>>"):
            now = None
        elif now in (None, side):
            lines.append(line)
    return json.loads("\n".join(lines))


def at(document, path):
    for name in path.split("."):
        document = document.get(name, "nothing") if isinstance(document, dict) else "nothing"
    return document


# --- fields -----------------------------------------------------------------------------------------


def test_different_fields_merge():
    merged, conflicts = merge(changed(params__seed="2"), changed(params__size__w=9, inputs__mask="m.png"))
    assert conflicts == []
    assert merged["params"] == {"prompt": "rain", "seed": "2", "size": {"h": 1, "w": 9}, "steps": 30}
    assert merged["inputs"] == {"image": "base.png", "mask": "m.png"}


def test_additions_deletions_and_unknown_fields():
    merged, conflicts = merge(changed(params__steps=None, x_tool={"a": 1}), changed(params__cfg=7, note="n"))
    assert conflicts == []
    assert merged["params"] == {"cfg": 7, "prompt": "rain", "seed": "1", "size": {"h": 1, "w": 1}}
    assert merged["x_tool"] == {"a": 1}
    assert merged["note"] == "n"


def test_the_same_change_on_both_sides():
    side = changed(params__seed="2")
    assert merge(changed(side, params__steps=31), side) == (changed(side, params__steps=31), [])


def test_one_field_in_dispute_is_one_conflict():
    text, conflicts = merge(changed(params__seed="2"), changed(params__seed="3"))
    assert conflicts == ["params.seed"]
    assert text.count("<<<<<<<") == 1
    assert (
        '    "prompt": "rain",\n<<<<<<< ours\n    "seed": "2",\n=======\n    "seed": "3",\n>>>>>>> theirs\n    "size": {\n'
        in text
    )


def test_true_is_not_one():
    assert merge(changed(params__seed=True), changed(params__seed=1))[1] == ["params.seed"]


def test_lists_of_params_are_one_value():
    base = changed(params__loras=["a"])
    assert merge(changed(base, params__loras=["a", "b"]), changed(base, params__loras=["a", "c"]), base)[1] == ["params.loras"]


def test_a_model_is_never_put_together_from_two():
    ours = changed(models__checkpoint={"hash": "sha256:bb", "name": "sd", "version": "2"})
    theirs = changed(models__checkpoint={"hash": "sha256:aa", "name": "sd-renamed", "version": "1"})
    text, conflicts = merge(ours, theirs)
    assert conflicts == ["models.checkpoint"]
    assert resolve(text, "theirs")["models"] == theirs["models"]
    merged, conflicts = merge(ours, changed(models__checkpoint__license="mit"))
    assert conflicts == []
    assert merged["models"]["checkpoint"] == {"hash": "sha256:bb", "license": "mit", "name": "sd", "version": "2"}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (changed(params__steps=None), changed(params__steps=31)),  # the last member, on one side only
        (changed(params__steps=31), changed(params__steps=None)),
        (changed(params__prompt=None), changed(params__prompt="sun")),
        (changed(params=None), changed(params__seed="9")),
        (changed(params={}), changed(params__seed="9")),
        (changed(params={"seed": "2"}), changed(params={"zoom": 1, "seed": "3"})),
        (changed(params__steps=None, params__size=None), changed(params__steps=2, params__size__w=7)),
        (changed(params__size={"h": 2}), changed(params__size={"h": 3, "w": 1})),
        (changed(zz=1), changed(zz=2)),
        (changed(params__z=[1, {"a": []}]), changed(params__z={"b": {}})),
        (changed(params__z="<<<<<<< ours"), changed(params__z="\u2028\n=======")),
    ],
)
def test_either_side_of_every_conflict_is_valid_json(ours, theirs):
    text, conflicts = merge(ours, theirs)
    assert conflicts
    for side, document in (("ours", ours), ("theirs", theirs)):
        resolved = resolve(text, side)
        for path in conflicts:
            assert at(resolved, path) == at(document, path)


def test_marker_size_and_labels():
    text = merge(changed(params__seed="2"), changed(params__seed="3"), marker_size=9, labels=("HEAD", "topic"))[0]
    assert "\n<<<<<<<<< HEAD\n" in text
    assert "\n=========\n" in text
    assert "\n>>>>>>>>> topic\n" in text


# --- output and review ------------------------------------------------------------------------------


def test_output_follows_identity():
    ours, theirs = changed(params__seed="2", output=take(2)), changed(output=take(3), review__state="final")
    assert merge(ours, theirs)[0]["output"] == take(2)
    assert merge(theirs, ours)[0]["output"] == take(2)
    assert merge(theirs, ours)[0]["review"] == BASE["review"]


def test_one_side_accepted_another_take():
    theirs = changed(output=take(3, key=1), review={"state": "final"})
    merged, conflicts = merge(changed(meta__tags=["x"]), theirs)
    assert (merged["output"], merged["review"], conflicts) == (take(3, key=1), {"state": "final"}, [])


def test_two_takes_of_one_identity_are_a_conflict_on_the_block():
    media = {"media": {"height": 1}}
    text, conflicts = merge(changed(output=take(2, key=1, **media)), changed(output=take(3, key=1, **media)))
    assert conflicts == ["output"]
    assert text.count("<<<<<<<") == 1
    assert resolve(text, "ours")["output"] == take(2, key=1, **media)
    assert resolve(text, "theirs")["output"] == take(3, key=1, **media)


def test_the_review_of_disputed_takes_is_disputed_too():
    ours = changed(output=take(2, key=1), review={"state": "wip"})
    theirs = changed(output=take(3, key=1), review={"state": "final"})
    assert merge(ours, theirs)[1] == ["output", "review"]


def test_neither_identity_keeps_ours_and_notes_both():
    ours, theirs = changed(params__seed="2", output=take(2)), changed(params__steps=31, output=take(3))
    merged, conflicts = merge(ours, theirs)
    assert conflicts == []
    assert merged["output"] == take(2)  # with its old key: stale
    assert merged["meta"]["merged_from"] == [
        {"hash": take(2)["hash"], "key": take(2)["key"]},
        {"hash": take(3)["hash"], "key": take(3)["key"]},
    ]


def test_a_disputed_identity_is_nobody_s():
    text, conflicts = merge(changed(params__seed="2", output=take(2)), changed(params__seed="3", output=take(3)))
    assert conflicts == ["params.seed"]
    assert resolve(text, "theirs")["output"] == take(2)


def test_a_pending_side_does_not_lose_the_other_s_take():
    ours, theirs = changed(params__seed="2", output=None), changed(params__steps=31, output=take(3))
    assert merge(ours, theirs)[0]["output"] == take(3)


def test_a_review_of_the_same_output():
    assert merge(changed(meta__a=1), changed(review__state="final"))[0]["review"]["state"] == "final"
    assert merge(changed(review__state="wip"), changed(review__state="final"))[1] == ["review"]


def test_the_caller_s_key():
    """With input bytes in the key, identities that look equal may not be."""
    ours, theirs = changed(output=take(2)), changed(output=take(3))
    merged, conflicts = merge(ours, theirs, key_of=lambda document: document["output"]["key"])
    assert conflicts == []
    assert merged["output"] == take(2)


def test_identity_of_a_model_with_a_hash():
    renamed = changed(models__checkpoint__name="other")
    assert identity_of(renamed) == identity_of(BASE)
    assert identity_of(changed(models__checkpoint__hash=None)) != identity_of(renamed)
    assert identity_of(changed(params={})) == identity_of(changed(params=None))


# --- meta -------------------------------------------------------------------------------------------


def test_meta_never_conflicts():
    base = changed(meta__tags=["hero", "old"], meta__deep={"a": 1})
    ours = changed(base, meta__tags=["hero", "x", "old"], meta__shot="020", meta__deep={"a": 2})
    theirs = changed(base, meta__tags=["y", "hero"], meta__shot="030", meta__deep=None, meta__new=1)
    merged, conflicts = merge(ours, theirs, base)
    assert conflicts == []
    assert merged["meta"] == {"deep": {"a": 2}, "new": 1, "shot": "020", "tags": ["hero", "x", "y"]}


# --- documents --------------------------------------------------------------------------------------


def test_added_on_both_sides():
    assert merge(changed(meta__a=1), changed(meta__b=2), None) == (changed(meta__a=1, meta__b=2), [])
    assert merge(changed(params__seed="2"), changed(params__seed="3"), None)[1] == ["params.seed"]


def test_a_base_that_is_no_sidecar_counts_as_none():
    ours = pretty_bytes(changed(params__seed="2"))
    assert merge_documents(b"<<<<<<< x\n", ours, pretty_bytes(BASE)).conflicts == ["params.seed"]


@pytest.mark.parametrize("broken", [b"{", b"", b'{"regen": 2}', b'{"regen": 1}', b"<<<<<<< ours\n{}\n"])
def test_a_side_that_is_no_sidecar(broken):
    for ours, theirs in ((broken, pretty_bytes(BASE)), (pretty_bytes(BASE), broken)):
        with pytest.raises(InvalidError):
            merge_documents(pretty_bytes(changed(params__seed="0")), ours, theirs)


def test_valid_sides_that_are_invalid_together():
    """One gave a source asset a generator, the other a new take, which has no key."""
    base = {"regen": 1, "output": {"hash": take(1)["hash"], "size": 1}}
    ours = {"regen": 1, "generator": "texture"}
    theirs = {"regen": 1, "params": {"a": 1}, "output": {"hash": take(2)["hash"], "size": 2}}
    text, conflicts = merge(ours, theirs, base)
    assert conflicts == [""]
    assert resolve(text, "ours") == ours
    assert resolve(text, "theirs") == theirs


def test_the_result_is_canonical():
    ours, theirs = changed(params__seed="2"), changed(params__steps=31)
    data = merge_documents(pretty_bytes(BASE), json.dumps(ours).encode(), json.dumps(theirs).encode()).data
    assert data == pretty_bytes(parse_json(data))
