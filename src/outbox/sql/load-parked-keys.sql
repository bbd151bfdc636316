-- Keys that a sink does not go on with. $1 sink, $2 lanes.
select lane, key, reason, error, first_seq, wish from :"schema".parked_key where sink = $1 and lane = any ($2::smallint[]) and freed_at is null
