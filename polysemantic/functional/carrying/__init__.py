"""Which neuron carries which feature?"""
