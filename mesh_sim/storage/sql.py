"""Every SQL statement but those of ``search_sql``, in the dialect that SQLite and PostgreSQL share.

Times are microseconds since 1970 in UTC; flags are 0 or 1; text that was never given is ''.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

VERSION: Final = 2
"""Of the schema; grows with every change that a file made earlier does not have."""

RARE_STATUSES: Final = ("uploading", "undeliverable", "error")
"""A message that is sent whole and collected never has one of these."""
# Not an IN, for which SQLite builds a table whenever a message is sent or acknowledged.
RARE: Final = "status <> 'accepted' AND status <> 'acknowledged'"

SCHEMA: Final = (
    """
    CREATE TABLE IF NOT EXISTS messages (
        message_id        TEXT PRIMARY KEY,
        message_type      TEXT NOT NULL,
        sender            TEXT NOT NULL,
        recipient         TEXT NOT NULL,
        workflow_id       TEXT NOT NULL,
        status            TEXT NOT NULL,
        total_chunks      INTEGER NOT NULL,
        created_at        BIGINT NOT NULL,
        subject           TEXT NOT NULL,
        local_id          TEXT NOT NULL,
        partner_id        TEXT NOT NULL,
        file_name         TEXT NOT NULL,
        checksum          TEXT NOT NULL,
        content_type      TEXT NOT NULL,
        content_encoding  TEXT NOT NULL,
        encrypted         INTEGER NOT NULL,
        compressed        INTEGER NOT NULL,
        file_size         BIGINT NOT NULL,
        position          BIGINT NOT NULL,
        accepted_at       BIGINT,
        acknowledged_at   BIGINT,
        failed_at         BIGINT,
        failure_event     TEXT NOT NULL,
        failure_code      TEXT NOT NULL,
        failure_text      TEXT NOT NULL,
        linked_message_id TEXT NOT NULL,
        intended_recipient TEXT NOT NULL,
        in_inbox          INTEGER NOT NULL,
        in_outbox         INTEGER NOT NULL,
        chunks_here       INTEGER NOT NULL,
        bytes_here        BIGINT NOT NULL
    )
    """,
    # Covers the inbox list and its workflow filter without touching the table.
    """
    CREATE INDEX IF NOT EXISTS messages_inbox ON messages (recipient, position, workflow_id, message_id)
        WHERE status = 'accepted' AND in_inbox = 1
    """,
    "CREATE INDEX IF NOT EXISTS messages_local_id ON messages (local_id, sender) WHERE local_id <> ''",
    # Everything a mailbox received or sent, newest first.
    "CREATE INDEX IF NOT EXISTS messages_received ON messages (recipient, created_at, message_id)",
    "CREATE INDEX IF NOT EXISTS messages_sent ON messages (sender, created_at, message_id)",
    # What housekeeping looks for: the longest waiting, the longest delivered, the longest unfinished.
    """
    CREATE INDEX IF NOT EXISTS messages_waiting ON messages (accepted_at)
        WHERE status = 'accepted' AND in_inbox = 1
    """,
    # Not the plain column, or the longest waiting would be looked for among all that were ever delivered.
    """
    CREATE INDEX IF NOT EXISTS messages_delivered ON messages ((accepted_at + 0))
        WHERE accepted_at IS NOT NULL
    """,
    "CREATE INDEX IF NOT EXISTS messages_unfinished ON messages (created_at) WHERE accepted_at IS NULL",
    # What people look for and count that is not as usual; sending and acknowledging touch none of these.
    f"""
    CREATE INDEX IF NOT EXISTS messages_rare_received
        ON messages (recipient, status, created_at, message_id, in_inbox) WHERE {RARE}
    """,
    f"""
    CREATE INDEX IF NOT EXISTS messages_rare_sent
        ON messages (sender, status, created_at, message_id, in_outbox) WHERE {RARE}
    """,
    """
    CREATE INDEX IF NOT EXISTS messages_linked ON messages (linked_message_id)
        WHERE linked_message_id <> ''
    """,
    """
    CREATE TABLE IF NOT EXISTS chunks (
        message_id  TEXT NOT NULL,
        number      INTEGER NOT NULL,
        size        BIGINT NOT NULL,
        inline      BYTEA,
        payload_key TEXT,
        PRIMARY KEY (message_id, number)
    )
    """,
    "CREATE INDEX IF NOT EXISTS chunks_payload ON chunks (payload_key) WHERE payload_key IS NOT NULL",
    # One row a mailbox: its row lock hands out arrival positions in commit order, and the count of
    # waiting messages costs the same at ten as at ten million.
    """
    CREATE TABLE IF NOT EXISTS inboxes (
        mailbox_id    TEXT PRIMARY KEY,
        last_position BIGINT NOT NULL,
        waiting       BIGINT NOT NULL
    )
    """,
    # Bodies that no row names any more, until their files are gone too.
    "CREATE TABLE IF NOT EXISTS discarded (payload_key TEXT PRIMARY KEY)",
    # What the control API set and every process of the simulator follows, as one small text a name.
    """
    CREATE TABLE IF NOT EXISTS control (
        name    TEXT PRIMARY KEY,
        version BIGINT NOT NULL,
        content TEXT NOT NULL
    )
    """,
)

MESSAGE_COLUMNS: Final = (
    "message_id, message_type, sender, recipient, workflow_id, status, total_chunks, created_at, subject, "
    "local_id, partner_id, file_name, checksum, content_type, content_encoding, encrypted, compressed, "
    "file_size, position, accepted_at, acknowledged_at, failed_at, failure_event, failure_code, "
    "failure_text, linked_message_id, intended_recipient, in_inbox, in_outbox"
)
MESSAGE_WIDTH: Final = MESSAGE_COLUMNS.count(",") + 1

INSERT_MESSAGE: Final = f"""
    INSERT INTO messages ({MESSAGE_COLUMNS}, chunks_here, bytes_here)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
            $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31)
