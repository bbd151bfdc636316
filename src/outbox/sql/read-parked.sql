-- The next rows of a parked key, in order. $1 sink, $2 lane, $3 key, $4 most rows, $5 most bytes. Relies on the index parked_waiting.
select seq, lane, xid::text, kind, topic, type, site, doctype, key, id, options, due_ms, bytes, payload
from (
  select o.*, sum(o.bytes) over (order by o.seq) as bytes_so_far
  from (
    select lane, seq from :"schema".parked
    where sink = $1 and lane = $2 and key = $3 and left_in_n is null
    order by seq
    limit $4
  ) p
  join :"schema".outbox o on o.lane = p.lane and o.seq = p.seq
) row
where bytes_so_far - bytes < $5
order by seq
