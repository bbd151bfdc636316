import { z } from 'zod'
import type { IndexHook } from '../doctype/index-hook.ts'
import type { PublishHook } from '../events/publish-hook.ts'
import { type Duration, parseDuration } from '../job/duration.ts'
import type { AttemptHook, EnqueueHook } from '../job/job-hooks.ts'
import { isSchedule, type Schedule } from '../scheduler/schedule.ts'
import type { App, Hooks } from './options.ts'

// The message of every rule is what was expected; config-issues.ts puts the place and the value found before it.

// A timer of Node that is to wait longer than 24.8 days fires at once.
const LONGEST_TIMER = '24d'
// Its timer waits up to a quarter longer, by chance.
const LONGEST_SWEEP_INTERVAL = '7d'

function rule<T>(isFitting: (value: unknown) => boolean, expected: string) {
  return z.custom<T>(isFitting, expected)
}

function whole(from: number, to: number) {
  return rule<number>(
    (value) => Number.isInteger(value) && (value as number) >= from && (value as number) <= to,
    `a whole number from ${from} to ${to}`,
  )
}

function readDuration(value: unknown): number {
  try {
    return parseDuration(value as Duration, '')
  } catch {
    return Number.NaN
  }
}

/** The parsed value is in ms. */
function duration(from: Duration, to: Duration = LONGEST_TIMER) {
  const [fromMs, toMs] = [parseDuration(from, 'from'), parseDuration(to, 'to')]
  const range = `${fromMs > 0 ? ` of ${from} or more` : ''} up to ${to}`
  const expected = `a duration${range}: milliseconds as a number, or a text like '500ms', '30s', '5m', '2h', '7d'`
  return rule<Duration>((value) => readDuration(value) >= fromMs && readDuration(value) <= toMs, expected).transform(
    readDuration,
  )
}

const flag = rule<boolean>((value) => typeof value === 'boolean', 'true or false')

const text = (pattern: RegExp, expected: string) =>
  rule<string>((value) => typeof value === 'string' && pattern.test(value), expected)

const redisUrl = rule<string>((value) => {
  if (typeof value !== 'string' || !URL.canParse(value)) return false
  const { protocol, hostname, pathname } = new URL(value)
  return /^rediss?:$/.test(protocol) && hostname !== '' && /^\/?$|^\/\d+$/.test(pathname)
}, 'redis[s]://[[user][:password]@]host[:port][/db]')

const redis = z.strictObject(
  {
    url: redisUrl.default('redis://127.0.0.1:6379'),
    connectTimeout: duration('10ms').default(5_000),
    replyTimeout: duration('100ms').default(10_000),
  },
  'an object { url, connectTimeout, replyTimeout }',
)

const postgresUrl = rule<string>(
  (value) => typeof value === 'string' && URL.canParse(value) && /^postgres(ql)?:$/.test(new URL(value).protocol),
  'postgres[ql]://[user[:password]@]host[:port]/database',
)

const postgres = z.strictObject(
  {
    url: postgresUrl.optional(),
    // Names that begin with pg_ are PostgreSQL's own.
    schema: text(
      /^(?!pg_)[a-z_][a-z0-9_]{0,62}$/,
      '1 to 63 of a-z 0-9 _, beginning with a letter or _, but not with pg_',
    ).default('moca'),
    maxConnections: whole(1, 1_000).default(5),
    connectTimeout: duration('10ms').default(5_000),
    replyTimeout: duration('100ms').default(10_000),
  },
  'an object { url, schema, maxConnections, connectTimeout, replyTimeout }',
)

const outbox = z
  .strictObject(
    {
      lease: duration('1s', '1h').default(10_000),
      pollInterval: duration('1ms').default(12),
      retention: z
        .strictObject(
          {
            age: duration('1h', '3650d').default(7 * 24 * 3_600_000),
            bytes: whole(1, Number.MAX_SAFE_INTEGER).optional(),
          },
          'an object { age, bytes }',
        )
        .prefault({}),
      redriveMax: duration(0, '3650d').default(600_000),
      maxBytes: whole(1, 512 * 1024 * 1024).default(1024 * 1024),
      healthPort: whole(0, 65_535).optional(),
      healthHost: text(/^[\w.:-]+$/, 'an address or host name').optional(),
    },
    'an object of settings for the outbox',
  )
  .superRefine(({ lease, pollInterval, retention, redriveMax }, context) => {
    const refuse = (option: string, expected: string) =>
      context.addIssue({ code: 'custom', path: [option], message: expected })
    if (pollInterval * 5 > lease)
      refuse('pollInterval', `at most a fifth of lease (${lease} ms), or it is not renewed in time`)
    if (redriveMax > retention.age)
      refuse('redriveMax', `at most retention.age (${retention.age} ms): older events are gone`)
  })

