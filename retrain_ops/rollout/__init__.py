"""What happens to an open candidate: looks at it, approval, actions by hand."""
