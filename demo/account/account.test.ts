import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Expectation, ReportContent } from '../cities.ts'
import type { FireLine } from '../fire-ledger.ts'
import type { JournalLine } from '../journal.ts'
import type { LedgerLine } from '../ledger.ts'
import type { Finding, FoundJob, Place, RawWalk } from '../raw-walk.ts'
import { type Account, makeAccount } from './account.ts'
import type { Evidence } from './evidence.ts'
import type { ProblemKind } from './problem.ts'

// A small run that adds up, and one change for each thing that can be wrong: the account must name exactly the job.

type Job = { business: string; id: string; queue: string; key?: string; dies?: boolean }

const CITY: Job = { business: 'enrich:1', id: 'default.0.100-0', queue: 'default' }
const BAD: Job = { business: 'enrich:2', id: 'default.0.100-1', queue: 'default', dies: true }
const FIRST: Job = { business: 'update:DE:a', id: 'default.0.gfirst', queue: 'default', key: 'DE' }
const SECOND: Job = { business: 'update:DE:b', id: 'default.0.gsecond', queue: 'default', key: 'DE' }
const REPORT: Job = { business: 'report:DE', id: 'long.0.greport', queue: 'long' }
const JOBS = [CITY, BAD, FIRST, SECOND, REPORT]
const DE: ReportContent = { cities: 1, population: 5, largest: 'Ulm' }
const STOPPED = 33
const FIRST_LIFE_US = 1_000

type Writable<T> = { -readonly [K in keyof T]: T[K] }

/** Evidence that can be changed. */
interface Run {
  expectation: { completes: Set<string>; dies: Set<string>; refused: Set<string>; reports: Map<string, ReportContent> }
  journal: JournalLine[]
  ledger: LedgerLine[]
  found: FoundJob[]
  findings: Finding[]
  counters: Record<string, Record<string, number>>
  /** What Moca says; by default the truth. */
  counts?: Record<string, Record<Place, number>>
  reportedLost: number
  boots: number
  reports: Map<string, ReportContent>
  evidence: Writable<
    Pick<Evidence, 'kills' | 'stoppedPid' | 'redisRestarts' | 'failures' | 'rewind' | 'recorded' | 'fires' | 'verified'>
  >
}

function goodRun(): Run {
  const isDone = JOBS.filter((job) => !job.dies)
  const run: Run = {
    expectation: {
      completes: new Set(isDone.map(({ business }) => business)),
      dies: new Set([BAD.business]),
      refused: new Set(['enrich:3']),
      reports: new Map([['DE', DE]]),
    },
    journal: [],
    ledger: [],
    found: [found(BAD, 'dead')],
    findings: [],
    counters: { default: { accepted: 4, completed: 3 }, long: { accepted: 1, completed: 1, stale: 1 } },
    reportedLost: 0,
    boots: 2,
    reports: new Map([['DE', DE]]),
    evidence: {
      kills: [
        { process: 'worker-2', signal: 'SIGKILL', atSeconds: 1 },
        { process: 'worker-3', signal: 'SIGSTOP', atSeconds: 2 },
        { process: 'redis', signal: 'SIGKILL', atSeconds: 3 },
      ],
      stoppedPid: STOPPED,
      redisRestarts: 1,
      failures: [],
    },
  }
  for (const [i, job] of JOBS.entries()) accept(run, job, FIRST_LIFE_US + i * 100)
  refuse(run, 'enrich:3')
  for (const [i, job] of isDone.entries()) succeed(run, job, 2_000 + i * 100)
  for (const us of [2_010, 2_020, 2_030]) attempt(run, BAD, us, { outcome: 'failed' })
  // What the stopped worker hands in: under a fence below the one that did the report meanwhile.
  attempt(run, REPORT, 5_000, { fence: '1', pid: STOPPED })
  return run
}

function account({ expectation, journal, ledger, reports, evidence, ...run }: Run): Account {
  const names = Object.keys(run.counters)
  const walk: RawWalk = {
    queues: names.map((name) => ({ name, counters: run.counters[name] ?? {}, places: places(run.found, name) })),
    jobs: run.found,
    findings: run.findings,
    reportedLost: run.reportedLost,
    boots: run.boots,
    positions: new Map(),
  }
  return makeAccount({
    expectation: expectation satisfies Expectation,
    journal,
    ledger,
    walk,
    counts: run.counts ?? Object.fromEntries(names.map((name) => [name, places(run.found, name)])),
    reports,
    seconds: 9,
    ...evidence,
  })
}

