-- How far an index is behind the log. $1 index; $2 its doctypes; $3 most rows to count.
-- Counted by seq alone: what commits late is counted when it has come, which is soon enough for people.
with last as (
  select b.upto_seq, b.ends_window, t.high
  from :"schema".index_batch b join :"schema".tick t on t.id = b.to_tick
  where b.index_name = $1 and exists (select from :"schema".index_settled s where s.index_name = b.index_name and s.n = b.n)
  order by b.n desc limit 1
), waiting as (
  select o.at from last l cross join lateral (
    select o.at from generate_series(0, 15) of_lane cross join lateral (
      select o.at, o.kind, o.topic, o.doctype from :"schema".outbox o
      where o.lane = of_lane and o.seq > case when l.ends_window then l.high else l.upto_seq end
      order by o.seq limit $3
    ) o
    where o.kind = 'e' and o.topic = 'moca.doc.events' and o.doctype = any ($2)
  ) o
)
select
  (select count(*) from waiting) as waiting,
  (select min(at) from waiting) as oldest_at,
  (select l.owner from :"schema".index_lease l where l.index_name = $1 and :"schema".is_held(l)) as owner,
  (select coalesce(sum(b.documents), 0) from :"schema".index_batch b join :"schema".index_settled s using (index_name, n)
    where b.index_name = $1 and s.at > clock_timestamp() - interval '1 minute') as settled_lately
where exists (select from last)
