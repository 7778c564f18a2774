"""The server's description of itself in OpenAPI 3.1, as tables beside what they describe."""
