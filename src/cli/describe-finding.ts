import type { Output } from './output.ts'

export interface DescribedFinding {
  readonly kind: string
  readonly expected: string
  readonly found: string
  readonly fix: string
}

/** The lines of one finding, an empty one before them. `place`: what it is about. */
export function describeFinding(
  output: Output,
  place: string,
  { kind, expected, found, fix }: DescribedFinding,
): string[] {
  return [
    '',
    `${output.style('red', kind)}  ${place}`,
    `  expected  ${expected}`,
    `  found     ${found}`,
    `  fix       ${fix}`,
  ]
}
