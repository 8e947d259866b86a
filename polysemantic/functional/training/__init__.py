"""Has training converged, and how good is it?"""
