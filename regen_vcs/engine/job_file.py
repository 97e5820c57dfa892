"""A job in one file (`NAME.regenjob`): everything one run needs, to be made on any machine without a clone.

The recipe, the generator's table and code, and the inputs' bytes. Of secrets only the names of their variables. What
it says follows from its key: table and code from the recipe's definition, the inputs from their hashes.
"""

from __future__ import annotations

import os
from collections import namedtuple
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from regen_vcs.engine.job_archive import Archive, check_format, open_archive, write_archive
from regen_vcs.engine.job_inputs import Brought
from regen_vcs.engine.observe import member_path
from regen_vcs.engine.take_filing import Order, without_review
from regen_vcs.errors import CorruptionError, InvalidError
from regen_vcs.generators.scratch import Scratch
from regen_vcs.model.canonical import Json
from regen_vcs.model.generator_table import definition_table
from regen_vcs.model.key import compute_key, definition_hash, hash_bytes
from regen_vcs.model.manifest import Member, manifest_bytes
from regen_vcs.model.paths import check_asset_path, check_member_name, resolve_input, sidecar_of
from regen_vcs.model.recipe import Recipe, recipe_from_json, recipe_to_json

FORMAT = 1
SUFFIX = ".regenjob"
DOCUMENT = "job.json"

_FIELDS = {"regen-job", "code", "inputs", "key", "path", "recipe", "table"}

# One input. members: of a directory or sequence as its manifest has them; a single file is one member named "".
PortableInput = namedtuple("PortableInput", ("target", "hash", "members"))
# code: {name below {code}: Member}; inputs: {role: PortableInput}.
PortableJob = namedtuple("PortableJob", ("path", "recipe", "key", "table", "code", "inputs"))


def portable(order: Order, brought: Mapping[str, Brought]) -> PortableJob:
    """An order as it travels."""
    code = {dest: Member(dest, hash_bytes(data), len(data)) for dest, data in order.code.items()}
    inputs = {
        role: PortableInput(each.target, each.hash, tuple(member for member, _ in each.files)) for role, each in brought.items()
    }
    return PortableJob(order.path, without_review(order.recipe), order.key, order.table, code, inputs)


def order_of(job: PortableJob) -> Order:
    """As an order of this repository; the bytes of its inputs and code are elsewhere."""
    inputs = {role: (each.target, each.hash, None) for role, each in job.inputs.items()}
    return Order(job.path, job.recipe, job.key, inputs, {}, job.table, "")


def write_job(path: str, order: Order, brought: Mapping[str, Brought]) -> None:
    """Pack an order whose inputs are in place. RegenError where it cannot be written."""
    job = portable(order, brought)
    objects: dict[str, str | bytes] = {job.code[dest].hash: data for dest, data in order.code.items()}
    objects |= {member.hash: place for each in brought.values() for member, place in each.files}
    write_archive(path, DOCUMENT, job_document(job), objects)


def job_document(job: PortableJob) -> dict[str, Json]:
    return {
        "regen-job": FORMAT,
        "key": job.key,
        "path": job.path,
        "recipe": recipe_to_json(job.recipe),
        "table": job.table,
        "code": {dest: {"hash": f"blake3:{each.hash}", "size": each.size} for dest, each in job.code.items()},
        "inputs": {role: _input_document(each) for role, each in job.inputs.items()},
    }


def _input_document(given: PortableInput) -> dict[str, Json]:
    document = {"target": given.target, "hash": f"blake3:{given.hash}"}
    if len(given.members) == 1 and given.members[0].name == "":
        return document | {"size": given.members[0].size}
    return document | {"files": [file_document(each) for each in given.members]}


def file_document(member: Member) -> dict[str, Json]:
    return {"name": member.name, "hash": f"blake3:{member.hash}", "size": member.size}


@contextmanager
def open_job(path: str) -> Iterator[tuple[PortableJob, Archive]]:
    """Open a job file: all it says is checked, and every object it names is there. InvalidError, CorruptionError."""
    with open_archive(path, DOCUMENT) as archive:
        job = parse_job(archive.document, path)
        members = [*job.code.values(), *(each for given in job.inputs.values() for each in given.members)]
        for member in members:
            archive.require(member.hash, member.size)
        archive.holds_only({member.hash for member in members})
        yield job, archive


def parse_job(document: Json, where: str) -> PortableJob:
    """A job's document, whose key was computed again. InvalidError names `where`; CorruptionError for another key."""
    try:
        return _checked(_parse(document, where), where)
    except InvalidError as error:
        if error.what.startswith(where):
            raise
        raise type(error)(f"{where}: {error.what}", error.hint) from None


def _parse(document: Json, where: str) -> PortableJob:
    if not isinstance(document, dict):
        raise InvalidError("its job is not an object")
    check_format(where, document, "regen-job", FORMAT)
    if document.keys() != _FIELDS or not all(isinstance(document[name], dict) for name in ("code", "inputs", "recipe", "table")):
        raise InvalidError(f"a job has {', '.join(sorted(_FIELDS))}, and nothing else")
    if not isinstance(document["key"], str) or not isinstance(document["path"], str):
        raise InvalidError("key and path must be text")
    return PortableJob(
        document["path"],
        recipe_from_json(document["recipe"]),
        document["key"],
        document["table"],
        {dest: _member(each, f"code.{dest}", dest) for dest, each in document["code"].items()},
        {role: _parse_input(each, f"inputs.{role}") for role, each in document["inputs"].items()},
    )


