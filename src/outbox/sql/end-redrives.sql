-- An operator's wishes for a lane are fulfilled: its sink has all of it. $1 sink, $2 lane, $3 id of the last wish that was known.
update :"schema".redrive set done_at = clock_timestamp() where sink = $1 and lane = $2 and id <= $3 and done_at is null
