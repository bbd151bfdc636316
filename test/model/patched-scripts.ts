import { readFileSync } from 'node:fs'
import { joinScripts, PART_NAMES, type ScriptName, type Scripts } from '../../src/queue/scripts.ts'

// The real scripts with three things replaced: the clock, the clock of XADD *, and (to let a chosen call fail) the way to redis.call.
// All are asked for by further KEYS, so that one text serves a whole run:
//   KEYS[2] now (ms); KEYS[3] the number of the call that fails, 0 = none.

/** Changes the text of a script before it is patched: a planted mutation. */
export type Mutate = (text: string, name: ScriptName) => string

const COMMANDS = `
local NOW, FAIL, calls = tonumber(KEYS[2]), tonumber(KEYS[3]), 0
-- XADD * takes the server's clock; here the test's, and like the server never less than the stream's last id.
local function starred(args)
  local at = args[3] == 'MAXLEN' and 6 or 3
  if args[at] == '*' then
    local info = redis.pcall('XINFO', 'STREAM', args[2])
    local last = info.err and '0-0' or info[8]
    args[at] = string.format('%.0f-*', math.max(NOW, tonumber(string.match(last, '^%d+'))))
  end
  return unpack(args)
end
-- true when this is the call that shall fail.
local function fails(site)
  calls = calls + 1
  if calls ~= FAIL then return false end
  redis.call('HSET', P .. 'model', 'failed', site)
  return true
end
local function arguments(name, ...)
  if name == 'XADD' then return starred({ name, ... }) end
  local channel, message = ...
  if name == 'PUBLISH' and channel == P .. 'wake' then redis.call('HSET', P .. 'model', 'wake', message) end
  return name, ...
end
local function call(site, ...)
  if fails(site) then error(redis.error_reply('PLANNED failure')) end
  return redis.call(arguments(...))
end
local function pcall_(site, ...)
  if fails(site) then return redis.error_reply('PLANNED failure') end
  return redis.pcall(arguments(...))
end
`

/** What several scripts consist of. */
const SHARED = ['prelude', ...PART_NAMES].map((name) => ({ name, text: readLua(`${name}.lua`) }))

/** Reads a script as it is shipped. */
function readLua(file: string): string {
  return readFileSync(new URL(`../../src/queue/lua/${file}`, import.meta.url), 'utf8')
}

/** All scripts, patched. */
export function patchedScripts(mutate: Mutate = (text) => text): Scripts {
  return joinScripts(readLua, (text, name) => patch(mutate(text, name), name))
}

function patch(text: string, name: ScriptName): string {
  const clocked = replaceOnce(text, /local function now\(\)\n[^]*?\nend\n/, 'local function now() return NOW end\n')
  // Its calls shall fail as well, and leave behind which it was.
  const writable = name === 'count' ? replaceOnce(clocked, 'flags=no-writes,allow-stale', 'flags=allow-oom') : clocked
  const numbered = numberCalls(writable, name)
  return replaceOnce(numbered, 'local call, pcall_ = redis.call, redis.pcall\n', COMMANDS)
}

/** Gives each call its site as a first argument, its script (or what it shares with others, like 'prelude') and its line. */
function numberCalls(text: string, name: ScriptName): string {
  const lines = text.split('\n')
  let line = 0
  return text.replaceAll(/\n|--[^\n]*|(?<![\w.])(?:call|pcall_)\(/g, (found) => {
    if (found === '\n') line++
    return found.endsWith('(') ? `${found}'${siteOf(lines[line] as string, name)}', ` : found
  })
}

function siteOf(line: string, name: ScriptName): string {
  const source = line.trim()
  const owner = SHARED.find(({ text }) => text.includes(source))?.name ?? name
  return `${owner}: ${source.replaceAll(/['\\]/g, '"')}`
}

/** Every site of a call in the scripts, by the names that a failed call leaves behind. */
export function callSites(): Set<string> {
  const sites = new Set<string>()
  for (const { text } of Object.values(patchedScripts())) {
    for (const [, site] of text.matchAll(/(?<![\w.])(?:call|pcall_)\('([^']+: [^']*)', /g)) sites.add(site as string)
  }
  return sites
}

/** Replaces what must be there exactly once: a change of the scripts must not quietly turn a patch into nothing. */
export function replaceOnce(text: string, from: string | RegExp, to: string): string {
  const found =
    typeof from === 'string' ? text.split(from).length - 1 : [...text.matchAll(new RegExp(from, 'g'))].length
  if (found !== 1) throw new Error(`The scripts were changed: expected once, found ${found} times: ${from}`)
  return typeof from === 'string' ? text.split(from).join(to) : text.replace(from, () => to)
}
