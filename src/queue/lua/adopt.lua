#!lua flags=allow-oom
-- After a reconnection: takes what a worker really runs into its new session, hands the rest of its older sessions back uncharged.
-- ARGV[1]: { w: worker id, n: number of the new session, c: its consumer, q: queue, s: letter, limit }
-- An adoption that was stuck in a dead network and arrives late finds a newer session, and leaves it alone.
-- then the entries that really run (or are finished and not settled).
-- Returns { handed back, "more" | "done" }.
--#prelude
local a = cjson.decode(ARGV[1])
local q, key = a.q, stream(a.q, a.s)
local runs = {}
for j = 2, #ARGV do runs[ARGV[j]] = true end
local released = 0
local consumers = pcall_('XINFO', 'CONSUMERS', key, GROUP)
if consumers.err then return { 0, 'done' } end
for _, c in ipairs(consumers) do
  local name, pending = c[2], c[4]
  if isOf(name, a.w) and tonumber(sub(name, #a.w + 2)) < a.n then
    if pending > 0 then
      local from = '-'
      repeat
        local page = call('XPENDING', key, GROUP, from, '+', a.limit, name)
        for _, p in ipairs(page) do
          local entry = p[1]
          if runs[entry] then
            call('XCLAIM', key, GROUP, a.c, 0, entry, 'JUSTID')
          else
            local t, o, d = readEntry(key, entry)
            if t then
              local opts = options(o)
              release(q, a.s, entry, opts.i or entry, t, opts, d)
              released = released + 1
            else
              call('XACK', key, GROUP, entry)
            end
          end
          from = '(' .. entry
        end
        if released >= a.limit then return { released, 'more' } end
      until #page < a.limit
    end
    call('XGROUP', 'DELCONSUMER', key, GROUP, name) -- owns nothing now: the same script has just seen to it
  end
end
return { released, 'done' }
