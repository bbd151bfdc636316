import { lettersOf } from '../../src/queue/keys.ts'
import { LEASE_MS, QUEUE } from './namespace-under-test.ts'
import type { EnqueuedJob, ModelJob } from './server-model.ts'
import type { Stage, StepOf } from './stage.ts'
import { KEYS, TYPES } from './steps.ts'
import { must } from './violation.ts'
import { connected } from './worker-steps.ts'
import { consumerOf } from './world.ts'

// What happens to a queue from outside or by time: on the server by the real scripts, in the model by what must come of it.

/** Charged stalls after which a job is dead: fewer than by default, so that walks get there. */
const MAX_STALLS = 2
const UNHANDLED_GRACE_MS = 40

export async function enqueue(stage: Stage, { jobs, max, atomic }: StepOf<'enqueue'>): Promise<void> {
  const { namespace, model } = stage
  const encoded = jobs.map((job) => encode(job, namespace.nowMs))
  const { header, args } = argumentsOf(encoded)
  const [accepted, at, ...told] = await namespace.run<[number, string, ...(string | number)[]]>(
    'enqueue',
    { q: QUEUE, n: jobs.length, max, atomic, ...header },
    args,
  )
  const answers = 'plain' in header ? answersToPlain(told, jobs.length) : told.map(String)
  let room = max === undefined ? Number.POSITIVE_INFINITY : max - model.waiting
  if (atomic && room < model.newcomers(encoded.map(({ job }) => job))) room = 0
  const expected = model.enqueue(
    encoded.map(({ job }) => job),
    namespace.nowMs,
    room,
    answers,
  )
  must('answers tell the truth', answers.join() === expected.join(), () => {
    return `enqueue answered ${answers.join()}, not ${expected.join()}`
  })
  must('answers tell the truth', accepted === (model.counters.get('accepted') ?? 0), () => {
    return `enqueue answered that ${accepted} were accepted, ${model.counters.get('accepted')} were`
  })
  must('answers tell the truth', Number(at) === namespace.nowMs, () => `enqueue answered ${at}`)
}

export async function promote(stage: Stage, { limit }: StepOf<'promote'>): Promise<void> {
  const { model, namespace } = stage
  const [moved, next, now] = await namespace.run<[number, string, string]>('promote', { q: QUEUE, limit })
  const expected = model.promote(namespace.nowMs, limit)
  must('what is due is promoted', moved === expected, () => `${moved} were, it should be ${expected}`)
  const nextDue = Number.isFinite(model.nextDueMs) ? String(model.nextDueMs) : ''
  must('answers tell the truth', next === nextDue && Number(now) === namespace.nowMs, () => {
    return `promote answered that the next is due at ${next}, it is ${nextDue}`
  })
}

export async function rescue(stage: Stage, { by, page }: StepOf<'rescue'>): Promise<void> {
  const { model } = stage
  const worker = await connected(stage, by)
  for (const letter of lettersOf([...model.sides])) await sweep(stage, letter, consumerOf(worker), page)
  for (const job of model.jobs.values()) {
    must('a sweep leaves nothing behind', !hasEnded(stage, job), () => `${job.id} in ${job.letter}`)
  }
}

/** Its worker has not renewed it for its own lease, and had one to come back after the server began this life. */
function hasEnded({ model, namespace }: Stage, { state, owner, idleMs }: ModelJob): boolean {
  const leaseMs = model.leaseOf(owner, LEASE_MS)
  return state === 'active' && idleMs >= leaseMs && namespace.nowMs - model.bootMs >= leaseMs
}

async function sweep(stage: Stage, letter: string, consumer: string, page: number): Promise<void> {
  const { model, namespace } = stage
  let cursor = '0-0'
  for (let pages = 0; pages === 0 || cursor !== '0-0'; pages++) {
    must('all work comes to an end', pages < 50, () => `the sweep of ${letter} does not end`)
    const [next, rescued, dead, ...taken] = await namespace.run<[string, number, number, ...string[]]>('rescue', {
      q: QUEUE,
      s: letter,
      lease: LEASE_MS,
      cursor,
      limit: page,
      consumer,
      maxStalls: MAX_STALLS,
      grace: UNHANDLED_GRACE_MS,
      at: namespace.nowMs,
      within: 0,
    })
    cursor = next
    const expected = { rescued: 0, dead: 0 }
    for (const line of taken) {
      const [id = '', owner] = line.split(' ')
      const job = model.jobs.get(id)
      must('only ended leases are taken over', job?.letter === letter && hasEnded(stage, job), () => {
        return `${id} was taken from ${letter}, it is ${job?.state} in ${job?.letter}, idle for ${job?.idleMs} ms`
      })
      must('answers tell the truth', job?.owner === owner, () => `${id} was held by ${job?.owner}, not ${owner}`)
      expected[model.rescue(job as ModelJob, MAX_STALLS)]++
    }
    if (letter.startsWith('t')) {
      expected.dead += model.buryUnhandled(letter, namespace.nowMs, UNHANDLED_GRACE_MS, page)
    }
    must('the dead are those who must die', rescued === expected.rescued && dead === expected.dead, () => {
      return `sweep of ${letter}: ${rescued} rescued, ${dead} dead, not ${expected.rescued} and ${expected.dead}`
    })
  }
}

