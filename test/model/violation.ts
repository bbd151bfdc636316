/** Something that must hold did not. `invariant` is its name, as the table of mutations shows it. */
export class Violation extends Error {
  readonly invariant: string

  constructor(invariant: string, detail: string) {
    super(`${invariant}: ${detail}`)
    this.name = 'Violation'
    this.invariant = invariant
  }
}

/** Throws a Violation unless `holds`. */
export function must(invariant: string, holds: boolean, detail: () => string): void {
  if (!holds) throw new Violation(invariant, detail())
}
