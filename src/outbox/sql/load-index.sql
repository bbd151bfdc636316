-- The last batch of an index, and its ticks. $1 index. To be asked by who has taken it: then all batches are settled.
select
  b.n, b.upto_seq, b.ends_window,
  f.id as from_id, f.snapshot::text as from_snapshot, f.low as from_low, f.high as from_high,
  t.id as to_id, t.snapshot::text as to_snapshot, t.low as to_low, t.high as to_high
from :"schema".index_batch b
left join :"schema".tick f on f.id = b.from_tick
join :"schema".tick t on t.id = b.to_tick
where b.index_name = $1
order by b.n desc limit 1