export async function move(stage: Stage, { to, picks, among }: StepOf<'move'>): Promise<void> {
  const { model, namespace } = stage
  const jobs = [...model.jobs.values()].filter(({ state }) => among === undefined || state === among)
  // Besides jobs: the id of nothing, and an entry whose job has another id.
  const foreign = [...model.jobs.values()].find(
    ({ id, entry, letter }) => letter === 'm' && entry && entry !== id,
  )?.entry
  const known = [...jobs.map(({ id }) => id), '1-1', ...(foreign ? [foreign] : [])]
  const ids = [...new Set(picks.map((pick) => known[pick % known.length] as string))]
  const words = await namespace.run<string[]>('move', { q: QUEUE, to, n: ids.length }, ids)
  const expected = ids.map((id) => model.move(to, id))
  must('answers tell the truth', words.join() === expected.join(), () => {
    return `${to} of ${ids.join()} answered ${words.join()}, not ${expected.join()}`
  })
}

export async function count(stage: Stage): Promise<void> {
  const { model, namespace } = stage
  const reply = JSON.parse(await namespace.run<string>('count', { queues: [QUEUE] })) as {
    queues: Record<string, Record<string, number>>
  }
  const seen = reply.queues[QUEUE] ?? {}
  const jobs = [...model.jobs.values()]
  for (const name of ['waiting', 'active', 'delayed', 'gated', 'dead'] as const) {
    const expected = jobs.filter(({ state }) => state === name).length
    must('answers tell the truth', seen[name] === expected, () => `count: ${seen[name]} ${name}, not ${expected}`)
  }
}

/** The time for which an idempotency key is remembered is over. */
export async function expireMarker(
  { namespace, model }: Stage,
  { idempotency }: StepOf<'expire marker'>,
): Promise<void> {
  await namespace.command('DEL', `${namespace.prefix}u:u${idempotency}`)
  model.markers.delete(`u${idempotency}`)
}

interface EncodedJob {
  /** Type, options, payload, control. */
  readonly flat: readonly [string, string, string, string]
  readonly job: EnqueuedJob
}

/** Jobs of one type without options are told by their payloads alone, as the producer does it. */
function argumentsOf(encoded: readonly EncodedJob[]): { header: object; args: string[] } {
  const type = encoded[0]?.job.type
  if (encoded.every(({ flat }) => flat[0] === type && flat[1] === '' && flat[3] === '')) {
    return { header: { plain: type }, args: encoded.map(({ flat }) => flat[2]) }
  }
  return { header: {}, args: encoded.flatMap(({ flat }) => flat) }
}

/** An answer for each of the plain jobs, of which the script tells only the first place and how many were accepted. */
function answersToPlain([first, accepted]: readonly (string | number)[], jobs: number): string[] {
  const [ms, from] = String(first).split('-')
  return Array.from({ length: jobs }, (_, index) =>
    index < Number(accepted) ? `${ms}-${Number(from) + index}` : 'full',
  )
}

/** A job as enqueue.lua and as the model is told of it. */
function encode(
  { name, type, key, delay, idempotency, big, expires, blocks }: StepOf<'enqueue'>['jobs'][number],
  nowMs: number,
): EncodedJob {
  const needsId = key !== undefined || delay !== undefined || big
  const id = needsId ? `g${String(name).padStart(20, '0')}` : undefined
  const k = key === undefined ? undefined : KEYS[key]
  const payload = `[${name},\n1]`
  const options = { i: id, k, b: blocks && 1, x: expires && 1_000, p: big && payload.length }
  const due = delay === undefined ? undefined : nowMs + delay
  const control = {
    i: id,
    k,
    ...(delay === undefined ? {} : delay < 0 ? { on: due } : { in: delay }),
    u: idempotency === undefined ? undefined : `u${idempotency}`,
    ut: idempotency === undefined ? undefined : 86_400_000,
    big,
  }
  const text = (object: object) => JSON.stringify(object).replace(/^\{\}$/, '')
  return {
    flat: [TYPES[type], text(options), payload, text(control)],
    job: {
      id,
      type: TYPES[type],
      key: k,
      blocks: blocks ?? false,
      payload,
      isBig: big ?? false,
      dueMs: due,
      marker: control.u,
    },
  }
}
