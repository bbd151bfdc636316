-- How far wishes to send again have been fulfilled. $1 ids, $2 the last line of moca.resent before them.
select
  count(*) filter (where done_at is null) as open,
  (select coalesce(sum(r.rows), 0)::bigint from :"schema".resent r where r.id > $2 and (r.sink, r.lane) in (
    select d.sink, d.lane from :"schema".redrive d where d.id = any ($1::bigint[]))) as resent_rows
from :"schema".redrive
where id = any ($1::bigint[])
