"""The record of a day's decision: written, judged, replayed, explained."""
