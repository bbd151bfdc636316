-- Changes of documents in windows: see the function. $1 doctypes, $2 lanes, $3 above, $4 high, $5 xmax of `from`, $6 snapshots of `to`,
-- $7 most rows of a line.
select line, seq, doctype, site, docname, is_end
from :"schema".read_begun_changes($1, $2, $3, $4, $5::text[]::xid8[], $6::text[]::pg_snapshot[], $7)
