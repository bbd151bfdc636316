import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JournalEntry } from './journal.ts'
import type { LedgerLine } from './ledger.ts'
import { type Counts, type Evidence, type Fate, judge } from './verdict.ts'

// The checker of the chaos runs must itself be caught asleep by nobody: a clean history passes, and each planted fault is
// found, counted under its own name, and nothing else is.

const LEASE_US = 2_000_000
const MUST_BE_ZERO = [
  'lost',
  'runTwice',
  'outOfOrder',
  'fenceBackwards',
  'overcharged',
  'notAlone',
  'wronglyDead',
  'stoodStill',
  'crashed',
  'inconsistent',
] as const satisfies readonly (keyof Counts)[]

/** A history, written down step by step. Instants are in ms. */
class History {
  readonly journal: JournalEntry[] = []
  readonly ledger: LedgerLine[] = []
  readonly fates: Fate[] = []
  readonly forgettings: { sinceUs: number; untilUs: number }[] = []
  readonly standstills: string[] = []
  readonly raw = {
    left: [] as string[],
    dead: [] as { id: string; reason: string }[],
    findings: [] as string[],
    counters: {} as Record<string, number>,
    reportedLost: 0,
  }
  #run = 0
  #fence = 0

  job(name: string, options: Partial<JournalEntry> = {}): this {
    const position = this.journal.length
    const base = {
      name,
      queue: 'default',
      key: undefined,
      expects: 'succeeds',
      fromUs: 0,
      toUs: 1,
      id: `id-${name}`,
    } as const
    this.journal.push({ ...base, position, ...options })
    return this
  }

