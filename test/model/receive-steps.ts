import type { ReceivedJob } from '../../src/job/job-receiver.ts'
import { LARGE_PAYLOAD_BYTES } from '../../src/queue/entry.ts'
import { formatPosition, parsePosition } from '../../src/queue/receiver/position.ts'
import { ReceivedCall } from '../../src/queue/receiver/received-call.ts'
import { QUEUE } from './namespace-under-test.ts'
import type { EnqueuedJob } from './server-model.ts'
import type { Stage, StepOf } from './stage.ts'
import { type JobToEnqueue, KEYS, TYPES } from './steps.ts'
import { must } from './violation.ts'
import type { LoggedBatch } from './world.ts'

// What comes to a queue from an outbox, whose log forgets nothing, and from emitted events.

const LOG = 'log'

/** A relay sends a batch; what the server forgot before it, it sends as well, in order, until the server has all. */
export async function relay(stage: Stage, step: StepOf<'relay'>): Promise<void> {
  const { model, namespace, world } = stage
  const lane = world.lane(step.unit)
  if (step.epoch === 'newer') lane.epoch++
  const epoch = lane.epoch - (step.epoch === 'older' ? 1 : 0)
  const batch = batchOf(stage, step)
  if (!batch) return
  const logId = step.batch === 'next of another log' ? 'other' : LOG
  const word = await send(stage, step.unit, { ...batch, logId, epoch, max: step.max })
  if (word !== 'forgot' || step.batch === 'beyond the next') return
  const from = model.positions.get(String(step.unit))?.n ?? 0
  for (const forgotten of lane.batches.slice(from)) {
    const again = await send(stage, step.unit, { ...forgotten, logId: LOG, epoch: lane.epoch, max: undefined })
    must('what was forgotten is accepted again', again === 'applied', () => `batch ${forgotten.n}: ${again}`)
  }
  must(
    'what was forgotten is accepted again',
    model.positions.get(String(step.unit))?.n === lane.batches.length,
    () => {
      return `unit ${step.unit} at ${namespace.nowMs}`
    },
  )
}

/** The batch that a step means; the next one is written down before it is sent. Undefined: there is no such batch yet. */
function batchOf({ model, namespace, world }: Stage, { unit, batch, jobs }: StepOf<'relay'>): LoggedBatch | undefined {
  const { batches } = world.lane(unit)
  const n = batches.length
  const made = jobs.map((job) => toJob(job, namespace.nowMs))
  switch (batch) {
    case 'last again':
      return batches.at(-1)
    case 'older':
      return batches.at(-2)
    case 'last with other rows':
      return n === 0 ? undefined : { n, digest: 'other', jobs: made }
    case 'beyond the next':
      return { n: n + 2, digest: `d${n + 2}`, jobs: made }
    case 'next of another log':
      // A server that has nothing takes the first batch of any log.
      if (!model.positions.has(String(unit))) return undefined
      return { n: n + 1, digest: `d${n + 1}`, jobs: made }
    default: {
      const next = { n: n + 1, digest: `d${n + 1}`, jobs: made }
      batches.push(next)
      return next
    }
  }
}

interface SentBatch extends LoggedBatch {
  readonly logId: string
  readonly epoch: number
  readonly max: number | undefined
}

async function send({ model, namespace, world }: Stage, lane: number, batch: SentBatch): Promise<string> {
  const { n, digest, jobs, logId, epoch, max } = batch
  const unit = String(lane)
  const rows = jobs.length
  const call = new ReceivedCall(jobs.map(toReceived), [{ topic: 't', text: '{}' }], { [QUEUE]: max })
  const header = { unit, log: logId, n, epoch, rows, digest, ...call.header }
  const before = model.positions.get(unit)
  const stood = new Set(model.jobs.keys())
  const [word, about, accepted] = await namespace.run<[string, string, number?]>('relay', header, call.values)
  const room = max === undefined ? Infinity : max - model.waiting
  const expected = model.relay(unit, { logId, n, epoch, rows, digest }, jobs, namespace.nowMs, room)
  must('batches are judged by what is noted', word === expected, () => {
    return `batch ${n} of unit ${unit}, epoch ${epoch}, was ${word}, not ${expected}; noted was ${JSON.stringify(before)}`
  })
  if (word === 'applied') {
    if (world.lane(lane).isRedriven) for (const { id = '' } of jobs) if (!stood.has(id)) world.forgetJob(id)
    must('answers tell the truth', (accepted ?? acceptedSoFar(model)) === acceptedSoFar(model), () => `${accepted}`)
  } else if (word !== 'done' && word !== 'full') {
    const seen = about === '' ? undefined : parsePosition(about)
    must('answers tell the truth', JSON.stringify(seen) === JSON.stringify(before), () => `${word}: ${about}`)
  }
  return word
}

function acceptedSoFar({ counters }: Stage['model']): number {
  return counters.get('accepted') ?? 0
}

/** An operator lets a lane begin again further back: what still stands there must not come twice. */
export async function reposition({ model, namespace, world }: Stage, step: StepOf<'reposition'>): Promise<void> {
  const unit = String(step.unit)
  const noted = model.positions.get(unit)
  if (!noted) return
  const n = Math.max(0, noted.n - step.back)
  const lane = world.lane(step.unit)
  lane.isRedriven = true
  const position = { logId: LOG, n, epoch: lane.epoch, rows: 0, digest: '' }
  await namespace.run('reposition', { n: 1 }, [unit, n === 0 ? '' : formatPosition(position)])
  if (n === 0) model.positions.delete(unit)
  else model.positions.set(unit, position)
}

/** Somebody registers a subscription. */
export async function subscribe({ model, namespace }: Stage): Promise<void> {
  await namespace.command('HINCRBY', `${namespace.prefix}subscriptions`, 'version', '1')
  model.version++
}

export async function publish({ model, namespace }: Stage, step: StepOf<'publish'>): Promise<void> {
  const jobs = step.jobs.map((job) => toJob(job, namespace.nowMs))
  const call = new ReceivedCall(jobs.map(toReceived), [{ topic: 't', text: '{}' }], { [QUEUE]: step.max })
  const version = model.version - (step.isOutdated ? 1 : 0)
  const [word] = await namespace.run<[string]>('publish', { v: version, ...call.header }, call.values)
  const room = step.max === undefined ? Infinity : step.max - model.waiting
  const expected = model.publish(version, jobs, namespace.nowMs, room)
  must('answers tell the truth', word === expected, () => `publish answered ${word}, not ${expected}`)
}

function toJob({ name, type, key, delay, big, blocks }: JobToEnqueue, nowMs: number): EnqueuedJob {
  return {
    id: `g${String(name).padStart(20, '0')}`,
    type: TYPES[type],
    key: key === undefined ? undefined : KEYS[key],
    blocks: blocks ?? false,
    payload: big ? `"${'x'.repeat(LARGE_PAYLOAD_BYTES)}"` : `[${name},\n1]`,
    isBig: big ?? false,
    dueMs: delay === undefined ? undefined : nowMs + delay,
    marker: undefined,
  }
}

function toReceived({ id: place = '', type, key, blocks, payload, dueMs }: EnqueuedJob): ReceivedJob {
  const options = JSON.stringify({ i: place, ...(blocks && { b: 1 }) })
  return { queue: QUEUE, type, options, payload, place, key, dueMs }
}
