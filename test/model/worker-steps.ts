import { lettersOf } from '../../src/queue/keys.ts'
import { LEASE_MS, LONG_LEASE_MS, QUEUE } from './namespace-under-test.ts'
import { isOf, type ModelJob } from './server-model.ts'
import type { Stage, StepOf } from './stage.ts'
import type { Pick } from './steps.ts'
import { must } from './violation.ts'
import { type Attempt, consumerOf, type ModelWorker } from './world.ts'

// What workers do, except settling: on the server by the real scripts, in the model by what must come of it.

export async function read(stage: Stage, { by, letter, count, reply }: StepOf<'read'>): Promise<void> {
  const worker = await connected(stage, by)
  const session = reply === 'old session' ? Math.max(1, worker.session - 1) : worker.session
  const consumer = consumerOf({ ...worker, session })
  for (const [entry, fields] of await stage.namespace.read(letter, consumer, count)) {
    const id = (JSON.parse(fields[3] || '{}') as { i?: string }).i ?? entry
    const { key, isBig } = stage.model.read(id, letter, entry, consumer)
    if (reply === undefined) stage.world.begin(worker, { job: id, letter, entry, key, isBig, boot: worker.boot })
  }
}

export async function renew(stage: Stage, { by, picks }: StepOf<'renew'>): Promise<void> {
  const worker = await connected(stage, by)
  const attempts = picked(stage, worker, picks)
  const consumer = consumerOf(worker)
  const header = { w: worker.name, c: consumer, q: [QUEUE], n: attempts.length }
  const lost = await stage.namespace.run<number[]>('renew', header, references(attempts))
  const expected = attempts.flatMap(({ letter, entry }, index) => {
    const job = stage.model.current(worker.name, letter, entry)
    if (!job) return [index + 1]
    job.owner = consumer
    job.idleMs = 0
    job.deliveries++
    return []
  })
  must('only its owner renews an attempt', lost.join() === expected.join(), () => {
    return `renew answered that ${lost.join() || 'none'} are lost, it should be ${expected.join() || 'none'}`
  })
}

export async function release(stage: Stage, { by, picks, decided }: StepOf<'release'>): Promise<void> {
  const worker = await connected(stage, by)
  const attempts = picked(stage, worker, picks)
  const isEarlier = decided === 'in an earlier session'
  const consumer = consumerOf({ ...worker, session: worker.session - (isEarlier ? 1 : 0) })
  let expected = 0
  const flat = attempts.flatMap((attempt) => {
    const job = stage.model.current(worker.name, attempt.letter, attempt.entry)
    const deliveries = job?.deliveries ?? 1
    // What it runs is held by its present session.
    if (job && decided !== 'before a renewal' && !isEarlier) {
      stage.model.release(job)
      expected++
    }
    if (decided === undefined || isEarlier) return [...references([attempt]), '']
    return [...references([attempt]), String(decided === 'now' ? deliveries : deliveries - 1)]
  })
  const released = await stage.namespace.run<number>(
    'release',
    { w: worker.name, c: consumer, q: [QUEUE], n: attempts.length },
    flat,
  )
  must('only its owner hands an attempt back', released === expected, () => `${released} released, not ${expected}`)
}

/** Opens a session as a worker does after a reconnection: the running attempts go on, the others are handed back. */
export async function session(stage: Stage, worker: ModelWorker, keep: number): Promise<void> {
  const { namespace, model } = stage
  worker.boot = await namespace.open(stage.pair, 'worker')
  must('a boot is a life of the server', worker.boot === stage.boot, () => `${worker.boot}, not ${stage.boot}`)
  // In another life of the server a worker drops what it does not hold any more: it may read the same entry again.
  const isOtherLife = !worker.isConnected
  worker.memory = worker.memory.filter(({ letter, entry }, index) => {
    return (keep >> index) % 2 === 1 && (!isOtherLife || model.current(worker.name, letter, entry))
  })
  worker.session++
  worker.isConnected = true
  await adopt(stage, worker, worker.memory)
}

/** An adoption that was under way when its connection broke arrives after the session that followed has begun. */
export async function lateAdoption(stage: Stage, { by }: StepOf<'late adoption'>): Promise<void> {
  await adopt(stage, await connected(stage, by), [])
}