function places(jobs: readonly FoundJob[], queue: string): Record<Place, number> {
  const counts = { waiting: 0, active: 0, delayed: 0, gated: 0, dead: 0 }
  for (const job of jobs) if (job.queue === queue) counts[job.place]++
  return counts
}

function found({ id, queue, key }: Job, place: Place): FoundJob {
  return { id, queue, type: 't', key, place, where: 'somewhere' }
}

let calls = 0

function intend(run: Run, jobs: readonly Job[], us: number): string {
  const call = `call-${++calls}`
  const plans = jobs.map(({ business, queue, key }) => ({
    business,
    queue,
    type: 't',
    ...(key === undefined ? {} : { key }),
  }))
  run.journal.push({ kind: 'intent', call, us, jobs: plans })
  return call
}

/** One call of a producer, taking 10 us. */
function accept(run: Run, jobs: Job | readonly Job[], us: number, status = 'enqueued'): void {
  const list = 'id' in jobs ? [jobs] : jobs
  const call = intend(run, list, us)
  const results = list.map(({ id }) => ({ id, status }))
  run.journal.push({ kind: 'answer', call, fromUs: us, toUs: us + 10, results })
}

function refuse(run: Run, business: string): void {
  const call = intend(run, [{ business, id: '', queue: 'default' }], 500)
  run.journal.push({ kind: 'refusal', call, us: 501, message: 'name: too short' })
}

function attempt(run: Run, job: Job, us: number, change: Partial<LedgerLine> = {}): void {
  const { id, business, queue, key } = job
  const line = { id, business, queue, key, fence: String(us), attempt: 1, pid: 11, us, outcome: 'succeeded' as const }
  run.ledger.push({ ...line, ...change })
}

function succeed(run: Run, job: Job, us: number): void {
  attempt(run, job, us)
}

/** As if the job's handler had never been called. */
function forgetAttempts(run: Run, job: Job): void {
  run.ledger = run.ledger.filter(({ id }) => id !== job.id)
}

function problemsOf(run: Run): [ProblemKind, string][] {
  return account(run).problems.map(({ kind, id }) => [kind, id])
}

