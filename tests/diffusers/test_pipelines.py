"""diffusers with a real pipeline, however small: the same bytes, one load, nothing unsafe, an end when asked."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from regen_vcs.errors import Interrupted
from regen_vcs.generators.client import RunnerClient
from regen_vcs.generators.model_hash import hash_model
from regen_vcs.generators.scratch import Scratch
from tests.diffusers.conftest import build_tiny
from tests.patience import BUSY

pytestmark = pytest.mark.pipelines

ENVIRON = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
BASE = {"prompt": "a bc", "steps": 2, "seed": 7, "width": 32, "height": 32}


@pytest.fixture(scope="module")
def runner():
    client = RunnerClient(ENVIRON)
    yield client
    client.cancel()


@pytest.fixture
def make(tmp_path, tiny, runner):
    """Make one asset in the shared runner: (Result, bytes of the output)."""
    numbers = iter(range(1000))

    def run(client=runner, *, name="a.png", path=tiny, table=None, inputs=None, model=None, cancelled=None, progress=None, env=None,
            **params):  # fmt: skip
        with Scratch(str(tmp_path)) as scratch:
            copies = {}
            for role, source in (inputs or {}).items():
                copies[role] = f"{scratch.root}/{next(numbers)}.png"
                Path(copies[role]).write_bytes(Path(source).read_bytes())
            output = scratch.output_path(name)
            spec = {
                "generator": "diffusers:x" if table is not None else "diffusers", "params": BASE | params, "output": output,
                "scratch": scratch.root, "inputs": copies,
                "models": {"pipeline": {"hash": None, "name": "tiny-sd", "version": None, "path": str(path) if path else None,
                                        "found_hash": None, "download": False} | (model or {})},
            }  # fmt: skip
            if env:
                spec["env"] = env
            if table is not None:
                spec["table"] = {"uses": "diffusers", **table}
            result = client.run(spec, progress or (lambda *_: None), cancelled or threading.Event())
            made = Path(output)
            return result, made.read_bytes() if made.is_file() else b""

    return run


def test_the_same_bytes_in_another_process(make, runner):
    first, here = make()
    assert first.ok, first.reason
    other = RunnerClient(ENVIRON)
    try:
        _, there = make(other)
    finally:
        other.close()
    assert here == there and here.startswith(b"\x89PNG")


def test_two_processes_build_the_same_model(tiny, tmp_path):
    build_tiny(tmp_path / "again")
    assert hash_model(str(tmp_path / "again"), "sha256") == hash_model(str(tiny), "sha256")


def test_parameters_matter(make):
    _, base = make()
    for change in ({"seed": 8}, {"prompt": "z"}, {"steps": 3}, {"guidance": 1.0}, {"negative_prompt": "q"},
                   {"scheduler": "EulerAncestralDiscreteScheduler"}, {"seed": str(2**40 + 7)}):  # fmt: skip
        result, data = make(**change)
        assert result.ok, result.reason
        assert data != base, change
    assert make()[1] == base, "what another job changed is gone: its scheduler, its sizes"


def test_one_load_for_a_group_of_jobs(make):
    client = RunnerClient(ENVIRON)
    try:
        logs = [make(client, seed=seed)[0].log for seed in range(5)]
    finally:
        client.close()
    assert [log.count(b"loaded StableDiffusionPipeline") for log in logs] == [1, 0, 0, 0, 0]


def test_a_take_says_where_it_was_made(make):
    result, _ = make()
    found = result.environment
    assert found["device"].startswith(("cpu (", "cuda (", "mps ("))
    assert found["dtype"] == "float32" and int(found["threads"]) >= 1
    assert found["pipeline"] == "StableDiffusionPipeline"
    assert {"torch", "diffusers", "transformers", "python"} <= found.keys()


def test_dtype(make):
    result, data = make(dtype="bfloat16", device="cpu")
    assert result.ok, result.reason
    assert data != make(device="cpu")[1] and result.environment["dtype"] == "bfloat16"


def test_progress(make):
    seen = []
    make(progress=lambda fraction, message: seen.append((fraction, message)), steps=30)
    assert any("step" in message for _, message in seen)
    assert [fraction for fraction, _ in seen] == sorted(fraction for fraction, _ in seen) and seen[-1][0] == 1.0


def test_cancel_takes_a_step(make):
    client, cancelled = RunnerClient(ENVIRON), threading.Event()
    stopped_at = []

    def progress(fraction, message):
        if message.startswith("step") and not cancelled.is_set():
            cancelled.set()
            stopped_at.append(time.monotonic())

    with pytest.raises(Interrupted):
        make(client, steps=500, width=256, height=256, cancelled=cancelled, progress=progress)
    assert time.monotonic() - stopped_at[0] < 3 + BUSY
    assert not client.alive


def test_a_pinned_model_is_what_it_says(make, tiny):
    digest = hash_model(str(tiny), "sha256")
    result, _ = make(model={"hash": digest, "found_hash": digest})
    assert result.ok and result.environment["model"] == digest
    wrong = "sha256:" + "0" * 64
    result, data = make(model={"hash": wrong, "found_hash": digest})
    assert not result.ok and not data
    assert wrong in result.reason and digest in result.reason


def test_a_missing_model_is_not_downloaded(make):
    result, _ = make(path=None)
    assert not result.ok and "tiny-sd is not on this machine" in result.reason and "modelPath" in result.reason


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's protocol as a snapshot needs, over the tiny pipeline."""

    root: Path
    commit = "c" * 40
    asked: list[str]

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def _answer(self, *, body):
        path = self.path.partition("?")[0]
        self.asked.append(path)
        files = {each.relative_to(self.root).as_posix(): each for each in sorted(self.root.rglob("*")) if each.is_file()}
        if path.startswith("/api/models/org/tiny/revision/"):
            siblings = [{"rfilename": name} for name in files]
            self._send(json.dumps({"id": "org/tiny", "sha": self.commit, "siblings": siblings}).encode(), body)
        elif path.startswith("/api/models/org/tiny/tree/"):
            entries = [{"type": "file", "path": name, "size": file.stat().st_size, "oid": "0" * 40} for name, file in files.items()]
            self._send(json.dumps(entries).encode(), body)
        elif path.startswith("/org/tiny/resolve/"):
            self._send((self.root / path.split("/", 5)[5]).read_bytes(), body)
        else:
            self._send(b"no", body, 404)

    def _send(self, data, body, code=200):
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Repo-Commit", self.commit)
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.end_headers()
        if body:
            self.wfile.write(data)


