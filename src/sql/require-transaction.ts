import { OptionError } from '../errors.ts'

/** Refuses a handle outside of a transaction: what is recorded by it would stay, whatever became of everything else. */
export function requireTransaction(isTransaction: boolean, adapter: string, how: string): void {
  if (isTransaction) return
  throw new OptionError(`${adapter} takes a transaction, and this is none: ${how}`, { option: 'tx' })
}