describe('the account', () => {
  test('adds up for a run in which every job had one end', () => {
    const { ok, jobs, redis, problems } = account(goodRun())
    assert.deepEqual(problems, [])
    assert.equal(ok, true)
    assert.deepEqual(jobs, { accepted: 5, completed: 4, dead: 1, lost: 0, rerun: 1, outOfOrder: 0, refused: 1 })
    assert.deepEqual(redis, { restarts: 1, lostByRedis: 0, reportedByMoca: 0 })
  })

  test('names a job that was accepted, never done, and is nowhere', () => {
    const run = goodRun()
    forgetAttempts(run, CITY)
    run.counters['default'] = { accepted: 4, completed: 2 }
    assert.deepEqual(problemsOf(run), [
      ['lost', CITY.id],
      ['count', 'default: in a place or ended, of those accepted'],
    ])
    assert.equal(account(run).jobs.lost, 1)
  })

  test('does not believe a counter that says it was completed', () => {
    const run = goodRun()
    forgetAttempts(run, CITY)
    assert.deepEqual(problemsOf(run), [
      ['lost', CITY.id],
      ['count', 'default: completed by Moca, of those in the ledgers'],
    ])
  })

  test('names a job that is still in Redis', () => {
    const run = goodRun()
    forgetAttempts(run, CITY)
    run.found.push(found(CITY, 'waiting'))
    run.counters['default'] = { accepted: 4, completed: 2 }
    assert.deepEqual(problemsOf(run), [['unfinished', CITY.id]])
  })

  test('names a healthy job among the dead letters', () => {
    const run = goodRun()
    forgetAttempts(run, CITY)
    run.found.push(found(CITY, 'dead'))
    run.counters['default'] = { accepted: 4, completed: 2 }
    assert.deepEqual(problemsOf(run), [['wrongly-dead', CITY.id]])
  })

  test('names a bad row that completed', () => {
    const run = goodRun()
    run.found = []
    succeed(run, BAD, 2_900)
    run.counters['default'] = { accepted: 4, completed: 4 }
    assert.deepEqual(problemsOf(run), [['not-dead', BAD.id]])
  })

  test('names a bad row that died before its attempts were used up', () => {
    const run = goodRun()
    run.ledger = run.ledger.filter(({ us }) => us !== 2_030)
    assert.deepEqual(problemsOf(run), [['not-retried', BAD.id]])
  })

  test('names a job that the data asks for and nobody enqueued', () => {
    const run = goodRun()
    run.expectation.completes.add('alert:9')
    assert.deepEqual(problemsOf(run), [['never-accepted', 'alert:9']])
  })

  test('names a job that nobody planned', () => {
    const run = goodRun()
    attempt(run, { business: 'enrich:77', id: 'default.0.77-0', queue: 'default' }, 3_000)
    run.found.push(found({ business: '', id: 'long.0.78-0', queue: 'long' }, 'dead'))
    run.counters['long'] = { accepted: 2, completed: 1, stale: 1 }
    assert.deepEqual(problemsOf(run), [
      ['unknown-job', 'default.0.77-0'],
      ['unknown-job', 'long.0.78-0'],
      ['count', 'long: accepted by Moca, of those in the journals'],
    ])
  })

  test('names a business that was accepted twice', () => {
    const run = goodRun()
    const twin = { ...CITY, id: 'default.0.900-0' }
    accept(run, twin, 1_900)
    succeed(run, twin, 3_000)
    run.counters['default'] = { accepted: 5, completed: 4 }
    assert.deepEqual(problemsOf(run), [['accepted-twice', CITY.business]])
  })

  test('names a good row that was refused and a bad one that was not', () => {
    const run = goodRun()
    run.expectation.completes.add('enrich:4')
    refuse(run, 'enrich:4')
    run.expectation.refused.add('enrich:5')
    assert.deepEqual(problemsOf(run), [
      ['wrongly-refused', 'enrich:4'],
      ['not-refused', 'enrich:5'],
    ])
  })

  test('passes on what the raw walk found misplaced', () => {
    const run = goodRun()
    run.findings.push({ id: CITY.id, expected: 'one place', found: 'two' })
    assert.deepEqual(problemsOf(run), [['misplaced', CITY.id]])
  })

  test('notices counters that differ from the evidence', () => {
    const run = goodRun()
    run.counters['long'] = { accepted: 1, completed: 2, stale: 1 }
    assert.deepEqual(problemsOf(run), [
      ['count', 'long: completed by Moca, of those in the ledgers'],
      ['count', 'long: in a place or ended, of those accepted'],
    ])
  })

  test('notices that Moca counts otherwise than the raw walk', () => {
    const run = goodRun()
    run.counts = { default: places([], 'default'), long: places([], 'long') }
    assert.deepEqual(problemsOf(run), [['count', 'default: dead by Moca, of those in that place']])
  })

  test('notices a missing and a wrong report', () => {
    const run = goodRun()
    run.reports = new Map()
    assert.deepEqual(problemsOf(run), [['report', 'DE']])
    run.reports = new Map([['DE', { ...DE, population: 4 }]])
    assert.deepEqual(problemsOf(run), [['report', 'DE']])
  })

  test('does not count a run in which a kill did not happen, or proved nothing', () => {
    const run = goodRun()
    run.evidence = { kills: [], stoppedPid: STOPPED, redisRestarts: 0, failures: ['no victim was found'] }
    run.ledger = run.ledger.filter(({ pid }) => pid !== STOPPED)
    run.counters['long'] = { accepted: 1, completed: 1 }
    assert.deepEqual(problemsOf(run), [
      ['not-tried', 'a worker'],
      ['not-tried', 'a worker'],
      ['not-tried', 'redis'],
      ['not-tried', 'redis'],
      ['not-tried', 'the stopped worker'],
      ['not-tried', 'the stopped worker'],
      ['not-tried', 'the plan'],
    ])
  })
})

