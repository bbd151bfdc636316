-- Partitions that are closed, oldest first. $1 schema (text), $2 retention, ms.
-- state: attached, detaching (a detachment was interrupted), detached (dropping was), gone (so was noting it).
select
  p.number, p.closed_at < clock_timestamp() - $2::bigint * interval '1 ms' as is_old, coalesce(pg_total_relation_size(c.oid), 0) as bytes,
  case when c.oid is null then 'gone' when i.inhrelid is null then 'detached' when i.inhdetachpending then 'detaching' else 'attached' end as state
from :"schema".outbox_partition p
left join pg_class c on c.relname = 'outbox_' || p.number and c.relnamespace = (select oid from pg_namespace where nspname = $1)
left join pg_inherits i on i.inhrelid = c.oid
where p.closed_at is not null
order by p.number
