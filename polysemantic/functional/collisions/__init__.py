"""Which features share a neuron, and what does it cost?"""