describe('a call without an answer', () => {
  const LATE: Job = { business: 'enrich:6', id: 'default.0.600-0', queue: 'default' }

  function unanswered(): Run {
    const run = goodRun()
    run.expectation.completes.add(LATE.business)
    const call = intend(run, [LATE], 1_500)
    run.journal.push({ kind: 'failure', call, us: 1_600, code: 'connection_lost', mayHaveBeenApplied: true })
    return run
  }

  test('is resolved by the next call for the same business', () => {
    const run = unanswered()
    accept(run, LATE, 1_700, 'duplicate')
    succeed(run, LATE, 3_000)
    run.counters['default'] = { accepted: 5, completed: 4 }
    assert.deepEqual(problemsOf(run), [])
  })

  test('is resolved by the ledger when its producer was killed', () => {
    const run = unanswered()
    succeed(run, LATE, 3_000)
    run.counters['default'] = { accepted: 5, completed: 4 }
    assert.deepEqual(problemsOf(run), [])
  })

  test('is named when nothing came of it', () => {
    assert.deepEqual(problemsOf(unanswered()), [['never-accepted', LATE.business]])
  })
})

describe('order within a key', () => {
  /** Replaces the successes of FIRST and SECOND. */
  function done(run: Run, lines: readonly [job: Job, us: number, change?: Partial<LedgerLine>][]): Run {
    forgetAttempts(run, FIRST)
    forgetAttempts(run, SECOND)
    for (const [job, us, change] of lines) attempt(run, job, us, change)
    return run
  }

  test('names the job that was overtaken', () => {
    const run = done(goodRun(), [
      [SECOND, 2_200],
      [FIRST, 2_300],
    ])
    const { problems, jobs } = account(run)
    assert.deepEqual(problemsOf(run), [['out-of-order', FIRST.id]])
    assert.ok(problems[0]?.expected.includes(SECOND.id), 'and the one that overtook it')
    assert.equal(jobs.outOfOrder, 1)
  })

  test('holds within one call too', () => {
    const run = goodRun()
    run.journal = run.journal.filter(
      (line) => line.kind !== 'answer' || ![FIRST.id, SECOND.id].includes(line.results[0]?.id ?? ''),
    )
    accept(run, [FIRST, SECOND], 1_500)
    assert.deepEqual(problemsOf(run), [])
    done(run, [
      [SECOND, 2_200],
      [FIRST, 2_300],
    ])
    assert.deepEqual(problemsOf(run), [['out-of-order', FIRST.id]])
  })

  test('says nothing about calls that overlap', () => {
    const run = done(goodRun(), [
      [SECOND, 2_200],
      [FIRST, 2_300],
    ])
    run.journal = run.journal.map((line) =>
      line.kind === 'answer' && line.results[0]?.id === FIRST.id ? { ...line, toUs: 1_350 } : line,
    )
    assert.deepEqual(problemsOf(run), [])
  })

  test('is about first successes: a job may run again later', () => {
    const run = done(goodRun(), [
      [FIRST, 2_200],
      [SECOND, 2_300],
      [FIRST, 2_400, { fence: '2200' }],
    ])
    assert.deepEqual(problemsOf(run), [])
    assert.equal(account(run).jobs.rerun, 2)
  })

  test('leaves out lines under a stale fence', () => {
    // A stopped worker wakes and writes that it did SECOND; the attempt that counts comes after FIRST.
    const run = done(goodRun(), [
      [FIRST, 2_150, { outcome: 'failed', fence: '7' }],
      [SECOND, 2_200, { fence: '5' }],
      [FIRST, 2_300, { fence: '8' }],
      [SECOND, 2_400, { fence: '9' }],
    ])
    assert.deepEqual(problemsOf(run), [])
  })
})

