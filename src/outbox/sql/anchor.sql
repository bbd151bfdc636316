-- A transaction id, and a seq above which all later transactions draw: see the function.
select low, xid::text from :"schema".anchor()