"""
MESSAGE: Final = f"SELECT {MESSAGE_COLUMNS} FROM messages WHERE message_id = $1"
SENT_WITH_LOCAL_ID: Final = f"""
    SELECT {MESSAGE_COLUMNS} FROM messages
    WHERE sender = $1 AND local_id = $2 AND local_id <> '' AND in_outbox = 1 LIMIT 2
"""
RECEIVED: Final = f"""
    SELECT {MESSAGE_COLUMNS} FROM messages
    WHERE recipient = $1 AND created_at > $2 AND (created_at, message_id) < ($3, $4)
        AND status <> 'uploading' AND in_inbox = 1
    ORDER BY created_at DESC, message_id DESC LIMIT $5
"""
SENT: Final = f"""
    SELECT {MESSAGE_COLUMNS} FROM messages
    WHERE sender = $1 AND created_at > $2 AND (created_at, message_id) < ($3, $4) AND in_outbox = 1
    ORDER BY created_at DESC, message_id DESC LIMIT $5
"""
_FINDABLE: Final = frozenset(
    ("recipient", "sender", "workflow_id", "local_id", "subject", "status", "message_type")
)


def find_messages(columns: Sequence[str]) -> str:
    """Write the query for messages with given values in these columns, in this order, and then a limit.

    Raises:
        ValueError: a column is not one that messages are found by.
    """
    if not _FINDABLE.issuperset(columns):
        raise ValueError(f"messages are not found by {', '.join(sorted(set(columns) - _FINDABLE))}")
    conditions = [f"{column} = ${place}" for place, column in enumerate(columns, 1)]
    if "local_id" in columns:
        conditions.append("local_id <> ''")  # as its index has it
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    # Ids begin with the time of their making. The order is the one that the best index has.
    by_mailbox = not {"recipient", "sender"}.isdisjoint(columns) and "local_id" not in columns
    order = "created_at, message_id" if by_mailbox else "message_id"
    return f"SELECT {MESSAGE_COLUMNS} FROM messages {where} ORDER BY {order} LIMIT ${len(columns) + 1}"


SET_ACCEPTED: Final = """
    UPDATE messages SET status = $2, file_size = $3, position = $4, accepted_at = $5 WHERE message_id = $1