describe('a Redis that was put back', () => {
  /** Frozen at 1,150 us: CITY and BAD had been accepted. FIRST, SECOND and REPORT are forgotten; FIRST and SECOND had been done. */
  function rewound(): Run {
    const run = goodRun()
    const restored = run.found.concat(found(CITY, 'waiting'))
    const walk: RawWalk = {
      queues: [{ name: 'default', counters: { accepted: 2 }, places: places(restored, 'default') }],
      jobs: restored,
      findings: [],
      reportedLost: 0,
      boots: 1,
      positions: new Map(),
    }
    run.evidence.rewind = { frozenAtUs: 1_150, restartedAtUs: 2_550, walk }
    forgetAttempts(run, REPORT)
    attempt(run, { business: 'x', id: CITY.id, queue: 'default' }, 5_000, {
      outcome: 'failed',
      fence: '1',
      pid: STOPPED,
    })
    run.counters = { default: { accepted: 2, completed: 1 }, long: { stale: 1 } }
    run.reportedLost = 3
    run.reports = new Map()
    return run
  }

  test('names what it forgot, done or not', () => {
    const run = rewound()
    assert.deepEqual(problemsOf(run), [
      ['lost-by-redis', FIRST.id],
      ['lost-by-redis', SECOND.id],
      ['lost-by-redis', REPORT.id],
      ['report', 'DE'],
    ])
    const { redis, jobs } = account(run)
    assert.equal(redis.lostByRedis, 3)
    assert.equal(jobs.lost, 1)
  })

  test('takes a forgotten job that was accepted again for no duplicate', () => {
    const run = rewound()
    const again = { ...REPORT, id: 'long.0.gagain' }
    accept(run, again, 2_700)
    succeed(run, again, 2_800)
    run.counters['long'] = { accepted: 1, completed: 1, stale: 1 }
    run.reports.set('DE', DE)
    assert.deepEqual(
      problemsOf(run).map(([kind]) => kind),
      ['lost-by-redis', 'lost-by-redis', 'lost-by-redis'],
    )
  })

  test('wants Moca to report the same number', () => {
    const run = rewound()
    run.reportedLost = 2
    assert.ok(problemsOf(run).some(([kind]) => kind === 'loss-misreported'))
  })

  test('notices a loss although nobody put it back', () => {
    const run = goodRun()
    run.counters['default'] = { accepted: 3, completed: 3 }
    const kinds = problemsOf(run).map(([kind]) => kind)
    assert.ok(kinds.includes('lost-by-redis') && kinds.includes('loss-misreported'))
  })
})

