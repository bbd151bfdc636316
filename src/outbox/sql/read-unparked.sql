-- The rows of a batch of parked rows, in order. $1 sink, $2 lane, $3 n.
select
  o.seq, o.lane, o.xid::text, o.kind, o.topic, o.type, o.site, o.doctype, o.key, o.id, o.options, o.due_ms, o.bytes, o.payload
from :"schema".parked p
join :"schema".outbox o on o.lane = p.lane and o.seq = p.seq
where p.sink = $1 and p.lane = $2 and p.left_in_n = $3
order by o.seq
