"""The open questions about incidental polysemanticity, each answered from sweeps that one command runs."""
