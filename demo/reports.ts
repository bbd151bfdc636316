import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ReportContent } from './cities.ts'

// An outside system that a handler writes to. The fence is part of the file's name and the highest one counts, so a worker
// that was stopped, lost its lease and goes on writing can never replace the report of the one that took over.

export async function saveReport(dir: string, country: string, fence: bigint, content: ReportContent): Promise<void> {
  const path = join(dir, `${country}.${String(fence).padStart(20, '0')}.json`)
  await mkdir(dir, { recursive: true })
  await writeFile(`${path}.partial`, JSON.stringify(content))
  await rename(`${path}.partial`, path)
}

/** Country -> its valid report. */
export async function readReports(dir: string): Promise<Map<string, ReportContent>> {
  const files = await readdir(dir).catch(() => [])
  const valid = new Map<string, string>()
  for (const name of files.filter((name) => name.endsWith('.json')).toSorted())
    valid.set(name.split('.')[0] ?? '', name)
  const reports = new Map<string, ReportContent>()
  for (const [country, name] of valid)
    reports.set(country, JSON.parse(await readFile(join(dir, name), 'utf8')) as ReportContent)
  return reports
}
