import { examine, type CheckResult } from '../doctor/doctor.ts'
import { loadHandlers } from '../processes/handlers.ts'
import { silentLogger } from '../logger.ts'
import { explain } from './cli-error.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import type { Output } from './output.ts'

export interface DoctorOptions {
  readonly fix?: boolean
}

const WIDTH = 22

/** Looks at everything that a deployment needs, and says what is wrong and what to do. */
export async function runDoctor(context: Context, { fix = false }: DoctorOptions): Promise<ExitCode> {
  const config = await context.config()
  const checks = await examine({
    config,
    loadHandlers: () => loadHandlers(config.apps, silentLogger),
    explain: (error) => explain(error, undefined),
    mends: fix,
  })
  const problems = checks.flatMap(({ diagnoses }) => diagnoses).filter(({ severity }) => severity === 'problem')
  const isOk = problems.length === 0
  context.output.result({ ok: isOk, namespace: config.namespace, checks }, () =>
    describe(context.output, checks, problems.length),
  )
  return isOk ? EXIT.fine : EXIT.problem
}

function describe(output: Output, checks: readonly CheckResult[], problems: number): string {
  const lines = checks.flatMap(({ check, status, about, diagnoses, mended }) => {
    const head = status === 'ok' ? output.style('green', 'ok'.padEnd(9)) : output.style('dim', 'skipped'.padEnd(9))
    const name = check.padEnd(WIDTH)
    const repairs = mended.map((text) => `${output.style('cyan', 'mended'.padEnd(9))}${name}${text}`)
    if (diagnoses.length === 0) return [...repairs, `${head}${name}${about ?? ''}`.trimEnd()]
    const found = diagnoses.flatMap(({ severity, found: what, fix }) => [
      `${output.style(severity === 'problem' ? 'red' : 'yellow', severity.padEnd(9))}${name}${what}`,
      `${' '.repeat(9)}${' '.repeat(WIDTH)}Fix: ${fix}`,
    ])
    return [...repairs, ...found]
  })
  const verdict = problems === 0 ? 'Nothing is wrong.' : `${problems} ${problems === 1 ? 'problem' : 'problems'}.`
  return [...lines, '', verdict].join('\n')
}
