import type { Picture, SeenEntry, SeenRecord } from './picture.ts'
import type { ModelJob, ServerModel } from './server-model.ts'
import { must, Violation } from './violation.ts'

/** What is seen on the server must be what the model says; entries that the server has just made are learned. */
export function checkAgreement(model: ServerModel, picture: Picture): void {
  checkCounters(model, picture)
  const entries = new Map(picture.entries.map((entry) => [entry.id, entry]))
  for (const job of model.jobs.values()) checkJob(job, entries.get(job.id), picture)
  const seen = picture.entries.length + picture.records.size
  must(
    'no job out of nothing',
    seen === model.jobs.size,
    () => `${seen} jobs are there, ${model.jobs.size} were expected`,
  )
  checkOrderOfGates(model, picture)
  checkPositions(model, picture)
  must('a death is noted once', picture.notes.join() === model.notes.join(), () => {
    return `noted are ${picture.notes.join(' and ')}, not ${model.notes.join(' and ')}`
  })
}

const COUNTERS = [
  'accepted',
  'completed',
  'cancelled',
  'expired',
  'purged',
  'died',
  'retried',
  'snoozed',
  'released',
  'rescued',
  'revived',
  'stale',
] as const

function checkCounters({ counters }: ServerModel, picture: Picture): void {
  for (const name of COUNTERS) {
    must('counters count', (counters.get(name) ?? 0) === (picture.counters.get(name) ?? 0), () => {
      return `${name} is ${picture.counters.get(name)}, it happened ${counters.get(name) ?? 0} times`
    })
  }
}

function checkJob(job: ModelJob, entry: SeenEntry | undefined, picture: Picture): void {
  const record = picture.records.get(job.id)
  if (!entry && !record) throw new Violation('no job is lost', `${job.id} should be ${job.state} and is nowhere`)
  if (job.state === 'waiting' || job.state === 'active') checkEntry(job, entry)
  else checkRecord(job, record, picture)
  const seen = (entry ?? record) as SeenEntry | SeenRecord
  checkHistory(job, seen)
}

function checkEntry(job: ModelJob, entry: SeenEntry | undefined): void {
  must('jobs are where they should be', entry?.letter === job.letter, () => {
    return `${job.id} should be ${job.state} in ${job.letter}, it is ${entry ? `in ${entry.letter}` : 'in no stream'}`
  })
  const seen = entry as SeenEntry
  must('leases are whose they are', seen.owner === job.owner, () => {
    return `${job.id} should be held by ${job.owner}, it is held by ${seen.owner}`
  })
  if (job.entry !== undefined) {
    must('an attempt is an entry', job.entry === seen.entry, () => `${job.id} moved from ${job.entry} to ${seen.entry}`)
  }
  job.entry = seen.entry
}

function checkRecord(job: ModelJob, record: SeenRecord | undefined, { later, dead, slots }: Picture): void {
  const found = later.has(job.id) ? 'delayed' : dead.has(job.id) ? 'dead' : record ? 'gated' : 'in a stream'
  must('jobs are where they should be', found === job.state, () => `${job.id} should be ${job.state}, it is ${found}`)
  if (job.state === 'dead' && job.blocks && job.key !== undefined) {
    const holder = slots.get(job.key)
    must('a blocked key runs nothing', holder === job.id, () => {
      return `${job.id} is dead and keeps key ${job.key}, whose slot names ${holder}`
    })
  }
  if (job.state === 'delayed') {
    must('delays are kept', later.get(job.id) === job.dueMs, () => `${job.id}: ${later.get(job.id)}, not ${job.dueMs}`)
  }
}

/** What a job carries with it: attempts, stalls, releases, the attempt before, the reason of its death. */
function checkHistory(job: ModelJob, { type, payload, options }: SeenEntry | SeenRecord): void {
  const seen = [options.a ?? 0, options.s ?? 0, options.c ?? 0, options.r ?? 0]
  const expected = [job.charged, job.stalls, job.chargedStalls, job.releases]
  must('charges are as they should be', seen.join() === expected.join(), () => {
    return `${job.id}: attempts, stalls, charged, released are ${seen.join()}, not ${expected.join()}`
  })
  must(
    'charges are as they should be',
    options.rs === job.reason,
    () => `${job.id} died of ${options.rs}, not ${job.reason}`,
  )
  must(
    'jobs keep what they carry',
    type === job.type && options.k === job.key && (options.b === 1) === job.blocks,
    () => `${job.id}: ${type}, ${options.k}, ${options.b}`,
  )
  must('jobs keep what they carry', payload === (job.isBig ? '' : job.payload), () => `${job.id}: payload ${payload}`)
  must('jobs keep what they carry', options.f === job.before, () => {
    return `${job.id}: its attempt before is noted as ${options.f}, it was ${job.before}`
  })
}

/** Each batch that was applied is noted once, and no other. */
function checkPositions(model: ServerModel, picture: Picture): void {
  for (const unit of new Set([...model.positions.keys(), ...picture.positions.keys()])) {
    const [expected, seen] = [model.positions.get(unit), picture.positions.get(unit)].map((it) => JSON.stringify(it))
    must('a position is what was applied', seen === expected, () => `unit ${unit}: ${seen}, not ${expected}`)
  }
}

function checkOrderOfGates({ gates }: ServerModel, picture: Picture): void {
  for (const [key, ids] of gates) {
    const seen = picture.gates.get(key) ?? []
    must('the order of a key', seen.join() === ids.join(), () => `key ${key}: ${seen.join()} wait, not ${ids.join()}`)
  }
}
