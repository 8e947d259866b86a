"""Reports on finished runs and sweeps: one self-contained page, and figures for print. It reads files only."""
