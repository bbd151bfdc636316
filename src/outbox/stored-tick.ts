import { floorBelow, parseSnapshot, type Tick } from './snapshot.ts'

/** Where lives of the log ended, ascending. */
export type Floors = readonly number[]

/** The columns of the ticks of a batch, in rows of statements. */
export type RawTick<Side extends string = 'from' | 'to'> = {
  [name in `${Side}_${'id' | 'low' | 'high'}`]: number | null
} & {
  [name in `${Side}_snapshot`]: string | null
}

export function toTick(row: RawTick, side: 'from' | 'to', floors: Floors): Tick | undefined {
  return side === 'from'
    ? tickOf(row.from_id, row.from_snapshot, row.from_low, row.from_high, floors)
    : tickOf(row.to_id, row.to_snapshot, row.to_low, row.to_high, floors)
}

export function tickOf(
  id: number | null,
  snapshot: string | null,
  low: number | null,
  high: number | null,
  floors: Floors,
): Tick | undefined {
  if (id === null || snapshot === null || low === null || high === null) return undefined
  return { id, snapshot: parseSnapshot(snapshot), low, high, floor: floorBelow(high, floors) }
}
