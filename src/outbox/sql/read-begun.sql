-- Rows of windows whose transactions began after the window's beginning, in order, as many as a batch holds. One window per lane.
-- $1 lanes, $2 above: seq (each lane's low of `from`, or what the last batch came to), $3 high: seq of `to`, $4 xmax of `from`,
-- $5 snapshots of `to`, $6 most rows, $7 most bytes. Relies on the primary key (lane, seq).
select
  seq, lane, xid::text, kind, topic, type, site, doctype, key, id, options, due_ms, bytes, payload
from unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::text[]::xid8[], $5::text[]::pg_snapshot[])
  as w (of_lane, above, high, xmax, seen)
cross join lateral (
  select *, sum(bytes) over (order by seq) as bytes_so_far
  from (
    select *
    from :"schema".outbox o
    where o.lane = w.of_lane and o.seq > w.above and o.seq <= w.high and o.xid >= w.xmax and pg_visible_in_snapshot(o.xid, w.seen)
    order by o.seq
    limit $6
  ) first
) row
where bytes_so_far - bytes < $7
order by lane, seq
