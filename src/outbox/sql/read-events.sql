-- The next recorded events of a time, in order of seq, at most so many. $1 above: seq, $2 since, $3 until (null: no end), $4 topics by
-- name, $5 topics by beginning (both null: all), $6 key (null: any), $7 most rows. Relies on the primary key (lane, seq): each lane gives
-- its next ones.
select row.seq, row.lane, row.xid::text, row.kind, row.topic, row.type, row.site, row.doctype, row.key, row.id, row.options, row.bytes, row.payload
from generate_series(0, 15) of_lane
cross join lateral (
  select *
  from :"schema".outbox o
  where o.lane = of_lane and o.seq > $1 and o.kind = 'e' and o.at >= $2 and ($3::timestamptz is null or o.at < $3)
    and ($4::text[] is null or o.topic = any ($4) or exists (select from unnest($5::text[]) beginning where starts_with(o.topic, beginning)))
    and ($6::text is null or o.key = $6)
  order by o.seq
  limit $7
) row
order by row.seq
limit $7
