#!/usr/bin/env python3
"""A small client of the Unix socket: shows what is waiting, follows what happens, and says yes or no.

    maestria serve --socket ~/.local/state/maestria/socket
    python3 examples/converse.py ~/.local/state/maestria/socket                  follow everything
    python3 examples/converse.py ~/.local/state/maestria/socket approve dec_…    answer a decision

One JSON object a line, both ways. A command is a request of the API (docs/api.md); its answer has the command's id.
"""

import json
import socket
import sys


def main(path, words):
    line = socket.socket(socket.AF_UNIX)
    line.connect(path)
    talk = line.makefile("rw", encoding="utf-8", newline="\n")

    def say(**message):
        talk.write(json.dumps(message) + "\n")
        talk.flush()

    if words:
        verb, decision = words
        say(id=1, method="POST", path=f"/api/v1/decisions/{decision}",
            body={"approve": verb == "approve", "because": "said with examples/converse.py"})
    else:
        say(id=1, path="/api/v1/decisions")
        say(id=2, follow={"kinds": "run.*,task.*,decision.*"})
    for text in talk:
        told = json.loads(text)
        if event := told.get("event"):
            print(event["number"], event["run"][-6:], event["kind"], flush=True)
        elif told.get("id") == 1:
            print(json.dumps(told["body"], indent=2), flush=True)
            if words:
                return 0 if told["status"] == 200 else 1
    return 0


if __name__ == "__main__":
    if len(sys.argv) not in (2, 4):
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2:]))
