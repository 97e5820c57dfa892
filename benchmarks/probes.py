"""What is measured by itself: hooks, `status` of many assets, the filter, ingesting, parsing."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from statistics import median

from contenders import Contender
from measure import guarded_environment, run
from targets import status_limit

_HERE = os.path.dirname(os.path.abspath(__file__))
_INGEST = """
import sys, time
from blake3 import blake3
from regen_vcs.stores.objects import LocalStores
path, store = sys.argv[1:]
def rate(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
print(rate(lambda: blake3(max_threads=blake3.AUTO).update_mmap(path).hexdigest()))
print(rate(lambda: LocalStores(store + "/keep/v1", store + "/cache/v1").ingest_file(path)))
"""


def _repository(tool: Contender, folder: str, assets: int) -> tuple[str, dict[str, str]]:
    """(root, environment) of a repository with that many small assets, committed."""
    root = f"{folder}/repo"
    os.makedirs(root)
    env = guarded_environment(f"{folder}/home", tool.folders(), tool.environment(folder))
    run(f"git init -q && echo 0 >notes.txt && git add -A && git commit -qm notes && {tool.setup}", root, env)
    for number in range(assets):
        path = f"{root}/media/{number // 100:04d}/{number:06d}.dat"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="ascii") as file:
            file.write(f"asset {number}\n")
    if assets:
        run("regen-vcs add media && git add -A && git commit -qm assets", root, env)
    run("git switch -qc note && echo 1 >notes.txt && git commit -qam note && git switch -q -", root, env)
    return root, env


def _best_of(times: int, command: str, root: str, env: dict[str, str], undo: str = ":") -> float:
    """Median seconds of a command; `undo` is not timed."""
    taken = []
    for _ in range(times):
        taken.append(run(command, root, env).seconds)
        run(undo, root, env)
    return median(taken)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def hooks(tool: Contender, folder: str, scale: float, repeat: int) -> dict[str, str]:
    """What our hooks add to a switch that touches no sidecar, with no assets and with many."""
    result = {}
    for assets in (0, round(5000 * scale)):
        limit = 0.010 + 0.015 * assets / 5000
        root, env = _repository(tool, f"{folder}/{assets}", assets)
        costs = {}
        for name, options in (("hooks", ""), ("plain", f"-c core.hooksPath={os.devnull} ")):
            costs[name] = _best_of(5 * repeat, f"git {options}switch -q note", root, env, f"git {options}switch -q -")
        more = costs["hooks"] - costs["plain"]
        reached = "yes" if more <= limit else "no"
        result[f"switch, no sidecar changed, {assets} assets"] = (
            f"git {_ms(costs['plain'])}, with our hooks {_ms(costs['hooks'])}: + {_ms(more)}; to reach ≤ {_ms(limit)}: {reached}"
        )
    return result


def status(tool: Contender, folder: str, scale: float, repeat: int) -> dict[str, str]:
    """Own `status` with nothing changed. With --scale 10 also at 100,000 assets."""
    result = {}
    for assets in (5000, 10_000, 100_000) if scale >= 10 else (round(5000 * scale), round(10_000 * scale)):
        root, env = _repository(tool, f"{folder}/{assets}", assets)
        run("regen-vcs status", root, env)
        seconds, limit = _best_of(3 * repeat, "regen-vcs status", root, env), status_limit(assets)
        reached = "yes" if seconds <= limit else "no"
        result[f"status, {assets} assets"] = f"{_ms(seconds)}; to reach ≤ {_ms(limit)}: {reached}"
    return result


def filter(tool: Contender, folder: str, scale: float, repeat: int) -> dict[str, str]:
    """The filter process by itself: its first answer after its start, and what one more call costs."""
    calls = max(100, round(5000 * scale))
    text = b'{\n  "regen": 1,\n  "output": {"hash": "blake3:%s"}\n}\n' % (b"0" * 64)
    firsts, each = [], []
    env = guarded_environment(f"{folder}/home", tool.folders(), {"REGEN_ACTIVE": "1"})  # answers, and syncs nothing
    for _ in range(3 * repeat):
        start = time.perf_counter()
        with subprocess.Popen([tool.program, "filter-process"], cwd=folder, env=env, stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as process:
            _send(process, b"git-filter-client\n", b"version=2\n", None)
            _receive(process)
            _send(process, b"capability=clean\n", b"capability=smudge\n", None)
            _receive(process)
            _smudge(process, 0, text)
            firsts.append(time.perf_counter() - start)
            start = time.perf_counter()
            for number in range(calls):
                _smudge(process, number, text)
            each.append((time.perf_counter() - start) / calls)
            process.stdin.close()
    first, call = median(firsts), median(each)
    return {
        "first answer after the start": f"{_ms(first)}; to reach ≤ 60 ms: {'yes' if first <= 0.060 else 'no'}",
        "one call": f"{call * 1e6:.0f} µs; to reach ≤ 100 µs: {'yes' if call <= 100e-6 else 'no'}",
    }


def ingest(tool: Contender, folder: str, scale: float, repeat: int) -> dict[str, str]:
    """Storing one large file, beside BLAKE3 alone on the same file in the page cache."""
    size = max(64, round(1024 * scale)) << 20
    os.makedirs(folder)
    path = f"{folder}/large.bin"
    with open(path, "wb") as file:
        for _ in range(size >> 20):
            file.write(random.randbytes(1 << 20))
    python = os.path.join(os.path.dirname(os.path.abspath(tool.program)), "python")
    rates = []
    for number in range(repeat):
        os.sync()
        done = subprocess.run(
            [python, "-I", "-c", _INGEST, path, f"{folder}/{number}"], check=True, capture_output=True, text=True
        )
        rates.append([size / float(line) / 2**20 for line in done.stdout.split()])
    alone, stored = (median(rate[at] for rate in rates) for at in (0, 1))
    ratio = stored / alone
    return {
        f"{size >> 20} MiB": f"BLAKE3 {alone:.0f} MiB/s, stored {stored:.0f} MiB/s: {ratio:.2f} ×; "
        f"to reach ≥ 0.8 ×: {'yes' if ratio >= 0.8 else 'no'}"
    }


def parse(tool: Contender, folder: str, scale: float, repeat: int) -> dict[str, str]:
    """Reading sidecars and computing their keys: see parse.py."""
    count = max(100, round(10_000 * scale))
    done = subprocess.run([sys.executable, f"{_HERE}/parse.py", str(count)], check=True, capture_output=True, text=True)
    figures = json.loads(done.stdout)
    seconds, limit = figures["parse_and_key_seconds"], 1.5 * count / 10_000
    reached = "yes" if seconds <= limit else "no"
    return {f"{count} sidecars read, and their keys": f"{seconds:.2f} s; to reach ≤ {limit:.2f} s: {reached}"}


def queue(tool: Contender, folder: str, scale: float, repeat: int) -> dict[str, str]:
    """The engine's own share of a job, the listing of many, a checkout that leaves 200 to a worker: see jobs.py."""
    root, env = _repository(tool, folder, 0)
    env |= {"REGEN_KEEP_DIR": f"{folder}/keep", "REGEN_CACHE_DIR": f"{folder}/cache", "REGEN_CONFIG_DIR": f"{folder}/config"}
    assets, listed = max(250, round(1000 * scale)), max(1000, round(10_000 * scale))
    python = os.path.join(os.path.dirname(os.path.abspath(tool.program)), "python")
    done = subprocess.run(
        [python, f"{_HERE}/jobs.py", root, str(assets), str(listed)], check=True, capture_output=True, text=True, env=env
    )
    figures = json.loads(done.stdout)
    overhead = figures["job"] - figures["generator"]
    limit = 0.2 * max(1.0, listed / 10_000)
    return {
        f"one of {assets} jobs, above the generator's own {_ms(figures['generator'])}":
            f"{_ms(overhead)}; to reach ≤ 20 ms: {'yes' if overhead <= 0.020 else 'no'}",
        f"{listed} queued jobs listed": f"{_ms(figures['listing'])}; to reach ≤ {_ms(limit)}: {'yes' if figures['listing'] <= limit else 'no'}",
        "switch with 200 missing, left to a worker":
            f"{_ms(figures['switch'])}; to reach ≤ 1000 ms: {'yes' if figures['switch'] <= 1.0 else 'no'}",
    }  # fmt: skip


def gc(tool: Contender, folder: str, scale: float, repeat: int) -> dict[str, str]:
    """`gc --takes` of a store of which half is needed and half is nobody's, in time and memory: see store.py."""
    count = max(1000, round(100_000 * scale))
    root, env = _repository(tool, folder, 0)
    env |= {"REGEN_KEEP_DIR": f"{folder}/keep", "REGEN_CACHE_DIR": f"{folder}/cache", "REGEN_CONFIG_DIR": f"{folder}/config"}
    python = os.path.join(os.path.dirname(os.path.abspath(tool.program)), "python")
    subprocess.run([python, f"{_HERE}/store.py", root, str(count)], check=True, env=env)
    dry = run("regen-vcs gc --dry-run --takes", root, env)
    cost = run("regen-vcs gc --takes", root, env)
    left = int(subprocess.run(
        "find keep/v1/objects cache/v1/objects -type f | wc -l", shell=True, cwd=folder, check=True, capture_output=True, text=True
    ).stdout)
    limit = 10 * count / 100_000
    return {
        f"{count} objects, {count - left} of them to the trash":
            f"{cost.seconds:.2f} s (dry run {dry.seconds:.2f} s); to reach ≤ {limit:.1f} s: {'yes' if cost.seconds <= limit else 'no'}",
        "its memory": f"{max(cost.peak_bytes, dry.peak_bytes) / 2**20:.0f} MiB: {cost.peak_bytes / count:.0f} bytes an object",
    }  # fmt: skip


def _smudge(process: subprocess.Popen, number: int, content: bytes) -> None:
    _send(process, b"command=smudge\n", b"pathname=media/%06d.png.regen.json\n" % number, None, content, None)
    for _ in range(3):  # status, content, status again
        _receive(process)


def _send(process: subprocess.Popen, *packets: bytes | None) -> None:
    process.stdin.write(b"".join(b"0000" if each is None else b"%04x%s" % (len(each) + 4, each) for each in packets))
    process.stdin.flush()


def _receive(process: subprocess.Popen) -> None:
    """Packets up to the next flush."""
    while (size := int(process.stdout.read(4), 16)) > 4:
        process.stdout.read(size - 4)
