"""How the tests' ComfyUI checks and runs a prompt: its errors, its cache and the order of its messages."""

from __future__ import annotations

import heapq
import json
import threading
import time
import traceback
from pathlib import Path

from tests.comfyui.nodes import CLASSES, Context, Interrupted


def is_link(value) -> bool:
    return isinstance(value, list) and len(value) == 2


class Refusal(Exception):
    def __init__(self, kind: str, message: str, details: str = "", node_errors: dict | None = None):
        super().__init__(message)
        self.error = {"type": kind, "message": message, "details": details, "extra_info": {}}
        self.node_errors = node_errors or {}


class Validator:
    """models: {"checkpoints": [...], "loras": [...]}."""

    def __init__(self, models: dict[str, list[str]], input_folder: Path):
        self._models, self._inputs = models, input_folder

    def config(self, kind: type, field: str) -> list:
        found = kind.required[field]
        is_model = isinstance(found[0], str) and found[0] in self._models
        return [self._models[found[0]], {"tooltip": "The name of it."}] if is_model else found

    def object_info(self, name: str) -> dict:
        kind = CLASSES[name]
        required = {field: self.config(kind, field) for field in kind.required}
        return {"input": {"required": required}, "name": name, "display_name": name, "output_node": kind.output}

    def check(self, prompt: dict) -> tuple[list[str], dict]:
        """(the outputs that can run, errors of the nodes of the others); Refusal where there is none."""
        for node, found in prompt.items():
            name = found.get("class_type")
            if name is None:
                raise Refusal("invalid_prompt", f"Cannot execute because node ID '#{node}' has no class_type.", f"Node ID '#{node}'")
            if name not in CLASSES:
                raise Refusal("invalid_prompt", f"Cannot execute because node {name} does not exist.", f"Node ID '#{node}'")
        outputs = [node for node, found in prompt.items() if CLASSES[found["class_type"]].output]
        if not outputs:
            raise Refusal("prompt_no_outputs", "Prompt has no outputs")
        errors: dict[str, dict] = {}
        good = []
        for output in outputs:
            bad = [node for node in self._upstream(prompt, output) if self._errors(prompt, node)]
            for node in bad:
                entry = errors.setdefault(node, {
                    "errors": self._errors(prompt, node), "dependent_outputs": [], "class_type": prompt[node]["class_type"],
                })  # fmt: skip
                entry["dependent_outputs"].append(output)
            if not bad:
                good.append(output)
        if not good:
            raise Refusal("prompt_outputs_failed_validation", "Prompt outputs failed validation", "", errors)
        return good, errors

    def _upstream(self, prompt: dict, node: str) -> list[str]:
        found, todo = [], [node]
        while todo:
            each = todo.pop()
            if each not in found and each in prompt:
                found.append(each)
                todo += [value[0] for value in prompt[each]["inputs"].values() if is_link(value)]
        return found

    def _errors(self, prompt: dict, node: str) -> list[dict]:
        kind, inputs = CLASSES[prompt[node]["class_type"]], prompt[node]["inputs"]
        found = []
        for field in kind.required:
            config = self.config(kind, field)

            def bad(name, message, details, value=None, *, field=field, config=config):
                shown = None if isinstance(config[0], list) and len(config[0]) > 20 else config
                info = {"input_name": field, "input_config": shown, "received_value": value}
                found.append({"type": name, "message": message, "details": details, "extra_info": info})

            if field not in inputs:
                bad("required_input_missing", "Required input is missing", field)
                continue
            value = inputs[field]
            if is_link(value):
                if value[0] not in prompt:
                    bad("exception_during_inner_validation", "Exception when validating inner node", f"KeyError: '{value[0]}'")
                continue
            self._check_value(config, field, inputs, bad)
        return found

    def _check_value(self, config: list, field: str, inputs: dict, bad) -> None:
        value = inputs[field]
        choices = config[1]["options"] if config[0] == "COMBO" else config[0] if isinstance(config[0], list) else None
        if config[1:] and config[1].get("image_upload"):
            if not (self._inputs / str(value)).is_file():
                bad("custom_validation_failed", "Custom validation failed for node", f"image - Invalid image file: {value}")
        elif choices is not None:
            if value not in choices:
                shown = choices if len(choices) <= 20 else f"(list of length {len(choices)})"
                bad("value_not_in_list", "Value not in list", f"{field}: '{value}' not in {shown}", value)
        elif config[0] in ("INT", "FLOAT"):
            try:
                number = (int if config[0] == "INT" else float)(value)
            except (TypeError, ValueError):
                bad("invalid_input_type", f"Failed to convert an input value to a {config[0]} value", f"{field}, {value}", value)
                return
            value = inputs[field] = number  # in the prompt itself, and so in what files hold
            if number < config[1].get("min", number):
                bad("value_smaller_than_min", f"Value {value} smaller than min of {config[1]['min']}", field, value)
            if number > config[1].get("max", number):
                bad("value_bigger_than_max", f"Value {value} bigger than max of {config[1]['max']}", field, value)


