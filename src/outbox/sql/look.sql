-- Where the log stands: see the function.
select life, low, snapshot::text, high, at from :"schema".look()
