import { dirname, join, normalize } from 'node:path/posix'

// The direction of dependencies, so that a reader may follow them one way and a part can be changed or left out without
// reading those above it. Checked by scripts/check-imports.ts. oxlint's no-restricted-imports sees only the text of an
// import ('../queue/x.ts'), not the folder it leads to, and cannot say "anything but"; hence this table.

/** What every part may use: it knows nothing of Redis, SQL or Kafka. */
const BASE = ['job', 'hook', 'doctype', 'errors', 'clock', 'logger', 'service']
const SERVERS = ['redis', 'postgres']
const FEATURES = ['queue', 'scheduler', 'events', 'outbox', 'search']

/**
 * Part of src (a folder, or a file without its ending) -> the parts it may import. A part always may import itself.
 * Features (queue, scheduler, events, outbox, search) do not import each other, but for the outbox, which carries events: they meet
 * through small interfaces, and moca.ts or a process puts the implementations together.
 */
export const MAY_IMPORT: Record<string, readonly string[]> = {
  errors: [],
  clock: [],
  logger: ['errors', 'clock'],
  service: ['errors', 'clock', 'logger'],
  // Pure: states, transitions, times. Everything may depend on it, so it depends on next to nothing.
  job: ['errors', 'clock', 'logger', 'hook'],
  // Pure: code of an application around something that Moca does.
  hook: ['errors', 'job'],

  // What an application says of a table.
  doctype: ['job', 'errors', 'hook'],
  // Apps carry subscriptions, schedules and doctypes.
  config: [...BASE, 'events', 'scheduler'],
  // The connection: reconnecting, deadlines, errors. It knows no key and no script.
  redis: [...BASE],
  // As redis: connections, transactions, errors. It knows no table.
  postgres: [...BASE],

  queue: [...BASE, 'config', 'redis'],
  // Its settings are handed to it: the configuration knows its contracts.
  scheduler: [...BASE, 'redis', 'postgres'],
  // Its settings are handed to it: the configuration knows its contracts.
  events: [...BASE, 'redis'],
  // Events are what it carries. Their side never looks back.
  outbox: [...BASE, 'config', 'postgres', 'events'],
  search: [...BASE, 'config', 'redis', 'postgres'],
  // Subpaths of the package, one for each database library: each loaded by those who use it.
  sql: [...BASE, 'outbox'],

  moca: [...BASE, 'config', ...SERVERS, ...FEATURES],
  // The log's side of search indexes and their own, put together.
  'search-indexes': [...BASE, 'config', ...SERVERS, ...FEATURES],
  worker: [...BASE, 'config', ...SERVERS, ...FEATURES, 'moca'],
  index: [...BASE, 'config', ...SERVERS, ...FEATURES, 'moca', 'worker'],

  verify: [...BASE, 'config', ...SERVERS, ...FEATURES, 'search-indexes', 'moca'],
  testing: [...BASE, 'config', ...FEATURES, 'moca', 'worker'],
  processes: [...BASE, 'config', ...SERVERS, ...FEATURES, 'search-indexes', 'moca', 'worker', 'verify'],
  // They look at all servers and features, and at nothing that runs.
  doctor: [...BASE, 'config', ...SERVERS, ...FEATURES, 'search-indexes'],
  status: [...BASE, 'config', ...SERVERS, ...FEATURES, 'search-indexes'],
  // Endpoints use the same client as users.
  dashboard: [...BASE, 'config', ...FEATURES, 'moca', 'verify'],
  cli: [
    ...BASE,
    'config',
    ...SERVERS,
    ...FEATURES,
    'moca',
    'worker',
    'verify',
    'doctor',
    'status',
    'search-indexes',
    'processes',
    'dashboard',
  ],
}

/** Package -> the only parts of src that may import it. */
export const PACKAGE_OWNERS: Record<string, readonly string[]> = {
  // Commands to Redis stay in the feature that owns the keys.
  '@redis/client': ['redis', 'queue'],
  pg: ['postgres'],
  commander: ['cli'],
  croner: ['scheduler'],
  'cli-table3': ['cli'],
  'cli-progress': ['cli'],
}

