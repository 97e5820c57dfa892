"""moto (an emulator of S3), rclone (a real S3 server over a folder), nginx (WebDAV, and plain for reading)."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.remote_servers.processes import serving

ACCESS_KEY, SECRET_KEY = "AKIDEXAMPLETEST", "ExampleSecretOfATest"
USER, PASSWORD = "ünser", "gehe1m-wört"
BUCKET = "films"
_BIN = Path(sys.executable).parent
_NGINX_PLACES = ("/usr/sbin", "/usr/local/sbin")
_DAV_EXT = ("/usr/lib/nginx/modules/ngx_http_dav_ext_module.so", "/usr/lib64/nginx/modules/ngx_http_dav_ext_module.so")


class Server(NamedTuple):
    """base: scheme://host:port. folder: where its files lie, None where nobody can look. environ: its credentials."""

    base: str
    folder: Path | None
    environ: dict[str, str]


def s3_url(base: str, prefix: str = "", bucket: str = BUCKET) -> str:
    return f"s3://{bucket}/{prefix}?endpoint={base}&region=us-east-1"


def s3_environ(home: Path, access: str = ACCESS_KEY, secret: str = SECRET_KEY) -> dict[str, str]:
    """An environment with keys, and nothing of the user's own."""
    return {"HOME": str(home), "AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": secret}


@contextlib.contextmanager
def moto(base: Path) -> Iterator[Server]:
    """Everything in memory; any credentials will do."""
    with serving(lambda port: [str(_BIN / "moto_server"), "-H", "127.0.0.1", "-p", str(port)], base / "moto.log") as port:
        _make_bucket(f"http://127.0.0.1:{port}")
        yield Server(f"http://127.0.0.1:{port}", None, s3_environ(base))


def _make_bucket(base: str) -> None:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
        urllib.request.Request(f"{base}/{BUCKET}", method="PUT"), timeout=30
    ) as answer:
        assert answer.status == 200


@contextlib.contextmanager
def rclone(base: Path) -> Iterator[Server]:
    """Checks signatures; a bucket is a subfolder of `folder`."""
    folder = base / "rclone"
    (folder / BUCKET).mkdir(parents=True)

    def argv(port: int) -> list[str]:
        return [str(_BIN / "rclone"), "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", f"{ACCESS_KEY},{SECRET_KEY}",
                "--vfs-cache-mode", "off", "--config", os.devnull, str(folder)]

    with serving(argv, base / "rclone.log") as port:
        yield Server(f"http://127.0.0.1:{port}", folder, s3_environ(base))


def nginx_program() -> str | None:
    return shutil.which("nginx") or next((f"{place}/nginx" for place in _NGINX_PLACES if os.access(f"{place}/nginx", os.X_OK)), None)


_CONF = """
load_module {module};
daemon off;
master_process off;
worker_processes 1;
pid {base}/nginx.pid;
error_log stderr error;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {base}/body;
  proxy_temp_path {base}/proxy; fastcgi_temp_path {base}/fastcgi; uwsgi_temp_path {base}/uwsgi; scgi_temp_path {base}/scgi;
  client_max_body_size 0;
  keepalive_requests 100000;
  server {{
    listen 127.0.0.1:{port};
    root {folder};
    location / {{ dav_methods PUT DELETE MKCOL COPY MOVE; dav_ext_methods PROPFIND OPTIONS; create_full_put_path on; }}
    location /locked/ {{
      auth_basic "films"; auth_basic_user_file {base}/users;
      dav_methods PUT DELETE MKCOL COPY MOVE; dav_ext_methods PROPFIND OPTIONS; create_full_put_path on;
    }}
    location /tight/ {{ client_max_body_size 1k; dav_methods PUT DELETE MKCOL COPY MOVE; create_full_put_path on; }}
    location /unmoved/ {{ dav_methods PUT DELETE MKCOL; dav_ext_methods PROPFIND OPTIONS; create_full_put_path on; }}
    location /strict/ {{ dav_methods PUT DELETE MKCOL COPY MOVE; dav_ext_methods PROPFIND OPTIONS; create_full_put_path off; }}
    location /plain/ {{ alias {folder}/; }}
    location /away/ {{ return 302 /plain/$uri; }}
  }}
}}
"""


@contextlib.contextmanager
def nginx(base: Path) -> Iterator[Server]:
    """WebDAV at /, the same with a password at /locked/, 1 KiB at most at /tight/, no MOVE at /unmoved/; /plain/ reads /."""
    folder = base / "nginx"
    for name in ("", "locked", "tight", "unmoved", "strict"):
        (folder / name).mkdir()
    (base / "users").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n", encoding="utf-8")
    module = next(path for path in _DAV_EXT if os.path.exists(path))

    def argv(port: int) -> list[str]:
        conf = base / "nginx.conf"
        conf.write_text(_CONF.format(module=module, base=base, port=port, folder=folder))
        return [nginx_program(), "-p", str(base), "-c", str(conf)]

    # As root the one process would drop to a user who may not look into the tests' folders; master_process off keeps it.
    with serving(argv, base / "nginx.log") as port:
        yield Server(f"http://127.0.0.1:{port}", folder, {"HOME": str(base)})
