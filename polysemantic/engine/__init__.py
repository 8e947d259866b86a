"""Ways to take optimiser steps, and the choice between them."""
