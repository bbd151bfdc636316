import type { ScriptName } from '../../src/queue/scripts.ts'
import { type Mutate, replaceOnce } from './patched-scripts.ts'

// Faults planted in the scripts. Each must be caught, or the model looks away.

export interface Mutation {
  readonly name: string
  /** The script, or the prelude of all. */
  readonly in: ScriptName | 'prelude'
  readonly from: string
  readonly to: string
  /** Makes no difference as long as no call fails: caught by failing-calls.ts. */
  readonly showsOnFailure?: true
}

/** Plants a fault. It must hit: a fault that is not there is not caught. */
export function plant(mutation: Mutation): Mutate {
  return (text, name) => {
    if (mutation.in !== 'prelude' && mutation.in !== name) return text
    return replaceOnce(text, mutation.from, mutation.to)
  }
}

export const MUTATIONS: readonly Mutation[] = [
  {
    name: 'settle: the fence is not checked',
    in: 'settle',
    from: 'if isOurs then t, o, d = readEntry(key, x.e) end',
    to: 't, o, d = readEntry(key, x.e)',
  },
  {
    name: 'settle: whoever asks owns the attempt',
    in: 'prelude',
    from: "return sub(consumer, 1, #worker + 1) == worker .. '.'",
    to: 'return true',
  },
  {
    name: 'settle: a stale completion in a list is taken for a good one',
    in: 'settle',
    from: 'if holder(key, entry) then',
    to: 'if true then',
  },
  {
    name: 'settle: all are acknowledged, then asked which were stale (attack 3)',
    in: 'settle',
    from: "local gone = call('XDEL', key, unpack(entries))",
    to: "call('XACK', key, GROUP, unpack(entries)) local gone = call('XDEL', key, unpack(entries))",
  },
  {
    name: 'settle: the record of a retry is written after its entry is gone (attack 11)',
    in: 'settle',
    from: "  call('ZADD', base(q) .. ':later', int(due), x.i)\n",
    to: "  removeEntry(q, x.s, x.e, x.i)\n  call('ZADD', base(q) .. ':later', int(due), x.i)\n",
    showsOnFailure: true,
  },
  {
    name: 'settle: an outcome that fails stops the account of the others',
    in: 'settle',
    from: '  local reason = try(settle, x)\n',
    to: '  settle(x)\n  local reason\n',
    showsOnFailure: true,
  },
  {
    name: 'settle: a retry is not charged',
    in: 'settle',
    from: 'if x.a then opts.a = (opts.a or 0) + 1 end\n  if x.er then\n    x.er.n, x.er.at = (opts.a or 0), now()\n    note(opts, x.er)\n  end\n  -- The name first',
    to: '-- The name first',
  },
  {
    name: 'settle: the grace of an unhandled job begins the first time it is set aside',
    in: 'settle',
    from: 'opts.ls = now()',
    to: 'opts.ls = opts.ls or now()',
  },
  {
    name: 'settle: a completed job keeps its key',
    in: 'settle',
    from: 'if opts.k then admitNext(q, opts.k, x.i, x.e) end\n  removeEntry(q, x.s, x.e, x.i)\n  completed = completed + 1',
    to: 'removeEntry(q, x.s, x.e, x.i)\n  completed = completed + 1',
  },
  {
    name: 'settle: a large payload is left',
    in: 'settle',
    from: "call('UNLINK', P .. 'p:' .. q .. ':' .. x.i)",
    to: '',
  },
  {
    name: 'release: acknowledges before it adds',
    in: 'prelude',
    from: '  place(q, backTo(opts), id, entry, t, cjson.encode(opts), d)\n  -- `place` has just noted the new entry in `where`: only the old entry goes.\n  removeEntry(q, letter, entry, nil)\n',
    to: '  removeEntry(q, letter, entry, nil)\n  place(q, backTo(opts), id, entry, t, cjson.encode(opts), d)\n',
    showsOnFailure: true,
  },
  {
    name: 'a settled entry is deleted and not acknowledged',
    in: 'prelude',
    from: "  call('XDEL', key, entry)\n  call('XACK', key, GROUP, entry)\nend",
    to: "  call('XDEL', key, entry)\nend",
  },
  {
    name: 'a settled entry is acknowledged and not deleted',
    in: 'prelude',
    from: "  call('XDEL', key, entry)\n  call('XACK', key, GROUP, entry)\nend",
    to: "  call('XACK', key, GROUP, entry)\nend",
  },
  {
    name: 'it is not noted where a job stands',
    in: 'prelude',
    from: "call('HSET', base(q) .. ':where', id, letter .. ':' .. entry)",
    to: '',
  },
  {
    name: 'a new entry may lie before the one of the attempt before (attack 4)',
    in: 'prelude',
    from: "local at, seq = math.max(now(), ms), '*'",
    to: "local at, seq = now(), '*'",
  },
  {
    name: 'a new entry may lie below the floor',
    in: 'prelude',
    from: 'if lowMs >= at then at, seq = lowMs, int(lowSeq + 1) end',
    to: '',
  },
  {
    name: 'a freed key leaves no floor',
    in: 'prelude',
    from: 'if entry then raiseFloor(q, entry) end',
    to: '',
  },
  {
    name: 'open: a boot leaves no floor',
    in: 'open',
    from: '  goAbove(q, ms)\nend',
    to: 'end',
  },
  {
    name: 'a queue that came after the boot has no floor',
    in: 'prelude',
    from: 'if boot then raiseFloor(q, boot[1]) end',
    to: '',
  },
  {
    name: 'a dead letter that keeps its key lets the next one through',
    in: 'prelude',
    from: 'if opts.k and opts.b ~= 1 then admitNext(q, opts.k, id, entry) end',
    to: 'if opts.k then admitNext(q, opts.k, id, entry) end',
  },
  {
    name: 'a death is not noted',
    in: 'prelude',
    from: "tell('dead', q, 'id', id, 't', t, 'r', reason, 'topic', topic, 'at', int(died))",
    to: '',
  },
  {
    name: 'a death is noted last',
    in: 'prelude',
    from: "  tell('dead', q, 'id', id, 't', t, 'r', reason, 'topic', topic, 'at', int(died))\n  if opts.k and opts.b ~= 1 then admitNext(q, opts.k, id, entry) end\n  removeEntry(q, letter, entry, id)\n",
    to: "  if opts.k and opts.b ~= 1 then admitNext(q, opts.k, id, entry) end\n  removeEntry(q, letter, entry, id)\n  tell('dead', q, 'id', id, 't', t, 'r', reason, 'topic', topic, 'at', int(died))\n",
    showsOnFailure: true,
  },
  {
    name: 'every dead letter keeps its key',
    in: 'prelude',
    from: 'if opts.k and opts.b ~= 1 then admitNext(q, opts.k, id, entry) end',
    to: '',
  },
  {
    name: 'move: a dead letter that keeps its key cannot be cancelled',
    in: 'move',
    from: "at == 'dead' and not keepsKey(id))",
    to: "at == 'dead')",
  },
  {
    name: 'move: a retried dead letter waits for the key that it keeps',
    in: 'move',
    from: 'if held and held ~= id then',
    to: 'if held then',
  },
  {
    name: 'the last that came to a gate is let through first',
    in: 'prelude',
    from: "local nextId = call('LINDEX', list, 0)",
    to: "local nextId = call('LINDEX', list, -1)",
  },
  {
    name: 'a job that does not hold its key frees it',
    in: 'prelude',
    from: "if call('HGET', base(q) .. ':slots', key) ~= id then return end",
    to: '',
  },
  {
    name: 'a suspect goes back to the front',
    in: 'prelude',
    from: "(opts.s or 0) > 0 and 's' or 'f'",
    to: "'f'",
  },
  {
    name: 'timers are not told of a new first',
    in: 'prelude',
    from: 'if tonumber(head[2]) == due then',
    to: 'if false then',
  },
  {
    name: 'enqueue: an idempotency key is not looked up',
    in: 'enqueue',
    from: 'if known then',
    to: 'if false then',
  },
  {
    name: 'enqueue: a job does not take the slot of its key',
    in: 'enqueue',
    from: 'taken[#taken + 1], taken[#taken + 2] = key, id',
    to: '',
  },
  {
    name: 'enqueue: two jobs of a call are let through under one key',
    in: 'enqueue',
    from: 'holders[key] = id\n',
    to: '\n',
  },
  {
    name: 'enqueue: a job waits for a key whose slot is not taken yet',
    in: 'enqueue',
    from: "    if #taken > 0 then call('HSET', main .. ':slots', unpack(taken)) end\n    if #notes > 0 then call('HSET', main .. ':where', unpack(notes)) end\n    for _, key in ipairs(keys) do call('RPUSH', P .. 'g:' .. q .. ':' .. key, unpack(lists[key])) end\n",
    to: "    for _, key in ipairs(keys) do call('RPUSH', P .. 'g:' .. q .. ':' .. key, unpack(lists[key])) end\n    if #taken > 0 then call('HSET', main .. ':slots', unpack(taken)) end\n    if #notes > 0 then call('HSET', main .. ':where', unpack(notes)) end\n",
    showsOnFailure: true,
  },
  {
    name: 'enqueue: refuses some of an atomic batch',
    in: 'enqueue',
    from: 'if a.atomic and room < n and room < newcomers() then room = 0 end',
    to: '',
  },
  {
    name: 'enqueue: known idempotency keys need room in an atomic batch',
    in: 'enqueue',
    from: 'if a.atomic and room < n and room < newcomers() then room = 0 end',
    to: 'if a.atomic and room < n then room = 0 end',
  },
  {
    name: 'relay: takes no notice of epochs',
    in: 'relay',
    from: "if epoch > a.epoch then return 'stale' end",
    to: '',
  },
  {
    name: 'relay: takes the number of another log for its own (attack 12)',
    in: 'relay',
    from: "if log and log ~= a.log then return 'foreign' end",
    to: '',
  },
  {
    name: 'relay: takes another batch of the same number for done (attack 12)',
    in: 'relay',
    from: "(digest == '' or digest == a.digest) and 'done' or 'ahead'",
    to: "'done'",
  },
  {
    name: 'relay: applies a batch twice',
    in: 'relay',
    from: "(digest == '' or digest == a.digest) and 'done'",
    to: "(digest == '' or digest == a.digest) and 'next'",
  },
  {
    name: 'relay: applies n + 2',
    in: 'relay',
    from: "return n == a.n - 1 and 'next'",
    to: "return (n == a.n - 1 or n == a.n - 2) and 'next'",
  },
  {
    name: 'relay: does not note what it applied',
    in: 'relay',
    from: "call('HSET', relay, a.unit, table.concat({ a.log, int(a.n), int(a.epoch), int(a.rows), a.digest }, ' '))",
    to: '',
  },
  {
    name: 'relay: notes before it adds',
    in: 'relay',
    from: 'local at = now()\n',
    to: "call('HSET', relay, a.unit, table.concat({ a.log, int(a.n), int(a.epoch), int(a.rows), a.digest }, ' '))\nlocal at = now()\n",
    showsOnFailure: true,
  },
  {
    name: 'relay: accepts what stands in the queue once more',
    in: 'relay',
    from: 'if not entries[j] and not records[j] and not known[ids[j]] then',
    to: 'if not known[ids[j]] then',
  },
  {
    name: 'relay: goes beyond what may wait',
    in: 'relay',
    from: "if full then return { 'full', full } end",
    to: '',
  },
  {
    name: 'relay: timers are not told of a new first',
    in: 'relay',
    from: 'if soonest[q] then wake(q, soonest[q]) end',
    to: '',
  },
  {
    name: 'publish: asks any set of subscriptions',
    in: 'publish',
    from: "if tonumber(call('HGET', P .. 'subscriptions', 'version') or 0) ~= a.v then return { 'outdated' } end",
    to: '',
  },
  {
    name: 'rescue: the cursor is not handed on',
    in: 'rescue',
    from: 'out[1] = pending[#pending][1]',
    to: '',
  },
  {
    name: 'rescue: the cursor is ignored',
    in: 'rescue',
    from: "a.cursor == '0-0' and '-' or '(' .. a.cursor",
    to: "'-'",
  },
  {
    name: 'rescue: the first rescue is charged (attack 9)',
    in: 'rescue',
    from: 'local charged = (opts.s or 0) > 0',
    to: 'local charged = true',
  },
  {
    name: 'a job that was charged runs beside others',
    in: 'prelude',
    from: "if (opts.c or 0) > 0 then return 'a' end",
    to: '',
  },
  {
    name: 'rescue: by the lease of the sweeper, not of the worker',
    in: 'rescue',
    from: "return leases[string.match(consumer, '^(.*)%.%d+$')] or a.lease",
    to: 'return a.lease',
  },
  {
    name: 'rescue: a poison pill lives for ever',
    in: 'rescue',
    from: 'if (opts.c or 0) >= a.maxStalls then',
    to: 'if false then',
  },
  {
    name: 'rescue: does not wait a lease after a boot (attack 8)',
    in: 'rescue',
    from: 'and ageOfBoot >= lease then',
    to: 'then',
  },
  {
    name: 'rescue: takes what is alive',
    in: 'rescue',
    from: 'local leases, shortest = {}, a.lease',
    to: 'a.lease = 0\nlocal leases, shortest = {}, 0',
  },
  {
    name: 'rescue: to the front instead of the suspects',
    in: 'rescue',
    from: 'place(q, backTo(opts), id, entry, t, cjson.encode(opts), d)\n        -- A settlement',
    to: "place(q, 'f', id, entry, t, cjson.encode(opts), d)\n        -- A settlement",
  },
  {
    name: 'rescue: a job without a handler is dead at once',
    in: 'rescue',
    from: '< a.grace then break end',
    to: '< 0 then break end',
  },
  {
    name: 'promote: a retried job waits for the key that it holds (attack 10)',
    in: 'promote',
    from: 'if held and held ~= id then',
    to: 'if held then',
  },
  {
    name: 'promote: leaves the record',
    in: 'promote',
    from: "if #leave > 0 then call('HDEL', recs, unpack(leave)) end",
    to: '',
  },
  {
    name: 'promote: before it is due',
    in: 'promote',
    from: "call('ZRANGE', later, '-inf', int(at), 'BYSCORE'",
    to: "call('ZRANGE', later, '-inf', '+inf', 'BYSCORE'",
  },
  {
    name: 'promote: a job does not take the slot of its key',
    in: 'promote',
    from: "if opts.k and not held then call('HSET', base(q) .. ':slots', opts.k, id) end",
    to: '',
  },
  {
    name: 'move: cancels what a worker has',
    in: 'move',
    from: "if holder(key, entry) then return 'active' end",
    to: '',
  },
  {
    name: 'move: a cancelled job keeps its key',
    in: 'move',
    from: 'if opts.k then admitNext(q, opts.k, id, entry) end\n    removeEntry',
    to: 'removeEntry',
  },
  {
    name: 'move: takes an entry for a job that has another id',
    in: 'move',
    from: 'if o and not options(o).i then',
    to: 'if o then',
  },
  {
    name: 'adopt: hands back what runs',
    in: 'adopt',
    from: 'if runs[entry] then',
    to: 'if false then',
  },
  {
    name: 'adopt: removes a consumer that owns something',
    in: 'adopt',
    from: 'if pending > 0 then',
    to: 'if false then',
  },
  {
    name: 'adopt: a late one takes from the session that followed',
    in: 'adopt',
    from: 'tonumber(sub(name, #a.w + 2)) < a.n then',
    to: 'tonumber(sub(name, #a.w + 2)) <= a.n then',
  },
  {
    name: 'open: a boot notes nothing of what was accepted',
    in: 'open',
    from: "accepted[q] = { tonumber(call('HGET', n, 'accepted') or 0)",
    to: 'accepted[q] = { 0',
  },
  {
    name: 'release: takes no notice of a renewal in between',
    in: 'release',
    from: "and (seen == '' or tonumber(seen) == times)",
    to: '',
  },
  {
    name: 'release: takes from the session that followed',
    in: 'release',
    from: 'and sessionOf(who) <= session',
    to: '',
  },
  {
    name: 'renew: takes what belongs to another worker',
    in: 'renew',
    from: 'or not isOf(who, a.w)',
    to: '',
  },
  {
    name: 'beat: removes a consumer that owns something',
    in: 'beat',
    from: 'if c[4] == 0 then',
    to: 'if true then',
  },
]
