import { isDeepStrictEqual } from 'node:util'
import type { Evidence } from './evidence.ts'
import type { Problem } from './problem.ts'

/** The files that handlers wrote against the data. */
export function judgeReports({ expectation, reports }: Evidence): Problem[] {
  const problems: Problem[] = []
  for (const [country, content] of expectation.reports) {
    const found = reports.get(country)
    if (isDeepStrictEqual(found, content)) continue
    const text = found ? JSON.stringify(found) : 'no file'
    problems.push({ kind: 'report', id: country, expected: JSON.stringify(content), found: text })
  }
  return problems
}
