"""`ambientkit evaluate`: the figures of a trained run, how sure they are, and what to set them beside."""