/** Takes what runs out of the sessions before the worker's present one, and hands the rest of them back. */
async function adopt({ namespace, model }: Stage, worker: ModelWorker, running: readonly Attempt[]): Promise<void> {
  const consumer = consumerOf(worker)
  let released = 0
  for (const letter of lettersOf([...model.sides])) {
    const entries = running.filter((attempt) => attempt.letter === letter).map(({ entry }) => entry)
    const header = { w: worker.name, n: worker.session, c: consumer, q: QUEUE, s: letter, limit: 2 }
    for (let state = 'more', pages = 0; state === 'more'; pages++) {
      must('all work comes to an end', pages < 50, () => 'adopt does not end')
      const reply = await namespace.run<[number, string]>('adopt', header, entries)
      released += reply[0]
      state = reply[1]
    }
  }
  let expected = 0
  for (const job of [...model.jobs.values()].filter(({ owner }) => isOf(owner, worker.name) && owner !== consumer)) {
    if (running.some(({ letter, entry }) => job.letter === letter && job.entry === entry)) {
      job.owner = consumer
      job.idleMs = 0
    } else {
      model.release(job)
      expected++
    }
  }
  must('a session takes what runs and hands back the rest', released === expected, () => {
    return `${released} were handed back, it should be ${expected}`
  })
}

export async function age(stage: Stage, { whose, long }: StepOf<'age'>): Promise<void> {
  const jobs = [...stage.model.jobs.values()].filter((job): job is ModelJob & { entry: string; owner: string } => {
    if (job.state !== 'active') return false
    if (typeof whose === 'number') return isOf(job.owner, (stage.world.workers[whose] as ModelWorker).name)
    return whose === 'all' || !stage.world.isAlive(job.owner)
  })
  const idleMs = long ? 2 * LONG_LEASE_MS : 2 * LEASE_MS
  await stage.namespace.age(jobs, idleMs)
  for (const job of jobs) job.idleMs = idleMs
}

export async function beat(stage: Stage, { by, leaves, long }: StepOf<'beat'>): Promise<void> {
  const { model, namespace } = stage
  const worker = await connected(stage, by)
  const lease = long ? LONG_LEASE_MS : LEASE_MS
  const header = { w: worker.name, about: leaves ? undefined : '{}', lease, queues: [QUEUE] }
  const heard = JSON.parse(await namespace.run<string>('beat', header)) as {
    now: number
    queues: Record<string, { accepted: number; suspects: number; alone: number; sides?: string[] }>
  }
  if (leaves) model.workers.delete(worker.name)
  else model.beat(worker.name, lease, namespace.nowMs)
  const { accepted, suspects, alone, sides = [] } = heard.queues[QUEUE] ?? { accepted: -1, suspects: -1, alone: -1 }
  const waiting = [...model.jobs.values()].filter(({ state }) => state === 'waiting')
  const waitingIn = (stream: string) => waiting.filter(({ letter }) => letter === stream).length
  const expected = [
    model.counters.get('accepted') ?? 0,
    waitingIn('s'),
    waitingIn('a'),
    [...model.sides].toSorted().join('+'),
  ]
  const answered = [accepted, suspects, alone, sides.toSorted().join('+')]
  must('answers tell the truth', answered.join() === expected.join(), () => {
    return `beat answered ${answered.join()}, not ${expected.join()}`
  })
}

/** A worker does nothing without a session in this life of the server. */
export async function connected(stage: Stage, index: number): Promise<ModelWorker> {
  const worker = stage.world.workers[index] as ModelWorker
  if (!worker.isConnected) await session(stage, worker, 0xffff)
  return worker
}

/** The attempts that a step means, each once. */
export function picked({ world }: Stage, worker: ModelWorker, picks: readonly Pick[]): Attempt[] {
  const others = world.workers.filter((other) => other !== worker).flatMap(({ memory }) => memory)
  const found = picks.map(({ pick, from }) => {
    const list = from === 'reported' ? worker.reported : from === 'foreign' ? others : worker.memory
    return list[pick % list.length]
  })
  return found.filter((attempt, index) => attempt !== undefined && found.indexOf(attempt) === index) as Attempt[]
}

function references(attempts: readonly Attempt[]): string[] {
  return attempts.flatMap(({ letter, entry }) => [`1${letter}`, entry])
}