def _parse_input(value: Json, field: str) -> PortableInput:
    if not isinstance(value, dict) or not isinstance(value.get("target"), str):
        raise InvalidError(f"{field} is not an input")
    if "files" not in value:
        member = _member({name: each for name, each in value.items() if name != "target"}, field, "")
        return PortableInput(value["target"], member.hash, (member,))
    if value.keys() != {"target", "hash", "files"}:
        raise InvalidError(f"{field} must have target, hash and files only")
    return PortableInput(value["target"], parse_hash(value["hash"], f"{field}.hash"), parse_files(value["files"], f"{field}.files"))


def parse_files(value: Json, field: str) -> tuple[Member, ...]:
    """A list of files as manifests have them. InvalidError for names that no asset's file may have, or twice the same."""
    if not isinstance(value, list):
        raise InvalidError(f"{field} is not a list")
    members = []
    for index, each in enumerate(value):
        name = each.get("name") if isinstance(each, dict) else None
        if not isinstance(name, str):
            raise InvalidError(f"{field}[{index}] has no name")
        members.append(_member({key: found for key, found in each.items() if key != "name"}, f"{field}[{index}]", name))
    if [each.name for each in members] != [""]:
        manifest_bytes(members)
    return tuple(members)


def _member(value: Json, field: str, name: str) -> Member:
    if not isinstance(value, dict) or value.keys() != {"hash", "size"}:
        raise InvalidError(f"{field} must have hash and size only")
    if type(value["size"]) is not int or value["size"] < 0:
        raise InvalidError(f"{field}.size must be a whole number of bytes")
    return Member(name, parse_hash(value["hash"], f"{field}.hash"), value["size"])


def parse_hash(value: Json, field: str) -> str:
    """The bare hex of "blake3:…"."""
    digest = value.removeprefix("blake3:") if isinstance(value, str) else ""
    if len(digest) != 64 or value == digest or not set(digest) <= set("0123456789abcdef"):
        raise InvalidError(f"{field} must be blake3: and 64 hex digits")
    return digest


def _checked(job: PortableJob, where: str) -> PortableJob:
    """Everything that follows from something else is computed again."""
    check_asset_path(job.path)
    for dest in job.code:
        check_member_name(dest)
    recipe: Recipe = job.recipe
    if recipe.generator is None:
        raise InvalidError("a source asset has nothing to run")
    if recipe.output is not None or recipe.review is not None:
        raise InvalidError("its recipe has an output or a review, which are no part of a job")
    # A target is where generators lay an input out: it has to be what the recipe says, and so inside the repository.
    if {role: each.target for role, each in job.inputs.items()} != _targets(job):
        raise InvalidError("its inputs are not those of its recipe")
    for role, each in job.inputs.items():
        _check_tree(role, each)
    _check_definition(job, where)
    if compute_key(recipe, job.path, {role: each.hash for role, each in job.inputs.items()}) != job.key:
        raise CorruptionError(f"{where}: its recipe and inputs do not give its key {job.key[:12]}…")
    return job


def _targets(job: PortableJob) -> dict[str, str]:
    return {role: resolve_input(sidecar_of(job.path), value) for role, value in job.recipe.inputs.items()}


def _check_tree(role: str, given: PortableInput) -> None:
    """The hash of a directory or sequence is that of its manifest; its names can be placed."""
    if [member.name for member in given.members] == [""]:
        return
    if hash_bytes(manifest_bytes(given.members)) != given.hash:
        raise InvalidError(f"the files of its input {role} do not give the input's hash")
    for member in given.members:
        member_path(os.path.basename(given.target), member.name)


def _check_definition(job: PortableJob, where: str) -> None:
    """A named generator is its table and code: those that the recipe was written for, or none."""
    named = ":" in job.recipe.generator
    if not named and (job.table or job.code or job.recipe.definition):
        raise InvalidError(f"{job.recipe.generator} has no table and no code of its own")
    if not named:
        return
    if job.table.get("uses") != job.recipe.generator.partition(":")[0]:
        raise InvalidError(f"its table is not one of {job.recipe.generator}")
    found = definition_hash(definition_table(job.table), {dest: each.hash for dest, each in job.code.items()})
    if found != job.recipe.definition:
        raise CorruptionError(f"{where}: its table and code are not those of its recipe's definition")


def unpack_job(job: PortableJob, archive: Archive, scratch: Scratch) -> dict[str, Brought]:
    """Put code and inputs into a scratch folder; {role: input}. Each is hashed on its way. CorruptionError."""
    for dest, member in job.code.items():
        scratch.add_code(dest, archive.read(member.hash, member.size))
    return {role: _unpack_input(role, given, archive, scratch) for role, given in job.inputs.items()}


def _unpack_input(role: str, given: PortableInput, archive: Archive, scratch: Scratch) -> Brought:
    base = os.path.basename(given.target)
    files = []
    for member in given.members:
        place = scratch.input_path(role, member_path(base, member.name) if member.name else base)
        archive.copy(member.hash, place)
        files.append((member, place))
    is_single = len(files) == 1 and files[0][0].name == ""
    return Brought(given.target, given.hash, files[0][1] if is_single else scratch.input_path(role, base), files)
