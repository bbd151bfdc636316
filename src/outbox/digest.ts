import { createHash } from 'node:crypto'

/** Tells whether two batches consist of the same rows: 24 hexadecimal digits. */
export function digestOf(rows: readonly { readonly seq: number }[]): string {
  const hash = createHash('sha256')
  hash.update(rows.map(({ seq }) => seq).join(','))
  return hash.digest('hex').slice(0, 24)
}
