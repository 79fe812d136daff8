"""What the fuzzer cannot know of the server: ids that are there, and where it may work.

Everything that is submitted stays in the temporary folder: a folder that a made-up request happens to name is
never worked on.
"""

import json
import os
import pathlib
import re
import urllib.request
import zlib

import schemathesis

SERVER = os.environ["MAESTRIA_SERVER"]
SCENE = pathlib.Path(os.environ["MAESTRIA_SCENE"])
RUN_ID = re.compile(r"(last|(run_)?[0-9a-f]{4,32})")
DECISION_ID = re.compile(r"dec_[0-9a-f]{32}")

# A run of the playbook takes some seconds of both cores; a few are enough to have some under way.
submissions_left = 6


def read(path):
    request = urllib.request.Request(
        f"{SERVER}{path}", headers={"authorization": f"Bearer {os.environ['MAESTRIA_TOKEN']}"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


RUNS = [run["id"] for run in read("/api/v1/runs")["items"]]
DECISIONS = [decision["id"] for decision in read("/api/v1/decisions?state=all")["items"]]
assert RUNS and DECISIONS, "the server has nothing to ask about"


@schemathesis.hook
def before_call(context, case, kwargs):
    for place in (case.path_parameters, case.query):
        put_real(place, "run", RUN_ID, RUNS)
        put_real(place, "decision", DECISION_ID, DECISIONS)
    if isinstance(case.body, dict) and case.method.upper() == "POST":
        keep_inside(case)


def put_real(place, name, well_formed, known):
    """Most ids that are well-formed are put for some that are there; the others stay unknown."""
    made_up = str((place or {}).get(name, ""))
    chance = zlib.crc32(made_up.encode())
    if well_formed.fullmatch(made_up) and chance % 4:
        place[name] = known[chance % len(known)]


def keep_inside(case):
    global submissions_left
    body = case.body
    if case.path.endswith("/rerun") and body.get("from") and case.meta.generation.mode.is_positive:
        body["from"] = "E2"
    if isinstance(body.get("workspace"), str):
        body["workspace"] = str(SCENE / "workspaces" / str(zlib.crc32(body["workspace"].encode())))
    for name in ("target", "project", "cwd"):
        if name not in body or case.path.startswith("/api/v1/policies"):
            continue
        if case.meta.generation.mode.is_positive and submissions_left > 0:
            submissions_left -= 1
            body[name] = str(SCENE / "app")
            body["agents"] = ["playbook-author", "playbook-reviewer"]
            body["workflow"] = "develop"
        elif isinstance(body[name], str) and os.path.isdir(body[name]):
            body[name] = str(SCENE / "nowhere")


@schemathesis.hook
def filter_failure(context, failure, case, response):
    # A header that nobody knows is ignored: RFC 9110, section 5.1, asks for it. Fields and parameters are another matter.
    if type(failure).__name__ != "AcceptedNegativeData":
        return True
    return "x-schemathesis-unknown-property" not in {name.lower() for name in case.headers or {}}