"""
# Only from the status it is expected in: no other request can have been quicker.
SET_ACKNOWLEDGED: Final = """
    UPDATE messages SET status = $2, acknowledged_at = $3 WHERE message_id = $1 AND status = $4
    RETURNING in_inbox
"""
SET_STATUS: Final = """
    UPDATE messages
    SET status = $2, file_size = $3, position = $4, accepted_at = $5, acknowledged_at = $6, failed_at = $7,
        failure_event = $8, failure_code = $9, failure_text = $10, linked_message_id = $11, in_inbox = $12
    WHERE message_id = $1
"""
BYTES_HERE: Final = "SELECT bytes_here FROM messages WHERE message_id = $1"

PUT_CHUNK: Final = """
    INSERT INTO chunks (message_id, number, size, inline, payload_key) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (message_id, number)
    DO UPDATE SET size = excluded.size, inline = excluded.inline, payload_key = excluded.payload_key
"""
CHUNK: Final = "SELECT number, size, inline, payload_key FROM chunks WHERE message_id = $1 AND number = $2"
MESSAGE_WITH_CHUNK: Final = f"""
    SELECT {", ".join("m." + column for column in MESSAGE_COLUMNS.split(", "))},
        c.number, c.size, c.inline, c.payload_key
    FROM messages m LEFT JOIN chunks c ON c.message_id = m.message_id AND c.number = $2
    WHERE m.message_id = $1
"""
# Counted as they come: adding a chunk costs the same at the first and at the last.
COUNT_CHUNK: Final = """
    UPDATE messages SET chunks_here = chunks_here + $2, bytes_here = bytes_here + $3 WHERE message_id = $1
    RETURNING chunks_here, bytes_here
"""

ARRIVE: Final = """
    INSERT INTO inboxes (mailbox_id, last_position, waiting) VALUES ($1, 1, 1)
    ON CONFLICT (mailbox_id) DO UPDATE
    SET last_position = inboxes.last_position + 1, waiting = inboxes.waiting + 1
    RETURNING last_position
"""
LEAVE: Final = "UPDATE inboxes SET waiting = waiting - 1 WHERE mailbox_id = $1"
WAITING: Final = "SELECT waiting FROM inboxes WHERE mailbox_id = $1"

INBOX: Final = """
    SELECT position, message_id FROM messages
    WHERE recipient = $1 AND position > $2 AND status = 'accepted' AND in_inbox = 1 ORDER BY position LIMIT $3
"""
INBOX_WORKFLOW: Final = """
    SELECT position, message_id FROM messages
    WHERE recipient = $1 AND position > $2 AND status = 'accepted' AND in_inbox = 1
        AND (workflow_id = $4) = ($5 = 0)
    ORDER BY position LIMIT $3
"""
INBOX_WORKFLOW_BEGINS: Final = """
    SELECT position, message_id FROM messages
    WHERE recipient = $1 AND position > $2 AND status = 'accepted' AND in_inbox = 1
        AND (substr(workflow_id, 1, length($4)) = $4) = ($5 = 0)
    ORDER BY position LIMIT $3
"""
INBOX_WORKFLOW_CONTAINS: Final = """
    SELECT position, message_id FROM messages
    WHERE recipient = $1 AND position > $2 AND status = 'accepted' AND in_inbox = 1
        AND (replace(workflow_id, $4, '') <> workflow_id OR $4 = '') = ($5 = 0)
    ORDER BY position LIMIT $3
