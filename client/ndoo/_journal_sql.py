"""The journal's database: its versions, and every statement that is made to it."""

from __future__ import annotations

from typing import Final

APPLICATION_ID: Final = 0x6E646F6F  # "ndoo"
VERSION: Final = 2

_VERSION_1: Final = """
    CREATE TABLE submissions (
        position INTEGER PRIMARY KEY,
        local_id TEXT NOT NULL UNIQUE,
        month TEXT NOT NULL,
        number INTEGER NOT NULL,
        stage TEXT NOT NULL,
        subject TEXT NOT NULL,
        url TEXT NOT NULL,
        mailbox TEXT NOT NULL,
        service_mailbox TEXT NOT NULL,
        workflow_id TEXT NOT NULL,
        source BLOB NOT NULL,
        output BLOB NOT NULL,
        form TEXT NOT NULL,
        column TEXT,
        rule TEXT NOT NULL,
        records INTEGER NOT NULL,
        blank INTEGER NOT NULL,
        skipped INTEGER NOT NULL,
        prepared_at TEXT NOT NULL,
        sent_at TEXT,
        message_id TEXT NOT NULL DEFAULT '',
        receipt_at TEXT,
        answer_id TEXT NOT NULL DEFAULT '',
        outcome TEXT NOT NULL DEFAULT '',
        finished_at TEXT,
        note TEXT NOT NULL DEFAULT '',
        UNIQUE (mailbox, month, number)
    )
"""

STEPS: Final[tuple[tuple[str, ...], ...]] = (
    (_VERSION_1, f"PRAGMA application_id = {APPLICATION_ID}"),
    (
        "ALTER TABLE submissions ADD COLUMN duplicates INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE submissions ADD COLUMN repaired INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE submissions ADD COLUMN repair INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE submissions ADD COLUMN replace INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE submissions ADD COLUMN renew INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE submissions ADD COLUMN chunk_size INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE submissions ADD COLUMN compress INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE submissions ADD COLUMN tried_at TEXT",
        "ALTER TABLE submissions ADD COLUMN remarks TEXT NOT NULL DEFAULT '[]'",
        """
        CREATE TABLE visits (
            url TEXT NOT NULL,
            mailbox TEXT NOT NULL,
            shook_hands_at TEXT,
            looked_at TEXT,
            PRIMARY KEY (url, mailbox)
        )
        """,
        """
        CREATE TABLE strangers (
            url TEXT NOT NULL,
            mailbox TEXT NOT NULL,
            message_id TEXT NOT NULL,
            PRIMARY KEY (url, mailbox, message_id)
        )
        """,
    ),
)
"""What makes a journal of each version from one of the version before; the first from an empty file."""

LAST_NUMBER: Final = "SELECT max(number) FROM submissions WHERE mailbox = :mailbox AND month = :month"

ADD: Final = """
    INSERT INTO submissions (
        local_id, month, number, stage, subject, url, mailbox, service_mailbox, workflow_id, source, output,
        form, column, rule, records, blank, skipped, duplicates, repaired, repair,
        replace, renew, chunk_size, compress, prepared_at
    ) VALUES (
        :local_id, :month, :number, :stage, :subject, :url, :mailbox, :service_mailbox, :workflow_id, :source,
        :output, :form, :column, :rule, :records, :blank, :skipped, :duplicates, :repaired, :repair,
        :replace, :renew, :chunk_size, :compress, :prepared_at
    )
"""

GET: Final = "SELECT * FROM submissions WHERE local_id = ?"

PENDING: Final = """
    SELECT * FROM submissions
    WHERE stage IN ('prepared', 'sent', 'written')
        AND mailbox = coalesce(:mailbox, mailbox)
        AND url = coalesce(:url, url)
    ORDER BY position
"""

UPDATE: Final = """
    UPDATE submissions
    SET stage = :stage, tried_at = :tried_at, sent_at = :sent_at, message_id = :message_id,
        receipt_at = :receipt_at, answer_id = :answer_id, outcome = :outcome, finished_at = :finished_at,
        note = :note, remarks = :remarks
    WHERE local_id = :local_id
"""

VISITS: Final = "SELECT shook_hands_at, looked_at FROM visits WHERE url = ? AND mailbox = ?"

SHOOK_HANDS: Final = """
    INSERT INTO visits (url, mailbox, shook_hands_at) VALUES (:url, :mailbox, :at)
    ON CONFLICT (url, mailbox) DO UPDATE SET shook_hands_at = :at
"""

STRANGERS: Final = "SELECT message_id FROM strangers WHERE url = ? AND mailbox = ?"

FORGET_STRANGERS: Final = "DELETE FROM strangers WHERE url = ? AND mailbox = ?"

ADD_STRANGER: Final = "INSERT INTO strangers (url, mailbox, message_id) VALUES (?, ?, ?)"

LOOKED: Final = """
    INSERT INTO visits (url, mailbox, looked_at) VALUES (:url, :mailbox, :at)
    ON CONFLICT (url, mailbox) DO UPDATE SET looked_at = :at
"""
