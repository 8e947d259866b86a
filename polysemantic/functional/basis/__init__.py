"""Is the neuron basis special?"""