"""

DISCARD: Final = "INSERT INTO discarded (payload_key) VALUES ($1) ON CONFLICT (payload_key) DO NOTHING"
DISCARDED: Final = "SELECT payload_key FROM discarded LIMIT 1000"
FORGET_DISCARDED: Final = "DELETE FROM discarded WHERE payload_key = $1"
PAYLOAD_KNOWN: Final = "SELECT 1 FROM chunks WHERE payload_key = $1"

# -- housekeeping and resets ------------------------------------------------------------------------

LONGEST_WAITING: Final = f"""
    SELECT {MESSAGE_COLUMNS} FROM messages
    WHERE status = 'accepted' AND in_inbox = 1 AND accepted_at <= $1 ORDER BY accepted_at LIMIT $2
"""
OLD_DELIVERED: Final = """
    SELECT message_id FROM messages WHERE accepted_at IS NOT NULL AND accepted_at + 0 <= $1
    ORDER BY accepted_at + 0 LIMIT $2
"""
OLD_UNFINISHED: Final = """
    SELECT message_id FROM messages WHERE accepted_at IS NULL AND created_at <= $1
    ORDER BY created_at LIMIT $2
"""
WAITING_SINCE: Final = "SELECT MIN(accepted_at) FROM messages WHERE status = 'accepted' AND in_inbox = 1"
DELIVERED_SINCE: Final = "SELECT MIN(accepted_at + 0) FROM messages WHERE accepted_at IS NOT NULL"
UNFINISHED_SINCE: Final = "SELECT MIN(created_at) FROM messages WHERE accepted_at IS NULL"

DISCARD_CHUNKS: Final = """
    INSERT INTO discarded (payload_key)
    SELECT payload_key FROM chunks WHERE message_id = $1 AND payload_key IS NOT NULL
    ON CONFLICT (payload_key) DO NOTHING
"""
DELETE_CHUNKS: Final = "DELETE FROM chunks WHERE message_id = $1"
DELETE_MESSAGE: Final = "DELETE FROM messages WHERE message_id = $1"
DELETE_SUBMISSION: Final = "DELETE FROM submissions WHERE message_id = $1"

# The WHERE tells SQLite's parser that ON CONFLICT is not a join's.
DISCARD_ALL_CHUNKS: Final = """
    INSERT INTO discarded (payload_key) SELECT payload_key FROM chunks WHERE payload_key IS NOT NULL
    ON CONFLICT (payload_key) DO NOTHING
"""
# Arrival positions go on: a page token from before a reset must not skip what arrives after it.
EMPTY: Final = (
    DISCARD_ALL_CHUNKS,
    "DELETE FROM chunks",
    "DELETE FROM messages",
    "DELETE FROM submissions",
    "UPDATE inboxes SET waiting = 0",
)

FORGET_SUBMISSIONS_TO: Final = """
    DELETE FROM submissions WHERE message_id IN (SELECT message_id FROM messages WHERE recipient = $1)
"""
EMPTY_INBOX: Final = "UPDATE messages SET in_inbox = 0 WHERE recipient = $1"
EMPTY_OUTBOX: Final = "UPDATE messages SET in_outbox = 0 WHERE sender = $1"
NONE_WAITING: Final = "UPDATE inboxes SET waiting = 0 WHERE mailbox_id = $1"
HELD_BY_NOBODY: Final = """
    SELECT message_id FROM messages
    WHERE (recipient = $1 OR sender = $1) AND in_outbox = 0 AND (in_inbox = 0 OR status = 'uploading')
"""

# -- what the control API set -----------------------------------------------------------------------

CONTROL: Final = "SELECT version, content FROM control WHERE name = $1"
SET_CONTROL: Final = """
    INSERT INTO control (name, version, content) VALUES ($1, 1, $2)
    ON CONFLICT (name) DO UPDATE SET version = control.version + 1, content = excluded.content
    RETURNING version
