-- Writes down that lanes are to be sent again what their sinks forgot. $1 sinks, $2 lanes, $3 from which batch on, $4 who.
-- Answer: the wishes, and the last line of moca.resent so far.
insert into :"schema".redrive (sink, lane, from_n, wished_by)
select sink, lane, from_n, $4 from unnest($1::text[], $2::smallint[], $3::bigint[]) as w (sink, lane, from_n)
returning id, (select coalesce(max(id), 0) from :"schema".resent) as last_resent
