import type { Fire } from '../../job/fire-receiver.ts'
import { largeBytes } from '../entry.ts'

/** A fire as lua/fire.lua is told of it. */
export function fireValues(fire: Fire): string[] {
  const { schedule, version, instantMs, act, missedFromMs, type, options, payload, place, key, dueMs } = fire
  const bytes = largeBytes(payload)
  const said = bytes === undefined ? options : `${options.slice(0, -1)},"p":${bytes}}`
  const [missed, due] = [missedFromMs, dueMs].map((ms) => (ms === undefined ? '' : String(ms))) as [string, string]
  return [schedule, String(version), String(instantMs), act, missed, type, said, payload, place, key ?? '', due]
}
