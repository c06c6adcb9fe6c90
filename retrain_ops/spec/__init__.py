"""What the user wrote: the TOML tables, their rules and their hash; which days a run sees."""
