import { parseArgs } from 'node:util'
import { FAULTS } from './options.ts'
import { runWithFault } from './planted-run.ts'

// `npm run demo:faults`: the demo with each of its faults planted, one after another, each as processes of its own. Exit code 0 only if
// every account says so. About 45 s each; `-- fire-doubled ...` runs some.

const { positionals } = parseArgs({ allowPositionals: true })
const wanted = FAULTS.filter((fault) => positionals.length === 0 || positionals.includes(fault))
const unknown = positionals.find((name) => !wanted.some((fault) => fault === name))
if (unknown !== undefined) throw new Error(`There is no fault ${unknown}; known are ${FAULTS.join(', ')}`)

for (const fault of wanted) {
  const { problem, kinds, seconds } = await runWithFault(fault)
  console.log(
    `${fault.padEnd(24)}${problem === undefined ? 'found' : 'NOT FOUND'}  ${Math.round(seconds)} s  ${kinds.join(', ')}`,
  )
  if (problem === undefined) continue
  console.log(problem)
  process.exitCode = 1
}
