import { globSync, readFileSync } from 'node:fs'
import { findProblems } from './import-rules.ts'

const files = globSync([
  'src/**/*.ts',
  'test/**/*.ts',
  'scripts/*.ts',
  'demo/**/*.ts',
  'bench/**/*.ts',
  'examples/**/*.ts',
])
const problems = findProblems(new Map(files.toSorted().map((file) => [file, readFileSync(file, 'utf8')])))

for (const problem of problems) console.error(problem)
console.log(`imports: ${files.length} files, ${problems.length} problems`)
process.exitCode = problems.length > 0 ? 1 : 0
