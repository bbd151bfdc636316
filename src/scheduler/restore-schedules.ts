import type { KeptChange, KeptSchedule, KeptSchedules } from './kept-schedules.ts'
import type { ScheduleStore, StoredSchedule } from './schedule-store.ts'

/** What was put right in Redis, by name. */
export interface Restored {
  /** Schedules of run time that it had forgotten, or knew in an older form. */
  readonly defined: number
  /** Those that it still had though they were removed. */
  readonly removed: number
  /** Those that were enabled there and disabled here, or the other way round. */
  readonly switched: number
}

/**
 * Makes Redis know what is kept: it may have been emptied, or put back to an older file. What only Redis knows was defined before there was
 * a PostgreSQL: it is kept from now on.
 */
export function restoreSchedules(kept: KeptSchedules, store: ScheduleStore): Promise<Restored> {
  return kept.change(async (change) => {
    const stored = await store.list()
    await adopt(change, await change.list(), stored)
    const all = await change.list()
    const removed = await removeAgain(all, stored, store)
    const texts = all.flatMap(({ name, definition }) => (definition === null ? [] : [{ name, text: definition }]))
    const defined = await store.restore(texts)
    return { defined, removed, switched: await switchAgain(all, await store.list(), store) }
  })
}

async function adopt(
  change: KeptChange,
  kept: readonly KeptSchedule[],
  stored: readonly StoredSchedule[],
): Promise<void> {
  const known = new Set(kept.map(({ name }) => name))
  for (const { name, definition, isEnabled } of stored) {
    if (known.has(name)) continue
    if (definition.source === 'runtime') await change.put(name, JSON.stringify(definition), isEnabled)
    else if (!isEnabled) await change.switch(name, false)
  }
}

async function removeAgain(
  kept: readonly KeptSchedule[],
  stored: readonly StoredSchedule[],
  store: ScheduleStore,
): Promise<number> {
  const gone = new Set(kept.filter(({ isRemoved }) => isRemoved).map(({ name }) => name))
  const again = stored.filter(({ name, definition }) => definition.source === 'runtime' && gone.has(name))
  for (const { name } of again) await store.switch(name, 'remove')
  return again.length
}

async function switchAgain(
  kept: readonly KeptSchedule[],
  stored: readonly StoredSchedule[],
  store: ScheduleStore,
): Promise<number> {
  const wanted = new Map(kept.map(({ name, isEnabled }) => [name, isEnabled]))
  const wrong = stored.filter(({ name, isEnabled }) => isEnabled !== (wanted.get(name) ?? isEnabled))
  for (const { name, isEnabled } of wrong) await store.switch(name, isEnabled ? 'disable' : 'enable')
  return wrong.length
}
