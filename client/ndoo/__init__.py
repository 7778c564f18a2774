"""Check NHS numbers for national data opt-outs over MESH."""
