-- Keys that are parked, those that wait longest first, with the first row of each and how many wait with it. $1 sink (null: all), $2 key
-- (null: all), $3 most. Relies on the index parked_waiting.
select
  k.id as parking, k.sink, k.lane, k.key, k.reason, k.error, k.at, k.wish, k.wished_by,
  o.id, case o.kind when 'e' then 'event' when 'j' then 'job' end as kind, o.topic, o.type,
  (select count(*) from :"schema".parked p where p.sink = k.sink and p.lane = k.lane and p.key = k.key and p.left_in_n is null) as rows
from :"schema".parked_key k
left join :"schema".outbox o on o.lane = k.lane and o.seq = k.first_seq
where k.freed_at is null and ($1::text is null or k.sink = $1) and ($2::text is null or k.key = $2)
order by k.id
limit $3
