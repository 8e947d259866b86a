"""The tab "Polysemantic" of TensorBoard: which neuron stands for which features, over training."""
