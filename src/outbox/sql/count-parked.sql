-- How many keys are parked, and how many rows wait with them, sink by sink.
select k.sink, count(*) as keys, (select count(*) from :"schema".parked p where p.sink = k.sink and p.left_in_n is null) as rows
from :"schema".parked_key k
where k.freed_at is null
group by k.sink