const events = z.strictObject(
  {
    source: rule<string>(
      (value) => typeof value === 'string' && value.length >= 1 && value.length <= 200,
      'a text of 1 to 200 characters',
    ).optional(),
    perDoctypeTopics: flag.default(false),
  },
  'an object { source, perDoctypeTopics }',
)

const queues = z.record(
  text(/^[a-z][a-z0-9_-]{0,63}$/, 'a queue name: 1 to 64 of a-z 0-9 _ -, beginning with a letter'),
  z.strictObject(
    {
      weight: whole(1, 1_000).default(1),
      concurrency: whole(1, 10_000).optional(),
      maxWaiting: whole(1, Number.MAX_SAFE_INTEGER).optional(),
    },
    'an object { weight, concurrency, maxWaiting }',
  ),
  'an object of queues by name',
)

const app = rule<App>(
  (value) => typeof value === 'object' && value !== null && 'name' in value && 'jobs' in value && 'handlers' in value,
  'an app made by defineApp',
)

const scheduler = z.strictObject(
  {
    healthPort: whole(0, 65_535).optional(),
    healthHost: text(/^[\w.:-]+$/, 'an address or host name').optional(),
  },
  'an object { healthPort, healthHost }',
)

const search = z.strictObject(
  {
    inRelays: flag.default(true),
    lease: duration('1s', '1h').default(10_000),
    healthPort: whole(0, 65_535).optional(),
    healthHost: text(/^[\w.:-]+$/, 'an address or host name').optional(),
  },
  'an object { inRelays, lease, healthPort, healthHost }',
)

const HOOK_KINDS: readonly string[] = ['enqueue', 'attempt', 'publish', 'index']

export const HOOKS_EXPECTED = `an object of functions { ${HOOK_KINDS.join(', ')} }`

export function isHooks(value: unknown): value is Hooks {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  return Object.entries(value).every(
    ([kind, hook]) => HOOK_KINDS.includes(kind) && (hook === undefined || typeof hook === 'function'),
  )
}

const hookFunction = <H>() =>
  rule<H>((value) => typeof value === 'function', 'a function (what is done, next)').optional()

const hooks = z.strictObject(
  {
    enqueue: hookFunction<EnqueueHook>(),
    attempt: hookFunction<AttemptHook>(),
    publish: hookFunction<PublishHook>(),
    index: hookFunction<IndexHook>(),
  },
  HOOKS_EXPECTED,
)

const queue = z.strictObject(
  {
    enqueueTimeout: duration('1ms').default(5_000),
    maxPayloadBytes: whole(1, 512 * 1024 * 1024).default(1024 * 1024),
    // Redis keeps it, so it may be longer than a timer.
    idempotencyTtl: duration('1s', '3650d').default(24 * 3_600_000),
    maxPendingJobs: whole(0, 100_000_000).default(10_000),
  },
  'an object of settings for producers',
)

const worker = z
  .strictObject(
    {
      concurrency: whole(1, 10_000).default(10),
      lease: duration('1s').default(30_000),
      sweepInterval: duration('50ms', LONGEST_SWEEP_INTERVAL).optional(),
      softTimeout: duration(0).default(10_000),
      stopTimeout: duration(0).default(25_000),
      grace: duration(0).default(5_000),
      maxBlocked: duration('1s').default(300_000),
      maxStalls: whole(1, 1_000).default(3),
      unhandledGrace: duration(0, '3650d').default(3_600_000),
      strict: flag.default(false),
      handBack: duration('1ms').default(50),
      healthPort: whole(0, 65_535).optional(),
      healthHost: text(/^[\w.:-]+$/, 'an address or host name').optional(),
    },
    'an object of settings for workers',
  )
  .superRefine(({ lease, sweepInterval, softTimeout, stopTimeout, handBack }, context) => {
    const refuse = (option: string, expected: string) =>
      context.addIssue({ code: 'custom', path: [option], message: expected })
    if (sweepInterval !== undefined && sweepInterval > lease * 2) {
      refuse('sweepInterval', `at most two leases (lease is ${lease} ms), or jobs of dead workers lie about`)
    }
    if (softTimeout > stopTimeout)
      refuse('softTimeout', `at most stopTimeout (${stopTimeout} ms): handlers need time to see their signal`)
    if (handBack >= lease) refuse('handBack', `less than lease (${lease} ms)`)
  })

