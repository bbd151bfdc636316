-- The next rows of windows: see the function. $1 lanes, $2 above, $3 high, $4 xmax of `from`, $5 snapshots of `to`, $6 most rows of a
-- lane, $7 most bytes.
select seq, lane, xid::text, kind, topic, type, site, doctype, key, id, options, due_ms, bytes, payload
from :"schema".read_begun($1, $2, $3, $4::text[]::xid8[], $5::text[]::pg_snapshot[], $6, $7)
