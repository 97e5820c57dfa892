"""Models on this machine: names, places of search, the hash and its memory."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time

import pytest

from regen_vcs.engine import model_files
from regen_vcs.engine.model_files import HashCache, ModelFiles, hub_cache_dir
from regen_vcs.errors import InvalidError, RegenError
from regen_vcs.generators.model_hash import hash_model, members_of
from regen_vcs.model.canonical import canonical_bytes
from regen_vcs.model.model_reference import check_model_name, directory_hash, hub_folder, is_revision
from regen_vcs.model.recipe import Model
from regen_vcs.model.settings import SETTINGS, parse_setting


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def settle() -> None:
    """A stat is only trusted once the file is older than the clock of the file system can be wrong."""
    time.sleep(0.03)


@pytest.fixture
def machine(tmp_path):
    """(folder of models, hub cache, ModelFiles over both)."""
    folder, hub = tmp_path / "models", tmp_path / "hub"
    folder.mkdir()
    hub.mkdir()
    return folder, hub, ModelFiles([str(folder)], str(hub), HashCache(str(tmp_path / "hashes")))


def test_a_file_is_found_by_its_name_at_any_depth(machine):
    folder, _, files = machine
    (folder / "checkpoints" / "xl").mkdir(parents=True)
    (folder / "checkpoints" / "xl" / "a.safetensors").write_bytes(b"a")
    for name in ("a.safetensors", "xl/a.safetensors", "checkpoints/xl/a.safetensors"):
        assert files.locate(Model(name=name)).path == str(folder / "checkpoints/xl/a.safetensors"), name
    assert files.locate(Model(name="b.safetensors")).state == "missing"
    assert files.locate(Model(name="l/a.safetensors")).state == "missing", "a component counts as a whole"


def test_the_hash_chooses_among_files_of_one_name(machine):
    folder, _, files = machine
    for sub, data in (("one", b"1"), ("two", b"2")):
        (folder / sub).mkdir()
        (folder / sub / "m.safetensors").write_bytes(data)
    found = files.locate(Model(sha256(b"2"), "m.safetensors"))
    assert found == ("here", str(folder / "two/m.safetensors"), sha256(b"2"))
    other = files.locate(Model(sha256(b"3"), "m.safetensors"))
    assert (other.state, other.hash) == ("differs", sha256(b"1"))


def test_a_blake3_hash_will_do(machine):
    from blake3 import blake3

    folder, _, files = machine
    (folder / "m.safetensors").write_bytes(b"x")
    digest = "blake3:" + blake3(b"x").hexdigest()
    assert files.locate(Model(digest, "m.safetensors")).state == "here"
    with pytest.raises(InvalidError, match="md5"):
        files.locate(Model("md5:" + "0" * 32, "m.safetensors"))


def test_a_renamed_model_is_found_by_what_was_hashed_before(machine):
    folder, _, files = machine
    (folder / "new name.safetensors").write_bytes(b"same")
    settle()
    assert files.locate(Model(sha256(b"same"), "old.safetensors")).state == "missing"
    files.locate(Model(name="new name.safetensors"), hash_it=True)
    assert files.locate(Model(sha256(b"same"), "old.safetensors")).path == str(folder / "new name.safetensors")
    assert files.locate(Model(sha256(b"same"))).state == "here", "known by hash only"


@pytest.mark.parametrize("name", [
    "/etc/passwd", "~/models/x", "../x", "a/../../x", "a//b", "", ".", "a\\b", "C:/x", "a\0b", "a\nb", "x" * 600,
])  # fmt: skip
def test_names_that_could_leave_the_folders_are_refused(name, machine):
    with pytest.raises(InvalidError):
        check_model_name(name)
    if name:
        with pytest.raises(InvalidError):
            machine[2].locate(Model(name=name))


def test_hub_ids_and_revisions():
    assert hub_folder("stabilityai/sdxl-turbo") == "models--stabilityai--sdxl-turbo"
    assert hub_folder("gpt2") == "models--gpt2"
    assert hub_folder("a/b/c") is None and hub_folder("a--b/c") is None
    assert is_revision("refs/pr/1") and not is_revision("../x") and not is_revision("a/../b") and not is_revision("/x")


def hub_snapshot(hub, commit: str, weights: bytes, ref: str | None = None):
    """A repository in the Hugging Face cache as that library lays it out: links to blobs."""
    repo = hub / "models--org--pipe"
    (repo / "blobs").mkdir(parents=True, exist_ok=True)
    snapshot = repo / "snapshots" / commit
    (snapshot / "unet").mkdir(parents=True)
    blob = repo / "blobs" / hashlib.sha256(weights).hexdigest()
    blob.write_bytes(weights)
    (snapshot / "unet" / "w.safetensors").symlink_to(os.path.relpath(blob, snapshot / "unet"))
    (snapshot / "model_index.json").write_text("{}")
    if ref:
        (repo / "refs").mkdir(exist_ok=True)
        (repo / "refs" / ref).write_text(commit)
    return snapshot


def test_the_hub_cache_is_searched_by_revision(machine):
    _, hub, files = machine
    old, new = hub_snapshot(hub, "a" * 40, b"old"), hub_snapshot(hub, "b" * 40, b"new", "main")
    assert files.locate(Model(name="org/pipe")).path == str(new)
    assert files.locate(Model(name="org/pipe", version="a" * 40)).path == str(old)
    assert files.locate(Model(name="org/pipe", version="v2")).state == "missing"
    pinned = hash_model(str(old), "sha256")
    assert files.locate(Model(pinned, "org/pipe", "v2")).path == str(old), "a hash finds its snapshot by itself"


def test_where_the_hub_cache_is():
    home = {"HOME": "/h"}
    assert hub_cache_dir(home) == "/h/.cache/huggingface/hub"
    assert hub_cache_dir({**home, "XDG_CACHE_HOME": "/x"}) == "/x/huggingface/hub"
    assert hub_cache_dir({**home, "HF_HOME": "/hf"}) == "/hf/hub"
    assert hub_cache_dir({**home, "HF_HOME": "/hf", "HF_HUB_CACHE": "~/c"}) == "/h/c"


# ---------------------------------------------------------------- folders


def pipeline_folder(folder):
    folder.mkdir()
    (folder / "unet").mkdir()
    (folder / "model_index.json").write_bytes(b"{}")
    (folder / "unet" / "w.safetensors").write_bytes(b"weights")
    return folder


def test_the_hash_of_a_folder_is_as_defined(tmp_path):
    """docs/models.md, spelt out by hand."""
    folder = pipeline_folder(tmp_path / "p")
    files = {"model_index.json": sha256(b"{}")[7:], "unet/w.safetensors": sha256(b"weights")[7:]}
    text = b"regen-vcs model directory v1\n" + canonical_bytes({"algorithm": "sha256", "files": files})
    assert hash_model(str(folder), "sha256") == sha256(text) == directory_hash(files)
    assert sha256(text) == "sha256:9e78edecae57f36193f5efccc0a311855cfb0e19d6b80a04b31c8b64ba495cf6", "frozen"


def test_what_counts_in_a_folder(tmp_path):
    folder = pipeline_folder(tmp_path / "p")
    before = hash_model(str(folder), "sha256")
    for name in ("README.md", "preview.png", ".gitattributes", "unet/notes.txt"):
        (folder / name).write_text("x")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "x.json").write_text("{}")
    assert hash_model(str(folder), "sha256") == before
    for name in ("merges.txt", "unet/config.json", "spiece.model", "chat_template.jinja"):
        (folder / name).write_text("x")
        after = hash_model(str(folder), "sha256")
        assert after != before, name
        before = after
    (folder / "unet" / "w.safetensors").rename(folder / "unet" / "v.safetensors")
    assert hash_model(str(folder), "sha256") != before, "names count"


def test_a_folder_without_anything_that_counts(tmp_path):
    with pytest.raises(RegenError, match="no safetensors"):
        members_of(str(tmp_path))


def test_a_folder_is_found_and_links_that_go_round_end(machine):
    folder, _, files = machine
    pipeline_folder(folder / "tiny-sd")
    (folder / "loop").symlink_to(folder)
    assert files.locate(Model(name="tiny-sd")).path == str(folder / "tiny-sd")
    assert files.locate(Model(name="nothing")).state == "missing"


# ---------------------------------------------------------------- the memory of hashes


@pytest.fixture
def counted(monkeypatch):
    """How often files were really read."""
    read = []
    real = model_files.hash_file

    def hash_file(path, *rest):
        read.append(path)
        return real(path, *rest)

    monkeypatch.setattr(model_files, "hash_file", hash_file)
    return read


def test_a_hash_is_computed_once(tmp_path, counted):
    file = tmp_path / "m.safetensors"
    file.write_bytes(b"1")
    settle()
    for _ in range(3):  # each as a new process would
        assert HashCache(str(tmp_path / "c")).digest(str(file), "sha256") == sha256(b"1")[7:]
    assert len(counted) == 1
    HashCache(str(tmp_path / "c")).digest(str(file), "blake3")
    HashCache(str(tmp_path / "c")).digest(str(file), "sha256")
    assert len(counted) == 2, "the other algorithm is beside it"


def test_a_changed_file_is_hashed_again_whatever_its_time_says(tmp_path, counted):
    file, cache = tmp_path / "m.safetensors", HashCache(str(tmp_path / "c"))
    file.write_bytes(b"1")
    st = file.stat()
    settle()
    cache.digest(str(file), "sha256")
    file.write_bytes(b"2")
    os.utime(file, ns=(st.st_atime_ns, st.st_mtime_ns))
    assert cache.digest(str(file), "sha256") == sha256(b"2")[7:]


def test_damage_in_the_memory_costs_only_time(tmp_path, counted):
    file, cache = tmp_path / "m.safetensors", HashCache(str(tmp_path / "c"))
    file.write_bytes(b"1")
    settle()
    cache.digest(str(file), "sha256")
    (entry,) = (tmp_path / "c").glob("*.json")
    for damage in (b"", b"{", b"[]", b'{"path": 1}', json.dumps({"path": str(file), "hashes": 3}).encode()):
        entry.write_bytes(damage)
        assert cache.digest(str(file), "sha256") == sha256(b"1")[7:]
    assert len(counted) == 6


def test_of_several_that_ask_at_once_one_computes(tmp_path, counted):
    file = tmp_path / "m.safetensors"
    file.write_bytes(os.urandom(1 << 24))
    settle()
    found = []
    threads = [threading.Thread(target=lambda: found.append(HashCache(str(tmp_path / "c")).digest(str(file), "sha256")))
               for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1 and len(found) == 4
    assert len(counted) == 1


def test_a_long_read_can_be_stopped(tmp_path):
    file = tmp_path / "m.safetensors"
    file.write_bytes(bytes(1 << 23))

    def stop(count):
        raise RegenError("cancelled")

    with pytest.raises(RegenError, match="cancelled"):
        HashCache(str(tmp_path / "c")).digest(str(file), "sha256", stop)
    assert HashCache(str(tmp_path / "c")).digest(str(file), "sha256")


# ---------------------------------------------------------------- the setting


def test_model_path_is_a_list_of_folders():
    setting = SETTINGS["modelPath"]
    assert parse_setting(setting, f"/a{os.pathsep}~/b") == ("/a", "~/b")
    assert parse_setting(setting, ["/a", "/b"]) == ("/a", "/b")
    from regen_vcs.errors import UsageError

    for bad in ("models", ["models"], 3, [3], True, {"a": 1}):
        with pytest.raises(UsageError):
            parse_setting(setting, bad)
