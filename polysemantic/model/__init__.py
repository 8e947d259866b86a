"""Networks, their objective and the weights they start from."""
