-- What became of wishes. $1 ids of parkings.
select id, freed_at is not null as is_free, wish, reason, error from :"schema".parked_key where id = any ($1::bigint[])
