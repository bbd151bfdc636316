import { closest } from '../../job/closest.ts'
import { OptionError } from '../../errors.ts'

/** Refuses a filter that is none, or has a name that means nothing: it would be left out, and the call would take in more than was meant. */
export function requireFilter(call: string, filter: unknown, known: readonly string[]): void {
  if (typeof filter !== 'object' || filter === null || Array.isArray(filter)) {
    throw new OptionError(`${call} takes a filter: { ${known.join(', ')} }`, { option: call })
  }
  const strange = Object.keys(filter).find((name) => !known.includes(name))
  if (strange === undefined) return
  const meant = closest(strange, known)
  const hint = meant === undefined ? `known are ${known.join(', ')}` : `did you mean ${meant}?`
  throw new OptionError(`${call}: there is no filter ${strange}; ${hint}`, { option: strange })
}
