"""How long do collisions last?"""
