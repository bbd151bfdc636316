import { type ImportRow, pageSubjects } from './cities.ts'
import { business, type CityRow, enrichCity, updateCountry, writeReport } from './jobs.ts'
import type { Item, JournaledProducer } from './journaled-producer.ts'

export interface ImporterOptions {
  readonly pages: readonly (readonly ImportRow[])[]
  readonly producer: JournaledProducer
  /** Resolves when page `n` may go out. */
  readonly pace: (page: number) => Promise<void>
  /** Told after each page: rows sent so far. */
  readonly onProgress: (rows: number) => void
}

const REPORT_DELAY_MS = 3_000

/** Cuts the rows into the pages that go out in one call each. */
export function paginate(rows: readonly ImportRow[]): ImportRow[][] {
  const size = Math.min(100, Math.max(5, Math.ceil(rows.length / 40)))
  return Array.from({ length: Math.ceil(rows.length / size) }, (_, i) => rows.slice(i * size, (i + 1) * size))
}

/** Enqueues every row; for each page the updates of its countries; and a country's report once its last row went out. */
export async function importCities(options: ImporterOptions): Promise<void> {
  const { pages, producer, pace, onProgress } = options
  let country: CityRow[] = []
  let rows = 0
  for (const [n, page] of pages.entries()) {
    await pace(n)
    const cities = page.map(({ row }) => row)
    await producer.enqueueMany(enrichCity, cities.map(enrichment))
    const valid = page.filter(({ fate }) => fate !== 'refused').map(({ row }) => row)
    const countries = [...new Set(valid.map((row) => row.country))]
    await producer.enqueueMany(
      updateCountry,
      countries.flatMap((code) => updates(code, n)),
    )
    for (const row of valid) {
      if (country[0] && country[0].country !== row.country) {
        await producer.enqueueMany(writeReport, [report(country)])
        country = []
      }
      country.push(row)
    }
    rows += page.length
    onProgress(rows)
  }
  if (country[0]) await producer.enqueueMany(writeReport, [report(country)])
}

function enrichment(row: CityRow): Item<CityRow> {
  return { business: business.enrich(row.cityId), payload: row }
}

function updates(country: string, page: number): Item<{ country: string; subject: string }>[] {
  return pageSubjects(page).map((subject) => {
    return { business: business.update(country, subject), payload: { country, subject }, key: country }
  })
}

/** Every other report waits a little: figures of the last rows may still be corrected. */
function report(rows: readonly CityRow[]): Item<{ country: string; cities: [string, number][] }> {
  const country = (rows[0] as CityRow).country
  const cities = rows.map(({ name, population }): [string, number] => [name, population])
  const isDelayed = country.charCodeAt(1) % 2 === 0
  return {
    business: business.report(country),
    payload: { country, cities },
    ...(isDelayed ? { delayMs: REPORT_DELAY_MS } : {}),
  }
}
