"""What NHS's mesh-sandbox has beyond MESH, path for path (mesh-api.md sections 16 and 18)."""
