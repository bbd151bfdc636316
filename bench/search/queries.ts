import { Random } from '../../test/chaos/random.ts'
import type { SearchQuery } from '../../src/search/search.ts'
import { wordsOf } from '../../src/search/search-words.ts'
import { type CorpusRow, vocabularyWord } from './corpus.ts'

export const QUERY_KINDS = ['exact', 'prefix', 'misspelt', 'filtered', 'faceted', 'rare', 'common'] as const
export type QueryKind = (typeof QUERY_KINDS)[number]

export interface BenchQuery {
  readonly kind: QueryKind
  readonly query: SearchQuery
}

const COUNTS: Readonly<Record<QueryKind, number>> = {
  exact: 40,
  prefix: 40,
  misspelt: 40,
  filtered: 25,
  faceted: 15,
  rare: 20,
  common: 20,
}
const LETTERS = 'abcdefghijklmnopqrstuvwxyz'

/** 200 queries, the same each time: what people type who look for these rows. */
export function makeQueries(rows: readonly CorpusRow[]): BenchQuery[] {
  const random = new Random(11)
  const name = () => random.pick(rows).name
  const longName = () => {
    for (;;) {
      const found = name()
      if (wordsOf(found).some((word) => word.length >= 5)) return found
    }
  }
  const make: Record<QueryKind, () => SearchQuery> = {
    exact: () => ({ q: `${name()} ` }),
    prefix: () => ({ q: name().slice(0, random.whole(2, 5)), highlight: ['name'] }),
    misspelt: () => ({ q: `${misspell(longName(), random)} ` }),
    filtered: () => {
      const { name: found, country, population } = random.pick(rows)
      const q = found.slice(0, 3)
      return random.chance(0.5)
        ? { q, filter: { country } }
        : { q: '', filter: { country, population: { gte: Math.floor(population / 2) } }, sort: 'population:desc' }
    },
    faceted: () => ({ q: name().slice(0, 4), facets: ['country'] }),
    rare: () => ({ q: `${vocabularyWord(random.whole(5_000, 19_000))} `, highlight: ['about'] }),
    common: () => ({
      q: `${vocabularyWord(random.whole(0, 20))} ${random.chance(0.5) ? vocabularyWord(random.whole(0, 20)) : ''}`,
    }),
  }
  return QUERY_KINDS.flatMap((kind) => Array.from({ length: COUNTS[kind] }, () => ({ kind, query: make[kind]() })))
}

/** One letter of its longest word is missing, another, too many, or in the place of its neighbour. */
function misspell(text: string, random: Random): string {
  const word = text.split(' ').toSorted((a, b) => b.length - a.length)[0] ?? text
  const at = random.whole(1, Math.max(1, word.length - 2))
  const typo = [
    () => word.slice(0, at) + word.slice(at + 1),
    () => word.slice(0, at) + LETTERS[random.whole(0, 25)] + word.slice(at + 1),
    () => word.slice(0, at) + LETTERS[random.whole(0, 25)] + word.slice(at),
    () => word.slice(0, at) + word[at + 1] + word[at] + word.slice(at + 2),
  ]
  return text.replace(word, random.pick(typo)())
}
