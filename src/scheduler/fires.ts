import { createHash } from 'node:crypto'
import type { Fire } from '../job/fire-receiver.ts'
import { SCHEDULE_HEADER, SCHEDULED_FOR_HEADER } from '../job/scheduled.ts'
import type { StoredSchedule } from './schedule-store.ts'

/** The job of one instant. Whoever makes it, its id is the same. */
export function fireOf(schedule: StoredSchedule, instantMs: number): Fire {
  const { overlap } = schedule.definition.rules
  return makeFire(
    schedule,
    instantMs,
    overlap === 'skip' ? 'unless_busy' : 'enqueue',
    placeOf(schedule.name, instantMs),
  )
}

/** A job beside the schedule's instants. `place`: the last part of its id. */
export function triggerOf(schedule: StoredSchedule, nowMs: number, place: string): Fire {
  return { ...makeFire(schedule, nowMs, 'trigger', place), dueMs: undefined }
}

/** The note that instants were missed. */
export function passOf(schedule: StoredSchedule, { fromMs, untilMs }: { fromMs: number; untilMs: number }): Fire {
  const fire = makeFire(schedule, untilMs, 'pass', placeOf(schedule.name, untilMs))
  return { ...fire, missedFromMs: fromMs, payload: 'null' }
}

function makeFire(
  { name, version, definition }: StoredSchedule,
  instantMs: number,
  act: Fire['act'],
  place: string,
): Fire {
  const { type, payload, rules } = definition
  const key = rules.overlap === 'queue' ? `schedule:${name}` : undefined
  const headers = JSON.stringify({ [SCHEDULE_HEADER]: name, [SCHEDULED_FOR_HEADER]: String(instantMs) })
  const options = JSON.stringify({ i: place, k: key, h: headers })
  const dueMs = rules.jitterMs > 0 ? instantMs + Math.floor(Math.random() * rules.jitterMs) : undefined
  return { schedule: name, version, instantMs, act, type, options, payload, place, key, dueMs }
}

function placeOf(name: string, instantMs: number): string {
  return `g${createHash('sha256').update(`${name}\n${instantMs}`).digest('base64url').slice(0, 20)}`
}
