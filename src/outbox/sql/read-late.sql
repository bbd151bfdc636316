-- The next rows of transactions that ended within windows: see the function. $1 lanes, $2 above, $3 upto, $4 xids, $5 most rows of each,
-- $6 most bytes.
select seq, lane, xid::text, kind, topic, type, site, doctype, key, id, options, due_ms, bytes, payload
from :"schema".read_late($1, $2, $3, $4::text[]::xid8[], $5, $6)
