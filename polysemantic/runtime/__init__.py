"""How a run is put together, and what it needs of the machine."""