/** Path of a file below the root of the project -> its text. */
export type Sources = ReadonlyMap<string, string>

type Import = { specifier: string; isErasedOrLazy: boolean; line: number }

/** Everything that is wrong with the imports of the given files, one sentence each. */
export function findProblems(sources: Sources): string[] {
  return [...findForbidden(sources), ...findCycles(sources)]
}

function findForbidden(sources: Sources): string[] {
  const problems: string[] = []
  for (const [file, text] of sources) {
    for (const found of importsOf(text)) {
      const reason = whyForbidden(file, found.specifier, sources)
      if (reason) problems.push(`${file}:${found.line} imports '${found.specifier}': ${reason}`)
    }
  }
  return problems
}

function whyForbidden(file: string, specifier: string, sources: Sources): string | undefined {
  // Tests beside the code reach for test/support and for whatever they need to set the scene.
  if (!file.startsWith('src/') || file.endsWith('.test.ts')) return undefined
  const part = partOf(file)
  const allowed = MAY_IMPORT[part]
  if (!allowed) return `src/${part} is new; say in scripts/import-rules.ts what it may import`
  if (!specifier.startsWith('.')) return whyPackageForbidden(part, specifier)

  const target = resolve(file, specifier)
  if (!target.startsWith('src/')) return 'the package consists of src alone'
  if (!sources.has(target)) return `there is no ${target} (imports name the .ts file)`
  if (target.endsWith('.test.ts')) return 'a test is no part of the package'
  const targetPart = partOf(target)
  if (targetPart === part || allowed.includes(targetPart)) return undefined
  return `${part} may use ${allowed.length === 0 ? 'no other part' : `only ${allowed.join(', ')}`} of src`
}

function whyPackageForbidden(part: string, specifier: string): string | undefined {
  const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
  const owners = PACKAGE_OWNERS[name]
  return !owners || owners.includes(part)
    ? undefined
    : `only ${owners.map((owner) => `src/${owner}`).join(', ')} may use it`
}

/** `src/queue/lua/x.ts` -> `queue`, `src/errors.ts` -> `errors`. */
function partOf(file: string): string {
  return (file.split('/')[1] ?? '').replace(/\.ts$/, '')
}

function resolve(file: string, specifier: string): string {
  return normalize(join(dirname(file), specifier))
}

// The formatter puts every import at the start of a line, so a pattern finds them; an example in a comment or a template
// is indented.
const STATIC_IMPORT = /^(?:import|export)\s(type\s)?(?:[\w$*{},\s]+\sfrom\s)?\s*'([^'\n]+)'/gm
const LAZY_IMPORT = /\bimport\(()'([^'\n]+)'\)/g

function importsOf(text: string): Import[] {
  const find = (pattern: RegExp, isLazy: boolean) =>
    [...text.matchAll(pattern)].map((match) => ({
      specifier: match[2] ?? '',
      isErasedOrLazy: isLazy || Boolean(match[1]),
      line: text.slice(0, match.index).split('\n').length,
    }))
  return [...find(STATIC_IMPORT, false), ...find(LAZY_IMPORT, true)]
}

/**
 * One problem per cycle. Lazy imports do not count: they are the accepted way to break one. Neither do types, which are
 * gone at run time: two classes may know each other's shape. (They count for the direction: what is below must not know
 * what is above, by type or otherwise.)
 */
function findCycles(sources: Sources): string[] {
  const cycles: string[] = []
  const finished = new Set<string>()
  const path: string[] = []

  const visit = (file: string) => {
    const start = path.indexOf(file)
    if (start >= 0) cycles.push(`cycle: ${[...path.slice(start), file].join(' -> ')}`)
    if (start >= 0 || finished.has(file)) return
    path.push(file)
    for (const { specifier, isErasedOrLazy } of importsOf(sources.get(file) ?? '')) {
      if (!isErasedOrLazy && specifier.startsWith('.')) visit(resolve(file, specifier))
    }
    path.pop()
    finished.add(file)
  }
  for (const file of sources.keys()) visit(file)
  return cycles
}