  /** One run of a job; no `to` = it never ended. */
  run(
    name: string,
    pid: number,
    from: number,
    to?: number,
    options: { outcome?: 'succeeded' | 'failed' | 'aborted'; fence?: number; attempt?: number; id?: string } = {},
  ): this {
    const { outcome = 'succeeded', fence = ++this.#fence, attempt = 1, id = `id-${name}` } = options
    const line = { run: ++this.#run, pid, id, name, fence: String(fence), attempt, stalls: 0, releases: 0 }
    this.ledger.push({ ...line, kind: 'start', us: from * 1_000 })
    if (to !== undefined) this.ledger.push({ ...line, kind: 'end', us: to * 1_000, outcome })
    return this
  }

  fate(
    pid: number,
    fate: {
      died?: number
      stop?: number
      away?: [from: number, to: number][]
      wasCutShort?: boolean
      hasCrashed?: boolean
    } = {},
  ): this {
    const us = (ms: number | undefined) => (ms === undefined ? undefined : ms * 1_000)
    const away = (fate.away ?? []).map(([from, to]) => ({ fromUs: from * 1_000, toUs: to * 1_000 }))
    const { wasCutShort = false, hasCrashed = false } = fate
    this.fates.push({ pid, diedUs: us(fate.died), stopUs: us(fate.stop), wasCutShort, hasCrashed, away })
    return this
  }

  judge(expected: Partial<Counts> = {}): void {
    const accepted = this.journal.filter(({ id }) => id !== undefined).length
    const completed = accepted - this.raw.dead.length - this.raw.left.length
    const counters = { accepted, completed, ...this.raw.counters }
    const { journal, ledger, fates, forgettings, standstills } = this
    const raw = { ...this.raw, counters }
    const evidence: Evidence = { journal, ledger, fates, forgettings, standstills, raw, leaseUs: LEASE_US }
    const { counts, problems } = judge(evidence)
    const found = Object.fromEntries(MUST_BE_ZERO.map((name) => [name, counts[name]]))
    const wanted = Object.fromEntries(MUST_BE_ZERO.map((name) => [name, expected[name] ?? 0]))
    assert.deepEqual(found, wanted, problems.join('\n'))
    assert.equal(
      problems.length > 0,
      Object.values(wanted).some((count) => count > 0),
      problems.join('\n'),
    )
    for (const [name, count] of Object.entries(expected)) assert.equal(counts[name as keyof Counts], count, name)
  }
}

test('a clean history passes', () => {
  new History()
    .job('a')
    .job('b', { key: 'k' })
    .job('c', { key: 'k' })
    .run('a', 1, 0, 10)
    .run('b', 1, 0, 10)
    .run('c', 2, 11, 20)
    .fate(1)
    .fate(2)
    .judge({ accepted: 3, succeeded: 3, attempts: 3 })
})

test('a failed attempt and its retry are no rerun', () => {
  new History()
    .job('a')
    .run('a', 1, 0, 10, { outcome: 'failed' })
    .run('a', 1, 20, 30, { attempt: 2 })
    .fate(1)
    .judge({ succeeded: 1, attempts: 2, rerunAfterDeath: 0 })
})

test('finds a lost job', () => {
  new History().job('a').job('b').run('a', 1, 0, 10).fate(1).judge({ lost: 1 })
})

test('finds a job that began, whose worker lives, and that never ended', () => {
  new History().job('a').run('a', 1, 0).fate(1).judge({ lost: 1 })
})

test('counts a job that Redis forgot apart', () => {
  const history = new History().job('a', { fromUs: 5_000, toUs: 6_000 }).job('b', { fromUs: 1_000, toUs: 2_000 })
  history.forgettings.push({ sinceUs: 4_000, untilUs: 9_000 })
  history.judge({ forgotten: 1, lost: 1 })
})

test('does not know a call without an answer as accepted, but knows its job when it ran', () => {
  new History()
    .job('a', { id: undefined, toUs: undefined })
    .job('b', { id: undefined, toUs: undefined })
    .run('a', 1, 0, 10)
    .fate(1)
    .judge({ unanswered: 2, lost: 0 })
})

test('finds a job that a repeated call made twice', () => {
  new History().job('a').run('a', 1, 0, 10).run('a', 1, 20, 30, { id: 'another' }).fate(1).judge({ inconsistent: 1 })
})

test('finds a run that began while another was under way in a living worker', () => {
  new History().job('a').run('a', 1, 0, 100).run('a', 2, 50, 90).fate(1).fate(2).judge({ runTwice: 1 })
})

test('finds a second run in the same process', () => {
  new History().job('a').run('a', 1, 0, 100).run('a', 1, 50, 90).fate(1).judge({ runTwice: 1 })
})

test('finds a run after a success whose worker lives', () => {
  new History().job('a').run('a', 1, 0, 100).run('a', 2, 5_000, 5_090).fate(1).fate(2).judge({ runTwice: 1 })
})

test('excuses a run after the death of the first worker, not one before', () => {
  const after = () => new History().job('a').run('a', 1, 0).run('a', 2, 5_000, 5_090).fate(2)
  after().fate(1, { died: 100 }).judge({ rerunAfterDeath: 1 })
  after().fate(1, { died: 5_010 }).judge({ runTwice: 1 })
})

test('excuses a run during an absence that is as long as a lease may take to end', () => {
  const during = () => new History().job('a').run('a', 1, 0, 9_000).run('a', 2, 5_000, 5_090).fate(2)
  during()
    .fate(1, { away: [[100, 8_000]] })
    .judge({ rerunAfterAbsence: 1 })
  during()
    .fate(1, { away: [[100, 900]] })
    .judge({ runTwice: 1 })
  during()
    .fate(1, { away: [[4_800, 8_000]] })
    .judge({ runTwice: 1 })
})

test('excuses what a stopping worker gave up, not what it had done', () => {
  const stopping = { stop: 100, died: 400 }
  new History().job('a').run('a', 1, 0).run('a', 2, 150, 200).fate(1, stopping).fate(2).judge({ rerunAfterStop: 1 })
  new History().job('a').run('a', 1, 0, 90).run('a', 2, 150, 200).fate(1, stopping).fate(2).judge({ runTwice: 1 })
})

test('excuses what a worker had done right before it died or was cut short, not what it had done long before', () => {
  const again = (end: number) => new History().job('a').run('a', 1, 0, end).run('a', 2, 9_000, 9_100).fate(2)
  again(4_800).fate(1, { died: 5_000 }).judge({ rerunAfterDeath: 1 })
  again(3_000).fate(1, { died: 5_000 }).judge({ runTwice: 1 })
  again(4_800).fate(1, { stop: 4_700, died: 5_000, wasCutShort: true }).judge({ rerunAfterDeath: 1 })
  again(3_000).fate(1, { stop: 2_900, died: 5_000, wasCutShort: true }).judge({ runTwice: 1 })
})

test('excuses a run beside one whose delivery Redis forgot, not beside one that it still knows to be running', () => {
  const beside = (from: number) => {
    const history = new History().job('a').run('a', 1, from, 20_000).run('a', 2, 9_000, 9_100).fate(1).fate(2)
    history.forgettings.push({ sinceUs: 5_000_000, untilUs: 8_000_000 })
    return history
  }
  beside(5_500).judge({ rerunAfterForgetting: 1 })
  beside(4_500).judge({ runTwice: 1 })
})

test('excuses a run after Redis forgot the end of the one before, not after one that it still knows', () => {
  const twice = new History().job('a').run('a', 1, 5_000, 5_100).run('a', 2, 9_000, 9_100).fate(1).fate(2)
  twice.forgettings.push({ sinceUs: 5_000_000, untilUs: 8_000_000 })
  twice.judge({ rerunAfterForgetting: 1 })
  const known = new History().job('a').run('a', 1, 0, 100).run('a', 2, 9_000, 9_100).fate(1).fate(2)
  known.forgettings.push({ sinceUs: 5_000_000, untilUs: 8_000_000 })
  known.judge({ runTwice: 1 })
})

test('finds jobs of a key out of order', () => {
  const history = () => new History().job('a', { key: 'k' }).job('b', { key: 'k' }).fate(1)
  history().run('b', 1, 0, 10).run('a', 1, 20, 30).judge({ outOfOrder: 1 })
  history().run('a', 1, 0, 10).run('b', 1, 5, 30).judge({ outOfOrder: 1 })
  history()
    .run('a', 1, 0, 10, { outcome: 'failed' })
    .run('b', 1, 15, 18)
    .run('a', 1, 20, 30, { attempt: 2, fence: 9 })
    .judge({ outOfOrder: 1 })
})

test('a stale attempt that ends late does not spoil the order of its key', () => {
  new History()
    .job('a', { key: 'k' })
    .job('b', { key: 'k' })
    .run('a', 1, 0, 9_000, { fence: 1 })
    .run('a', 2, 3_000, 3_100, { fence: 2 })
    .run('b', 2, 3_200, 3_300, { fence: 3 })
    .fate(1, { away: [[100, 8_000]] })
    .fate(2)
    .judge({ rerunAfterAbsence: 1 })
})

test('a job of a key may begin beside one that runs when Redis forgot that one, not when it still knows it', () => {
  const beside = (sinceUs: number) => {
    const history = new History().job('a', { key: 'k', fromUs: 5_000, toUs: 6_000 }).job('b', { key: 'k' })
    history.forgettings.push({ sinceUs, untilUs: 8_000 })
    return history.run('a', 1, 7, 30).run('b', 1, 10, 20).fate(1)
  }
  beside(4_000).judge()
  beside(7_000).judge({ outOfOrder: 1 })
})

test('keys of different queues have nothing to do with each other', () => {
  const other = { key: 'k', queue: 'long' }
  new History().job('a', { key: 'k' }).job('b', other).run('b', 1, 0, 10).run('a', 1, 5, 30).fate(1).judge()
})

test('finds a fence that does not grow, in a job and in a key', () => {
  new History()
    .job('a')
    .run('a', 1, 0, 10, { outcome: 'failed', fence: 5 })
    .run('a', 1, 20, 30, { attempt: 2, fence: 5 })
    .fate(1)
    .judge({ fenceBackwards: 1 })
  new History()
    .job('a', { key: 'k' })
    .job('b', { key: 'k' })
    .run('a', 1, 0, 10, { fence: 5 })
    .run('b', 1, 20, 30, { fence: 4 })
    .fate(1)
    .judge({ fenceBackwards: 1 })
})

test('finds an attempt that was charged without a failure', () => {
  new History()
    .job('a')
    .run('a', 1, 0)
    .run('a', 2, 5_000, 5_100, { attempt: 2 })
    .fate(1, { died: 100 })
    .fate(2)
    .judge({ overcharged: 1, rerunAfterDeath: 1 })
})

test('finds a job that runs beside others after two workers died in its midst, not one that only waited there', () => {
  const twice = () =>
    new History()
      .job('a')
      .job('b')
      .run('a', 1, 0)
      .run('a', 2, 5_000)
      .run('a', 3, 9_000, 9_500)
      .fate(1, { died: 100 })
      .fate(2, { died: 5_100 })
      .fate(3)
  twice().run('b', 3, 9_400, 9_600).judge({ notAlone: 1 })
  twice().run('b', 3, 9_500, 9_600).judge({ notAlone: 0 })
  new History()
    .job('a')
    .job('b')
    .run('a', 1, 0)
    .run('a', 3, 9_000, 9_500)
    .run('b', 3, 9_400, 9_600)
    .fate(1, { died: 100 })
    .fate(3)
    .judge({ notAlone: 0, rerunAfterDeath: 1 })
})

test('finds a healthy job that died, and a poison that did not', () => {
  const healthy = new History().job('a')
  healthy.raw.dead.push({ id: 'id-a', reason: 'stalled' })
  healthy.judge({ wronglyDead: 1, dead: 1 })
  const poison = new History().job('a', { expects: 'kills' })
  poison.raw.dead.push({ id: 'id-a', reason: 'stalled' })
  poison.judge({ dead: 1 })
  new History().job('a', { expects: 'kills' }).run('a', 1, 0, 10).fate(1).judge({ inconsistent: 1 })
})

test('finds a healthy job that died of failures it did not have, and one that died and succeeded', () => {
  const failed = new History().job('a').run('a', 1, 0, 10, { outcome: 'failed' }).fate(1)
  failed.raw.dead.push({ id: 'id-a', reason: 'attempts used up' })
  failed.judge({ wronglyDead: 1, dead: 1 })
  const both = new History().job('a').run('a', 1, 0, 10).fate(1)
  both.raw.dead.push({ id: 'id-a', reason: 'stalled' })
  both.judge({ wronglyDead: 1, dead: 1, succeeded: 1 })
})

test('finds a poison that died of anything but stalls', () => {
  const history = new History().job('a', { expects: 'kills' })
  history.raw.dead.push({ id: 'id-a', reason: 'no handler' })
  history.judge({ wronglyDead: 1, dead: 1 })
})

test('finds workers that did not go on, and processes that ended by themselves', () => {
  const still = new History().job('a').run('a', 1, 0, 10).fate(1)
  still.standstills.push('worker 1 began nothing')
  still.judge({ stoodStill: 1 })
  new History().job('a').run('a', 1, 0, 10).fate(1, { died: 20, hasCrashed: true }).judge({ crashed: 1 })
})

test('finds dead letters that nobody had enqueued', () => {
  const history = new History().job('a').run('a', 1, 0, 10).fate(1)
  history.raw.dead.push({ id: 'ghost', reason: 'stalled' })
  history.raw.counters.completed = 0
  history.judge({ inconsistent: 1 })
})

test('finds jobs that are left, runs that nobody asked for, and contradictions in Redis', () => {
  const left = new History().job('a')
  left.raw.left.push('id-a')
  left.judge({ inconsistent: 1 })
  new History().run('ghost', 1, 0, 10).fate(1).judge({ inconsistent: 1 })
  const twofold = new History().job('a').run('a', 1, 0, 10).fate(1)
  twofold.raw.findings.push('job a stands in two places')
  twofold.judge({ inconsistent: 1 })
  const uncounted = new History().job('a').run('a', 1, 0, 10).fate(1)
  uncounted.raw.counters.accepted = 2
  uncounted.judge({ inconsistent: 1 })
})
