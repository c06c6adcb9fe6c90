"""Who serves: events, the promotion protocol, and the reads and writes that carry it out."""