class Executor:
    """The queue, the thread that works it off, the cache of the last prompt, and the history: all in memory."""

    def __init__(self, folder: Path, send):
        self.folder, self._send = folder, send
        self.gate = threading.Event()
        self.gate.set()
        self.lock = threading.Condition()
        self.pending: list[tuple] = []
        self.running: tuple | None = None
        self.history: dict[str, dict] = {}
        self.ran: list[list[str]] = []  # for each prompt, the nodes that really ran
        self._cache: dict[str, tuple] = {}
        self._context: Context | None = None
        self._stopped = False
        self._number = 0
        threading.Thread(target=self._work, daemon=True).start()

    def submit(self, prompt_id: str, prompt: dict, extra: dict, outputs: list[str], front: bool) -> int:
        with self.lock:
            number = -self._number if front else self._number
            self._number += 1
            heapq.heappush(self.pending, (number, prompt_id, prompt, extra, outputs))
            self.lock.notify()
            return number

    def delete(self, prompt_ids: list[str]) -> None:
        with self.lock:
            self.pending = [item for item in self.pending if item[1] not in prompt_ids]
            heapq.heapify(self.pending)

    def interrupt(self, prompt_id: str | None) -> None:
        with self.lock:
            if self.running is not None and prompt_id in (None, self.running[1]):
                self._context.interrupted.set()

    def forget(self) -> None:
        with self.lock:
            self._cache = {}

    def stop(self) -> None:
        with self.lock:
            self._stopped = True
            if self._context:
                self._context.interrupted.set()
            self.gate.set()
            self.lock.notify()

    def _work(self) -> None:
        while True:
            with self.lock:
                while not self.pending and not self._stopped:
                    self.lock.wait()
                if self._stopped:
                    return
                self.running = item = heapq.heappop(self.pending)
                _number, prompt_id, prompt, extra, outputs = item
                tell = _Teller(self._send, extra.get("client_id"), prompt_id)
                self._context = Context(self.folder, prompt, extra, tell.step, self.gate)
            listed, ok = _Run(self._context, prompt, outputs, self._cache, tell, self.ran).go()
            with self.lock:
                self._cache = {key: value for key, value in self._cache.items() if key in tell.signatures}
                self.running = None
                if self._stopped:
                    return
                meta = {node: {"node_id": node, "display_node": node, "parent_node": None, "real_node_id": node} for node in listed}
                self.history[prompt_id] = {
                    "prompt": list(item), "outputs": listed, "meta": meta,
                    "status": {"status_str": "success" if ok else "error", "completed": ok, "messages": tell.messages},
                }  # fmt: skip
            tell.send("executing", {"node": None})


