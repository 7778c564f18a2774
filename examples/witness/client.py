"""What the witness test asks of a client, done with NHS's mesh-client: for 'mesh-sim witness start --run'.

Lines marked "ours" are what mesh-client leaves to its caller.
"""

import os
import sys
from pathlib import Path

import requests
from mesh_client import MeshClient, MeshError

BLOCK = 1 << 20


def connect(wish):
    """Make the client that is to be tested."""
    mailbox = wish["WITNESS_MAILBOX"]
    client = MeshClient(wish["WITNESS_URL"], mailbox, "password", shared_key=b"TestKey")
    client._session.headers["Mex-From"] = mailbox  # noqa: SLF001 -- ours: there is no argument for it
    return client


def send(client, wish, **options):
    """Send the file to the recipient, in chunks of 75 MiB where there is more than that."""
    with Path(wish["WITNESS_FILE"]).open("rb") as file:
        client.send_message(wish["WITNESS_TO"], file, workflow_id=wish["WITNESS_WORKFLOW"], **options)
    client.list_messages()  # ours: straight after a send


def collect(client, _wish):
    """Take every message out of the inbox, all pages of it; leaving the block acknowledges."""
    for message in client.iterate_all_messages():
        with message:
            receive(message)


def download(client, wish):
    """Take one message by its id."""
    with client.retrieve_message(wish["WITNESS_MESSAGE_ID"]) as message:
        receive(message)


def receive(message):
    """Read a message to its end; a program of yours would keep it."""
    while message.read(BLOCK):
        pass


ACTIONS = {
    "send": send,
    # Ours: compress alone leaves out the flag that case 202 looks for.
    "send-compressed": lambda client, wish: send(client, wish, compress=True, compressed=True),
    "send-chunked": send,
    "collect": collect,
    "download": download,
}


def act(wish):
    """Do what is wished for."""
    with connect(wish) as client:
        client.handshake()  # ours: one a day is enough for a program that goes on running
        ACTIONS[wish["WITNESS_ACTION"]](client, wish)


if __name__ == "__main__":
    try:
        act(os.environ)
    except (MeshError, requests.RequestException) as error:
        sys.exit(f"mesh-client: {error.args[0]}")  # ours: what was refused is reported, and not tried again