"""

# -- used tokens, in a SQLite file of their own ------------------------------------------------------

# Clustered by minute: inserts touch a few hot pages and forgetting is one range.
TOKENS: Final = """
    CREATE TABLE IF NOT EXISTS used_tokens (
        minute  INTEGER NOT NULL,
        digest  BLOB NOT NULL,
        used_at INTEGER NOT NULL,
        PRIMARY KEY (minute, digest)
    ) WITHOUT ROWID
"""
FORGET_TOKEN: Final = "DELETE FROM used_tokens WHERE minute = ? AND digest = ?"  # noqa: S105 - no secret in it
USE_TOKEN: Final = "INSERT INTO used_tokens (minute, digest, used_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"  # noqa: S105 - the same
TOKEN_USED_AT: Final = "SELECT used_at FROM used_tokens WHERE minute = ? AND digest = ?"  # noqa: S105 - the same
FORGET_TOKENS: Final = "DELETE FROM used_tokens WHERE minute < ?"

# -- the opt-out service: the register of choices and the submissions ---------------------------------

OPTOUT_SCHEMA: Final = (
    # A row is a batch of choices made alike: a single one, or up to 65,536 of a bulk load. ``numbers``
    # packs the NHS numbers, ascending, eight bytes each, so that millions load and are read in seconds.
    """
    CREATE TABLE IF NOT EXISTS choices (
        choice_id     BIGINT PRIMARY KEY,
        opted_out     INTEGER NOT NULL,
        registered_at BIGINT NOT NULL,
        channel       TEXT NOT NULL,
        lowest        BIGINT NOT NULL,
        highest       BIGINT NOT NULL,
        numbers       BYTEA NOT NULL
    )
    """,
    "CREATE INDEX IF NOT EXISTS choices_span ON choices (lowest, highest)",
    "CREATE INDEX IF NOT EXISTS choices_channel ON choices (channel, opted_out)",
    # One row: its row lock hands out choice ids in commit order.
    """
    CREATE TABLE IF NOT EXISTS registers (
        register_id INTEGER PRIMARY KEY,
        last_choice BIGINT NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS submissions (
        message_id         TEXT PRIMARY KEY,
        mailbox            TEXT NOT NULL,
        local_id           TEXT NOT NULL,
        workflow_id        TEXT NOT NULL,
        received_at        BIGINT NOT NULL,
        due_at             BIGINT NOT NULL,
        state              TEXT NOT NULL,
        claimed_by         TEXT NOT NULL,
        lease_until        BIGINT NOT NULL,
        attempts           INTEGER NOT NULL,
        outcome            TEXT NOT NULL,
        reason             TEXT NOT NULL,
        submitted          BIGINT NOT NULL,
        returned           BIGINT NOT NULL,
        receipt_message_id TEXT NOT NULL,
        answer_message_id  TEXT NOT NULL,
        finished_at        BIGINT
    )
    """,
    "CREATE INDEX IF NOT EXISTS submissions_open ON submissions (due_at) WHERE state <> 'finished'",
    "CREATE INDEX IF NOT EXISTS submissions_received ON submissions (received_at, message_id)",
    "CREATE INDEX IF NOT EXISTS submissions_outcome ON submissions (outcome, received_at, message_id)",
    """
    CREATE INDEX IF NOT EXISTS submissions_mailbox ON submissions (mailbox, outcome, received_at, message_id)
    """,
)

ALLOT_CHOICES: Final = """
    INSERT INTO registers (register_id, last_choice) VALUES (1, $1)
    ON CONFLICT (register_id) DO UPDATE SET last_choice = registers.last_choice + excluded.last_choice
    RETURNING last_choice
"""
INSERT_CHOICES: Final = """
    INSERT INTO choices (choice_id, opted_out, registered_at, channel, lowest, highest, numbers)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
CLEAR_CHOICES: Final = "DELETE FROM choices"
LAST_CHOICE: Final = "SELECT last_choice FROM registers WHERE register_id = 1"
CHOICE_COLUMNS: Final = "choice_id, opted_out, registered_at, channel, numbers"
CHOICES: Final = f"SELECT {CHOICE_COLUMNS} FROM choices ORDER BY choice_id"
CHOICES_BY_CHANNEL: Final = """
    SELECT channel, opted_out, SUM(length(numbers) / 8) FROM choices GROUP BY channel, opted_out
"""
CHOICES_AROUND: Final = f"""
    SELECT {CHOICE_COLUMNS} FROM choices
    WHERE lowest <= $1 AND highest >= $1 ORDER BY choice_id
"""

SUBMISSION_COLUMNS: Final = (
    "message_id, mailbox, local_id, workflow_id, received_at, due_at, state, attempts, outcome, reason, "
    "submitted, returned, receipt_message_id, answer_message_id, finished_at"
)

SUBMISSION: Final = f"SELECT {SUBMISSION_COLUMNS} FROM submissions WHERE message_id = $1"
_RECENT: Final = "(received_at, message_id) < ($1, $2) ORDER BY received_at DESC, message_id DESC LIMIT $3"
RECENT_SUBMISSIONS: Final = f"SELECT {SUBMISSION_COLUMNS} FROM submissions WHERE {_RECENT}"
RECENT_WITH_OUTCOME: Final = f"SELECT {SUBMISSION_COLUMNS} FROM submissions WHERE outcome = $4 AND {_RECENT}"
RECENT_OF_MAILBOX: Final = f"""
    SELECT {SUBMISSION_COLUMNS} FROM submissions WHERE mailbox = $5 AND outcome = $4 AND {_RECENT}
"""
NEW_SUBMISSIONS: Final = """
    SELECT m.message_id FROM messages m LEFT JOIN submissions s ON s.message_id = m.message_id
    WHERE m.recipient = $1 AND m.status = 'accepted' AND m.in_inbox = 1 AND s.message_id IS NULL
    ORDER BY m.position LIMIT $2
"""
# Times of ``lease_until`` are real ones, those of ``due_at`` simulated.
OPEN_SUBMISSIONS: Final = """
    SELECT s.message_id FROM submissions s JOIN messages m ON m.message_id = s.message_id
    WHERE s.state <> 'finished' AND s.due_at <= $1 AND s.lease_until <= $2 ORDER BY s.due_at LIMIT $3
"""
NEXT_DUE: Final = "SELECT MIN(due_at) FROM submissions WHERE state <> 'finished' AND due_at > $1"
CLAIM_NEW: Final = """
    INSERT INTO submissions (message_id, mailbox, local_id, workflow_id, received_at, due_at, state,
        claimed_by, lease_until, attempts, outcome, reason, submitted, returned, receipt_message_id,
        answer_message_id, finished_at)
    VALUES ($1, $2, $3, $4, $5, $5, 'new', $6, $7, 1, '', '', 0, 0, '', '', NULL)
    ON CONFLICT (message_id) DO NOTHING
"""
CLAIM_AGAIN: Final = """
    UPDATE submissions SET claimed_by = $2, lease_until = $3, attempts = attempts + 1
    WHERE message_id = $1 AND state <> 'finished' AND lease_until <= $4
"""
RENEW_CLAIM: Final = """
    UPDATE submissions SET lease_until = $3
    WHERE message_id = $1 AND claimed_by = $2 AND state <> 'finished'
"""
GIVE_BACK_CLAIM: Final = """
    UPDATE submissions SET claimed_by = '', lease_until = $3
    WHERE message_id = $1 AND claimed_by = $2 AND state <> 'finished'
"""
RELEASE_CLAIMS: Final = """
    UPDATE submissions SET claimed_by = '', lease_until = 0 WHERE state <> 'finished' AND lease_until > 0
"""
SET_RECEIPTED: Final = """
    UPDATE submissions
    SET state = 'receipted', receipt_message_id = $3, due_at = $4, claimed_by = '', lease_until = 0
    WHERE message_id = $1 AND claimed_by = $2 AND state = 'new'
"""
SET_FINISHED: Final = """
    UPDATE submissions
    SET state = 'finished', claimed_by = '', lease_until = 0, outcome = $3, reason = $4, submitted = $5,
        returned = $6, receipt_message_id = CASE WHEN $7 = '' THEN receipt_message_id ELSE $7 END,
        answer_message_id = $8, finished_at = $9
    WHERE message_id = $1 AND claimed_by = $2 AND state <> 'finished'
"""

# -- the journal of requests, in a SQLite file of its own ----------------------------------------------

# AUTOINCREMENT, so that numbers go on growing when every row is gone; NOCASE, so that a mailbox is found in
# whatever letters the caller wrote it.
ENTRIES: Final = """
    CREATE TABLE IF NOT EXISTS entries (
        number         INTEGER PRIMARY KEY AUTOINCREMENT,
        at             INTEGER NOT NULL,
        simulated_at   INTEGER NOT NULL,
        mailbox        TEXT NOT NULL COLLATE NOCASE,
        operation      TEXT NOT NULL,
        method         TEXT NOT NULL,
        status         INTEGER NOT NULL,
        received_bytes INTEGER NOT NULL,
        sent_bytes     INTEGER NOT NULL,
        duration_s     REAL NOT NULL,
        message_id     TEXT NOT NULL COLLATE NOCASE,
        reason         TEXT NOT NULL,
        near_misses    TEXT NOT NULL,
        fault          TEXT NOT NULL,
        user_agent     TEXT NOT NULL,
        details        TEXT NOT NULL DEFAULT ''
    )
"""
# For a file of before there were details.
ENTRY_COLUMN_NAMES: Final = "SELECT name FROM pragma_table_info('entries')"
ADD_DETAILS: Final = "ALTER TABLE entries ADD COLUMN details TEXT NOT NULL DEFAULT ''"
ENTRY_COLUMNS: Final = (
    "number, at, simulated_at, mailbox, operation, method, status, received_bytes, sent_bytes, duration_s, "
    "message_id, reason, near_misses, fault, user_agent, details"
)
_ENTRY_VALUES: Final = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
INSERT_ENTRY: Final = f"INSERT INTO entries ({ENTRY_COLUMNS}) VALUES {_ENTRY_VALUES}"
ENTRIES_AT_ONCE: Final = 100
INSERT_ENTRIES: Final = (
    f"INSERT INTO entries ({ENTRY_COLUMNS}) VALUES {', '.join([_ENTRY_VALUES] * ENTRIES_AT_ONCE)}"
)
LAST_ENTRY: Final = "SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = 'entries'"
SELECT_ENTRIES: Final = f"""
    SELECT {ENTRY_COLUMNS} FROM entries
    WHERE number > :after AND number < :before AND at >= :since
        AND status BETWEEN :lowest_status AND :highest_status
        AND (:unsuccessful = 0 OR status = 0 OR status >= 300)
        AND (:mailbox = '' OR mailbox = :mailbox) AND (:operation = '' OR operation = :operation)
        AND (:message_id = '' OR message_id = :message_id)
"""
ENTRIES_OLDEST_FIRST: Final = f"{SELECT_ENTRIES} ORDER BY number LIMIT :limit"
ENTRIES_NEWEST_FIRST: Final = f"{SELECT_ENTRIES} ORDER BY number DESC LIMIT :limit"
DELETE_ENTRIES_UP_TO: Final = "DELETE FROM entries WHERE number <= ?"
# Requests end nearly in the order in which they begin: from the first young one on, all are young enough.
DELETE_ENTRIES_BEFORE: Final = """
    DELETE FROM entries
    WHERE number < COALESCE((SELECT number FROM entries WHERE at >= ? ORDER BY number LIMIT 1), 1 << 62)
"""
DELETE_ENTRIES: Final = "DELETE FROM entries"
