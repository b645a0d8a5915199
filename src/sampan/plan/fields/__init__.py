"""What becomes of every field of every kind on each platform: a table, and its warnings.

Rows name fields by their path in the schema and say what a platform does with them; a test holds
the table to the schema. Belongs here: rows, and asking them. Does not: deciding what to do with a
field's value (the rest of `sampan.plan`), and a pod's own fields on this machine
(`sampan.platforms.local.capabilities`), at which rows only point.
"""
