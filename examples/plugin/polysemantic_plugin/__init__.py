from polysemantic_plugin.diary import Diary
from polysemantic_plugin.neighbour_collisions import NeighbourCollisions
from polysemantic_plugin.ring import Ring

__all__ = ["Diary", "NeighbourCollisions", "Ring"]
