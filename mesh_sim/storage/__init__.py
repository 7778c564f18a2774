"""Where messages and bodies are kept: one set of SQL over a small database port, and a payload store."""