@pytest.fixture
def hub(tiny):
    handler = type("TinyHub", (Hub,), {"root": tiny, "asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", handler.asked
        server.shutdown()


def test_a_download_where_it_is_allowed(make, hub, tiny, tmp_path):
    address, asked = hub
    client = RunnerClient({**ENVIRON, "HF_HOME": str(tmp_path / "hf")})
    table, env = {"env": ["HF_ENDPOINT"]}, {"HF_ENDPOINT": address}
    digest = hash_model(str(tiny), "sha256")
    try:
        model = {"name": "org/tiny", "download": False}
        result, _ = make(client, table=table, env=env, path=None, model=model)
        assert not result.ok and not asked, "not allowed: nobody is asked"
        result, data = make(client, table=table, env=env, path=None, model={"name": "org/tiny", "download": True, "hash": digest})
        assert result.ok, result.reason
        assert data == make()[1]
        wrong = "sha256:" + "0" * 64
        result, _ = make(client, table=table, env=env, path=None, model={"name": "org/tiny", "download": True, "hash": wrong})
        assert not result.ok and digest in result.reason and wrong in result.reason
        result, _ = make(client, table=table, env=env, path=None, model={"name": "org/none", "download": True})
        assert not result.ok and "org/none (main) could not be downloaded" in result.reason
    finally:
        client.cancel()


def test_pickles_are_refused(make, tiny, tmp_path):
    import shutil

    folder = shutil.copytree(tiny, tmp_path / "pickled")
    (folder / "unet" / "diffusion_pytorch_model.safetensors").rename(folder / "unet" / "diffusion_pytorch_model.bin")
    result, _ = make(path=folder)
    assert not result.ok and "only as pickle" in result.reason


def test_code_of_the_models_own_never_runs(make, tiny, tmp_path):
    import shutil

    folder = shutil.copytree(tiny, tmp_path / "coded")
    ran = tmp_path / "ran"
    (folder / "own.py").write_text(f"open({str(ran)!r}, 'w')\nclass P: pass\n")
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"_class_name": ["own", "P"]}))
    result, _ = make(path=folder)
    assert not result.ok and "code of its own" in result.reason
    assert not ran.exists()


