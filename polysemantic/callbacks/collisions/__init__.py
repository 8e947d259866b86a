"""Lives of collisions."""
