"""Secret, core `v1`: values that only their readers may see."""
