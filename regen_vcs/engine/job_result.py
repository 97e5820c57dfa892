"""What came of a job, in one file (`NAME.regenresult`): its files, its log, and the job that they belong to.

Whoever reads one checks that every byte is what its hash says and that the job's key follows from what the job says.
That the bytes came out of this job nobody can check: they are filed as somebody else's, and prove nothing.
"""

from __future__ import annotations

import math
import os
import re
from collections import namedtuple
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from regen_vcs.engine.job_archive import Archive, check_format, open_archive, write_archive
from regen_vcs.engine.job_file import (
    PortableJob,
    file_document,
    job_document,
    parse_files,
    parse_hash,
    parse_job,
)
from regen_vcs.engine.observe import hash_file, member_name, member_path
from regen_vcs.engine.take_filing import now_text
from regen_vcs.errors import InvalidError
from regen_vcs.generators.client import Result
from regen_vcs.generators.scratch import Scratch
from regen_vcs.model.canonical import Json
from regen_vcs.model.key import hash_bytes
from regen_vcs.model.manifest import Member
from regen_vcs.model.paths import parse_sequence

FORMAT = 1
SUFFIX = ".regenresult"
DOCUMENT = "result.json"

_MAX_LOG_BYTES = 16 << 20
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_FIELDS = {
    "regen-result", "at", "cost", "environment", "files", "generator_version", "job", "key", "log", "ok", "reason", "seconds", "transient",
}  # fmt: skip

# result: as a runner gives it; at: when it ended; seconds: how long it took; files: manifest entries, a single file's
# name is "".
PortableResult = namedtuple("PortableResult", ("job", "result", "at", "seconds", "files"))


def write_result(path: str, job: PortableJob, result: Result, seconds: float, found: list[tuple[str, str, int]]) -> None:
    """Write what came of a job. found: (name, absolute path, size), as `collect_output` gives them."""
    objects: dict[str, str | bytes] = {}
    files = []
    for name, place, size in found:
        digest = hash_file(place)
        objects[digest] = place
        files.append(Member(member_name(job.path, name) if parse_sequence(job.path) else name, digest, size))
    log = None
    if result.log:
        log = {"hash": f"blake3:{hash_bytes(result.log)}", "size": len(result.log)}
        objects[hash_bytes(result.log)] = result.log
    document = {
        "regen-result": FORMAT, "at": now_text(), "job": job_document(job), "key": job.key, "ok": result.ok, "reason": result.reason,
        "seconds": round(seconds, 4), "cost": result.cost, "environment": dict(result.environment),
        "generator_version": result.generator_version, "transient": result.transient, "log": log,
        "files": [file_document(each) for each in files],
    }  # fmt: skip
    write_archive(path, DOCUMENT, document, objects)


@contextmanager
def open_result(path: str) -> Iterator[tuple[PortableResult, Archive]]:
    """Open a result file: all it says is checked, and every object it names is there. InvalidError, CorruptionError."""
    with open_archive(path, DOCUMENT) as archive:
        document = archive.document
        check_format(path, document, "regen-result", FORMAT)
        try:
            _check_shape(document)
            files = parse_files(document["files"], "files")
            log = _parse_log(document["log"], archive)
        except InvalidError as error:
            raise InvalidError(f"{path}: {error.what.removeprefix(f'{path}: ')}", error.hint) from None
        job = parse_job(document["job"], path)
        if job.key != document["key"]:
            raise InvalidError(f"{path}: its key is not that of its job")
        for member in files:
            archive.require(member.hash, member.size)
        archive.holds_only({member.hash for member in files} | ({log} if log else set()))
        result = _result_of(document, archive.read(log, _MAX_LOG_BYTES) if log else b"")
        yield PortableResult(job, result, document["at"], document["seconds"], files), archive


def _check_shape(document: Mapping[str, Json]) -> None:
    if document.keys() != _FIELDS:
        raise InvalidError(f"a result has {', '.join(sorted(_FIELDS))}, and nothing else")
    for name, kind in (("ok", bool), ("transient", bool), ("generator_version", str), ("environment", dict)):
        if type(document[name]) is not kind:
            raise InvalidError(f"{name} is not {kind.__name__}")
    if not isinstance(document["at"], str) or not _TIME.fullmatch(document["at"]):
        raise InvalidError('at is a time such as "2026-11-22T10:00:00.000Z"')
    if not all(isinstance(each, str) for each in document["environment"].values()):
        raise InvalidError("environment holds text only")
    if not _is_amount(document["seconds"]) or not (document["cost"] is None or _is_amount(document["cost"])):
        raise InvalidError("seconds and cost must be numbers from 0")
    if not (document["reason"] is None if document["ok"] else isinstance(document["reason"], str)):
        raise InvalidError("what did not go well has a reason, and nothing else has")
    if document["ok"] and not document["files"]:
        raise InvalidError("it went well but has no files")


def _is_amount(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 and math.isfinite(value)


def _parse_log(value: Json, archive: Archive) -> str | None:
    if value is None:
        return None
    if not isinstance(value, dict) or value.keys() != {"hash", "size"} or type(value["size"]) is not int:
        raise InvalidError("log must have hash and size only")
    digest = parse_hash(value["hash"], "log.hash")
    archive.require(digest, value["size"])
    return digest


def _result_of(document: Mapping[str, Json], log: bytes) -> Result:
    reason = None if document["reason"] is None else document["reason"][:2000]
    return Result(
        document["ok"], reason, log, document["environment"], document["generator_version"], document["transient"], document["cost"]
    )


def unpack_result(found: PortableResult, archive: Archive, scratch: Scratch, asset_path: str) -> None:
    """Put the files where a generator would have written them. CorruptionError where bytes are not what they should be.

    A file of another shape than the asset (a folder for a picture) is an InvalidError; `collect_output` sees the rest.
    """
    place = scratch.output_path(asset_path)
    for member in found.files:
        if parse_sequence(asset_path) and not member.name:
            raise InvalidError(f"{archive.path}: brings one file for a sequence")
        target = member_path(place, member.name) if member.name else place
        os.makedirs(os.path.dirname(target), exist_ok=True)
        archive.copy(member.hash, target)
