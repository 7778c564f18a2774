"""A client as ``witness start --run`` drives it: it does what ``WITNESS_ACTION`` says, then it ends.

``python driven_client.py [careless] [noting FILE]``: a careless one does not look into its inbox after a
send; one that takes notes writes down its environment, and the MD5 of what it sent.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import sys
import urllib.request
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

MAILBOX = os.environ["WITNESS_MAILBOX"]


def call(method: str, path: str, body: bytes | None = None, **headers: str) -> bytes:
    """Make one signed request and give its answer's body."""
    nonce, minute = str(uuid.uuid4()), datetime.now(UTC).strftime("%Y%m%d%H%M")
    signed = f"{MAILBOX}:{nonce}:0:password:{minute}"
    digest = hmac.new(b"TestKey", signed.encode(), hashlib.sha256).hexdigest()
    request = urllib.request.Request(
        f"{os.environ['WITNESS_URL']}/messageexchange/{MAILBOX}{path}",
        data=body,
        method=method,
        headers={"Authorization": f"NHSMESH {MAILBOX}:{nonce}:0:{minute}:{digest}"}
        | {name.replace("_", "-"): value for name, value in headers.items()},
    )
    with urllib.request.urlopen(request) as answer:
        content: bytes = answer.read()
    return content


def inbox() -> list[str]:
    """Look into the inbox."""
    ids: list[str] = json.loads(call("GET", "/inbox"))["messages"]
    return ids


def send(*, careless: bool) -> None:
    """Send the file, and look into the inbox."""
    call(
        "POST",
        "/outbox",
        Path(os.environ["WITNESS_FILE"]).read_bytes(),
        Mex_From=MAILBOX,
        Mex_To=os.environ["WITNESS_TO"],
        Mex_WorkflowID=os.environ["WITNESS_WORKFLOW"],
        Content_Type="application/octet-stream",
    )
    if not careless:
        inbox()


def collect() -> None:
    """Empty the inbox."""
    for message_id in inbox():
        call("GET", f"/inbox/{message_id}")
        call("PUT", f"/inbox/{message_id}/status/acknowledged")


def main(words: list[str]) -> None:
    """Do what is to be done."""
    for number in range(30):
        sys.stdout.write(f"line {number}\n")
    call("GET", "", mex_ClientVersion="driven==1", mex_OSName="Linux", mex_OSVersion="6")
    if os.environ["WITNESS_ACTION"] == "send":
        send(careless="careless" in words)
    else:
        collect()
    if "noting" in words:
        notes: dict[str, Any] = {"environment": dict(os.environ)}
        if file := os.environ["WITNESS_FILE"]:
            notes["md5"] = hashlib.md5(Path(file).read_bytes(), usedforsecurity=False).hexdigest()
        Path(words[words.index("noting") + 1]).write_text(json.dumps(notes))


if __name__ == "__main__":
    main(sys.argv[1:])
