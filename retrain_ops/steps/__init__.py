"""The ten steps of a day, one file each, and the one way to run any of them."""
