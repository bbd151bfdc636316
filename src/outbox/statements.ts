import { readFileSync } from 'node:fs'
import { quoteIdentifier } from '../postgres/identifier.ts'

const loaded = new Map<string, string>()

/** Reads statements of sql/ on first use, with the name of the schema in them. */
export function loadStatements<Name extends string>(
  names: readonly Name[],
  schema: string,
): Readonly<Record<Name, string>> {
  const entries = names.map((name) => [name, loadStatement(name, schema)] as const)
  return Object.freeze(Object.fromEntries(entries)) as Readonly<Record<Name, string>>
}

function loadStatement(name: string, schema: string): string {
  const known = loaded.get(`${schema}/${name}`)
  if (known !== undefined) return known
  const text = readFileSync(new URL(`./sql/${name}.sql`, import.meta.url), 'utf8').replaceAll(
    ':"schema"',
    quoteIdentifier(schema),
  )
  loaded.set(`${schema}/${name}`, text)
  return text
}
