import type { ImportRow } from '../cities.ts'
import { ALERT_FROM_POPULATION, type CityRow } from '../jobs.ts'
import { Random } from '../../test/chaos/random.ts'

/** One transaction of the application. */
export interface PlannedTransaction {
  readonly name: string
  /** To be inserted. */
  readonly cities: readonly CityRow[]
  /** So many cities of earlier transactions are changed, or deleted. */
  readonly updates: number
  readonly deletes: number
  /** Subjects of the events and jobs that are recorded beside what the triggers record. */
  readonly countries: readonly string[]
  readonly alerts: readonly string[]
  readonly tallies: readonly string[]
  readonly fate: Fate
}

/**
 * `rollback`: it is rolled back at first, and done again. `late`: it stays open for many seconds. `cut`: the connection breaks when the
 * COMMIT was sent, `cut-before`: just before it.
 */
export type Fate = 'commit' | 'rollback' | 'late' | 'cut' | 'cut-before'

const LATE = 6
const MOST_COUNTRIES = 3
/** Earlier ones would find nothing to change. */
const CHANGES_FROM = 10

/** Cuts the rows into transactions of mixed size, in an order that mixes countries. The same rows and seed give the same again. */
export function planTransactions(rows: readonly ImportRow[], seed = 1): PlannedTransaction[] {
  const random = new Random(seed)
  const cities = shuffle(
    rows.filter(({ fate }) => fate !== 'refused').map(({ row }) => row),
    random,
  )
  const pieces = cut(cities, random)
  const late = new Set(Array.from({ length: LATE }, (_, i) => Math.floor(((i + 0.5) * pieces.length) / (LATE + 4))))
  return pieces.map((piece, n) => plan(piece, n, late.has(n) ? 'late' : fateOf(n), random))
}

function plan(cities: readonly CityRow[], n: number, fate: Fate, random: Random): PlannedTransaction {
  const countries = [...new Set(cities.map(({ country }) => country))].slice(0, MOST_COUNTRIES)
  const big = cities.filter(({ population }) => population >= ALERT_FROM_POPULATION)
  // One that stays open must not hold locks that all others wait for.
  const changes = fate !== 'late' && n >= CHANGES_FROM
  return {
    name: `t${n}`,
    cities,
    updates: changes ? random.whole(0, 3) : 0,
    deletes: changes && random.chance(0.12) ? 1 : 0,
    countries,
    alerts: [...new Set(big.map(({ country }) => country))],
    tallies: random.chance(0.5) ? countries.slice(0, 1) : [],
    fate,
  }
}

function fateOf(n: number): Fate {
  if (n % 17 === 5) return 'rollback'
  if (n % 31 === 11) return n % 2 === 0 ? 'cut' : 'cut-before'
  if (n % 31 === 14) return n % 2 === 0 ? 'cut' : 'cut-before'
  return 'commit'
}

function cut(cities: readonly CityRow[], random: Random): CityRow[][] {
  // So that there are transactions enough for every fate, however few cities there are.
  const most = Math.max(1, Math.floor(cities.length / 40))
  const pieces: CityRow[][] = []
  for (let at = 0; at < cities.length; at += pieces.at(-1)?.length ?? 0) {
    pieces.push(cities.slice(at, at + Math.min(most, sizeOf(random))))
  }
  return pieces
}

/** Most transactions are small, most rows come in large ones. */
function sizeOf(random: Random): number {
  const chance = random.next()
  if (chance < 0.45) return 1
  if (chance < 0.8) return random.whole(2, 9)
  return chance < 0.97 ? random.whole(10, 40) : random.whole(100, 400)
}

function shuffle<T>(list: readonly T[], random: Random): T[] {
  const mixed = [...list]
  for (let i = mixed.length - 1; i > 0; i--) {
    const j = random.whole(0, i)
    ;[mixed[i], mixed[j]] = [mixed[j] as T, mixed[i] as T]
  }
  return mixed
}
