-- Rows of transactions that were in progress at a window's beginning and have committed since, in order. One line per lane and transaction.
-- $1 lanes, $2 above: seq, $3 upto: seq, $4 xids, $5 most rows, $6 most bytes. Relies on the index (lane, xid, seq).
-- The caller names only transactions that had ended at `to`: what of them is there at all was committed.
select
  seq, lane, xid::text, kind, topic, type, site, doctype, key, id, options, due_ms, bytes, payload
from unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::text[]::xid8[]) as w (of_lane, above, upto, late)
cross join lateral (
  select *, sum(bytes) over (order by seq) as bytes_so_far
  from (
    select *
    from :"schema".outbox o
    where o.lane = w.of_lane and o.xid = w.late and o.seq > w.above and o.seq <= w.upto
    order by o.seq
    limit $5
  ) first
) row
where bytes_so_far - bytes < $6
order by lane, seq
