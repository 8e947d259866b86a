"""Does one neuron tell two parts of the inputs apart?"""
