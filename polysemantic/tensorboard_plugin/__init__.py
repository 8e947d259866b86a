"""The tab "Polysemantic" of TensorBoard, which shows over training which features each neuron carries."""