const history = z.strictObject(
  {
    entries: whole(0, 100_000_000).default(10_000),
    age: duration('1s', '3650d').default(24 * 3_600_000),
  },
  'an object { entries, age }',
)

export const configSchema = z
  .strictObject(
    {
      namespace: text(/^[a-z0-9][a-z0-9_-]{0,63}$/, '1 to 64 of a-z 0-9 _ -, beginning with a letter or digit').default(
        'default',
      ),
      redis: redis.prefault({}),
      postgres: postgres.prefault({}),
      queues,
      apps: z.array(app, 'a list of apps made by defineApp').default([]),
      schedules: z
        .array(rule<Schedule>(isSchedule, 'a schedule made by defineSchedule'), 'a list of schedules')
        .default([]),
      scheduler: scheduler.prefault({}),
      queue: queue.prefault({}),
      worker: worker.prefault({}),
      history: history.prefault({}),
      outbox: outbox.prefault({}),
      events: events.prefault({}),
      search: search.prefault({}),
      hooks: hooks.prefault({}),
    },
    'an object, as defineConfig takes it',
  )
  .superRefine(({ apps, queues, schedules }, context) => {
    const refuse = (path: (string | number)[], expected: string) =>
      context.addIssue({ code: 'custom', path, message: expected })
    const scheduleNames = new Set<string>()
    const checkSchedules = (some: readonly Schedule[], path: (string | number)[]) => {
      for (const { name, job } of some) {
        if (scheduleNames.has(name)) refuse([...path, name], 'a name that no other schedule has')
        scheduleNames.add(name)
        if (!Object.hasOwn(queues, job.queue)) {
          const known = Object.keys(queues).join(', ')
          refuse([...path, name, 'queue'], `a queue of this configuration (${known}), not ${job.queue}`)
        }
      }
    }
    checkSchedules(schedules, ['schedules'])
    const names = new Set<string>()
    const owners = new Map<string, string>()
    const doctypeNames = new Map<string, string>()
    const tables = new Map<string, string>()
    for (const [index, { name, jobs, subscriptions = [], doctypes = [] }] of apps.entries()) {
      if (names.has(name)) refuse(['apps', index, 'name'], 'a name that no other app has')
      names.add(name)
      checkSchedules(apps[index]?.schedules ?? [], ['apps', index, 'schedules'])
      const contracts = [
        ...jobs.map((job) => ({ job, path: ['jobs', job.type], unique: 'a type that no other job has' })),
        ...subscriptions.map((subscription) => ({
          job: subscription.job,
          path: ['subscriptions', subscription.name],
          unique: 'a name that no other subscription has',
        })),
      ]
      for (const { job, path, unique } of contracts) {
        const { type, queue } = job
        const owner = owners.get(type)
        if (owner !== undefined) refuse(['apps', index, ...path], `${unique} (app ${owner} has it too)`)
        owners.set(type, name)
        // Nobody would ever run it, and nobody would say so.
        if (!Object.hasOwn(queues, queue)) {
          refuse(
            ['apps', index, ...path, 'queue'],
            `a queue of this configuration (${Object.keys(queues).join(', ')}), not ${queue}`,
          )
        }
      }
      for (const doctype of doctypes) {
        const path = ['apps', index, 'doctypes', doctype.name]
        const owner = doctypeNames.get(doctype.name)
        if (owner !== undefined) refuse(path, `a name that no other doctype has (app ${owner} has it too)`)
        doctypeNames.set(doctype.name, name)
        const table = JSON.stringify([doctype.schema, doctype.table])
        const other = tables.get(table)
        if (other !== undefined)
          refuse([...path, 'table'], `a table that no other doctype has (it is that of ${other})`)
        tables.set(table, doctype.name)
      }
    }
    // Nothing would ever say that they changed.
    for (const [index, { doctypes = [] }] of apps.entries()) {
      for (const { name, search } of doctypes) {
        for (const embed of search?.embeds ?? []) {
          if (doctypeNames.has(embed.doctype)) continue
          refuse(['apps', index, 'doctypes', name, 'search', 'embeds'], `doctypes of the apps, not ${embed.doctype}`)
        }
      }
    }
  })
