"""How rows move and stay equal."""