def test_an_input_picture_changes_the_task(make, tmp_path):
    _, base = make()
    (tmp_path / "in.png").write_bytes(base)
    result, data = make(inputs={"image": tmp_path / "in.png"}, width=None, height=None, strength=0.9)
    assert result.ok, result.reason
    assert result.environment["pipeline"] == "StableDiffusionImg2ImgPipeline" and data != base
    result, _ = make(inputs={"image": tmp_path / "in.png", "mask": tmp_path / "in.png"}, strength=0.9)
    assert result.ok, result.reason
    assert result.environment["pipeline"] == "StableDiffusionInpaintPipeline"


def test_a_table_names_the_pipeline(make, tmp_path):
    _, base = make()
    (tmp_path / "in.png").write_bytes(base)
    table = {"pipeline": "StableDiffusionImg2ImgPipeline", "options": {"vae_slicing": True, "safety_checker": False}}
    result, _ = make(table=table, inputs={"image": tmp_path / "in.png"}, width=None, height=None, strength=0.9)
    assert result.ok, result.reason
    result, _ = make(table={"pipeline": "NoSuchPipeline"})
    assert not result.ok and "has no pipeline NoSuchPipeline" in result.reason


@pytest.mark.parametrize("params, words", [
    ({"extra": {"clip_ship": 1}}, "did you mean clip_skip"),
    ({"scheduler": "NoSuchScheduler"}, "has no scheduler NoSuchScheduler"),
    ({"scheduler": "UNet2DModel"}, "has no scheduler UNet2DModel"),
    ({"width": 33}, "divisible"),
    ({"strength": 0.5}, "takes no strength"),
])  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(make, params, words):
    result, _ = make(**params)
    assert not result.ok and words in result.reason and "\n" not in result.reason


def test_an_extra_argument_reaches_the_pipeline(make):
    result, data = make(extra={"eta": 1.0})
    assert result.ok, result.reason
    assert data != make()[1]


def test_by_the_tool_itself(project, tiny):
    """From regen.toml to a commit: pinned by `models --hash`, made, and made again with the same bytes."""
    project.env["REGEN_MODEL_PATH"] = str(tiny.parent)
    toml = '[models.tiny]\nname = "tiny-sd"\n\n[defaults.models]\npipeline = "tiny"\n'
    project.path("regen.toml").write_text(toml)
    found = json.loads(project.regen("models", "--hash", "--json").stdout)["models"][0]["found_hash"]
    assert found == hash_model(str(tiny), "sha256")
    project.path("regen.toml").write_text(toml.replace('"tiny-sd"', f'"tiny-sd"\nhash = "{found}"'))
    words = [f"{name}={value}" for name, value in BASE.items()]
    options = [each for word in words for each in ("--param", word)]
    project.regen("generate", "sky.png", "--generator", "diffusers", *options)
    first = hashlib.sha256(project.path("sky.png").read_bytes()).hexdigest()
    recipe = json.loads(project.path("sky.png.regen.json").read_text())
    assert recipe["models"]["pipeline"]["hash"] == found
    done = project.regen("regenerate", "sky.png")
    assert "restored" in done.stdout
    assert hashlib.sha256(project.path("sky.png").read_bytes()).hexdigest() == first
    (take,) = json.loads(project.regen("show", "sky.png", "--json").stdout)["takes"][:1]
    assert take["environment"]["threads"] and take["environment"]["device"]
    assert "here     tiny-sd" in project.regen("models", "--check").stdout


def test_no_status_loads_torch():
    """Whoever reads a diffusers recipe, checks it or shows its schema pays nothing for the pipelines."""
    code = ("import sys; from regen_vcs.generators import registry; g = registry.load('diffusers'); "
            "registry.params_schema(g); registry.complete_params(g, {}); assert not {'torch', 'diffusers'} & set(sys.modules)")
    subprocess.run([sys.executable, "-I", "-c", code], check=True)
