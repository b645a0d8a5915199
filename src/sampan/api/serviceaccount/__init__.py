"""ServiceAccount, core `v1`: whose credentials the processes of a service use."""
