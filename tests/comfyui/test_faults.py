"""What goes wrong on the way: cut sockets, restarts, lost answers, servers that never come back, and cancels."""

from __future__ import annotations

import threading
import time

import pytest

from regen_vcs.errors import Interrupted
from regen_vcs.generators.base import JobFailed
from regen_vcs.generators.comfyui.run import Patience
from tests.comfyui.conftest import painting, picture, wait_for
from tests.patience import BUSY


def slow(steps: int) -> dict:
    return picture(**{
        "3": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "x"}},
        "8": {"class_type": "Slow", "inputs": {"image": ["2", 0], "steps": steps}},
    })  # fmt: skip


def seeded(seed: int) -> dict:
    graph = painting()
    graph["5"]["inputs"]["seed"] = seed
    return graph


# -- connections ------------------------------------------------------------------------------------------------------


def test_a_dropped_socket_is_opened_again_under_the_same_id(bench, server):
    server.hold()
    job = bench.in_background(painting())
    wait_for(lambda: server.executor.running)
    server.cut_sockets()
    wait_for(lambda: len(server.clients) == 2)
    server.release()
    assert job.result().exists()
    assert len(set(server.clients)) == 1
    assert len(server.prompts) == 1, "nothing was submitted twice"


def test_it_works_without_any_socket(bench, server):
    server.sockets_allowed = False
    assert bench(picture()).exists()
    assert server.asked("/history") >= 1


def test_a_lost_answer_to_a_submission_does_not_submit_twice(bench, server):
    server.swallow_answer = True
    assert bench(picture()).exists()
    assert len(server.prompts) == 1


@pytest.mark.parametrize("waiting", [False, True], ids=["while it runs", "while it waits"])
def test_a_restart_is_survived(bench, server, waiting):
    server.hold()
    other = bench.in_background(seeded(99)) if waiting else None
    if waiting:
        wait_for(lambda: server.executor.running)
    job = bench.in_background(painting())
    wait_for(lambda: len(server.executor.pending) == 1 if waiting else server.executor.running)
    server.kill()
    time.sleep(0.3)
    server.start()
    assert job.result().exists()
    if other:
        assert other.result().exists()
    assert len({body["prompt_id"] for body in server.prompts}) == len(server.prompts) == (4 if waiting else 2)
    fractions = [fraction for fraction, _ in bench.told]
    assert waiting or fractions == sorted(fractions)


def test_a_restart_gives_the_same_bytes_and_uploads_again(bench, server, tmp_path):
    from PIL import Image

    source = tmp_path / "a.png"
    Image.new("RGB", (8, 8), (9, 9, 9)).save(source)
    graph = painting(**{"7": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
                        "8": {"class_type": "PreviewImage", "inputs": {"images": ["7", 0]}}})  # fmt: skip
    first = bench(graph, bind={"plate": "7.inputs.image"}, inputs={"plate": source}).read_bytes()
    server.kill()
    for name in server.files("input"):
        (server.folder / "input" / name).unlink()
    server.start()
    assert bench(graph, bind={"plate": "7.inputs.image"}, inputs={"plate": source}).read_bytes() == first


def test_a_server_behind_a_proxy_that_says_it_is_starting(bench, server):
    server.hold()
    job = bench.in_background(painting())
    wait_for(lambda: server.executor.running)
    server.busy = True
    server.release()
    time.sleep(0.5)
    assert not job.is_done
    server.busy = False
    assert job.result().exists()


def test_a_server_that_never_comes_back_is_named_in_time(bench, server):
    bench.patience = Patience(away=0.6)
    server.hold()
    job = bench.in_background(painting())
    wait_for(lambda: server.executor.running)
    server.kill()
    started = time.monotonic()
    with pytest.raises(JobFailed, match=f"the server {server.url} went away and did not come back within"):
        job.result()
    assert time.monotonic() - started < 1 + BUSY


def test_a_server_that_forgets_again_and_again_is_given_up(bench, server):
    bench.patience = Patience(submissions=2)
    server.hold()
    job = bench.in_background(painting())
    for number in (1, 2):
        wait_for(lambda number=number: len(server.prompts) == number and server.executor.running)
        server.kill()
        server.start()
        server.hold()
    with pytest.raises(JobFailed, match="was restarted and does not know the prompt any more"):
        job.result()
    assert len(server.prompts) == 2


def test_another_server_takes_over_where_one_is_gone(bench, server, servers):
    second = servers("second")
    server.hold()
    second.hold()
    bench.urls = [server.url, second.url]
    job = bench.in_background(painting())
    wait_for(lambda: server.executor.running or second.executor.running)
    first, other = (server, second) if server.executor.running else (second, server)
    first.kill()
    other.release()
    assert job.result().exists()
    assert len(other.prompts) == 1


def test_a_timeout_takes_the_prompt_back(bench, server):
    with pytest.raises(JobFailed, match="took longer than its timeout of"):
        bench(slow(2000), timeout="300ms")
    wait_for(lambda: server.executor.running is None, 3)
    assert not server.files()


# -- cancel -----------------------------------------------------------------------------------------------------------


def test_a_cancel_interrupts_what_runs(bench, server):
    cancelled = threading.Event()
    job = bench.in_background(slow(2000), cancelled=cancelled)
    wait_for(lambda: server.executor.running)
    cancelled.set()
    started = time.monotonic()
    with pytest.raises(Interrupted):
        job.result()
    assert time.monotonic() - started < 1 + BUSY
    wait_for(lambda: server.executor.running is None, 3)
    assert not server.files()


def test_a_cancel_takes_what_waits_out_of_the_queue_and_leaves_the_rest_alone(bench, server):
    server.hold()
    first = bench.in_background(seeded(1))
    wait_for(lambda: server.executor.running)
    cancelled = threading.Event()
    second = bench.in_background(seeded(2), cancelled=cancelled)
    wait_for(lambda: len(server.executor.pending) == 1)
    third = bench.in_background(seeded(3))
    wait_for(lambda: len(server.executor.pending) == 2)
    cancelled.set()
    with pytest.raises(Interrupted):
        second.result()
    assert len(server.executor.pending) == 1
    server.release()
    assert first.result() and third.result()
    assert server.asked("/interrupt") == 0


def test_a_cancel_never_interrupts_somebody_elses_prompt(bench, server):
    """Our prompt is over, and another one runs by the time the cancel arrives."""
    from regen_vcs.generators.comfyui.client import hasty_server

    server.hold()
    theirs = bench.in_background(painting())
    wait_for(lambda: server.executor.running)
    hasty_server(server.url, {}).withdraw("ours")
    assert server.asked("/interrupt") == 0
    server.release()
    assert theirs.result()


def test_a_cancel_is_heard_while_the_job_sits_in_a_request(bench, server, monkeypatch):
    """Its process has a second to leave; the server must hear of it all the same."""
    from regen_vcs.generators.comfyui.client import Server

    answer, stuck = threading.Event(), threading.Event()

    def history(self, prompt_id):
        stuck.set()
        answer.wait(10)

    monkeypatch.setattr(Server, "history", history)
    cancelled = threading.Event()
    job = bench.in_background(slow(2000), cancelled=cancelled)
    wait_for(lambda: server.executor.running and stuck.is_set())
    cancelled.set()
    wait_for(lambda: server.executor.running is None, 5)
    assert not job.is_done
    answer.set()
    with pytest.raises(Interrupted):
        job.result()
