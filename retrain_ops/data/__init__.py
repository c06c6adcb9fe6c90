"""Rows: where they come from, what is frozen of them, what is asked of them, where features go."""
