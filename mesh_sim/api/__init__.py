"""The MESH HTTP API over the exchange."""
