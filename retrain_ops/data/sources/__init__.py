"""Where rows lie: one file per kind of source."""
