-- Drops batches, acknowledgements and ticks that are older than the retention and that nothing stands on: of each lane the last batch
-- stays, of its own windows and of each subscription's that caught up, and every tick that a batch or a subscription names.
-- $1 retention, ms; $2 most rows of each.
with last as (
  select sink, lane, catch_up, max(n) as n from :"schema".outbox_batch group by sink, lane, catch_up
), old as (
  select b.sink, b.lane, b.n from :"schema".outbox_batch b
  join last l on l.sink = b.sink and l.lane = b.lane and l.catch_up is not distinct from b.catch_up
  where b.n < l.n and b.at < clock_timestamp() - $1::bigint * interval '1 ms'
  limit $2
), batches as (
  delete from :"schema".outbox_batch b using old o where b.sink = o.sink and b.lane = o.lane and b.n = o.n returning b.n
), acks as (
  delete from :"schema".outbox_ack a
  where a.at < clock_timestamp() - $1::bigint * interval '1 ms'
    and a.n < (select max(l.n) from last l where l.sink = a.sink and l.lane = a.lane)
  returning a.n
), index_batches as (
  delete from :"schema".index_batch b
  where b.at < clock_timestamp() - $1::bigint * interval '1 ms'
    and b.n < (select max(l.n) from :"schema".index_batch l where l.index_name = b.index_name)
    and exists (select from :"schema".index_settled s where s.index_name = b.index_name and s.n = b.n)
  returning b.index_name, b.n
), index_settled as (
  delete from :"schema".index_settled s using index_batches b where s.index_name = b.index_name and s.n = b.n returning s.n
), ticks as (
  delete from :"schema".tick t
  where t.id in (
    select id from :"schema".tick
    where at < clock_timestamp() - $1::bigint * interval '1 ms'
      and id < (select min(least(from_tick, to_tick)) from :"schema".outbox_batch)
      and not exists (select from :"schema".index_batch b where least(b.from_tick, b.to_tick) <= tick.id)
      and id not in (select past_tick from :"schema".subscription where past_tick is not null)
    order by id limit $2)
  returning t.id
)
select (select count(*) from batches) as batches, (select count(*) from acks) as acks, (select count(*) from ticks) as ticks
