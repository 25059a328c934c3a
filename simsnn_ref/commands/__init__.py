"""The command line: ``simsnn`` and its subcommands, one module each, whose ``add`` puts its options on the parser."""
