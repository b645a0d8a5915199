"""ResourceQuota, core `v1`: how much one namespace may ask for."""
