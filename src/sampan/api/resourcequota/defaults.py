"""A ResourceQuota has no defaults."""