class _Teller:
    """Messages of one prompt, to the client that submitted it; some of them end in the history."""

    def __init__(self, send, client_id: str | None, prompt_id: str):
        self._send, self._client_id, self._prompt_id = send, client_id, prompt_id
        self.messages: list = []
        self.signatures: set[str] = set()
        self.states: dict[str, dict] = {}

    def send(self, kind: str, data: dict) -> None:
        if self._client_id is not None:
            self._send(self._client_id, {"type": kind, "data": {**data, "prompt_id": self._prompt_id}})

    def keep(self, kind: str, data: dict) -> None:
        self.messages.append([kind, {**data, "prompt_id": self._prompt_id, "timestamp": int(time.time() * 1000)}])
        self.send(kind, data)

    def state(self, node: str, state: str, value: float, most: float) -> None:
        self.states[node] = {"value": value, "max": most, "state": state, "node_id": node, "display_node_id": node}
        self.send("progress_state", {"nodes": dict(self.states)})

    def step(self, node: str, value: int, most: int) -> None:
        self.state(node, "running", value, most)
        self.send("progress", {"value": value, "max": most, "node": node})
        if self._client_id is not None:
            self._send(self._client_id, b"\0\0\0\1\0\0\0\1\xff\xd8 a preview")


class _Run:
    def __init__(self, context: Context, prompt: dict, outputs: list[str], cache: dict, tell: _Teller, ran: list):
        self._context, self._prompt, self._outputs, self._cache, self._tell = context, prompt, outputs, cache, tell
        self._ran: list[str] = []
        ran.append(self._ran)

    def go(self) -> tuple[dict, bool]:
        """({node: what it lists}, whether it went well)."""
        self._tell.keep("execution_start", {})
        order = self._order()
        for node in order:
            self._tell.signatures.add(self._signature(node))
        cached = [node for node in order if self._signature(node) in self._cache]
        self._tell.keep("execution_cached", {"nodes": cached})
        listed: dict[str, dict] = {}
        for node in order:
            try:
                listed |= self._run_node(node)
            except Interrupted:
                self._tell.keep("execution_interrupted", {"node_id": node, "node_type": self._class(node), "executed": self._ran})
                return listed, False
            except Exception as error:
                self._tell.keep("execution_error", {
                    "node_id": node, "node_type": self._class(node), "executed": self._ran, "exception_message": str(error),
                    "exception_type": type(error).__name__, "traceback": traceback.format_exc().splitlines(keepends=True),
                })  # fmt: skip
                return listed, False
        self._tell.keep("execution_success", {})
        return listed, True

    def _run_node(self, node: str) -> dict[str, dict]:
        signature = self._signature(node)
        if signature not in self._cache:
            if self._context.interrupted.is_set():
                raise Interrupted
            self._tell.send("executing", {"node": node, "display_node": node})
            self._tell.state(node, "running", 0.0, 1.0)
            inputs = self._prompt[node]["inputs"]
            kind = CLASSES[self._class(node)]
            values = {
                field: self._cache[self._signature(inputs[field][0])][0][inputs[field][1]] if is_link(inputs[field]) else inputs[field]
                for field in kind.required
            }  # fmt: skip
            self._cache[signature] = kind().run(self._context, node, **values)
            self._ran.append(node)
            self._tell.state(node, "finished", 1.0, 1.0)
        ui = self._cache[signature][1]
        if ui is None:
            return {}
        self._tell.send("executed", {"node": node, "display_node": node, "output": ui})
        return {node: ui}

    def _class(self, node: str) -> str:
        return self._prompt[node]["class_type"]

    def _order(self) -> list[str]:
        found: list[str] = []

        def visit(node: str) -> None:
            for value in self._prompt[node]["inputs"].values():
                if is_link(value):
                    visit(value[0])
            if node not in found:
                found.append(node)

        for output in self._outputs:
            visit(output)
        return found

    def _signature(self, node: str) -> str:
        inputs = self._prompt[node]["inputs"]
        told = {field: [self._signature(value[0]), value[1]] if is_link(value) else value for field, value in inputs.items()}
        return json.dumps([self._class(node), told], sort_keys=True)
