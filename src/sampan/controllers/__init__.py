"""One file a kind: gather a snapshot, plan, hand it to the platform, write the status once."""
