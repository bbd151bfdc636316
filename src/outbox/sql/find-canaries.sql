-- Rows that a transaction recorded after a seq. $1 that seq, $2 ids. Reads each lane from there on, by its primary key.
select o.seq, o.lane, o.id
from generate_series(0, 15) of_lane
cross join lateral (select seq, lane, id from :"schema".outbox o where o.lane = of_lane and o.seq > $1 and o.id = any ($2)) o
