"""The exchange: mailboxes, workflows and messages, and the rules between them. No web, no SQL, no files."""
