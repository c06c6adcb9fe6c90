"""Models of other libraries: trained on our rows, kept in their own formats, scored like ours."""
