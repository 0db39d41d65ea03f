"""Small real classes at the seams; where a real thing stands behind the seam, one contract suite runs on both."""
