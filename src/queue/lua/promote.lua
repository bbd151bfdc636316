#!lua flags=allow-oom
-- Moves delayed jobs that are due into the streams.
-- ARGV[1]: { q: queue, limit: at most so many }
-- Returns { moved, instant (ms) at which the next falls due or "", now (ms) }.
--#prelude
local a = cjson.decode(ARGV[1])
local q = a.q
local later, recs, where = base(q) .. ':later', base(q) .. ':recs', base(q) .. ':where'
local at = now()
local ids = call('ZRANGE', later, '-inf', int(at), 'BYSCORE', 'LIMIT', 0, a.limit)
if #ids > 0 then
  local texts = call('HMGET', recs, unpack(ids))
  local front = stream(q, 'f')
  local places, leave = {}, {}
  for j, id in ipairs(ids) do
    local text = texts[j]
    if text then
      local flags, t, o, d = parseRecord(text)
      if flags == '' then
        -- Never attempted, no key: nothing to decide (cjson would cost as much as the rest).
        places[#places + 1] = id
        places[#places + 1] = 'f:' .. call('XADD', front, '*', 't', t, 'o', o, 'd', d)
        leave[#leave + 1] = id
      else
        local opts = options(o)
        local held = opts.k and call('HGET', base(q) .. ':slots', opts.k)
        if held and held ~= id then
          call('RPUSH', P .. 'g:' .. q .. ':' .. opts.k, id) -- its place in the key's order is now
        else
          place(q, backTo(opts), id, opts.f, t, o, d)
          if opts.k and not held then call('HSET', base(q) .. ':slots', opts.k, id) end
          leave[#leave + 1] = id
        end
      end
    end
  end
  if #places > 0 then call('HSET', where, unpack(places)) end
  if #leave > 0 then call('HDEL', recs, unpack(leave)) end
  call('ZREM', later, unpack(ids))
end
local head = call('ZRANGE', later, 0, 0, 'WITHSCORES')
return { #ids, head[2] or '', int(at) }
