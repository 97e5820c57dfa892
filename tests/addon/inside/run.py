"""Runs pytest inside a Blender, and writes what it reported. Started by `tests/addon/blenders.py`.

A process that ends with an addon still registered crashes some Blenders and hangs others, so it ends here, by itself, once all is said.
"""

import json
import os
import sys

sys.path[:0] = [os.environ["REGEN_TEST_MODULES"], os.environ["REGEN_TEST_SOURCE"], os.path.dirname(os.path.abspath(__file__))]

# As a module of Python it puts Blender's own modules on the path.
import bpy  # noqa: E402, F401
import pytest  # noqa: E402


class Reporter:
    """Writes after every step: a Blender that crashes leaves what there was, and the name of the test it died in."""

    def __init__(self, path):
        self.path = path
        self.report = {"finished": False, "began": None, "tests": []}
        self._write()

    def pytest_runtest_logstart(self, nodeid):
        self.report["began"] = nodeid
        self._write()

    def pytest_runtest_logreport(self, report):
        if report.when == "call" or report.outcome != "passed":
            words = report.longreprtext or (report.longrepr[2] if isinstance(report.longrepr, tuple) else "")
            captured = "".join(f"\n-- {name}\n{text}" for name, text in report.sections) if report.failed else ""
            self.report["tests"].append({"name": report.nodeid, "outcome": report.outcome, "seconds": report.duration, "words": words + captured})

    def pytest_collectreport(self, report):
        if report.failed:
            self.report["tests"].append({"name": report.nodeid, "outcome": "failed", "seconds": 0, "words": report.longreprtext})

    def pytest_sessionfinish(self):
        self.report["finished"] = True
        self._write()

    def _write(self):
        with open(self.path + ".part", "w", encoding="utf-8") as file:
            json.dump(self.report, file)
        os.replace(self.path + ".part", self.path)


def main():
    arguments = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    here = os.path.dirname(os.path.abspath(__file__))
    options = ["-q", "-ra", "--strict-markers", "-p", "no:cacheprovider", "-p", "no:randomly", "--import-mode=importlib", "-c", os.devnull,
               "--rootdir", here, "--confcutdir", here, "--basetemp", os.environ["REGEN_TEST_BASE"], "-o", "faulthandler_timeout=120"]
    status = pytest.main([*options, *arguments], plugins=[Reporter(os.environ["REGEN_TEST_REPORT"])])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(status))


main()
