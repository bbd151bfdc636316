-- Where the log stands: see the function.
select life, drawn, snapshot::text, high, at from :"schema".look()
