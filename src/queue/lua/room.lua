-- Jobs that `maxWaiting` counts (`--#room`).
local function waitingIn(q)
  local waiting = call('HLEN', base(q) .. ':recs') - call('ZCARD', base(q) .. ':later') - call('ZCARD', base(q) .. ':dead')
  for _, letter in ipairs(lettersOf(q)) do
    local key = stream(q, letter)
    waiting = waiting + call('XLEN', key)
    local pending = pcall_('XPENDING', key, GROUP)
    if not pending.err then waiting = waiting - pending[1] end
  end
  return waiting
end