describe('what came by the log', () => {
  const ULM = { name: 'Ulm', country: 'DE', population: 5, longitude: 10, latitude: 48 }
  const EVENT: Job = { business: '', id: 'default.0.gevent', queue: 'default', key: 'enrich/:City:1' }

  /** One city was written, and its event delivered. */
  function withRecorded(): Run {
    const run = goodRun()
    const delivery = { route: 'enrich', subject: 'City:1', number: 1, eventId: 'e', attempt: 1, pid: 11, us: 9 }
    run.evidence.recorded = {
      journal: [
        {
          kind: 'intent',
          transaction: 'a',
          us: 1,
          ending: 'commit',
          openMs: 1,
          changes: [{ action: 'created', cityId: 1, version: 1, row: ULM }],
          recordings: [],
        },
        { kind: 'outcome', transaction: 'a', us: 2, outcome: 'committed' },
      ],
      postgres: {
        documents: [{ cityId: 1, version: 1, ...ULM }],
        index: [{ id: '1', fields: { name: ULM.name, country: ULM.country, population: ULM.population, version: 1 } }],
        counters: new Map(),
        log: [{ seq: 1, kind: 'event', id: 'e', type: 'City.created', subject: 'City:1', number: 1 }],
        positions: [],
        sentAgain: 3,
      },
      ledger: [{ ...delivery, id: EVENT.id, queue: EVENT.queue, key: EVENT.key, fence: '9', outcome: 'succeeded' }],
      dying: new Set(),
      lateMs: 5_000,
    }
    run.counters['default'] = { accepted: 5, completed: 4 }
    return run
  }

  test('comes by a relay that must have been killed', () => {
    const relay = (run: Run) => problemsOf(run).filter(([, id]) => id === 'a relay')
    const run = withRecorded()
    assert.deepEqual(relay(run), [['not-tried', 'a relay']])
    run.evidence.kills = [...run.evidence.kills, { process: 'relay-1', signal: 'SIGKILL', atSeconds: 4 }]
    assert.deepEqual(relay(run), [])
    const index = (run: Run) => problemsOf(run).filter(([, id]) => id === 'the search index')
    assert.deepEqual(index(run), [['not-tried', 'the search index']])
    run.evidence.kills = [
      ...run.evidence.kills,
      { process: 'relay-2', signal: 'SIGKILL', atSeconds: 5, as: 'indexing' },
    ]
    assert.deepEqual(index(run), [])
  })

  test('counts what the stopped worker handed in of it, too', () => {
    const run = withRecorded()
    run.ledger = run.ledger.filter(({ pid }) => pid !== STOPPED)
    const untried = () => problemsOf(run).filter(([, id]) => id === 'the stopped worker')
    assert.deepEqual(untried(), [['not-tried', 'the stopped worker']])
    const recorded = run.evidence.recorded as NonNullable<Evidence['recorded']>
    const stale = recorded.ledger.map((line) => ({ ...line, fence: '1', pid: STOPPED, us: 5_000 }))
    run.evidence.recorded = { ...recorded, ledger: [...recorded.ledger, ...stale] }
    assert.deepEqual(untried(), [])
  })

  /** Without what the application should have tried: this one wrote a single row. */
  const problems = (run: Run) => problemsOf(run).filter(([kind]) => kind !== 'not-tried')

  test('is in the counters of its queue and in an account of its own', () => {
    const run = withRecorded()
    assert.deepEqual(problems(run), [])
    const { jobs, documents, events, redis } = account(run)
    assert.equal(jobs.accepted, 5, 'the jobs that were enqueued directly')
    assert.deepEqual(documents, { committed: 1, inTable: 1, lost: 0 })
    assert.deepEqual(events, { recorded: 1, delivered: 1, lost: 0, duplicated: 0, outOfOrder: 0 })
    assert.equal(redis.sentAgain, 3)
  })

  test('is named by its delivery when it is still in Redis, not as a job that nobody planned', () => {
    const run = withRecorded()
    run.evidence.recorded = { ...(run.evidence.recorded as NonNullable<Evidence['recorded']>), ledger: [] }
    run.found.push({ ...found(EVENT, 'waiting'), type: 'event:enrich' })
    run.counters['default'] = { accepted: 5, completed: 3 }
    assert.deepEqual(problems(run), [['event-unfinished', 'enrich City:1 1']])
  })

  test('is sent again after Redis was put back, and what was enqueued directly is lost by name', () => {
    const run = withRecorded()
    // Frozen at 1,350 us: REPORT had not been accepted. The event had been done, was forgotten, and came again.
    const restored = run.found.concat(found(CITY, 'waiting'), found(FIRST, 'waiting'), found(SECOND, 'gated'))
    const walk: RawWalk = {
      queues: [{ name: 'default', counters: { accepted: 4 }, places: places(restored, 'default') }],
      jobs: restored,
      findings: [],
      reportedLost: 0,
      boots: 1,
      positions: new Map(),
    }
    run.evidence.rewind = { frozenAtUs: 1_350, restartedAtUs: 1_900, walk }
    forgetAttempts(run, REPORT)
    attempt(run, CITY, 5_000, { outcome: 'failed', fence: '1', pid: STOPPED })
    run.counters['long'] = { stale: 1 }
    run.reports = new Map()
    run.reportedLost = 2
    const [line] = run.evidence.recorded?.ledger ?? []
    assert.ok(line && run.evidence.recorded)
    run.evidence.recorded = { ...run.evidence.recorded, ledger: [line, { ...line, us: 3_000, fence: '3000' }] }
    assert.deepEqual(problems(run), [
      ['lost-by-redis', REPORT.id],
      ['report', 'DE'],
    ])
    const { ok, redis, events } = account(run)
    assert.equal(ok, false)
    assert.deepEqual(redis, { restarts: 1, lostByRedis: 1, reportedByMoca: 2, sentAgain: 3 })
    assert.deepEqual(events, { recorded: 1, delivered: 1, lost: 0, duplicated: 1, outOfOrder: 0 })

    run.reportedLost = 0
    assert.ok(problems(run).some(([kind]) => kind === 'loss-misreported'))
  })

  test('proves nothing when Redis was put back and nothing had to be sent again', () => {
    const untried = (run: Run) => problemsOf(run).filter(([, id]) => id === 'the log')
    const run = withRecorded()
    const recorded = run.evidence.recorded as NonNullable<Evidence['recorded']>
    const { queues, ...rest } = { queues: [], jobs: [], findings: [], reportedLost: 0, boots: 1, positions: new Map() }
    run.evidence.rewind = { frozenAtUs: 1_350, restartedAtUs: 1_900, walk: { queues, ...rest } }
    assert.deepEqual(untried(run), [])
    run.evidence.recorded = { ...recorded, postgres: { ...recorded.postgres, sentAgain: 0 } }
    assert.deepEqual(untried(run), [['not-tried', 'the log']])
  })

  test('is missed in the counters when Redis never accepted it', () => {
    const run = withRecorded()
    run.counters['default'] = { accepted: 4, completed: 4 }
    assert.deepEqual(
      problems(run).map(([kind]) => kind),
      ['count', 'count', 'lost-by-redis', 'loss-misreported'],
    )
  })
})

