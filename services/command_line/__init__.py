"""What the `splitbrain` command does, one module per subcommand. Above all services; nothing imports it but `cli`."""
