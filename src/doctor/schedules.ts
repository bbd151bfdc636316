import type { Schedule } from '../scheduler/schedule.ts'
import type { StoredSchedule } from '../scheduler/schedule-store.ts'
import { type Diagnosis, note, problem } from './diagnosis.ts'

export interface SchedulesFound {
  /** Of the configuration. */
  readonly configured: readonly Pick<Schedule, 'name'>[]
  /** What Redis has. */
  readonly stored: readonly StoredSchedule[]
  readonly leader: { readonly owner: string } | undefined
}

/** Whether schedules fire, and whether they are those of the configuration. */
export function checkSchedules({ configured, stored, leader }: SchedulesFound): Diagnosis[] {
  const enabled = stored.filter(({ isEnabled }) => isEnabled)
  const known = new Map(stored.map(({ name, definition }) => [name, definition.source]))
  const names = new Set(configured.map(({ name }) => name))
  const undefinedYet = [...names].filter((name) => known.get(name) !== 'config')
  const leftOver = [...known].flatMap(([name, source]) => (source === 'config' && !names.has(name) ? [name] : []))
  const isIdle = leader === undefined && (enabled.length > 0 || undefinedYet.length > 0)
  return [
    ...(isIdle
      ? [problem('No scheduler leads: nothing fires.', 'moca scheduler start; two or more, one of which leads.')]
      : []),
    ...(undefinedYet.length === 0
      ? []
      : [
          note(
            `Of the configuration, and not known to Redis: ${listOf(undefinedYet)}.`,
            'Restart the schedulers with this configuration: they define its schedules when they start.',
          ),
        ]),
    ...(leftOver.length === 0
      ? []
      : [
          note(
            `Defined by another configuration, and not in this one: ${listOf(leftOver)}.`,
            'Fine where another release runs; otherwise restart the schedulers with this configuration.',
          ),
        ]),
  ]
}

const MOST_NAMES = 5

function listOf(names: readonly string[]): string {
  const more = names.length - MOST_NAMES
  return `${names.slice(0, MOST_NAMES).join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}
