"""The command line: a file a verb. Output rules live in `sampan.cli.output`."""
