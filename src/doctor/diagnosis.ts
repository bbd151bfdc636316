/** What a check found. A problem must be mended; a note is worth knowing. */
export interface Diagnosis {
  readonly severity: 'problem' | 'note'
  readonly found: string
  /** What to do about it. */
  readonly fix: string
  /** Mends it, where that is safe; tells what it did. */
  readonly mend?: () => Promise<string>
}

export function problem(found: string, fix: string, mend?: Diagnosis['mend']): Diagnosis {
  return { severity: 'problem', found, fix, ...(mend && { mend }) }
}

export function note(found: string, fix: string): Diagnosis {
  return { severity: 'note', found, fix }
}
