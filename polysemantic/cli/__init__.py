"""The command line: `fit`, `validate`, `test` and `theory`."""
