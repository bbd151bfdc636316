-- Changes of documents by transactions that ended within windows: see the function. $1 doctypes, $2 lanes, $3 above, $4 upto, $5 xids,
-- $6 most rows of a line.
select line, seq, doctype, site, docname, is_end
from :"schema".read_late_changes($1, $2, $3, $4, $5::text[]::xid8[], $6)
