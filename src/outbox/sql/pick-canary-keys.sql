-- A key for each lane, so that every lane gets a canary. $1 what they begin with. 400 leave none out but once in ten thousand million times.
select distinct on (lane) lane, key
from (select key, :"schema".lane_of(key) as lane from (select $1 || n as key from generate_series(1, 400) n) k) k
order by lane, key