describe('what schedules fired', () => {
  const FROM_MS = 1_800_000_000_000
  const fire = (schedule: string, afterMs: number, id = `clock.0.g${schedule}${afterMs}`): FireLine => {
    const instantMs = FROM_MS + afterMs
    return { schedule, instantMs, id, queue: 'clock', pid: 11, us: 5_000, outcome: 'succeeded' }
  }

  /** Fifteen seconds: five instants of one schedule, three of the other. */
  function withFires(): Run & { fires: FireLine[] } {
    const pulse = [3_000, 6_000, 9_000, 12_000, 15_000].map((ms) => fire('pulse', ms))
    const fires = [...pulse, ...[5_000, 10_000, 15_000].map((ms) => fire('census', ms))]
    const run = goodRun()
    run.evidence.kills = [
      ...run.evidence.kills,
      { process: 'scheduler-1', signal: 'SIGKILL', atSeconds: 4, as: 'leading' },
    ]
    run.evidence.fires = { ledger: fires, fromMs: FROM_MS, untilMs: FROM_MS + 15_500 }
    run.counters['clock'] = { accepted: 8, completed: 8 }
    return { ...run, fires }
  }

  test('adds up when each instant had one job, also one that was done twice', () => {
    const run = withFires()
    run.fires.push(fire('pulse', 3_000))
    assert.deepEqual(problemsOf(run), [])
    assert.deepEqual(account(run).schedules, { due: 8, fired: 8, missed: 0, doubled: 0 })
  })

  test('is not counted before the beginning and after the end, whatever it is', () => {
    const run = withFires()
    run.fires.push(fire('pulse', -3_000), fire('pulse', 18_000))
    run.counters['clock'] = { accepted: 10, completed: 10 }
    assert.deepEqual(problemsOf(run), [])
    assert.equal(account(run).schedules?.due, 8)
  })

  test('lacks an instant, the first and the last included', () => {
    const run = withFires()
    run.fires.splice(0, 1)
    run.fires.splice(-1, 1)
    run.counters['clock'] = { accepted: 6, completed: 6 }
    assert.deepEqual(problemsOf(run), [
      ['fire-missed', 'pulse 2027-01-15T08:00:03.000Z'],
      ['fire-missed', 'census 2027-01-15T08:00:15.000Z'],
    ])
    assert.deepEqual(account(run).schedules, { due: 8, fired: 6, missed: 2, doubled: 0 })
  })

  test('has two jobs of one instant', () => {
    const run = withFires()
    run.fires.push(fire('census', 10_000, 'clock.0.1-1'))
    run.counters['clock'] = { accepted: 9, completed: 9 }
    assert.deepEqual(problemsOf(run), [['fire-doubled', 'census 2027-01-15T08:00:10.000Z']])
    assert.equal(account(run).schedules?.doubled, 1)
  })

  test('has an instant again under the same id: Redis counts one job more than there are ids', () => {
    const run = withFires()
    run.fires.push(fire('census', 10_000))
    run.counters['clock'] = { accepted: 9, completed: 9 }
    assert.deepEqual(
      problemsOf(run).map(([kind]) => kind),
      ['count', 'count'],
    )
  })

  test('has an instant that the schedule does not have, and a schedule that nobody defined', () => {
    const run = withFires()
    run.fires.push(fire('pulse', 4_000), fire('other', 3_000))
    run.counters['clock'] = { accepted: 10, completed: 10 }
    assert.deepEqual(problemsOf(run), [
      ['fire-unexpected', 'pulse 2027-01-15T08:00:04.000Z'],
      ['fire-unexpected', 'other 2027-01-15T08:00:03.000Z'],
    ])
  })

  test('proves little when the scheduler that led was not killed', () => {
    const run = withFires()
    run.evidence.kills = run.evidence.kills.filter(({ as }) => as !== 'leading')
    assert.deepEqual(problemsOf(run), [['not-tried', 'the schedules']])
  })
})

test('what moca verify found by itself is in the account', () => {
  const run = goodRun()
  run.evidence.verified = [{ id: 'document_missing City 17', expected: 'a document of this row', found: 'none' }]
  assert.deepEqual(problemsOf(run), [['verify', 'document_missing City 17']])
})
