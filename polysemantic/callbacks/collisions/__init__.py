"""Callbacks for the lives of collisions."""
