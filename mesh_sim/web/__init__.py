"""Pages for people: what is in the simulator and what happens in it, in a browser (design.md, "Layout")."""
