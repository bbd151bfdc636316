-- Writes down what an operator wishes of parked keys. $1 ids of parkings, $2 retry, skip or discard, $3 who.
update :"schema".parked_key set wish = $2, wished_by = $3, wished_at = clock_timestamp()
where id = any ($1::bigint[]) and freed_at is null
returning id
