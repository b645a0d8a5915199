"""ResourceQuota has no conditions."""
